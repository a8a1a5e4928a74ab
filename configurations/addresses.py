"""May we post there? One rule, asked by the form for URLs and by the transport for every address it connects to.

A URL is taken apart here once, and whoever connects uses these parts: of a hostile URL two parsers name two
hosts. The address ranges are a list of our own, since `ipaddress.is_global` says yes to some that lead inside
(NAT64, 6to4, ::127.0.0.1, multicast), and not to the same ones in every Python.
Source: the IANA special-purpose address registries for IPv4 and IPv6.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NoReturn

import idna
from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

MAX_LENGTH = 2000  # characters
MAX_HOST = 253
DEFAULT_PORTS = {"http": 80, "https": 443}

_PLAIN = re.compile(r"[!-~]*")  # ASCII that can be seen: nothing in it to hide
_SPACES = re.compile(r"[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Controls, and what is drawn as nothing: soft hyphen, joiners, directions, fillers, variation selectors, tags.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e0fff]"
)
_PARTS = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?")
_PORT = re.compile(r"[0-9]{1,5}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as a last label it makes the host an address, whatever precedes
# Names that mean another machine, or none, for each who asks; with all that is under them.
_LOCAL_NAMES = (
    *("localhost", "local", "internal", "intranet", "lan", "home", "home.arpa"),
    *("corp", "private", "svc", "onion", "invalid"),
)

_LEADS_BACK = _("{address} leads back to our own machine ({range}). Use the public address of your server.")
_INSIDE = _(
    "{address} is a private address ({range}) that cannot be reached from the internet. "
    "Use the public address of your server."
)
_PLATFORM = _(
    "{address} belongs to the inner services of a cloud platform ({range}). "
    "Use the public address of your server."
)
_GROUP = _("{address} means many machines at once ({range}). Use the public address of your server.")
_SET_ASIDE = _(
    "{address} is set aside for special purposes ({range}): no public server is there. "
    "Use the public address of your server."
)
_WRAPPED = _(
    "{address} is another address in disguise ({range}). Use the public address of your server as it is."
)

# The first range that holds an address gives the reason. Together the IPv6 ones cover all but 2000::/3.
_RANGES: tuple[tuple[IPv4Network | IPv6Network, str, Promise], ...] = tuple(
    (ip_network(network), reason, advice)
    for reason, advice, networks in (
        ("loopback", _LEADS_BACK, "127.0.0.0/8 ::1/128"),
        ("unspecified", _LEADS_BACK, "0.0.0.0/8 ::/128"),  # Linux connects it to loopback
        ("private", _INSIDE, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16"),
        ("cgnat", _INSIDE, "100.64.0.0/10"),
        ("link-local", _INSIDE, "169.254.0.0/16 fe80::/10"),
        ("unique-local", _INSIDE, "fc00::/7"),
        ("site-local", _INSIDE, "fec0::/10"),
        ("metadata", _PLATFORM, "168.63.129.16/32"),  # a platform's wire server in public space
        ("multicast", _GROUP, "224.0.0.0/4 ff00::/8"),
        ("broadcast", _GROUP, "255.255.255.255/32"),
        ("documentation", _SET_ASIDE, "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
        ("benchmark", _SET_ASIDE, "198.18.0.0/15"),
        ("6to4-relay", _SET_ASIDE, "192.88.99.0/24"),
        ("discard", _SET_ASIDE, "100::/64"),
        ("mapped", _WRAPPED, "::ffff:0:0/96"),
        ("compatible", _WRAPPED, "::/96"),
        ("nat64", _WRAPPED, "64:ff9b::/96 64:ff9b:1::/48"),
        ("6to4", _WRAPPED, "2002::/16"),
        ("teredo", _WRAPPED, "2001::/32"),
        ("ietf", _SET_ASIDE, "192.0.0.0/24 2001::/23"),
        # Name servers that answer for private addresses (AS112), and multicast relays (AMT).
        ("special", _SET_ASIDE, "192.31.196.0/24 192.52.193.0/24 192.175.48.0/24 2620:4f:8000::/48"),
        ("reserved", _SET_ASIDE, "240.0.0.0/4 ::/3 4000::/2 8000::/1"),
    )
    for network in networks.split()
)


class Refused(Exception):
    """We do not post there.

    `reason` is the class of the refusal ("private", "port", "spelling", …), `advice` a sentence for the page
    that names what is wrong and what to do, `subject` what it is about, in short: "10.0.0.1 (10.0.0.0/8)".
    """

    def __init__(self, reason: str, advice: Promise, subject: str = "") -> None:
        super().__init__(reason, subject)
        self.reason = reason
        self.advice = advice
        self.subject = subject

    def __str__(self) -> str:
        return f"{self.reason}: {self.subject}" if self.subject else self.reason


@dataclass(frozen=True, slots=True)
class Target:
    """A permitted URL in parts. `host` has no brackets; `path` begins with / and has the query with it."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def place(self) -> str:
        """host:port, as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole, without the port where it is the scheme's own."""
        place = self.place
        if self.port == DEFAULT_PORTS[self.scheme]:
            place = place.removesuffix(f":{self.port}")
        return f"{self.scheme}://{place}{self.path}"


def check(url: str) -> str:
    """The canonical URL: stripped, scheme and host in lower case, the host in punycode, no fragment.

    Looks nothing up: where a name leads is judged when it is connected to. Raises Refused.
    """
    canonical = parse(url).url
    if len(canonical) > MAX_LENGTH:  # punycode is longer
        _refuse_length()
    return canonical


def parse(url: str) -> Target:
    """The parts of `url` if it may be posted to, as far as can be told without a look-up. Raises Refused."""
    url = url.strip(" ")
    if len(url) > MAX_LENGTH:
        _refuse_length()
    if not _PLAIN.fullmatch(url) or "\\" in url:
        _check_characters(url)
    parts = _PARTS.fullmatch(url)
    if parts is None:
        _refuse_beginning(url)
    scheme, path = parts[1].lower(), parts[3]
    host, port = _host_and_port(parts[2], DEFAULT_PORTS[scheme])
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def also_permitted() -> Promise | str:
    """What the pages say of the private networks that may be posted to here; empty where there are none."""
    networks = ", ".join(map(str, settings.DELIVERY_ALLOWED_NETWORKS))
    if not networks:
        return ""
    return format_lazy(_("From here posts also reach these private networks: {networks}."), networks=networks)


def host_of(url: str) -> str:
    """The host that a URL names, in lower case and punycode; empty where it names none.

    Judges nothing: a URL that today's rules refuse was perhaps permitted when it was entered.
    """
    try:
        host = parse(url).host
    except Refused:
        parts = _PARTS.fullmatch(url.strip())
        authority = parts[2].rpartition("@")[2] if parts else ""
        bracketed = _BRACKETED.fullmatch(authority)
        host = bracketed[1] if bracketed else authority.partition(":")[0]
    return host.lower().removesuffix(".")[:MAX_HOST]


def check_address(ip: str) -> None:
    """Judge an address that a name server gave, as text, with or without a scope id. Raises Refused.

    One mapped into IPv6 counts as the IPv4 address inside, which is where a connection to it leads.
    """
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        _refuse_spelling(ip)
    inside = address.ipv4_mapped if address.version == 6 else None
    if inside is None:
        _check_range(address)
        return
    try:
        _check_range(inside)
    except Refused as refused:
        raise Refused("mapped", refused.advice, refused.subject) from None


def _check_range(address: IPv4Address | IPv6Address) -> None:
    if _is_allow_listed(address):
        return
    for network, reason, advice in _RANGES:
        if address in network:
            raise Refused(
                reason,
                format_lazy(advice, address=str(address), range=str(network)),
                f"{address} ({network})",
            )


def _is_allow_listed(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in settings.DELIVERY_ALLOWED_NETWORKS)


def _check_characters(url: str) -> None:
    """Before any parsing: parsers drop these characters, or turn them into others."""
    if "\\" in url:
        raise Refused("backslash", _("A URL has no backslashes (\\). Write / instead."), "\\")
    if _SPACES.search(url):
        raise Refused("space", _("A URL has no spaces. Remove them, or write %20 in the path."))
    if hidden := _INVISIBLE.search(url):
        code = f"U+{ord(hidden[0]):04X}"
        raise Refused(
            "control",
            format_lazy(
                _("The URL holds a character that cannot be seen ({code}). Type it anew."), code=code
            ),
            code,
        )


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    """What stands between // and the path, judged: ("example.com", 443). Raises Refused."""
    if "@" in authority:
        raise Refused(
            "userinfo",
            _(
                "The URL holds a user name or an @ before the host. Remove it: our token and signature prove us."
            ),
        )
    bracketed = authority.startswith("[")
    if "%" in authority:
        if bracketed:
            raise Refused(
                "zone id", _("An address with a zone (%) means something on one machine only. Remove it.")
            )
        raise Refused("percent in host", _("The host may not hold a %. Write its letters themselves."))
    if bracketed:
        parts = _BRACKETED.fullmatch(authority)
        if parts is None:
            _refuse_spelling(authority)
        host, port = parts[1], parts[2]
    else:
        host, _colon, port = authority.partition(":")
    if not host:
        _refuse_missing_host()
    return (_checked_ipv6(host) if bracketed else _checked_name(host)), _checked_port(port, default)


def _checked_port(typed: str | None, default: int) -> int:
    port = default if not typed else int(typed) if _PORT.fullmatch(typed) else -1
    if port not in settings.DELIVERY_ALLOWED_PORTS:
        raise Refused(
            "port",
            format_lazy(
                _("We cannot post to this port. Use one of these: {ports}."),
                ports=", ".join(map(str, settings.DELIVERY_ALLOWED_PORTS)),
            ),
            f"port {(typed or str(default))[:20]}",
        )
    return port


def _checked_ipv6(typed: str) -> str:
    try:
        address = IPv6Address(typed)
    except ValueError:
        _refuse_spelling(typed)
    _check_range(address)
    return str(address)


def _checked_name(typed: str) -> str:
    """A host name in lower case and punycode, or a canonical IPv4 address."""
    name = typed.lower() if typed.isascii() else _mapped_by_idna(typed)
    bare = name.removesuffix(".")
    labels = bare.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _checked_ipv4(typed)
    if len(bare) > MAX_HOST or not all(map(_LABEL.fullmatch, labels)):
        _refuse_name(typed)
    if any(label.startswith("xn--") for label in labels):
        try:
            idna.decode(bare)
        except (idna.IDNAError, UnicodeError):
            _refuse_name(typed)
    if (len(labels) < 2 or f".{bare}".endswith(_UNDER_LOCAL_NAMES)) and not _is_our_own_and_allowed(bare):
        raise Refused(
            "local name",
            format_lazy(
                _("{host} is a name inside a network only. Use a name that is known on the internet."),
                host=bare,
            ),
            bare,
        )
    return name


_UNDER_LOCAL_NAMES = tuple(f".{name}" for name in _LOCAL_NAMES)


def _is_our_own_and_allowed(name: str) -> bool:
    """Where loopback is allow-listed, as for the receiver of `make run`, so is the usual name for it."""
    return name == "localhost" and _is_allow_listed(IPv4Address("127.0.0.1"))


def _mapped_by_idna(typed: str) -> str:
    """By UTS 46: full-width digits become digits, 。 becomes a dot, ä becomes xn--…"""
    if len(typed) > MAX_HOST:
        _refuse_name(typed)
    try:
        mapped = idna.uts46_remap(typed, std3_rules=True)
        return mapped if mapped.isascii() else idna.encode(mapped, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        _refuse_name(typed)


def _checked_ipv4(typed: str) -> str:
    """Canonical dotted quads only: 127.1, 0x7f.0.0.1 and 2130706433 are addresses for some, names for others."""
    try:
        address = IPv4Address(typed)
    except ValueError:
        _refuse_spelling(typed)
    _check_range(address)
    return str(address)


def _refuse_length() -> NoReturn:
    raise Refused(
        "length",
        format_lazy(_("The URL is longer than {number} characters. Use a shorter one."), number=MAX_LENGTH),
    )


def _refuse_beginning(url: str) -> NoReturn:
    if re.match("https?:", url, re.IGNORECASE):
        _refuse_missing_host()
    raise Refused("scheme", _("Begin the URL with https:// (or http://)."))


def _refuse_missing_host() -> NoReturn:
    raise Refused("no host", _("The URL names no host. Write it like this: https://www.example.com/webhook"))


def _refuse_spelling(typed: str) -> NoReturn:
    raise Refused(
        "spelling",
        _(
            "The host looks like an IP address, but is not written as one. "
            "Write it like this: 8.8.8.8 or [2606:4700::1111]"
        ),
        typed[:60],
    )


def _refuse_name(typed: str) -> NoReturn:
    raise Refused(
        "bad name",
        _(
            "The host is no valid name: between its dots stand 1 to 63 letters, digits and inner hyphens, "
            "253 characters in all."
        ),
        typed[:60],
    )
