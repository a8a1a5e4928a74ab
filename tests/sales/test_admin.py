import pytest
from allauth.account.models import EmailAddress
from django.urls import reverse

from deliveries.models import Event
from sales.models import AbandonedCart, Seller, Transaction
from sales.statuses import SaleStatus
from tests import admin_forms, factories
from tests.admin_forms import filled_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


def messages_of(answer):
    return [str(message) for message in answer.context["messages"]]


def act(client, model, name, rows):
    return admin_forms.act(client, reverse(f"admin:sales_{model._meta.model_name}_changelist"), name, rows)


# --- Sellers ------------------------------------------------------------------------------------------

ADD = {"code": "S1", "name": "Ana", "email": "Ana@example.com", "legal_nature": "Pessoa Física", "language": "", "time_zone": "UTC", "document": "", "user": ""}  # fmt: skip


def test_adding_a_seller_makes_a_login_and_sends_the_invitation(
    staff, mailoutbox, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        staff.post(reverse("admin:sales_seller_add"), ADD)
    seller = Seller.objects.get(code="S1")
    assert seller.user.username == "ana@example.com"
    assert EmailAddress.objects.filter(user=seller.user, verified=True, primary=True).exists()
    assert [mail.to for mail in mailoutbox] == [["ana@example.com"]]


def test_the_page_of_a_new_row_links_to_no_list(staff):
    for name in ("seller", "transaction", "abandonedcart"):
        assert "id__exact" not in staff.get(reverse(f"admin:sales_{name}_add")).content.decode()


def test_the_link_is_of_our_site_whatever_host_the_request_names(
    staff, mailoutbox, settings, django_capture_on_commit_callbacks
):
    settings.SITE_URL, settings.ALLOWED_HOSTS = "https://hub.example", ["*"]
    with django_capture_on_commit_callbacks(execute=True):
        staff.post(reverse("admin:sales_seller_add"), ADD, headers={"host": "evil.example"})
    assert "https://hub.example/accounts/password/reset/key/" in mailoutbox[0].body
    assert "evil" not in mailoutbox[0].body


def test_a_seller_without_an_email_gets_no_login(staff, mailoutbox, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        staff.post(reverse("admin:sales_seller_add"), ADD | {"email": ""})
    assert Seller.objects.get(code="S1").user is None
    assert mailoutbox == []


def test_an_email_that_somebody_logs_in_with_is_refused_with_what_to_do(staff, producer):
    for email in (producer.email.upper(), factories.make_staff().email):
        answer = staff.post(reverse("admin:sales_seller_add"), ADD | {"email": email})
        assert answer.status_code == 200
        assert answer.context["adminform"].errors["email"]
    assert not Seller.objects.filter(code="S1").exists()


@pytest.mark.django_db(transaction=True)
def test_a_mail_server_that_is_down_leaves_the_seller_and_says_so(staff, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    answer = staff.post(reverse("admin:sales_seller_add"), ADD, follow=True)
    assert Seller.objects.get(code="S1").user
    assert any("could not be sent" in message for message in messages_of(answer))


def test_sellers_known_from_an_import_are_invited_and_the_rest_is_named(staff, mailoutbox):
    new = factories.make_seller(login=False)
    nowhere = factories.make_seller(login=False, email=None)
    there = factories.make_seller()
    answer = act(staff, Seller, "invite", [new, nowhere, there])
    assert [mail.to for mail in mailoutbox] == [[new.email]]
    assert messages_of(answer) == [
        f"{nowhere} has no e-mail address.",
        "1 invitation was sent.",
        f"These have a login already: {there}",
    ]


def test_the_invitation_is_sent_again_to_those_who_set_no_password(staff, mailoutbox):
    new, set_already = factories.make_seller(login=False), factories.make_seller()
    act(staff, Seller, "invite", [new])
    answer = act(staff, Seller, "invite_again", [new, set_already, factories.make_seller(login=False)])
    assert [mail.to for mail in mailoutbox] == [[new.email]] * 2
    assert any(message.startswith(f"{set_already} has set a password") for message in messages_of(answer))
    assert any(message.startswith("These were never invited:") for message in messages_of(answer))


def test_a_new_email_is_the_one_to_log_in_with(staff, client):
    seller = factories.make_seller()
    url = reverse("admin:sales_seller_change", args=[seller.pk])
    staff.post(url, filled_in(staff, url, email="New@example.com"))
    seller.user.refresh_from_db()
    assert (seller.user.username, seller.user.email) == ("new@example.com", "new@example.com")
    assert [a.email for a in EmailAddress.objects.filter(user=seller.user)] == ["new@example.com"]


def test_a_seller_with_a_login_keeps_an_email(staff, producer):
    url = reverse("admin:sales_seller_change", args=[producer.pk])
    answer = staff.post(url, filled_in(staff, url, email=""))
    assert "needs an e-mail address" in str(answer.context["adminform"].errors["email"])


@pytest.mark.parametrize(("login", "count"), [("none", 1), ("invited", 1), ("set", 1), ("blocked", 1)])
def test_sellers_are_found_by_their_login(staff, login, count):
    factories.make_seller(login=False)
    factories.make_seller()
    act(staff, Seller, "invite", [factories.make_seller(login=False)])
    blocked = factories.make_seller()
    blocked.user.is_active = False
    blocked.user.save()
    answer = staff.get(reverse("admin:sales_seller_changelist"), {"login": login})
    assert answer.context["cl"].result_count == count


# --- Sales --------------------------------------------------------------------------------------------


def test_a_status_that_staff_change_is_posted(staff, product):
    sale = factories.make_sale(product)
    url = reverse("admin:sales_transaction_change", args=[sale.pk])
    answer = staff.post(url, filled_in(staff, url, status=SaleStatus.REFUNDED))
    assert answer.status_code == 302
    assert [event.type for event in Event.objects.filter(sale=sale).order_by("occurred_at")] == [
        "PURCHASE_APPROVED",
        "PURCHASE_REFUNDED",
    ]


def test_saving_a_form_that_stood_open_undoes_nothing_that_happened_since(staff, product):
    sale = factories.make_sale(product, buyer_city="Natal", src="")
    url = reverse("admin:sales_transaction_change", args=[sale.pk])
    form = filled_in(staff, url, buyer_city="Recife")
    sale.status, sale.src = SaleStatus.REFUNDED, "ad"
    sale.save()
    assert staff.post(url, form).status_code == 302
    sale.refresh_from_db()
    assert (sale.status, sale.src, sale.buyer_city) == (SaleStatus.REFUNDED, "ad", "Recife")
    assert Event.objects.filter(sale=sale).count() == 2


def test_sales_that_were_posted_cannot_be_deleted_and_it_says_why(staff, product):
    sales = [factories.make_sale(product), factories.make_sale(product)]
    url = reverse("admin:sales_transaction_changelist")
    asked = {"action": "delete_selected", "_selected_action": [sale.pk for sale in sales]}
    for data in (asked, asked | {"post": "yes"}):
        answer = staff.post(url, data, follow=True)
        assert answer.status_code == 200
        assert "would require deleting the following protected related objects" in answer.content.decode()
    assert Transaction.objects.count() == 2


def test_a_sale_nobody_was_told_of_can_be_deleted(staff, product):
    sale = factories.make_sale(product, status=SaleStatus.STARTED)
    staff.post(reverse("admin:sales_transaction_delete", args=[sale.pk]), {"post": "yes"})
    assert not Transaction.objects.exists()


def test_a_cart_can_be_added_and_never_changes(staff, product):
    data = {
        "product": product.pk, "affiliate": "", "buyer_name": "Ana", "buyer_email": "ana@example.com",
        "buyer_phone": "", "offer_code": "", "checkout_country": "Brasil", "checkout_country_iso": "BR",
        "abandoned_at_0": "2026-11-23", "abandoned_at_1": "12:00:00",
    }  # fmt: skip
    staff.post(reverse("admin:sales_abandonedcart_add"), data)
    cart = AbandonedCart.objects.get()
    assert Event.objects.get(cart=cart).type == "PURCHASE_OUT_OF_SHOPPING_CART"
    assert staff.post(reverse("admin:sales_abandonedcart_change", args=[cart.pk]), data).status_code == 403
