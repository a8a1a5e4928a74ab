"""The one search of the admin: whatever staff hold in their hands leads to its page."""

from urllib.parse import unquote

import pytest
from django.urls import reverse

from configurations.events import EventType
from deliveries.models import Delivery
from deliveries.staff import search
from tests import factories

from .staff import make_member

pytestmark = pytest.mark.django_db
SEARCH = "/admin/search/"


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


def leads_to(client, text):
    answer = client.get(SEARCH, {"q": text})
    assert answer.status_code == 302, answer.content.decode()
    assert client.get(answer["Location"]).status_code == 200
    return answer["Location"]


def page(model, pk):
    return reverse(f"admin:{model}_change", args=[pk])


@pytest.mark.parametrize("spelt", ["{code}", " {code} ", "hp{digits}", "{digits}"])
def test_a_transactions_code_leads_to_its_timeline(staff, sell, spelt):
    code = sell().event.transaction_code
    assert leads_to(staff, spelt.format(code=code, digits=code[2:])) == f"/admin/timeline/{code}/"


def test_a_webhook_id_leads_to_its_post(staff, sell):
    delivery = sell()
    assert leads_to(staff, delivery.webhook_id) == page("deliveries_delivery", delivery.pk)


@pytest.mark.parametrize("spelt", [str, lambda pk: str(pk).upper(), lambda pk: pk.hex])
def test_an_events_id_leads_to_the_event(staff, sell, spelt):
    event = sell().event
    assert leads_to(staff, spelt(event.pk)) == page("deliveries_event", event.pk)


def test_a_carts_id_leads_to_the_cart(staff, product):
    cart = factories.make_cart(product)
    assert leads_to(staff, str(cart.code)) == page("sales_abandonedcart", cart.pk)


def test_a_sellers_code_or_address_leads_to_the_seller(staff):
    seller = factories.make_seller()
    assert leads_to(staff, seller.code.lower()) == page("sales_seller", seller.pk)
    assert leads_to(staff, seller.email.upper()) == page("sales_seller", seller.pk)


def test_a_buyers_address_leads_to_the_posts_about_the_buyer(staff, sell):
    wanted = [sell(buyer_email="ana@example.com") for _ in range(2)]
    sell(buyer_email="bia@example.com")
    url = leads_to(staff, "Ana@Example.com")
    assert unquote(url).endswith("?event__buyer_email__exact=ana@example.com")
    assert {row.pk for row in staff.get(url).context["cl"].result_list} == {post.pk for post in wanted}


def test_a_buyer_of_whom_nothing_was_posted_is_found_too(staff, product):
    sale = factories.make_sale(product, buyer_email="ana@example.com")
    assert leads_to(staff, "ana@example.com") == f"/admin/timeline/{sale.code}/"


@pytest.mark.parametrize(
    "spelt",
    [
        "hooks.example.com",
        "HOOKS.example.com.",
        "https://hooks.example.com/some/path?x=1",
        "hooks.example.com/some/path",
        "hooks.example.com:8443",
    ],
)
def test_a_host_or_a_url_leads_to_the_hosts_page(staff, producer, spelt):
    factories.make_config(producer, url="https://hooks.example.com/a")
    assert leads_to(staff, spelt) == "/admin/hosts/hooks.example.com/"


def test_an_ipv6_host_is_found_with_and_without_brackets(staff, producer):
    factories.make_config(producer, url="https://[2606:4700::1111]/a")
    for spelt in ("2606:4700::1111", "[2606:4700::1111]", "https://[2606:4700::1111]:8443/b"):
        assert leads_to(staff, spelt) == "/admin/hosts/2606:4700::1111/"


def test_a_host_is_its_whole_name(staff, producer):
    factories.make_config(producer, url="https://hooks.example.com/a")
    assert "Nothing was found" in staff.get(SEARCH, {"q": "example.com"}).content.decode()


def test_several_kinds_are_listed_each_with_all_of_them(staff, sell):
    seller = factories.make_seller(email="both@example.com", name="Both Ways")
    for _ in range(search.MOST + 2):
        sell(buyer_email="both@example.com")
    answer = staff.get(SEARCH, {"q": "both@example.com"})
    text = answer.content.decode()
    assert page("sales_seller", seller.pk) in text
    groups = answer.context["found"].groups
    assert [len(group.hits) for group in groups] == [search.MOST, 1]
    assert staff.get(groups[0].all_url).context["cl"].result_count == search.MOST + 2
    assert "All of them" in text


def test_nothing_found_says_what_was_looked_for_and_what_can_be(staff):
    text = staff.get(SEARCH, {"q": "HP999"}).content.decode()
    assert "Nothing was found for “HP999”" in text
    assert "the code of a transaction" in text
    assert "hooks.example.com" in text
    assert 'value="HP999"' in text  # to be mended in the box


def test_without_a_word_it_says_what_can_be_searched_for(staff):
    text = staff.get(SEARCH).content.decode()
    assert "What can be searched for" in text
    assert "Nothing was found" not in text


@pytest.mark.parametrize(
    "text",
    ["\0", "HP\0", "'", '"><script>', "%", "a b c", "@", "a@", "http://", "https://[", "::", "🎓.example", "x" * 3000,
     "msg_", "٣٤٥", "-1", "9" * 20, "https://user:p@h.example:99999/"],
)  # fmt: skip
def test_whatever_is_asked_there_is_an_answer(staff, text):
    answer = staff.get(SEARCH, {"q": text})
    assert answer.status_code == 200
    assert "<script>" not in re_box(answer)


def re_box(answer):
    return answer.content.decode().partition('<div class="staff')[2]


def test_what_staff_may_not_see_is_not_looked_for(client, sell, producer):
    delivery = sell(buyer_email="ana@example.com")
    client.force_login(make_member("sales.view_transaction"))
    hidden = (
        delivery.webhook_id,
        delivery.event.transaction_code,
        str(delivery.event_id),
        "ana@example.com",
        producer.email,
        "127.0.0.1",
    )
    for text in hidden:
        answer = client.get(SEARCH, {"q": text})
        assert answer.status_code == 200, text
        assert "you lack the right" in answer.content.decode()


def test_a_stranger_and_a_seller_do_not_come_in(client, producer):
    for path in (SEARCH, "/admin/timeline/HP1/"):
        assert "/admin/login/" in client.get(path)["Location"]
        client.force_login(producer.user)
        assert client.get(path, follow=True).status_code == 403
        client.logout()


def test_the_box_stands_on_every_page_of_the_admin(staff, sell):
    delivery = sell()
    for path in ("/admin/", "/admin/deliveries/delivery/", page("deliveries_delivery", delivery.pk), SEARCH):
        assert f'action="{SEARCH}"' in staff.get(path).content.decode()


# --- The timeline ---------------------------------------------------------------------------------------


def test_the_timeline_says_of_every_configuration_why_or_why_not(staff, producer, product):
    affiliate = factories.make_seller(name="Bruno Parceiro")
    factories.make_config(producer, name="Asks for it")
    factories.make_config(producer, name="Does not", events=[EventType.REFUNDED])
    factories.make_config(affiliate, name="The affiliate's")
    sale = factories.make_sale(product, affiliate=affiliate)
    text = staff.get(f"/admin/timeline/{sale.code}/").content.decode()
    for words in ("Asks for it", "Does not", "The affiliate&#x27;s", "Bruno Parceiro", "It matched"):
        assert words in text
    assert "The configuration does not ask for this event." in text
    delivery = Delivery.objects.get(config__name="Asks for it")
    assert page("deliveries_delivery", delivery.pk) in text
    assert sale.buyer_email in text


def test_what_was_not_sent_is_sent_from_there_by_who_may(client, producer, product):
    config = factories.make_config(producer, events=[EventType.REFUNDED])
    sale = factories.make_sale(product)
    url, data = f"/admin/timeline/{sale.code}/", {"event": sale.events.get().pk, "config": config.pk}
    client.force_login(make_member("deliveries.view_delivery"))
    assert "Send it" not in client.get(url).content.decode()
    assert client.post(url, data).status_code == 404
    client.force_login(make_member("deliveries.view_delivery", "deliveries.reprocess_delivery"))
    assert "Send it" in client.get(url).content.decode()
    assert client.post(url, data)["Location"] == url
    assert Delivery.objects.get().config == config


def test_a_timeline_of_no_sale_is_not_there(staff):
    assert staff.get("/admin/timeline/HP404/").status_code == 404


def test_the_timeline_takes_as_many_queries_for_many_configurations(
    staff, producer, product, django_assert_max_num_queries
):
    sale = factories.make_sale(product)
    for _ in range(30):
        factories.make_config(producer)
    with django_assert_max_num_queries(8):
        assert staff.get(f"/admin/timeline/{sale.code}/").status_code == 200
