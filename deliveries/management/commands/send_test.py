import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from configurations.events import EventType
from configurations.models import SECRETS, WebhookConfig
from deliveries import posting, testing
from deliveries.models import SamplePost
from deliveries.phases import WORDS as PHASES
from sales.commandkit import DONE, PARTLY, REFUSED, OperatorCommand
from sales.templatetags.formats import milliseconds

EXAMPLES = """\
  manage.py send_test 12
  manage.py send_test 12 --event PURCHASE_REFUNDED -v2          with headers and bodies
  manage.py send_test "My site" --owner ana@example.com
  manage.py send_test https://www.example.com/webhook --dry-run

It is the test of the page: the transaction HP0000000000 (or the cart CT0000000000) of the buyer test@example.com,
signed and sent as a real post, once, whatever the state of the configuration. The seller sees it among the tests.

Exit code: 0 delivered, 1 not delivered, 2 refused: no such configuration, an event that is not sent to it, too many
tests within a minute.
"""
MOST_LISTED = 20  # configurations
SHOWN = 500  # characters of the answer, without -v2


class Command(OperatorCommand):
    help = (
        "Posts one test to a configuration, waits for the answer, and says what it means. No worker is needed: this "
        "process sends it."
    )
    examples = EXAMPLES
    can_try = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("config", metavar="CONFIG", help="the configuration's id, name or URL")
        parser.add_argument("--owner", help="e-mail or account code of its owner, where names are not unique")
        parser.add_argument(
            "--event", help="such as PURCHASE_APPROVED; without it the first that the configuration asks for"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        config = _chosen(options["config"], options["owner"])
        type_ = _event_for(config, options["event"])
        try:
            post = testing.make(config, type_) if options["dry_run"] else testing.send_here(config, type_)
        except testing.NotPossible as why:
            raise CommandError(str(why), returncode=REFUSED) from None
        if options["dry_run"]:
            self._show(post)
        else:
            self._tell(post)

    def when_stopped(self) -> tuple[str, dict[str, Any]]:
        return _("Stopped. If it was under way, the test may have arrived."), {}

    def _show(self, post: SamplePost) -> None:
        headers, body = posting.masked_headers(testing.as_delivery(post)), _payload(post)
        self.say(_("This would be posted to %(url)s:") % {"url": post.url})
        self._say_message(headers, body)
        facts = {"dry_run": True, "request": {"headers": headers, "body": body}}
        self.finish(_("Nothing was sent."), _about(post) | facts)

    def _tell(self, post: SamplePost) -> None:
        words = testing.words_of(post)
        answer = bytes(post.response_body).decode(errors="backslashreplace")
        if self.verbosity > 1:
            self.say(_("Posted to %(url)s:") % {"url": post.url})
            self._say_message(post.request_headers, _payload(post))
        self.say(_result(post))
        self.say(words.happened)
        if words.detail and words.detail not in str(words.happened):
            self.say(words.detail)
        if words.who:
            self.say(_("Who can fix it: %(who)s. How: %(how)s") % {"who": words.who, "how": words.what_to_do})
        if post.status is not None:
            self._say_answer(post, answer)
        facts = {
            "delivered": post.delivered,
            "status": post.status,
            "problem": post.problem,
            "detail": post.detail,
            "ms": post.duration_ms,
            "phases": {name: getattr(post, name) for name in PHASES},
            "diagnosis": {
                "kind": words.kind,
                "happened": str(words.happened),
                "who": str(words.who),
                "what_to_do": str(words.what_to_do),
            },
            "request": {"headers": post.request_headers, "body": _payload(post)},
            "response": {"headers": post.response_headers, "body": answer, "cut": post.response_cut},
        }
        self.finish("", _about(post) | facts, DONE if post.delivered else PARTLY)

    def _say_message(self, headers: list[list[str]], body: str) -> None:
        head = "\n".join(f"{name}: {value}" for name, value in headers)
        self.say(f"\n{head}\n\n{_readable(body)}\n")

    def _say_answer(self, post: SamplePost, answer: str) -> None:
        if self.verbosity > 1:
            self.say(_("It answered:"))
            self._say_message(post.response_headers, answer)
        elif answer:
            shown = answer if len(answer) <= SHOWN else answer[:SHOWN] + "…"
            self.say(_("It answered: %(answer)s") % {"answer": shown})
        else:
            self.say(_("The answer was empty."))


def _chosen(text: str, owner: str | None) -> WebhookConfig:
    """Raises CommandError where it is none, or one of several."""
    configs = WebhookConfig.objects.select_related("owner", "product").defer(*SECRETS)
    if owner:
        configs = configs.of_owner(owner)
    found = list(configs.named(text).order_by("pk")[: MOST_LISTED + 1])
    if len(found) == 1:
        return found[0]
    if found:
        problem = _("Several configurations are called “%(text)s”. Name one by its id:") % {"text": text}
    else:
        problem = _("No configuration has the id, name or URL “%(text)s”.") % {"text": text}
        found = list(configs.not_removed().order_by("pk")[: MOST_LISTED + 1]) if owner else []
        if owner and found:
            problem = _("%(problem)s These are the owner's:") % {"problem": problem}
        elif owner:
            problem = _("“%(owner)s” has no configuration.") % {"owner": owner}
    lines = [f"  {config.pk}  {config.owner}  {config.name}  {config.url}" for config in found[:MOST_LISTED]]
    more = ["  …"] if len(found) > MOST_LISTED else []
    raise CommandError("\n".join([problem, *lines, *more]), returncode=REFUSED)


def _event_for(config: WebhookConfig, wanted: str | None) -> EventType:
    """Raises CommandError where the configuration's version and copy have no post for it."""
    events = testing.events_for(config)
    if wanted is None:
        chosen = testing.default_of(config, events)
        if chosen is not None:
            return chosen
    elif wanted.upper() in events:
        return EventType(wanted.upper())
    raise CommandError(
        _("“%(event)s” is not sent to this configuration (version %(version)s). Choose one of: %(events)s.")
        % {"event": wanted, "version": config.version, "events": ", ".join(events)},
        returncode=REFUSED,
    )


def _about(post: SamplePost) -> dict[str, Any]:
    config = post.config
    return {
        "config": {"id": config.pk, "name": config.name, "owner": config.owner.code},
        "url": post.url,
        "event": post.type,
        "version": post.version,
        "webhook_id": post.webhook_id,
    }


def _payload(post: SamplePost) -> str:
    return posting.without_token(post.body.encode()).decode()


def _readable(body: str) -> str:
    """JSON in lines; everything else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


def _result(post: SamplePost) -> str:
    took = milliseconds(post.duration_ms)
    if post.status is None:
        return _("No answer, after %(took)s.") % {"took": took}
    if post.delivered:
        return _("Delivered: %(status)d in %(took)s.") % {"status": post.status, "took": took}
    return _("Not delivered: %(status)d in %(took)s.") % {"status": post.status, "took": took}
