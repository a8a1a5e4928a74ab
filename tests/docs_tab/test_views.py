"""The pages of the documentation: all that the table says, for every event and version."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import override_settings
from django.urls import reverse

from configurations.events import GROUPS, EventType
from configurations.models import Token, Version
from deliveries import contract
from deliveries.contract import parameters
from deliveries.models import Audience
from docs_tab import posts
from docs_tab.snippets import RECEIVERS, SNIPPETS
from tests import factories

PAGES = ("signature", "success", "addresses")
EVENTS = [(version, str(event_type)) for version in Version.values for event_type in EventType]
POSTED = [event for event in EVENTS if contract.sends(*event, Audience.PRODUCER)]


@pytest.fixture
def reader(client, producer):
    client.force_login(producer.user)
    return client


def text_of(answer) -> str:
    """What stands on the page, without its tags."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", answer.content.decode())))


@pytest.mark.parametrize(("version", "event_type"), EVENTS)
def test_every_event_has_its_page_with_every_parameter_of_the_table(reader, version, event_type):
    answer = reader.get(reverse("docs_tab:event", args=[version, event_type]))
    assert answer.status_code == 200
    page, text = answer.content.decode().replace("<wbr>", ""), text_of(answer)
    if (version, event_type) not in POSTED:
        assert "This event is not posted in version" in text
        return
    for parameter in parameters.table(version, event_type):
        assert f'id="p-{parameter.name.replace("[]", "")}"' in page
        assert f"<code>{parameter.name}</code>" in page
        assert str(parameter.description) in text
        assert str(parameter.format) in text


@pytest.mark.parametrize(("version", "event_type"), POSTED)
def test_the_samples_are_shown_and_downloaded_as_they_are_posted(reader, version, event_type):
    place = reverse("docs_tab:event", args=[version, event_type])
    for copy in posts.copies(version, event_type):
        answer = reader.get(reverse("docs_tab:sample", args=[version, event_type, copy.audience]))
        assert (answer.content, answer["Content-Type"]) == (copy.body, copy.content_type)
        assert "attachment" in answer["Content-Disposition"]
        shown = unescape(reader.get(place, {"copy": copy.audience}).content.decode())
        assert copy.body.decode() in shown


def test_the_two_copies_stand_side_by_side_with_the_differences_marked(reader):
    place = reverse("docs_tab:event", args=[Version.V2, EventType.COMPLETE])
    page = reader.get(place, {"copy": "both"}).content.decode()
    differing = "".join(re.findall(r'<tr role="row" class="differs">.*?</tr>', page))
    assert "joao.nunes@example.com" in differing
    assert "11222333000181" in differing  # the producer's document
    assert "MARKETPLACE" in differing
    assert "Curso de Fotografia de Rua" not in differing
    assert "Curso de Fotografia de Rua" in page


@pytest.mark.parametrize(
    ("version", "name", "said"),
    [
        (Version.V2, "data.product.id", "Always sent."),
        (Version.V2, "data.affiliates[].name", "Always sent; empty where it is not known."),
        (Version.V2, "data.purchase.offer.coupon_code", "Sent where it applies."),
        (Version.V1, "aff_name", "Always sent; empty where it is not known."),
        (Version.V1, "coupon_code", "Sent where it applies."),
        (Version.V1, "transaction", "Always sent."),
    ],
)
def test_each_parameter_says_how_always_it_is_sent(reader, version, name, said):
    page = reader.get(reverse("docs_tab:event", args=[version, EventType.APPROVED])).content.decode()
    [row] = re.findall(
        rf'<tr role="row" id="p-{re.escape(name.replace("[]", ""))}">.*?</tr>', page, re.DOTALL
    )
    assert f'<div class="sub">{said}</div>' in row


@pytest.mark.parametrize(
    ("version", "name", "mark", "said"),
    [
        (Version.V2, "data.purchase.transaction", "✓", "yes"),
        (Version.V2, "data.producer.document", "–", "no"),
        (Version.V2, "data.buyer.email", "✓", "where buyers are shared"),
        (Version.V2, "data.commissions[].value", "✓", "own value"),
        (Version.V1, "cms_vendor", "–", "no"),
        (Version.V1, "hottok", "✓", "own value"),
    ],
)
def test_each_parameter_says_with_a_word_whether_the_affiliate_gets_it(reader, version, name, mark, said):
    page = reader.get(reverse("docs_tab:event", args=[version, EventType.APPROVED])).content.decode()
    [row] = re.findall(
        rf'<tr role="row" id="p-{re.escape(name.replace("[]", ""))}">.*?</tr>', page, re.DOTALL
    )
    assert f'<b aria-hidden="true">{mark}</b> {said}</span>' in row


def test_lines_of_one_key_stand_beside_each_other(reader):
    place = reverse("docs_tab:event", args=[Version.V1, EventType.COMPLETE])
    page = unescape(reader.get(place, {"copy": "both"}).content.decode())
    rows = re.findall(r'<tr role="row" class="differs">.*?</tr>', page)
    both = [re.findall(r"<code>(.*?)</code>", row) for row in rows]
    assert ["email = joao.nunes@example.com", "email = "] in both
    assert ["phone_checkout_number = 900000002", "phone_checkout_number = "] in both
    assert ["hottok = token-of-the-producer", "hottok = token-of-the-affiliate"] in both
    assert ["receiver_type = SELLER", "receiver_type = AFFILIATE"] in both
    assert ["cms_vendor = 72.65", ""] in both


def test_the_filter_works_without_script(reader):
    place = reverse("docs_tab:event", args=[Version.V2, EventType.APPROVED])
    answer = reader.get(place, {"q": "PIX code"})
    page = answer.content.decode()
    assert 'id="p-data.purchase.payment.pix_code"' in page
    assert 'id="p-data.product.name"' not in page
    nothing = text_of(reader.get(place, {"q": "<script>nothing like it"}))
    assert "No parameter matches." in nothing


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("version", Version.values)
def test_every_other_page_answers_and_keeps_its_place_in_the_version_switch(reader, version, page):
    answer = reader.get(reverse(f"docs_tab:{page}", args=[version]))
    assert answer.status_code == 200
    for other in Version.values:
        assert f'href="{reverse(f"docs_tab:{page}", args=[other])}"' in answer.content.decode()


def test_the_switch_between_versions_keeps_the_event_and_the_filter(reader):
    page = reader.get(reverse("docs_tab:event", args=[Version.V2, EventType.REFUNDED]), {"q": "price"})
    for version in Version.values:
        place = reverse("docs_tab:event", args=[version, EventType.REFUNDED])
        assert f'href="{place}?q=price"' in page.content.decode()


def test_the_contents_name_every_event_in_its_group(reader):
    text = text_of(reader.get(reverse("docs_tab:success", args=[Version.V2])))
    for group in GROUPS:
        assert str(group.label) in text
        for event in group.events:
            assert str(event.type.label) in text


def test_retries_and_limits_are_those_in_force(reader):
    place = reverse("docs_tab:success", args=[Version.V2])
    assert "12 h" in text_of(reader.get(place))
    changed = {
        "DELIVERY_RETRY_AFTER": [timedelta(seconds=7), timedelta(minutes=11)],
        "DELIVERY_DEADLINE": 21.0,
        "DELIVERY_CONNECT_TIMEOUT": 3.0,
        "DELIVERY_RETRY_AFTER_CAP": timedelta(hours=9),
    }
    with override_settings(**changed):
        text = text_of(reader.get(place))
    assert "12 h" not in text
    for said in ("7 s", "11 min", "within 21 s", "within 3 s", "up to 9 h", "429, 503", "5 days", "24 h"):
        assert said in text


def test_where_we_post_from_is_a_setting(reader):
    place = reverse("docs_tab:addresses", args=[Version.V2])
    with override_settings(DELIVERY_SOURCE_ADDRESSES=[], DELIVERY_USER_AGENT="webhookhub/9.9"):
        text = text_of(reader.get(place))
        assert "They are not fixed." in text
        assert "webhookhub/9.9" in text
    with override_settings(
        DELIVERY_SOURCE_ADDRESSES=["203.0.113.7", "2001:db8::7"], DELIVERY_ALLOWED_PORTS=[443, 9443]
    ):
        text = text_of(reader.get(place))
    assert "203.0.113.7, 2001:db8::7" in text
    assert "443, 9443" in text


def test_the_token_stands_there_masked_with_the_way_to_it(reader, producer):
    token, _made = Token.objects.get_or_create(seller=producer)
    page = reader.get(reverse("docs_tab:signature", args=[Version.V2])).content.decode()
    assert token.value not in page
    assert token.value[-4:] in page
    assert reverse("configurations:token") in page


def test_staff_without_a_seller_read_it_too(client, db):
    client.force_login(factories.make_staff())
    assert client.get(reverse("docs_tab:signature", args=[Version.V2])).status_code == 200


def test_the_examples_are_shown_one_language_at_a_time(reader):
    place = reverse("docs_tab:signature", args=[Version.V2])
    for program in SNIPPETS:
        text = unescape(
            re.sub(r"<[^>]*>", "", reader.get(place, {"language": program.language}).content.decode())
        )
        for line in program.content().decode().splitlines():
            assert line in text
    assert reader.get(place, {"language": "cobol"}).status_code == 200


def test_the_receivers_are_downloaded(reader):
    for program in RECEIVERS:
        answer = reader.get(reverse("docs_tab:receiver", args=[program.name]))
        assert answer.content == program.content()
        assert program.name in answer["Content-Disposition"]


@pytest.mark.parametrize(
    "path",
    [
        "3.0.0/PURCHASE_APPROVED/",
        "2.0.0/PURCHASE_EATEN/",
        "3.0.0/signature/",
        "2.0.0/PURCHASE_APPROVED/sample-stranger",
        "2.0.0/SWITCH_PLAN/sample-affiliate",
        "2.0.0/PURCHASE_EATEN/schema-producer.json",
        "receivers/settings.py",
        "receivers/..%2Fviews.py",
    ],
)
def test_what_does_not_exist_is_not_found(reader, path):
    assert reader.get(reverse("docs_tab:index") + path).status_code == 404


@pytest.mark.parametrize(
    "path", ["", "openapi.json", "2.0.0/PURCHASE_APPROVED/", "2.0.0/signature/", "receivers/receiver.py"]
)
def test_who_is_not_logged_in_is_asked_to(client, db, path):
    answer = client.get(reverse("docs_tab:index") + path)
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("account_login"))


def test_a_page_asks_the_database_for_nothing_but_who_reads_it(reader, django_assert_max_num_queries):
    place = reverse("docs_tab:event", args=[Version.V2, EventType.APPROVED])
    with django_assert_max_num_queries(4):  # and whether there are tabs of the former system's posts
        reader.get(place)


def test_only_reading_is_possible(reader):
    assert reader.post(reverse("docs_tab:event", args=[Version.V2, EventType.APPROVED])).status_code == 405
