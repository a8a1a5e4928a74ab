"""The health strip above every tab, and the figures beside each configuration."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from configurations.models import Reason
from deliveries import engine
from deliveries.figures import figures_of, unsent
from deliveries.models import Delivery, EndpointHealth, State
from sales.statuses import SaleStatus
from tests.factories import make_config, make_product, make_sale, make_seller

PAGES = [reverse("configurations:list"), reverse("deliveries:history")]


@pytest.fixture(autouse=True)
def logged_in(client, producer):
    client.force_login(producer.user)


@pytest.fixture
def failed(sell):
    """`failed(…)`: an approved that was not accepted, 2 h 37 min ago."""

    def failed(state=State.FAILED, **facts):
        post = sell(**facts)
        at = timezone.now() - timedelta(hours=2, minutes=37, seconds=20)
        Delivery.objects.filter(pk=post.pk).update(state=state, tries=5, created_at=at, last_status=500)
        type(post.event).objects.filter(pk=post.event_id).update(occurred_at=at)
        return post

    return failed


@pytest.fixture
def strip(client):
    """`strip()`: the text of a page with the strip on it."""

    def strip(page=PAGES[1]):
        answer = client.get(page)
        assert answer.status_code == 200
        return answer.content.decode()

    return strip


@pytest.mark.parametrize("page", PAGES)
def test_it_says_who_paid_and_has_no_access(strip, failed, page, product):
    for n in range(4):
        failed(price=Decimal("297.00"), buyer_email=f"b{n}@example.com")
    shown = strip(page)
    assert "4 buyers paid and have no access yet" in shown
    assert "R$1,188.00" in shown
    assert f"{product.name}: the longest has waited 2 h 37 min" in shown
    assert "Send 4 posts now" in shown


def test_currencies_are_never_added_up(strip, failed):
    failed(price=Decimal("100.00"))
    failed(price=Decimal("20.00"), currency="EUR")
    shown = strip()
    assert "R$100.00" in shown
    assert "€20.00" in shown
    assert "120.00" not in shown


def test_a_sale_counts_once_to_however_many_configurations(strip, failed, producer, config):
    make_config(producer, url=config.url)
    post = failed(price=Decimal("100.00"))
    Delivery.objects.filter(event=post.event).update(
        state=State.FAILED, created_at=timezone.now() - timedelta(hours=1)
    )
    shown = strip()
    assert "1 buyer paid and has no access yet" in shown
    assert "R$100.00" in shown
    assert "Send 2 posts now" in shown


def test_its_button_sends_just_those(client, failed, sell):
    waits = failed()
    other = failed(status=SaleStatus.REFUNDED)
    address = f"{reverse('deliveries:reprocess_all')}?status=no_access"
    client.post(address, {"asked_at": timezone.now().isoformat()})
    waits.refresh_from_db()
    other.refresh_from_db()
    assert (waits.state, other.state) == (State.WAITING, State.FAILED)


def test_the_line_goes_once_the_post_is_accepted(strip, client, failed, receiver):
    failed()
    client.post(f"{reverse('deliveries:reprocess_all')}?status=no_access")
    engine.drain()
    assert len(receiver.posts) == 1
    assert "has no access yet" not in strip()


def test_held_posts_have_no_button_that_could_not_send_them(strip, failed, config):
    failed(state=State.HELD)
    config.disable(Reason.NO_SUCH_HOST)
    shown = strip()
    assert "1 buyer paid" in shown
    assert "posts now" not in shown
    assert "See them" in shown


def test_a_configuration_that_we_disabled_is_named_with_what_is_held(strip, failed, config):
    failed(state=State.HELD)
    config.disable(Reason.NO_SUCH_HOST)
    shown = strip()
    assert f"We disabled “{config.name}”" in shown
    assert "The host of its URL does not exist." in shown
    assert "1 post is held" in shown


def test_a_configuration_that_fails_says_why(strip, config):
    EndpointHealth.objects.create(config=config, url=config.url, failures=3, last_status=419)
    shown = strip()
    assert f"“{config.name}” did not accept the last 3 tries" in shown
    assert "CSRF check refused the post" in shown


def test_a_url_that_was_corrected_is_not_failing(strip, config):
    EndpointHealth.objects.create(config=config, url=config.url, failures=9, last_status=404)
    config.url = "https://example.com/better"
    config.save()
    assert "did not accept" not in strip()


def test_one_failure_is_no_alarm(strip, config):
    EndpointHealth.objects.create(config=config, url=config.url, failures=1, last_status=500)
    assert "did not accept" not in strip()


def test_many_that_do_not_work_are_one_line(strip, producer):
    for n in range(7):
        make_config(producer, name=f"Broken {n}").disable(Reason.GONE)
    shown = strip()
    assert "7 configurations do not work" in shown
    assert shown.count('class="need') == 1


def test_answers_with_a_web_page_are_counted(strip, sell):
    for _ in range(2):
        Delivery.objects.filter(pk=sell().pk).update(
            state=State.DELIVERED, last_status=200, answered_page=True
        )
    assert "2 posts of the last 24 hours were answered with a web page" in strip()


def test_all_well_is_one_quiet_line(strip, sell, receiver):
    sell()
    engine.drain()
    shown = strip()
    assert "All posts of the last 24 hours arrived" in shown
    assert 'class="need' not in shown


def test_it_does_not_say_all_well_while_something_failed(strip, failed):
    failed(status=SaleStatus.REFUNDED)
    shown = strip()
    assert "All posts" not in shown
    assert "1 of the 1 posts of the last 24 hours failed" in shown


def test_who_has_nothing_sees_no_strip(client):
    client.force_login(make_seller().user)
    shown = client.get(PAGES[1]).content.decode()
    assert "last 24 hours" not in shown


def test_strangers_do_not_see_it(client, failed, config):
    failed()
    EndpointHealth.objects.create(config=config, url=config.url, failures=3, last_status=419)
    other = make_seller()
    make_config(other)
    client.force_login(other.user)
    for page in PAGES:
        shown = client.get(page).content.decode()
        assert "has no access yet" not in shown
        assert config.name not in shown


def test_the_list_takes_as_many_queries_for_thirty_configurations_as_for_two(client, producer, sell):
    def queries():
        client.get(PAGES[0])
        with CaptureQueriesContext(connection) as captured:
            client.get(PAGES[0])
        return len(captured)

    sell()
    make_config(producer).disable(Reason.GONE)
    before = queries()
    for n in range(28):
        config = make_config(producer)
        EndpointHealth.objects.create(config=config, url=config.url, failures=3 * (n % 2))
    for _ in range(3):
        sell()
    assert queries() == before


# The figures of a configuration


def test_figures_count_the_last_day_by_hour(config, sell):
    states = [State.DELIVERED, State.DELIVERED, State.DELIVERED, State.FAILED, State.HELD]
    for state in states:
        Delivery.objects.filter(pk=sell().pk).update(state=state)
    Delivery.objects.filter(pk=sell().pk).update(created_at=timezone.now() - timedelta(hours=25))
    figures = figures_of([config])[config.pk]
    assert (figures.posts, figures.delivered, figures.share, figures.held) == (5, 3, 0.6, 1)
    assert len(figures.bars) == 24
    assert [part.kind for part in figures.bars[-1].parts] == ["ok", "wait", "bad"]
    assert not figures.bars[0].parts


def test_figures_of_nothing(producer):
    config = make_config(producer)
    figures = figures_of([config])[config.pk]
    assert (figures.posts, figures.share, figures.failing, figures.words) == (0, None, False, None)
    assert figures_of([]) == {}


def test_figures_say_why_a_configuration_fails(config):
    EndpointHealth.objects.create(
        config=config, url=config.url, failures=29, first_failure_at=timezone.now(), last_problem="dns"
    )
    figures = figures_of([config])[config.pk]
    assert figures.failing
    assert figures.failures == 29
    assert "does not exist" in str(figures.words.happened)


def test_what_removal_would_leave_unsent(config, sell):
    for state in State.values:
        Delivery.objects.filter(pk=sell().pk).update(state=state)
    assert unsent(config) == 3  # waiting, sending, held


@pytest.mark.parametrize("language", ["en", "pt-br", "es"])
def test_the_pages_stand_in_every_language(client, producer, failed, language):
    producer.language = language
    producer.save()
    failed(price=Decimal("1188.00"))
    shown = client.get(PAGES[1]).content.decode()
    assert {"en": "R$1,188.00", "pt-br": "R$\xa01.188,00", "es": "1.188,00\xa0BRL"}[language] in shown
    assert 'x="0.0"' in shown  # no decimal comma in a drawing


def test_a_product_of_another_producer_is_in_no_menu(client, config):
    foreign = make_product(name="Somebody else's")
    make_sale(foreign)
    assert "Somebody else" not in client.get(PAGES[1], {"product": foreign.pk}).content.decode()
