"""The owner is told when buyers wait, when we disabled a configuration, and when it works again; nobody else, never
twice, and no mail server stops a post."""

from datetime import timedelta
from decimal import Decimal
from smtplib import SMTPRecipientsRefused, SMTPServerDisconnected

import pytest
from django.core.mail.backends import locmem
from django.utils import timezone

from configurations.models import Reason
from deliveries import disabling, engine
from deliveries.letters import on_one_line
from deliveries.models import Delivery, EndpointHealth, Problem
from sales.models import Seller
from sales.statuses import SaleStatus
from tests import factories

pytestmark = pytest.mark.django_db


def look_after(clock, **span):
    clock.forward(**span)
    engine.drain()
    disabling.look()


def subjects(mailoutbox):
    return [mail.subject for mail in mailoutbox]


@pytest.fixture
def failing(receiver):
    receiver.answers(500)
    return receiver


# --- buyers wait


def test_after_15_minutes_the_owner_hears_who_waits(failing, config, sell, clock, mailoutbox):
    ana = sell(buyer_name="Ana Lima", price=Decimal("1000.00"), currency="BRL")
    sell(buyer_name="John Doe", price=Decimal("188.00"), currency="BRL")
    sell(buyer_name="Jane Doe", price=Decimal("20.00"), currency="USD")
    sell(status=SaleStatus.REFUNDED, buyer_name="Max Mustermann")
    engine.drain()
    look_after(clock, minutes=14)
    assert mailoutbox == []

    look_after(clock, minutes=2)
    (mail,) = mailoutbox
    assert mail.to == [config.owner.email]
    assert mail.subject == f"3 buyers paid and have no access yet: “{config.name}”"
    assert f"R$1,000.00  Ana Lima, {ana.event.transaction_code}, " in mail.body
    assert "Together: R$1,188.00, $20.00" in mail.body
    assert "Max Mustermann" not in mail.body
    assert "Your program failed on this post." in mail.body
    assert config.url in mail.body
    assert f"http://localhost:8000/tools/webhook/history/?config={config.pk}&status=no_access" in mail.body
    assert mail.extra_headers["Auto-Submitted"] == "auto-generated"


def test_one_buyer_is_spoken_of_in_the_singular(failing, config, sell, clock, mailoutbox):
    sell()
    engine.drain()
    look_after(clock, minutes=16)
    assert subjects(mailoutbox) == [f"1 buyer paid and has no access yet: “{config.name}”"]
    assert "Together" not in mailoutbox[0].body


def test_it_is_in_the_owners_language_and_time_zone(failing, config, sell, clock, mailoutbox):
    Seller.objects.filter(pk=config.owner_id).update(language="pt-br", time_zone="Asia/Tokyo")
    delivery = sell(price=Decimal("1188.00"))
    engine.drain()
    look_after(clock, minutes=16)
    delivery.refresh_from_db()
    local = delivery.created_at + timedelta(hours=9)
    assert f"{local:%H:%M} (GMT+9)" in mailoutbox[0].body
    assert "R$\xa01.188,00" in mailoutbox[0].body


def test_no_second_warning_within_six_hours(failing, config, sell, clock, mailoutbox):
    sell()
    engine.drain()
    look_after(clock, minutes=16)
    sell()
    look_after(clock, hours=5, minutes=58)
    assert len(mailoutbox) == 1
    look_after(clock, minutes=3)
    assert subjects(mailoutbox)[1:] == [f"2 buyers paid and have no access yet: “{config.name}”"]


def test_the_same_buyers_are_not_warned_of_again(failing, config, sell, clock, mailoutbox):
    sell()
    engine.drain()
    look_after(clock, minutes=16)
    look_after(clock, hours=7)
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("status", [SaleStatus.BILLET_PRINTED, SaleStatus.REFUNDED])
def test_what_is_no_approved_warns_nobody(failing, config, sell, clock, mailoutbox, status):
    sell(status=status)
    engine.drain()
    look_after(clock, minutes=16)
    assert mailoutbox == []


def test_who_has_the_money_back_waits_for_nothing(failing, config, sell, clock, mailoutbox):
    delivery = sell()
    engine.drain()
    sale = delivery.event.sale
    sale.status = SaleStatus.REFUNDED
    sale.save()
    look_after(clock, minutes=16)
    assert mailoutbox == []


def test_a_problem_of_ours_warns_nobody(failing, config, sell, clock, mailoutbox):
    delivery = sell()
    engine.drain()
    Delivery.objects.filter(pk=delivery.pk).update(last_status=None, last_problem=Problem.OURS)
    clock.forward(minutes=16)
    disabling.look()
    assert mailoutbox == []


def test_of_what_the_owner_switched_off_there_is_no_mail(failing, config, sell, clock, mailoutbox):
    sell()
    engine.drain()
    config.switch_off()
    look_after(clock, minutes=16)
    assert mailoutbox == []


def test_of_many_buyers_twenty_are_named(failing, config, sell, clock, mailoutbox):
    for _ in range(23):
        sell()
    while engine.drain():
        pass
    look_after(clock, minutes=16)
    assert mailoutbox[0].subject.startswith("23 buyers ")
    assert mailoutbox[0].body.count(", HP") == 20
    assert "and 3 more" in mailoutbox[0].body


def test_names_forge_neither_headers_nor_lines(failing, config, sell, clock, mailoutbox):
    config.name = "Mine\r\nBcc: everybody@example.com"
    config.save()
    sell(buyer_name="Ana\n\nDear seller,\x1b[31m\u202e pay here")
    engine.drain()
    look_after(clock, minutes=16)
    (mail,) = mailoutbox
    assert "Bcc" not in mail.message()
    assert mail.to == [config.owner.email]
    assert "Ana Dear seller, [31m pay here," in mail.body


def test_others_words_are_cut_to_a_line():
    assert on_one_line(" a\u2028b\0c  d ") == "a b c d"
    assert on_one_line("x" * 300) == "x" * 119 + "…"


# --- disabled


def test_the_owner_hears_that_it_was_disabled_once(receiver, config, sell, clock, mailoutbox):
    receiver.answers(410)
    sell(), sell(), sell(status=SaleStatus.BILLET_PRINTED)
    engine.drain()
    look_after(clock, minutes=6)
    (mail,) = mailoutbox
    assert mail.to == [config.owner.email]
    assert mail.subject == f"We disabled the configuration “{config.name}”"
    assert "The server said twice that the address is gone for good (410)." in mail.body
    assert "Nothing is lost: 3 posts are held for you" in mail.body
    assert "  2 × Order approved\n  1 × Bank slip printed\n" in mail.body
    assert "2 buyers paid and have no access yet:" in mail.body
    assert "We do not try this address any more." in mail.body
    assert "http://localhost:8000/tools/webhook/configurations/" in mail.body
    assert "failed since" in mail.body

    look_after(clock, minutes=10)
    assert len(mailoutbox) == 1


def test_where_it_is_probed_the_mail_says_so(config, clock, mailoutbox):
    config.disable(Reason.SERVER)
    look_after(clock, minutes=1)
    assert "The server accepted nothing for five days." in mailoutbox[0].body
    assert "Nothing is lost: what arises from now on is held for you." in mailoutbox[0].body
    assert "We try one of them every hour" in mailoutbox[0].body


def test_disabled_again_it_is_told_again(config, clock, mailoutbox):
    for _ in range(2):
        config.disable(Reason.SERVER)
        look_after(clock, minutes=1)
        config.enable()
        look_after(clock, minutes=1)
    assert subjects(mailoutbox) == [f"We disabled the configuration “{config.name}”"] * 2


def test_what_was_enabled_before_the_mail_could_go_is_not_told(config, clock, mailoutbox):
    config.disable(Reason.SERVER)
    config.enable()
    look_after(clock, minutes=1)
    assert mailoutbox == []


def test_while_it_is_disabled_new_buyers_are_told_of_every_six_hours(config, sell, clock, mailoutbox):
    config.disable(Reason.GONE)
    look_after(clock, minutes=1)
    sell()
    look_after(clock, hours=5)
    assert len(mailoutbox) == 1
    look_after(clock, hours=1)
    look_after(clock, hours=7)
    assert subjects(mailoutbox)[1:] == [f"1 buyer paid and has no access yet: “{config.name}”"]


# --- whom, and how


def test_a_seller_without_an_address_gets_none_and_nothing_fails(failing, config, sell, clock, mailoutbox):
    Seller.objects.filter(pk=config.owner_id).update(email=None, user=None)
    sell()
    engine.drain()
    look_after(clock, minutes=16)
    config.disable(Reason.SERVER)
    look_after(clock, minutes=16)
    assert mailoutbox == []

    Seller.objects.filter(pk=config.owner_id).update(email="new@example.com")
    look_after(clock, minutes=1)
    assert subjects(mailoutbox) == [f"We disabled the configuration “{config.name}”"]


def test_a_seller_without_a_login_is_written_to_by_the_account(config, clock, mailoutbox):
    Seller.objects.filter(pk=config.owner_id).update(email="only@example.com", user=None)
    config.disable(Reason.SERVER)
    look_after(clock, minutes=1)
    assert mailoutbox[0].to == ["only@example.com"]


class Broken(locmem.EmailBackend):
    """A mail server that fails as `error` says, wherever it is asked."""

    error: Exception | None = None

    def open(self):
        if isinstance(self.error, ConnectionError):
            raise self.error

    def send_messages(self, messages):
        if self.error:
            raise self.error
        return super().send_messages(messages)


@pytest.fixture
def broken(settings, monkeypatch):
    """`broken(error)`: from now on the mail server answers so; None: it works."""
    settings.EMAIL_BACKEND = f"{__name__}.Broken"
    return lambda error: monkeypatch.setattr(Broken, "error", error)


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError("away"), SMTPServerDisconnected("gone"), TimeoutError()]
)
def test_a_mail_that_fails_is_tried_again_and_stops_no_post(
    receiver, config, sell, clock, mailoutbox, broken, error, caplog
):
    broken(error)
    config.disable(Reason.SERVER)
    look_after(clock, minutes=1)
    other = factories.make_config(config.owner, url=receiver.url)
    delivery = sell()
    assert engine.drain() == 1
    assert other.deliveries.get(event=delivery.event).last_status == 200
    assert "mail server" in caplog.text

    broken(None)
    look_after(clock, minutes=6)
    assert subjects(mailoutbox) == [f"We disabled the configuration “{config.name}”"]


def test_an_address_that_is_refused_for_good_is_given_up(config, clock, mailoutbox, broken, caplog):
    broken(SMTPRecipientsRefused({config.owner.email: (550, b"no such user")}))
    config.disable(Reason.SERVER)
    look_after(clock, minutes=1)
    assert "goes nowhere" in caplog.text
    broken(None)
    look_after(clock, minutes=10)
    assert mailoutbox == []


def test_an_address_that_is_put_off_is_tried_again(config, clock, mailoutbox, broken):
    broken(SMTPRecipientsRefused({config.owner.email: (450, b"greylisted")}))
    config.disable(Reason.SERVER)
    look_after(clock, minutes=1)
    broken(None)
    look_after(clock, minutes=1)
    assert mailoutbox == []
    look_after(clock, minutes=5)
    assert len(mailoutbox) == 1


def test_a_mail_that_cannot_be_written_stops_no_other(config, clock, mailoutbox):
    lost = factories.make_config()
    Seller.objects.filter(pk=lost.owner_id).update(time_zone="Nowhere/Land")
    for each in (lost, config):
        each.disable(Reason.SERVER)
    look_after(clock, minutes=1)
    assert [mail.to for mail in mailoutbox] == [[config.owner.email]]


def test_two_workers_do_not_tell_it_twice(config, mailoutbox, monkeypatch):
    config.disable(Reason.SERVER)
    from deliveries import mails

    owed = mails._owed()
    disabling.look()
    monkeypatch.setattr(mails, "_owed", lambda: owed)  # as another had read it
    disabling.look()
    assert len(mailoutbox) == 1


def test_an_idle_look_asks_five_questions(config, django_assert_num_queries):
    EndpointHealth.objects.create(config=config, last_success_at=timezone.now())
    with django_assert_num_queries(5):
        disabling.look()
