"""May we post there? The table of URLs that customers type, and what it leaves open."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from django.test import override_settings
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from configurations.addresses import Refused, check, check_address, parse
from tests.outbound import ALLOWED, AT_CONNECT, AT_FORM, PORTS, Row, addresses_of


@pytest.fixture(autouse=True)
def on_the_internet(settings):
    """As in production: no private network, and the ports of the table."""
    settings.DELIVERY_ALLOWED_NETWORKS = []
    settings.DELIVERY_ALLOWED_PORTS = PORTS


def refusal(url: str) -> Refused:
    with pytest.raises(Refused) as caught:
        check(url)
    return caught.value


@pytest.mark.parametrize("row", AT_FORM, ids=str)
def test_what_the_form_must_refuse_is_refused_for_its_reason(row: Row):
    refused = refusal(row.url)
    assert refused.reason == row.reason
    assert str(refused.advice).endswith((".", "/webhook", "1111]"))


@pytest.mark.parametrize("row", [*AT_CONNECT, *ALLOWED], ids=str)
def test_what_needs_a_look_up_to_be_judged_passes_the_form_and_so_does_its_canonical_form(row: Row):
    canonical = check(row.url)
    assert check(canonical) == canonical
    assert parse(canonical).host.isascii()


@pytest.mark.parametrize("row", AT_CONNECT, ids=str)
def test_an_answer_with_a_bad_address_is_refused_for_the_reason_of_that_address(row: Row):
    reasons = []
    for ip in addresses_of(row.dns.split(";")[-1]):
        try:
            check_address(ip)
        except Refused as refused:
            reasons.append(refused.reason)
    assert reasons == [row.reason]


@pytest.mark.parametrize("row", [row for row in ALLOWED if row.dns], ids=str)
def test_public_addresses_are_permitted(row: Row):
    for ip in addresses_of(row.dns):
        check_address(ip)


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        (" https://example.com/hook ", "https://example.com/hook"),
        ("HTTPS://EXAMPLE.COM/Hook", "https://example.com/Hook"),
        ("https://exämple.com/ä?ö", "https://xn--exmple-cua.com/ä?ö"),
        ("https://ＥＸＡＭＰＬＥ。com/", "https://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:0443/", "https://example.com/"),
        ("https://example.com:/", "https://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com?x=1", "https://example.com/?x=1"),
        ("https://example.com/a?b=c#top", "https://example.com/a?b=c"),
        ("https://[2606:4700:4700:0:0:0:0:1111]:8443/", "https://[2606:4700:4700::1111]:8443/"),
        ("https://example.com./", "https://example.com./"),
        ("https://pr--site.example.com/", "https://pr--site.example.com/"),
        ("https://example.com/%2e%2e/%00?a=%0d", "https://example.com/%2e%2e/%00?a=%0d"),
    ],
)
def test_a_url_is_stored_in_its_canonical_form(typed, canonical):
    assert check(typed) == canonical


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "scheme"),
        ("example.com/hook", "scheme"),
        ("https:example.com", "no host"),
        ("https://:443/", "no host"),
        ("https://?x", "no host"),
        ("https://./", "bad name"),
        ("https://@example.com/", "userinfo"),
        ("https://my_host.example.com/", "bad name"),
        ("https://-a.example.com/", "bad name"),
        ("https://example.com../", "bad name"),
        ("https://xn--zzzzzz--.example.com/", "bad name"),
        ("https://ex\u2100mple.com/", "bad name"),  # ℀ is "a/c" for some parsers
        ("https://" + "ä" * 300 + ".com/", "bad name"),
        ("https://example.com:٤٤٣/", "port"),  # digits, but not ASCII ones
        ("https://example.com:443:80/", "port"),
        ("https://example.com:443@evil.example/", "userinfo"),
        ("https://example.com:4 43/", "space"),
        ("https://example.com/a b", "space"),
        ("https://example.com/\t", "control"),
        ("https://exa\nmple.com/", "control"),
        ("https://exa\u00admple.com/", "control"),
        ("https://example.com/\u202ekooh", "control"),
        ("https://example.com/\U000e0041", "control"),
        ("https://[::1", "spelling"),
        ("https://[::1]x/", "spelling"),
        ("https://[v1.a]/", "spelling"),
        ("https://foo.0x7f/", "spelling"),
        ("https://8.8.8.8./", "spelling"),
        ("https://LOCALHOST./", "local name"),
        ("https://a.HOME.ARPA/", "local name"),
        ("https://[3fff::1]/", "documentation"),
        ("https://[5f00::1]/", "reserved"),
        ("https://[4000::1]/", "reserved"),
        ("https://192.31.196.1/", "special"),
        ("https://example.com/" + "é" * 2000, "length"),
    ],
)
def test_other_urls_that_lead_nowhere_or_elsewhere_are_refused(url, reason):
    assert refusal(url).reason == reason


def test_a_url_that_punycode_makes_too_long_is_refused():
    url = "https://ä.com/"
    assert refusal(url + "x" * (2000 - len(url))).reason == "length"


def test_the_sentence_names_the_address_its_range_and_what_to_do():
    refused = refusal("http://192.168.1.1/admin")
    assert "192.168.1.1" in str(refused.advice)
    assert "192.168.0.0/16" in str(refused.advice)
    assert "Use the public address of your server." in str(refused.advice)
    assert refused.subject == "192.168.1.1 (192.168.0.0/16)"


def test_the_sentence_about_a_port_names_those_that_may_be_used():
    assert "80, 443, 8080, 8443" in str(refusal("https://example.com:22/").advice)


def test_the_sentence_is_translated_when_it_is_shown():
    refused = refusal("http://10.0.0.1/")
    with translation.override("pt-br"):
        assert "10.0.0.1" in str(refused.advice)
    assert not isinstance(refused.advice, str)


def test_what_a_url_says_of_itself_is_not_believed():
    """Its sentence holds nothing of it but what was understood, so that no markup comes back to the page."""
    for row in AT_FORM:
        assert "<" not in str(refusal(row.url).advice)


def test_allow_listed_networks_may_be_posted_to(settings):
    settings.DELIVERY_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]
    assert check("http://10.1.2.3/hook") == "http://10.1.2.3/hook"
    assert check("http://[fd00::7]/") == "http://[fd00::7]/"
    check_address("10.1.2.3")
    check_address("::ffff:10.1.2.3")
    assert refusal("http://10.2.0.1/").reason == "private"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://10.1.2.3/", "scheme"),
        ("http://me@10.1.2.3/", "userinfo"),
        ("http://10.1.2.3:22/", "port"),
        ("http://10.1.2.3\\@example.com/", "backslash"),
        ("http://10.1.515/", "spelling"),
        ("http://[::ffff:10.1.2.3]/", "mapped"),
    ],
)
def test_an_allow_listed_network_excuses_nothing_else(settings, url, reason):
    settings.DELIVERY_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16")]
    assert refusal(url).reason == reason


def test_localhost_is_a_name_only_where_loopback_is_allow_listed(settings):
    settings.DELIVERY_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    assert check("http://localhost:8080/x") == "http://localhost:8080/x"
    assert refusal("http://app.localhost/").reason == "local name"
    assert refusal("http://intranet/").reason == "local name"


def test_rubbish_from_a_name_server_is_refused():
    with pytest.raises(Refused):
        check_address("not an address")


def test_a_target_says_its_place_as_people_write_it():
    assert parse("https://[2606:4700:4700::1111]/").place == "[2606:4700:4700::1111]:443"
    assert parse("http://example.com:8080/x").place == "example.com:8080"


def _spellings(number: int) -> list[str]:
    a, b, c, d = number.to_bytes(4, "big")
    return [
        str(number),
        hex(number),
        oct(number).replace("o", ""),
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"{a:#x}.{b}.{c:#o}.{d}".replace("0o", "0"),
        f"{a}.{b}.{c}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:03}.{b:03}.{c:03}.{d:03}",
        f"{a}.{b}.{c}.{d}.",
        f"{a}。{b}．{c}｡{d}",
        f"{a}.{b}.{c}.{d}".translate({ord(digit): 0xFF10 + int(digit) for digit in "0123456789"}),
        f"[::ffff:{a}.{b}.{c}.{d}]",
        f"[::{a}.{b}.{c}.{d}]",
        f"[64:ff9b::{a}.{b}.{c}.{d}]",
        f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]",
        "".join(f"%{ord(char):02x}" for char in f"{a}.{b}.{c}.{d}"),
    ]


@given(st.integers(0, 2**32 - 1), st.sampled_from(range(len(_spellings(0)))))
def test_no_number_spelt_otherwise_than_as_a_dotted_quad_passes(number, spelling):
    host = _spellings(number)[spelling]
    with override_settings(DELIVERY_ALLOWED_NETWORKS=[], DELIVERY_ALLOWED_PORTS=PORTS):
        try:
            passed = parse(f"http://{host}/").host
        except Refused:
            return
    # Three digits each, none of them with a zero in front, are the dotted quad itself.
    assert passed == host == str(IPv4Address(number))


# What Python itself calls not global is refused here too; it is in the other direction that it errs.
@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_no_address_passes_that_python_calls_private_or_special(ip):
    with override_settings(DELIVERY_ALLOWED_NETWORKS=[]):
        try:
            check_address(str(ip))
        except Refused:
            return
    ip = getattr(ip, "ipv4_mapped", None) or ip
    assert ip.is_global
    assert not ip.is_multicast
    assert not ip.is_reserved


@given(st.integers(0, 2**128 - 1))
def test_no_ipv6_literal_outside_the_global_block_passes(number):
    ip = IPv6Address(number)
    with override_settings(DELIVERY_ALLOWED_NETWORKS=[], DELIVERY_ALLOWED_PORTS=PORTS):
        try:
            check(f"http://[{ip}]/")
        except Refused:
            return
    assert ip in ip_network("2000::/3")


@given(st.text(max_size=60))
def test_whatever_is_typed_is_judged_and_raises_nothing_else(text):
    with override_settings(DELIVERY_ALLOWED_NETWORKS=[], DELIVERY_ALLOWED_PORTS=PORTS):
        for url in (text, f"https://{text}", f"https://example.com/{text}", f"https://[{text}]/"):
            try:
                host = parse(url).host
            except Refused:
                continue
            assert host.isascii()
            assert "." in host or ":" in host
