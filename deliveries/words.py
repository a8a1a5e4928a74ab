"""The words for every outcome of a post, as a table: `explain` looks them up."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .models import Problem

Words = str | Promise

YOU = _("you")
PROGRAMMER = _("your programmer")
HOSTING = _("your hosting, DNS or firewall")
YOU_OR_PROGRAMMER = _("you or your programmer")
YOU_OR_HOSTING = _("you or your hosting")
HOSTING_OR_PROGRAMMER = _("your hosting or your programmer")

NOTHING = _("Nothing.")
RECEIVED = _("Received.")


@dataclass(frozen=True, slots=True)
class Explanation:
    """`slug` names it on the page of codes; `kind` is its colour: ok, wait (delivered, but look at it) or bad.

    `who` and `what_to_do` are whole phrases; `who` is empty where nobody has to act. `detail` is the technical
    remark of the attempt, untranslated, often empty.
    """

    slug: str
    title: Words
    happened: Words
    who: Words = ""
    what_to_do: Words = NOTHING
    kind: str = "bad"
    detail: str = ""

    @property
    def label(self) -> Words:
        """For the badge: the code; where there is none, the title."""
        return self.slug if self.slug[0].isdigit() else self.title


def _received(slug: str, title: Words) -> Explanation:
    return Explanation(slug, title, RECEIVED, kind="ok")


# The words may name {location}, {host} and {port}.
_TABLE = (
    _received("200", _("OK")),
    _received("201", _("Created")),
    _received("202", _("Accepted")),
    _received("204", _("No content")),
    _received("2xx", _("Other codes from 200 to 299")),
    Explanation(
        "page",
        _("OK, with a web page"),
        _("Your server said OK with a web page, often a login; it may have ignored the post."),
        PROGRAMMER,
        _("Use the address that takes posts, outside the login; answer a short text."),
        kind="wait",
    ),
    Explanation(
        "apps-script",
        _("Redirect of Google Apps Script"),
        _("Received; Apps Script always answers with this redirect."),
        kind="ok",
    ),
    *(
        Explanation(
            slug,
            title,
            _("The address moved to {location}; we don't follow redirects."),
            YOU,
            _("Enter the new address; often it is https, www or a last slash."),
        )
        for slug, title in (("301", _("Moved")), ("308", _("Moved for good")))
    ),
    *(
        Explanation(
            slug,
            title,
            _("Your server sent us on to {location}, often a login."),
            PROGRAMMER,
            _("Take this path out of login and language redirects."),
        )
        for slug, title in (
            ("302", _("Redirect")),
            ("303", _("Redirect to another page")),
            ("307", _("Redirect for now")),
        )
    ),
    Explanation(
        "3xx",
        _("Other codes from 300 to 399"),
        _("Your server answered with a redirect or a remark about its cache, which a post cannot use."),
        PROGRAMMER,
        _("Answer a post with 200."),
    ),
    Explanation(
        "400",
        _("Bad request"),
        _("Your server could not read the post."),
        PROGRAMMER,
        _("Does the code expect the version you chose (form or JSON)?"),
    ),
    Explanation(
        "401",
        _("Login required"),
        _("Your server wants a login."),
        PROGRAMMER,
        _("Let this path in without one; check our token or signature instead."),
    ),
    Explanation(
        "403",
        _("Forbidden"),
        _("Your server or its firewall refused us."),
        HOSTING,
        _("Allow our addresses and user agent; no bot check on this path."),
    ),
    Explanation(
        "404",
        _("Not found"),
        _("Nothing is at this address."),
        YOU_OR_PROGRAMMER,
        _("Compare it letter by letter; is the plugin or flow switched on?"),
    ),
    Explanation(
        "405",
        _("Method not allowed"),
        _("The address takes no POST."),
        PROGRAMMER,
        _("Allow POST on this route."),
    ),
    Explanation(
        "406",
        _("Not acceptable"),
        _("A security module disliked the request."),
        HOSTING,
        _("Ask for its log (ModSecurity) at this time."),
    ),
    Explanation(
        "408",
        _("Your server's time limit"),
        _("Your server gave up waiting for us."),
        HOSTING,
        _("It usually passes; if not, ask your hosting."),
    ),
    Explanation(
        "409",
        _("Conflict"),
        _("Your system says it has this already."),
        PROGRAMMER,
        _("Answer 200 to a repeat: same webhook-id, same post."),
    ),
    Explanation(
        "410",
        _("Gone"),
        _("Your server says: gone for good."),
        YOU,
        _("Enter the new address, then enable the configuration."),
    ),
    Explanation(
        "411",
        _("Length required"),
        _("Your server misses the length; a proxy dropped it."),
        HOSTING,
        _("Check the proxy."),
    ),
    Explanation(
        "413",
        _("Too large"),
        _("The post is larger than your server takes."),
        HOSTING,
        _("Raise the limit to 1 MB."),
    ),
    Explanation(
        "415",
        _("Type not accepted"),
        _("This content type is not accepted."),
        PROGRAMMER,
        _("Accept it, or choose the other version."),
    ),
    Explanation(
        "419",
        _("CSRF check of Laravel"),
        _("Laravel's CSRF check refused the post."),
        PROGRAMMER,
        _("Exempt this route from the check, then press Reprocess."),
    ),
    Explanation(
        "422",
        _("Value not accepted"),
        _("Your server read the post, but did not accept a value."),
        PROGRAMMER,
        _("The server's answer names it: look at Response."),
    ),
    Explanation(
        "429",
        _("Too many posts"),
        _("Your server got too many posts at once."),
        HOSTING_OR_PROGRAMMER,
        _("We wait as long as your server asks; raise its limit."),
    ),
    Explanation(
        "4xx",
        _("Other codes from 400 to 499"),
        _("Your server refused the post."),
        PROGRAMMER,
        _("The server's answer may say why: look at Response."),
    ),
    Explanation(
        "500",
        _("Program error"),
        _("Your program failed on this post."),
        PROGRAMMER,
        _("See its error log at this time, then press Reprocess."),
    ),
    *(
        Explanation(
            slug,
            title,
            _("The proxy got no timely answer from your program."),
            HOSTING_OR_PROGRAMMER,
            _("Is the program running? Answer first, work later."),
        )
        for slug, title in (("502", _("Bad gateway")), ("504", _("Gateway timeout")))
    ),
    Explanation(
        "503",
        _("Not available"),
        _("Your server is overloaded or in maintenance."),
        HOSTING,
        _("It usually passes; we try again."),
    ),
    Explanation(
        "520",
        _("Cloudflare: odd answer"),
        _("Cloudflare could not read your server's answer."),
        HOSTING,
        _("See the server's log."),
    ),
    *(
        Explanation(
            slug,
            title,
            _("Cloudflare cannot reach your server."),
            HOSTING,
            _("Is it up? Are Cloudflare's addresses allowed?"),
        )
        for slug, title in (("521", _("Cloudflare: server down")), ("523", _("Cloudflare: no way there")))
    ),
    *(
        Explanation(
            slug,
            title,
            _("Your server did not answer Cloudflare in time."),
            HOSTING_OR_PROGRAMMER,
            _("Answer 200 at once, work later."),
        )
        for slug, title in (("522", _("Cloudflare: no connection")), ("524", _("Cloudflare: timeout")))
    ),
    *(
        Explanation(
            slug,
            title,
            _("Cloudflare and your server disagree on TLS."),
            HOSTING,
            _("Renew the certificate on the server behind Cloudflare."),
        )
        for slug, title in (
            ("525", _("Cloudflare: TLS handshake")),
            ("526", _("Cloudflare: certificate")),
        )
    ),
    Explanation(
        "5xx",
        _("Other codes from 500 to 599"),
        _("Your server failed on this post."),
        HOSTING_OR_PROGRAMMER,
        _("See the server's error log at this time, then press Reprocess."),
    ),
    Explanation(
        "odd",
        _("Unknown codes"),
        _("Your server answered with a code that is no final answer in HTTP."),
        PROGRAMMER,
        _("Answer a post with 200."),
    ),
    Explanation(
        Problem.DNS,
        _("No such host"),
        _("{host} does not exist."),
        YOU_OR_HOSTING,
        _("Is it a typing error? Has the domain expired?"),
    ),
    Explanation(
        Problem.DNS_SILENT,
        _("Name server failed"),
        _("The name server of {host} did not answer, or failed."),
        HOSTING,
        _("It usually passes; if not, look at the domain's name servers."),
    ),
    Explanation(
        Problem.NOT_PERMITTED,
        _("Address not permitted"),
        _("{host} leads to a private or reserved address, or to a port that we may not post to."),
        YOU,
        _("Use the server's public address."),
    ),
    Explanation(
        Problem.REFUSED,
        _("Connection refused"),
        _("Nothing listens on {host}:{port}."),
        HOSTING,
        _("Start the web server; check the port."),
    ),
    Explanation(
        Problem.UNREACHABLE,
        _("Not reachable"),
        _("No way leads to {host}: its network is down, or its address is wrong."),
        HOSTING,
        _("Check the server's network and the domain's address records."),
    ),
    Explanation(
        Problem.CONNECT_TIMEOUT,
        _("No connection in time"),
        _("{host} did not pick up within 5 s."),
        HOSTING,
        _("The server is down, or a firewall drops us."),
    ),
    Explanation(
        Problem.TIMEOUT,
        _("No answer in time"),
        _("Your server took the post, but gave no answer within 15 s; it may have worked."),
        PROGRAMMER,
        _("Answer 200 at once, work later."),
    ),
    Explanation(
        Problem.TLS_EXPIRED,
        _("Certificate expired"),
        _("The certificate of {host} has expired, or is not valid yet."),
        HOSTING,
        _("Renew it."),
    ),
    Explanation(
        Problem.TLS_WRONG_HOST,
        _("Wrong certificate"),
        _("The certificate there is for another name, not for {host}."),
        YOU_OR_HOSTING,
        _("Correct the address, or the certificate."),
    ),
    Explanation(
        Problem.TLS_UNTRUSTED,
        _("Certificate not trusted"),
        _("The certificate of {host} is self-signed, or its chain is incomplete."),
        HOSTING,
        _("Install the full chain of a public authority."),
    ),
    Explanation(
        Problem.TLS,
        _("TLS failed"),
        _("{host} and we could not agree on a secure connection."),
        HOSTING,
        _("Allow TLS 1.2 or newer on the server."),
    ),
    Explanation(
        Problem.RESET,
        _("Cut off"),
        _("The connection was cut midway."),
        HOSTING,
        _("Often it is a firewall: see its log."),
    ),
    Explanation(
        Problem.NOT_HTTP,
        _("Not HTTP"),
        _("What came back from {host}:{port} is not an answer in HTTP."),
        HOSTING_OR_PROGRAMMER,
        _("Is this the port of the web server? https and http are on different ones."),
    ),
    Explanation(
        Problem.OURS,
        _("Our error"),
        _("We could not make this post: the fault is ours."),
        _("we"),
        _("We have been told. Press Reprocess once it is mended."),
    ),
    # No outcome of its own: a remark beside one.
    Explanation(
        "cut",
        _("Answer too long"),
        _("The answer is longer than 64 KiB; its code counts, the rest is cut."),
        PROGRAMMER,
        _("Answer a short text."),
        kind="wait",
    ),
)

BY_SLUG = {str(row.slug): row for row in _TABLE}
