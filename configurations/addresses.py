"""May we post there? The form asks about the spelling of a URL, the transport about each address it leads to.

Whoever types a URL chooses what our servers connect to, so everything that is not plainly public is refused. The
list of networks is our own: `ipaddress.is_global` is True for some addresses that lead inside (NAT64, 6to4,
::127.0.0.1, fec0::/10, 192.0.0.192, multicast) and differs between Python 3.11 and 3.13.

Source of the networks: IANA's special-purpose registries of IPv4 and IPv6, and 168.63.129.16, a cloud platform's
own server in public space.
"""

import re
import string
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import idna
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MAX_LENGTH = 2000
LOCAL_NAMES = frozenset(
    [
        "localhost",
        "local",
        "internal",
        "intranet",
        "lan",
        "home",
        "home.arpa",
        "corp",
        "private",
        "svc",
        "onion",
        "invalid",
    ]
)

# The narrowest network that an address lies in gives the reason.
REFUSED_NETWORKS: dict[IPv4Network | IPv6Network, tuple[str, Promise]] = {
    ip_network(network): (reason, words)
    for reason, words, networks in (
        ("unspecified", _("no address at all"), "0.0.0.0/8 ::/128"),
        ("private", _("a private network"), "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16"),
        ("cgnat", _("a provider's internal network"), "100.64.0.0/10"),
        ("loopback", _("our own machine"), "127.0.0.0/8 ::1/128"),
        ("link-local", _("a local link"), "169.254.0.0/16 fe80::/10"),
        ("metadata", _("a cloud platform's own server"), "168.63.129.16/32"),
        ("ietf", _("an address reserved for protocols"), "192.0.0.0/24"),
        (
            "documentation",
            _("an address reserved for documentation"),
            "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
        ),
        ("6to4-relay", _("a relay between IPv4 and IPv6"), "192.88.99.0/24"),
        ("benchmark", _("an address reserved for measurements"), "198.18.0.0/15"),
        ("multicast", _("an address for many receivers at once"), "224.0.0.0/4 ff00::/8"),
        ("reserved", _("a reserved address"), "240.0.0.0/4"),
        ("broadcast", _("the broadcast address"), "255.255.255.255/32"),
        ("mapped", _("an IPv4 address written as IPv6"), "::ffff:0:0/96"),
        ("compatible", _("an IPv4 address written as IPv6"), "::/96"),
        ("nat64", _("a translation of an IPv4 address"), "64:ff9b::/96 64:ff9b:1::/48"),
        ("6to4", _("a translation of an IPv4 address"), "2002::/16"),
        ("teredo", _("a translation of an IPv4 address"), "2001::/32"),
        ("unique-local", _("a private network"), "fc00::/7"),
        ("site-local", _("a private network"), "fec0::/10"),
        ("discard", _("an address that goes nowhere"), "100::/64"),
        ("reserved", _("a reserved address"), "2001::/23 2620:4f:8000::/48"),
    )
    for network in networks.split()
}
PUBLIC_IPV6 = IPv6Network("2000::/3")

_HIDDEN = re.compile(
    r"[\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3000\ufeff\ud800-\udfff]"
)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Refused(Exception):
    """May not be posted to. `reason` is a word for the class of it, `advice` a sentence for whoever typed it."""

    def __init__(self, reason: str, advice: str | Promise) -> None:
        super().__init__(reason)
        self.reason, self.advice = reason, advice

    def __str__(self) -> str:
        return str(self.advice)


def check(url: str) -> str:
    """The URL as it is stored and posted to: stripped, its host in lower case and punycode.

    Looks nothing up: where a name leads is judged when it is connected to. Raises Refused.
    """
    url = url.strip(string.whitespace)
    if len(url) > MAX_LENGTH:
        raise Refused("length", _("The URL is longer than 2,000 characters: shorten it."))
    # Before any parsing, since parsers drop these, turn them, or disagree about them.
    if "\\" in url:
        raise Refused("backslash", _("The URL holds a backslash: write / instead of it."))
    if hidden := _HIDDEN.search(url):
        if hidden[0] == " ":
            raise Refused("space", _("The URL holds a space: remove it, or write %20."))
        raise Refused("control", _("The URL holds a character that cannot be seen: type it anew."))
    scheme, host, port, rest = _parts(url)
    canonical = _literal_host(host) if host.startswith("[") else _name_or_quad(host)
    return f"{scheme}://{canonical}{'' if port is None else f':{port}'}{rest}"


def check_address(address: str) -> None:
    """Judge one address that a name led to, as `getaddrinfo` gives it. Raises Refused."""
    ip = ip_address(address.split("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:  # what counts is where it leads
        ip = ip.ipv4_mapped
    _judge(ip)


def _parts(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host (IPv6 with its brackets), port, and the rest from the path on."""
    scheme, colon, behind = url.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https") or not colon:
        if url.lower().startswith(("http:", "https:")):
            raise Refused("no host", _("The URL names no host: write it as https://example.com/path."))
        raise Refused("scheme", _("The URL must begin with https:// or http://."))
    authority = re.match(r"[^/?#]*", behind)[0]
    rest = behind[len(authority) :]
    if "@" in authority:
        raise Refused(
            "userinfo",
            _("The URL holds a user name or password before an @: remove it; our token proves who posts."),
        )
    if "%" in authority:
        reason = "zone id" if authority.startswith("[") else "percent in host"
        raise Refused(reason, _("The host of the URL holds a %: write the plain name."))
    if authority.startswith("["):
        host, bracket, port = authority.partition("]")
        host += bracket
        if port and not port.startswith(":"):
            raise Refused("bad name", _("The host of the URL cannot be read: check the brackets."))
        port = port[1:]
    else:
        host, _colon, port = authority.partition(":")
    if not host:
        raise Refused("no host", _("The URL names no host: write it as https://example.com/path."))
    try:
        urlsplit(url)  # what we understood, others must be able to read too
    except ValueError:
        raise Refused("bad name", _("The host of the URL cannot be read: type it anew.")) from None
    return scheme, host, _port(port, scheme), _anchored(rest)


def _anchored(rest: str) -> str:
    """From the path on, without the fragment, which is never sent."""
    rest = rest.partition("#")[0]
    return rest if rest.startswith("/") else f"/{rest}"


def _port(text: str, scheme: str) -> int | None:
    """None where it is the scheme's own."""
    default = 443 if scheme == "https" else 80
    if text and not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise Refused("port", _("The port of the URL is no number: write it as :8443, or leave it out."))
    port = int(text) if text else default
    if port not in settings.DELIVERY_ALLOWED_PORTS:
        allowed = ", ".join(map(str, settings.DELIVERY_ALLOWED_PORTS))
        raise Refused(
            "port",
            _("Port %(port)s may not be posted to. These may: %(allowed)s.")
            % {"port": port, "allowed": allowed},
        )
    return None if port == default else port


def _literal_host(host: str) -> str:
    """An IPv6 address in brackets."""
    try:
        ip = IPv6Address(host[1:-1])
    except ValueError:
        raise Refused("bad name", _("The address in brackets is no IPv6 address.")) from None
    _judge(ip)
    return f"[{ip}]"


def _name_or_quad(host: str) -> str:
    name = _punycode(host).removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Whatever libc would make of it: only the plain spelling of a public address passes.
        try:
            ip = IPv4Address(host)
        except ValueError:
            raise Refused(
                "spelling",
                _("The host of the URL looks like an address, but is none: write it as 8.8.8.8, or a name."),
            ) from None
        _judge(ip)
        return str(ip)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("bad name", _("The host of the URL is no valid name: type it anew."))
    if len(labels) < 2 or any(".".join(labels[start:]) in LOCAL_NAMES for start in range(len(labels))):
        if not _is_allowed_name(name):
            raise Refused(
                "local name",
                _("%(host)s is a name of a local network: use one that the whole internet knows.")
                % {"host": name},
            )
    return _punycode(host)


def _is_allowed_name(name: str) -> bool:
    """`localhost` is as good as its addresses where a private deployment may post to them."""
    return name == "localhost" and any(ip_address("127.0.0.1") in net for net in _networks())


def _punycode(host: str) -> str:
    """By IDNA (UTS 46), in lower case; raises Refused."""
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise Refused("bad name", _("The host of the URL is no valid name: type it anew.")) from None


def _judge(ip: IPv4Address | IPv6Address) -> None:
    if any(ip in network for network in _networks() if network.version == ip.version):
        return
    found = _network_of(ip)
    if found is None:
        return
    reason, words = REFUSED_NETWORKS.get(found, ("reserved", _("a reserved address")))
    raise Refused(
        reason,
        _("%(ip)s is %(words)s (%(network)s), where nothing is posted: use the server's public address.")
        % {"ip": ip, "words": words, "network": found},
    )


@lru_cache(maxsize=4096)
def _network_of(ip: IPv4Address | IPv6Address) -> IPv4Network | IPv6Network | None:
    """The narrowest refused network that holds it; None where it is public."""
    holding = [network for network in REFUSED_NETWORKS if network.version == ip.version and ip in network]
    if holding:
        return max(holding, key=lambda network: network.prefixlen)
    if isinstance(ip, IPv6Address) and ip not in PUBLIC_IPV6:
        return IPv6Network("::/0")
    return None


def _networks() -> list[IPv4Network | IPv6Network]:
    return settings.DELIVERY_ALLOWED_NETWORKS
