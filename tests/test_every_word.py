"""No page or mail says a word that cannot be translated.

Every string that goes through gettext is put in ⟦brackets⟧; what is left outside them, and is neither data nor a
name of the contract, was written past the translations.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils.translation import trans_real

from deliveries import engine, letters
from deliveries.models import Delivery, EndpointHealth
from sales.accounts import send_invitation
from tests import factories

SKIPPED = {"script", "style", "pre", "code", "svg", "kbd"}
DATA = {
    "time_zone",
    "permissions",
    "user_permissions",
    "groups",
}  # the fields whose choices are rows, or names
SAID = {"title", "aria-label", "placeholder", "alt", "data-copied", "data-confirm"}
# Data of these tests, which hold as few letters as can be, and what is the same in every language.
SAME = re.compile(
    r"""https?://\S+ | [\w.+-]+@[\w.-]+ | \bHP\d+ | \bS\d{7}\b | \bQX\d+ | \bmsg_\w+ | [0-9a-f]{8}-[0-9a-f-]{27}
      | \b[A-Z]+(?:_[A-Z]+)+\b | webhookhub | localhost(?::\d+)?\S* | 127\.0\.0\.1\S* | \bGMT\S* | \bUTC\b
      | \b(?:webhook-(?:id|timestamp|signature)|hottok|X-HOTMART-HOTTOK|User-Agent)\b | whsec_\S*
      | \b[2-5]xx\b | \b(?:curl|http|English|Portugu\S+\sBrasileiro|[Ee]spañol|JSON|CSV|XLSX|PIX|PayPal|PicPay|Hotcard)\b
      | \b(?:Google|Samsung)\sPay\b | \b\d[\d.,]*\s[A-Z]{3}\b
      | ^(?:Src|Sck|Xcod|Utm\s\w+):?$ | \S*\*{3,}
      | ^(?:True|False|None|Search)$ | ^md5$ | ^(?:support|operations)$""",  # of Django's own; names of groups
    re.VERBOSE,
)


@pytest.fixture(autouse=True)
def brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    def marked(text: str) -> str:
        text = text.rpartition(trans_real.CONTEXT_SEPARATOR)[2]
        return f"⟦{text}⟧" if text.strip() else text

    one, many = trans_real.DjangoTranslation.gettext, trans_real.DjangoTranslation.ngettext
    monkeypatch.setattr(
        trans_real.DjangoTranslation, "gettext", lambda self, text: marked(one(self, text)) if text else text
    )
    monkeypatch.setattr(
        trans_real.DjangoTranslation, "ngettext", lambda self, *args: marked(many(self, *args))
    )


def outside(text: str) -> str:
    """What stands outside of all brackets, tags and all."""
    depth, kept = 0, []
    for sign in text:
        depth += sign == "⟦"
        if not depth:
            kept.append(sign)
        depth -= sign == "⟧" and depth > 0
    return "".join(kept)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.skipping: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        is_data = "mono" in (values.get("class") or "").split() or values.get("name") in DATA
        if is_data or tag in SKIPPED or self.skipping[-1:] == [tag]:
            self.skipping.append(tag)
        if not self.skipping:
            self.words += [value for name, value in attrs if name in SAID and value]

    def handle_endtag(self, tag: str) -> None:
        if self.skipping and tag == self.skipping[-1]:
            self.skipping.pop()

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            self.words.append(data)


def untranslated(html: str) -> list[str]:
    parser = _Words()
    parser.feed(outside(html))
    left = (" ".join(SAME.sub("", words).split()) for words in parser.words)
    return sorted({words for words in left if re.search(r"[^\W\d_]{2}", words)})


@pytest.fixture
def post(producer, receiver) -> Delivery:
    """A seller with a bit of everything, whose names hold no letters; one post that failed."""
    producer.name = "1701"
    producer.save()
    product = factories.make_product(producer, name="4711")
    config = factories.make_config(producer, url=receiver.url, name="0815")
    factories.make_sale(product, buyer_name="007")
    engine.drain()
    receiver.answers(500)
    sale = factories.make_sale(product, buyer_name="008")
    engine.drain()
    return Delivery.objects.get(event__sale=sale, config=config)


def pages(patterns: list, namespace: str = "") -> Iterator[str]:
    """The names of all addresses of the site that need nothing, or the key of a configuration or a post."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace != "admin":
                yield from pages(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else "")
        elif _is_a_page(pattern):
            yield namespace + pattern.name


def _is_a_page(pattern: URLPattern) -> bool:
    return (
        bool(pattern.name) and set(pattern.pattern.converters) <= {"pk"} and "(?P" not in str(pattern.pattern)
    )


PAGES = sorted(pages(get_resolver().url_patterns))
OF_A_POST = ("deliveries:detail", "deliveries:panel", "deliveries:reprocess")


def address(name: str, post: Delivery) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return reverse(name, args=[post.pk if name in OF_A_POST else post.config_id])


@pytest.mark.parametrize("name", PAGES)
def test_a_sellers_page_says_nothing_past_the_translations(client: Client, post: Delivery, name: str):
    client.force_login(post.owner.user)
    answer = client.get(address(name, post))
    if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
        assert untranslated(answer.content.decode()) == []


# Of the queue's and of the groups' pages the words are django-q2's, and the names of rights and groups.
ADMIN = [
    m for m in admin.site._registry if m._meta.label_lower != "auth.group" and m._meta.app_label != "django_q"
]


@pytest.mark.parametrize("model", ADMIN, ids=lambda model: model._meta.label_lower)
@pytest.mark.parametrize("page", ["changelist", "add", "change"])
def test_a_page_of_the_admin_says_nothing_past_the_translations(client: Client, post: Delivery, model, page):
    client.force_login(factories.make_staff(first_name="7"))
    row = model._default_manager.first()
    if page == "change" and row is None:
        pytest.skip("There is no such row here.")
    names = model._meta.app_label, model._meta.model_name
    answer = client.get(reverse(f"admin:{'_'.join(names)}_{page}", args=[row.pk] if page == "change" else []))
    if answer.status_code == 200:
        assert untranslated(answer.content.decode()) == []


def untranslated_text(text: str) -> list[str]:
    """The same of a mail's text."""
    lines = (" ".join(SAME.sub("", line).split()) for line in outside(text).splitlines())
    return sorted({line for line in lines if re.search(r"[^\W\d_]{2}", line)})


@pytest.mark.parametrize(
    "letter", [letters.disabled_letter, letters.warning_letter, letters.recovered_letter]
)
def test_a_mail_to_an_owner_says_nothing_past_the_translations(post: Delivery, settings, letter):
    settings.SUPPORT_ADDRESS = "help@example.com"
    health = EndpointHealth.objects.select_related("config__owner").get(config=post.config)
    health.works_since = health.told_at = post.created_at
    written = letter(health)
    assert untranslated_text(written.subject) == []
    assert untranslated_text(written.body) == []
    assert "help@example.com" in written.body


def test_the_mails_about_an_account_say_nothing_past_the_translations(
    client: Client, producer, mailoutbox, settings
):
    settings.SUPPORT_ADDRESS = "help@example.com"
    producer.name = "1701"
    client.post(reverse("account_reset_password"), {"email": producer.user.email})
    producer.user.set_unusable_password()
    send_invitation(producer)
    client.post(reverse("account_reset_password"), {"email": "nobody@example.com"})
    assert len(mailoutbox) == 3
    for sent in mailoutbox:
        assert untranslated_text(f"{sent.subject}\n{sent.body}") == []
        assert "help@example.com" in sent.body


def test_a_word_that_no_translation_knows_is_found():
    assert untranslated("<p>⟦Said⟧ <b>Unsaid</b> 12 <code>PURCHASE_APPROVED</code></p>") == ["Unsaid"]
    assert untranslated('<button title="Unsaid">⟦Said <b>so</b>⟧</button>') == ["Unsaid"]


def test_the_support_address_is_at_the_foot_of_every_kind_of_page(client: Client, post: Delivery, settings):
    settings.SUPPORT_ADDRESS = "help@example.com"
    pages = [reverse("account_login"), "/there-is-no-such-page/", reverse("admin:login")]
    client.force_login(post.owner.user)
    pages += [reverse("configurations:list"), reverse("account")]
    for page in pages:
        assert "mailto:help@example.com" in client.get(page, follow=True).content.decode(), page
    client.force_login(factories.make_staff())
    assert "mailto:help@example.com" in client.get(reverse("admin:index")).content.decode()
