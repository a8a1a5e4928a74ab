import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from configurations.models import Reason, State, WebhookConfig
from deliveries.models import EndpointHealth
from tests.factories import PASSWORD, make_config, make_product, make_sale, make_staff

pytestmark = pytest.mark.django_db

LIST = "/tools/webhook/configurations/"
ADD = LIST + "add/"
FIELDS = {
    "name": "Members area",
    "url": "https://example.com/hook",
    "events": ["PURCHASE_APPROVED"],
    "scope": "all",
    "version": "2.0.0",
}


@pytest.fixture
def client(producer) -> Client:
    client = Client()
    client.force_login(producer.user)
    return client


def url(name, config):
    return reverse(f"configurations:{name}", args=[config.pk])


def text(response) -> str:
    """The page's words without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


# --- Whose ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["edit", "disable", "remove"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_strangers_configuration_is_not_there(client, name, method):
    config = make_config()
    answer = getattr(client, method)(url(name, config), FIELDS)
    assert answer.status_code == (405 if (name, method) == ("disable", "get") else 404)
    before = config.state, config.name
    config.refresh_from_db()
    assert (config.state, config.name) == before


def test_the_list_holds_ones_own_configurations_alone(client, producer):
    make_config(producer, name="Mine")
    make_config(name="Foreign")
    make_config(producer, name="Gone", state=State.REMOVED)
    words = text(client.get(LIST))
    assert "Mine" in words
    assert "Foreign" not in words
    assert "Gone" not in words


@pytest.mark.parametrize("name", ["edit", "disable", "remove"])
def test_a_removed_configuration_is_not_there(client, producer, name):
    config = make_config(producer, state=State.REMOVED)
    assert client.post(url(name, config), FIELDS).status_code == 404


@pytest.mark.parametrize("name", ["list", "add", "edit", "disable", "remove"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_without_a_login_every_page_leads_to_the_login(name, method):
    args = [] if name in ("list", "add") else [make_config().pk]
    answer = getattr(Client(), method)(reverse(f"configurations:{name}", args=args))
    assert answer.status_code == 405 or answer.url.startswith(reverse("account_login"))


@pytest.mark.parametrize("path", [LIST, ADD])
def test_staff_who_sell_nothing_are_told_so(path):
    client = Client()
    client.force_login(make_staff())
    answer = client.get(path)
    assert answer.status_code == 200
    assert "This login belongs to no seller" in text(answer)
    assert client.post(ADD, FIELDS).status_code == 200
    assert not WebhookConfig.objects.exists()


def test_pages_of_somebody_logged_in_are_stored_nowhere(client, producer):
    make_config(producer)
    for path in (LIST, ADD, "/account/"):
        assert "no-store" in client.get(path)["Cache-Control"]
        assert "private" in client.get(path)["Cache-Control"]


# --- The list ------------------------------------------------------------------------------------------


def test_a_row_says_what_is_sent_where_and_whether_it_is_on(client, producer):
    product = make_product(producer, name="Plano Anual")
    make_config(
        producer,
        name="Invoices",
        url="https://erp.example.com/api/entrada",
        product=product,
        events=["PURCHASE_APPROVED", "PURCHASE_REFUNDED", "PURCHASE_CHARGEBACK", "PURCHASE_PROTEST"],
    )
    answer = client.get(LIST)
    words = text(answer)
    for word in ("Invoices", "On", "Approved", "Refunded", "+1", "Plano Anual · 2.0.0", "Edit", "Remove"):
        assert word in words
    assert 'title="https://erp.example.com/api/entrada"' in answer.content.decode()


def test_a_configuration_for_all_products_says_all_products(client, producer):
    make_config(producer, product=None)
    assert "All products · 2.0.0" in text(client.get(LIST))


def test_one_that_is_on_can_be_disabled_and_one_that_is_off_enabled(client, producer):
    on, off = make_config(producer), make_config(producer, state=State.OFF)
    page = client.get(LIST).content.decode()
    assert url("disable", on) in page
    assert reverse("deliveries:enable", args=[on.pk]) not in page
    assert url("disable", off) not in page
    assert reverse("deliveries:enable", args=[off.pk]) in page


def test_one_that_we_disabled_says_why_since_when_and_what_to_do(client, producer):
    config = make_config(producer, url="https://listas.example/in")
    config.disable(Reason.NO_SUCH_HOST)
    answer = client.get(LIST)
    words = text(answer)
    assert "Disabled by us" in words
    assert "The host of its URL does not exist." in words
    assert "Correct the URL" in words
    assert f'<time datetime="{config.state_changed_at.year}' in answer.content.decode()


def test_one_that_we_disabled_says_how_many_posts_it_keeps(client, producer):
    config, product = make_config(producer), make_product(producer)
    make_sale(product)
    make_sale(product)
    config.disable(Reason.GONE)
    words = text(client.get(LIST))
    assert "2 posts held" in words
    assert "keep 2 posts until you enable it" in words


def test_one_whose_posts_fail_says_so_with_what_to_do(client, producer):
    config = make_config(producer)
    now = timezone.now()
    EndpointHealth.objects.create(
        config=config, failures=29, first_failure_at=now, last_failure_at=now, last_status=419
    )
    answer = client.get(LIST)
    words = text(answer)
    assert "Failing" in words
    assert "29 failed tries since" in words
    assert "your programmer" in words
    assert f"{reverse('deliveries:history')}?config={config.pk}" in answer.content.decode()


def test_a_row_counts_the_posts_of_the_last_24_hours(client, producer):
    make_config(producer)
    assert "No posts" in text(client.get(LIST))
    make_sale(make_product(producer))
    assert "1 post 0 % delivered" in text(client.get(LIST)).replace("\xa0", " ")


def test_names_and_urls_are_escaped(client, producer):
    make_config(producer, name="<script>alert(1)</script>", url='https://example.com/"><img>')
    page = client.get(LIST).content.decode()
    assert "<script>alert" not in page
    assert "<img>" not in page


def test_an_empty_list_says_what_to_do(client):
    answer = client.get(LIST)
    assert "Nothing is told to anyone yet" in text(answer)
    assert ADD in answer.content.decode()


def test_two_hundred_configurations_take_as_many_queries_as_two(
    client, producer, django_assert_max_num_queries
):
    product = make_product(producer)
    for _ in range(2):
        make_config(producer, product=product)
    client.get(LIST)
    with django_assert_max_num_queries(30) as few:
        client.get(LIST)
    WebhookConfig.objects.bulk_create(
        WebhookConfig(owner=producer, name=f"C{i:03}", url="https://example.com/", product=product)
        for i in range(198)
    )
    with django_assert_max_num_queries(len(few)):
        answer = client.get(LIST)
    assert "1 to 100 of 200" in text(answer)
    assert "101 to 200 of 200" in text(client.get(LIST + "?page=2"))


# --- Add and edit --------------------------------------------------------------------------------------


def test_what_is_added_stands_in_the_list(client, producer):
    answer = client.post(ADD, FIELDS, follow=True)
    config = WebhookConfig.objects.get()
    assert answer.redirect_chain == [(url("added", config), 302)]
    assert "Members area" in text(client.get(LIST))
    assert (config.owner, config.name, config.events) == (producer, "Members area", ["PURCHASE_APPROVED"])
    assert "“Members area” was added" in text(answer)


def test_a_mistake_keeps_the_input_and_points_to_the_field(client):
    answer = client.post(ADD, FIELDS | {"url": "not a url", "events": []})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Not saved: 2 things need your attention" in text(answer)
    assert 'href="#id_url"' in page
    assert 'href="#id_events"' in page
    assert 'value="not a url"' in page
    assert 'value="Members area"' in page
    assert 'aria-invalid="true"' in page
    assert 'id="id_url_error"' in page
    assert re.search(r'<input[^>]*name="url"[^>]*aria-describedby="[^"]*id_url_error', page)
    assert not WebhookConfig.objects.exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.com/hook", "the address is permitted"),
        (" http://example.com/hook ", "not encrypted"),
        ("ftp://example.com/", "https://"),
        ("http://10.0.0.1/", "private"),
    ],
)
def test_the_url_is_judged_while_the_form_is_filled_in(client, url, words):
    answer = client.post(LIST + "check-url/", {"url": url})
    assert answer.status_code == 200
    assert words in text(answer)


def test_an_empty_url_is_not_judged_yet(client):
    answer = client.post(LIST + "check-url/", {"url": " "})
    assert 'class="error' not in answer.content.decode()


def test_only_who_is_logged_in_may_have_a_url_judged(client):
    assert Client().post(LIST + "check-url/", {"url": "x"}).url.startswith(reverse("account_login"))
    assert client.get(LIST + "check-url/").status_code == 405


def test_a_preset_ticks_its_events_without_script(client):
    page = client.get(ADD + "?preset=recover-sales").content.decode()
    ticked = re.findall(r'name="events" value="(\w+)"[^>]*checked', page)
    assert "PURCHASE_OUT_OF_SHOPPING_CART" in ticked
    assert "PURCHASE_APPROVED" not in ticked
    assert "checked" not in re.sub(r'name="(scope|version)"[^>]*>', "", client.get(ADD).content.decode())


def test_the_form_shows_what_is_configured(client, producer):
    product = make_product(producer)
    config = make_config(producer, name="Invoices", product=product, events=["PURCHASE_REFUNDED"])
    page = client.get(url("edit", config)).content.decode()
    assert 'value="Invoices"' in page
    assert re.findall(r'name="events" value="(\w+)"[^>]*checked', page) == ["PURCHASE_REFUNDED"]
    assert re.search(r'name="scope" value="only"[^>]*checked', page)
    assert f'<option value="{product.pk}" selected' in page


def test_an_edit_is_saved_and_said(client, producer):
    config = make_config(producer)
    answer = client.post(url("edit", config), FIELDS | {"name": "New name"}, follow=True)
    config.refresh_from_db()
    assert config.name == "New name"
    assert "“New name” was saved." in text(answer)


def test_a_corrected_url_offers_to_enable_what_we_had_disabled(client, producer):
    config = make_config(producer, url="https://wrong.example/")
    config.disable(Reason.NO_SUCH_HOST)
    answer = client.post(url("edit", config), FIELDS, follow=True)
    assert "It can be enabled now." in text(answer)
    assert f'formaction="{reverse("deliveries:enable", args=[config.pk])}"' in answer.content.decode()
    config.refresh_from_db()
    assert config.state == State.DISABLED  # it is the owner who says so


# --- Disable and remove --------------------------------------------------------------------------------


def test_disabling_acts_at_once_and_offers_to_undo(client, producer):
    config = make_config(producer)
    answer = client.post(url("disable", config), follow=True)
    config.refresh_from_db()
    assert config.state == State.OFF
    assert "Undo" in text(answer)
    assert f'formaction="{reverse("deliveries:enable", args=[config.pk])}"' in answer.content.decode()


def test_disabling_twice_says_that_it_was_off(client, producer):
    config = make_config(producer, state=State.OFF)
    answer = client.post(url("disable", config), follow=True)
    assert "was off already" in text(answer)


def test_a_message_escapes_the_name(client, producer):
    config = make_config(producer, name="<b>bold</b>")
    assert "<b>bold" not in client.post(url("disable", config), follow=True).content.decode()


def test_removing_asks_first_and_the_way_back_has_the_focus(client, producer):
    config = make_config(producer, name="Invoices", url="https://erp.example.com/in")
    answer = client.get(url("remove", config))
    page = answer.content.decode()
    assert "Remove “Invoices”?" in text(answer)
    assert "https://erp.example.com/in" in text(answer)
    assert re.search(rf'href="{LIST}" autofocus', page)
    config.refresh_from_db()
    assert config.state == State.ON


def test_removing_says_how_many_posts_stay_and_how_many_are_not_sent(client, producer):
    config, product = make_config(producer), make_product(producer)
    assert "It has no posts yet." in text(client.get(url("remove", config)))
    make_sale(product)
    make_sale(product)
    words = text(client.get(url("remove", config)))
    assert "Its 2 posts stay in the History." in words
    assert "2 posts that are waiting or held will not be sent." in words


def test_removing_takes_it_from_the_list_and_keeps_the_row(client, producer):
    config = make_config(producer, name="Invoices")
    answer = client.post(url("remove", config), follow=True)
    config.refresh_from_db()
    assert config.state == State.REMOVED
    assert "Its posts stay in the History." in text(answer)


# --- The frame -----------------------------------------------------------------------------------------


def test_the_first_page_leads_to_the_list_and_from_there_to_the_login_and_back(producer):
    client = Client()
    answer = client.get("/", follow=True)
    assert answer.redirect_chain[-1][0] == f"/accounts/login/?next={LIST}"
    answer = client.post(
        "/accounts/login/", {"login": producer.email, "password": PASSWORD, "next": LIST}, follow=True
    )
    assert answer.redirect_chain[-1][0] == LIST


def test_only_staff_see_the_way_to_the_admin(client, producer):
    assert reverse("admin:index") not in client.get(LIST).content.decode()
    producer.user.is_staff = True
    producer.user.save()
    assert reverse("admin:index") in client.get(LIST).content.decode()


def test_pages_hold_no_inline_script_or_style(client, producer):
    config = make_config(producer)
    config.disable(Reason.GONE)
    for path in (
        LIST,
        ADD,
        url("edit", config),
        url("remove", config),
        "/account/",
        "/accounts/password/change/",
    ):
        page = client.get(path).content.decode()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", page), path
