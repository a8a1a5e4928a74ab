import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configurations.events import BY_TYPE, EventType
from deliveries.contract import json_v2
from deliveries.contract.parameters import PURCHASE, V2
from deliveries.contract.snapshot import Cart, Commission, Conversion, Product, Sale, Seller, Subscription
from deliveries.models import Audience, Delivery, Event
from deliveries.posting import body_of
from tests import factories

from . import samples

NOW = datetime(2026, 5, 12, 14, 21, 38, 417_000, tzinfo=UTC)
SLIP = {"billet_url": "https://billets.example.com/1", "billet_barcode": "00190.00009 01234.567891"}
PIX = {"pix_code": "000201", "pix_qrcode": "https://pix.example.com/1", "pix_expires_at": NOW}
CLUB = Subscription("QX1SUB01", 700001, "Plano Mensal", "ACTIVE", NOW)


def post(snapshot: Sale | Cart, event: str = EventType.APPROVED, audience: str = Audience.PRODUCER) -> Any:
    return json.loads(json_v2.render("00000000-0000-0000-0000-000000000001", event, NOW, snapshot, audience))


def data(snapshot: Sale | Cart, event: str = EventType.APPROVED, audience: str = Audience.PRODUCER) -> Any:
    return post(snapshot, event, audience)["data"]


def paths(value: Any, path: str = "") -> set[str]:
    """Of all keys that hold no object, as the table of the contract writes them."""
    if isinstance(value, dict):
        return {p for key, part in value.items() for p in paths(part, f"{path}.{key}" if path else key)}
    if isinstance(value, list):
        return {p for part in value for p in paths(part, f"{path}[]")}
    return {path}


# --- The samples --------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("name", samples.NAMES)
def test_a_sale_as_in_the_sample_is_posted_as_in_the_sample(name):
    """All keys, their types and values. What differs by nature: the id and the time of our own event."""
    sample = samples.read(name)
    row = samples.row(sample)
    factories.make_config(row.product.owner)
    row.save()
    event = Event.objects.get()
    expected = sample | {
        "id": str(event.pk),
        "creation_date": (event.occurred_at - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1),
    }
    assert in_order(body_of(Delivery.objects.get())) == in_order(json.dumps(expected, default=plain))


@pytest.mark.django_db
def test_the_affiliate_gets_the_copy_of_the_sample():
    copy = samples.read(samples.AFFILIATE_COPY)
    sale = samples.row(samples.read("v2-purchase-complete"))
    factories.make_config(sale.affiliate)
    sale.save()
    body = json.loads(body_of(Delivery.objects.get()), parse_float=Decimal)
    assert body["data"] == copy["data"]
    assert body["id"] == str(Event.objects.get().pk)  # the same as in the producer's post


def test_there_is_a_sample_of_every_purchase_and_of_a_cart():
    events = {samples.read(name)["event"] for name in samples.NAMES}
    assert events == {str(type_) for type_ in (*PURCHASE, EventType.CART_ABANDONED)}


def in_order(body: str | bytes) -> str:
    """With sorted keys; 147 and 147.0 are two things here, and so are 1 and true."""
    return json.dumps(json.loads(body), sort_keys=True, ensure_ascii=False, indent=1)


def plain(number: Decimal) -> float:
    return float(number)


# --- What is there, and what is left out --------------------------------------------------------------


def test_a_sale_that_lacks_a_fact_lacks_the_key():
    """Never null and never empty, but for the affiliate whom nobody is."""
    assert paths(data(Sale(code="HP1", product=Product(code=1, name="A")))) == {
        "product.id",
        "product.name",
        "product.has_co_production",
        "product.is_physical_product",
        "affiliates[].affiliate_code",
        "affiliates[].name",
        "purchase.transaction",
        "purchase.price.value",
        "purchase.full_price.value",
        "purchase.original_offer_price.value",
        "purchase.order_bump.is_order_bump",
        "purchase.payment.installments_number",
        "purchase.is_funnel",
        "purchase.subscription_anticipation_purchase",
        "purchase.business_model",
    }


def test_every_parameter_of_the_table_can_be_sent():
    sent = set()
    for payment in ("BILLET", "PIX"):
        whole = full_sale(payment_type=payment)
        sent |= {p for event in PURCHASE for p in paths(data(whole, event))}
    sent |= paths(data(full_cart(), EventType.CART_ABANDONED))
    assert sent == {parameter.path for parameter in V2}


def full_sale(**facts: Any) -> Sale:
    """Every fact has a value of its own, which no other has."""
    return replace(_filled(Sale), **facts)


def full_cart(**facts: Any) -> Cart:
    return replace(_filled(Cart), **facts)


def _filled(cls: type[Any], place: str = "") -> Any:
    made = {}
    for field in fields(cls):
        hint = get_type_hints(cls)[field.name]
        of = next(arg for arg in (get_args(hint) or (hint,)) if arg not in (type(None), ...))
        name = f"{place}{field.name}"
        simple = {
            str: f"a {name}",
            int: 7,
            bool: True,
            Decimal: Decimal("9.5"),
            datetime: NOW,
            date: NOW.date(),
        }
        value = simple[of] if of in simple else _filled(of, f"{name}.")
        made[field.name] = (value,) if get_origin(hint) is tuple else value
    return cls(**made)


PAID = {
    EventType.APPROVED,
    EventType.COMPLETE,
    EventType.PROTEST,
    EventType.REFUNDED,
    EventType.CHARGEBACK,
}
WARRANTY, NEXT, REFUSAL = (
    "product.warranty_date",
    "purchase.date_next_charge",
    "purchase.payment.refusal_reason",
)
PIX_CODE, SLIP_URL = "purchase.payment.pix_code", "purchase.payment.billet_url"
BUMP_OF, CHARGE = "purchase.order_bump.parent_purchase_transaction", "purchase.recurrence_number"


@pytest.mark.parametrize(
    ("path", "facts", "events"),
    [
        (WARRANTY, {"warranty_until": NOW}, PAID),
        ("purchase.approved_date", {"approved_at": NOW}, PAID),
        (SLIP_URL, {"payment_type": "BILLET"} | SLIP, PURCHASE),
        (SLIP_URL, {"payment_type": "CREDIT_CARD"} | SLIP, set()),
        (PIX_CODE, {"payment_type": "PIX"} | PIX, PURCHASE - {EventType.CANCELED}),
        (PIX_CODE, {"payment_type": "BILLET"} | PIX, set()),
        (REFUSAL, {"refusal_reason": "Saldo"}, {EventType.CANCELED, EventType.DELAYED}),
        (NEXT, {"subscription": CLUB}, PAID | {EventType.DELAYED}),
        (NEXT, {"subscription": CLUB, "recurrence_number": 1}, PAID | {EventType.DELAYED}),
        (
            NEXT,
            {"subscription": CLUB, "recurrence_number": 2},
            PAID | {EventType.DELAYED, EventType.BILLET_PRINTED},
        ),
        (CHARGE, {"subscription": CLUB, "recurrence_number": 1}, PURCHASE),
        (CHARGE, {"recurrence_number": 1}, set()),
        ("subscription.status", {"subscription": CLUB}, PURCHASE),
        (BUMP_OF, {"is_order_bump": True, "parent_code": "HP1"}, PURCHASE),
        (BUMP_OF, {"parent_code": "HP1"}, set()),
        ("purchase.event_tickets.amount", {"tickets": 2}, PURCHASE),
        ("purchase.event_tickets.amount", {"tickets": 0}, set()),
        ("purchase.origin.xcod", {"xcod": "a"}, PURCHASE),
    ],
)
def test_a_parameter_is_in_the_posts_where_it_means_something(path, facts, events):
    sent = {
        event
        for event in PURCHASE
        if path in paths(data(replace(Sale(), status=BY_TYPE[event].status, **facts), event))
    }
    assert sent == set(events)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("Ana", "Ana", None), ("Ana Maria  Lima", "Ana", "Maria  Lima"), (" 李 美玲 ", "李", "美玲")],
)
def test_a_name_is_split_behind_its_first_word(name, first, last):
    buyer = data(Sale(buyer_name=name))["buyer"]
    assert (buyer["first_name"], buyer.get("last_name")) == (first, last)


def test_a_price_without_interest_or_discount_stands_for_all_three():
    purchase = data(Sale(price=Decimal("149.50"), currency="BRL"))["purchase"]
    same = {"value": 149.5, "currency_value": "BRL"}
    assert [purchase["price"], purchase["full_price"], purchase["original_offer_price"]] == [same] * 3


def test_a_commission_that_was_converted_says_so():
    conversion = Conversion(Decimal("23.40"), "EUR", Decimal("0.178"))
    sale = Sale(commissions=(Commission("PRODUCER", Decimal("131.45"), "BRL", conversion),))
    assert data(sale)["commissions"][0]["currency_conversion"] == {
        "converted_value": 23.4,
        "converted_to_currency": "EUR",
        "conversion_rate": 0.178,
    }


def test_a_cart_says_whether_an_affiliate_brought_it():
    assert [
        data(Cart(affiliate=affiliate), EventType.CART_ABANDONED)["affiliate"]
        for affiliate in (None, Seller("A"))
    ] == [False, True]


# --- Formats ------------------------------------------------------------------------------------------


def test_times_are_milliseconds_but_for_the_guarantee():
    sale = Sale(ordered_at=NOW, warranty_until=NOW)
    body = post(sale)
    assert (body["creation_date"], body["data"]["purchase"]["order_date"]) == (1778595698417, 1778595698417)
    assert body["data"]["product"]["warranty_date"] == "2026-05-12T14:21:38Z"


def test_the_guarantee_ends_in_utc_whatever_zone_it_was_written_in():
    local = datetime.fromisoformat("2026-05-18T21:00:00-03:00")
    assert data(Sale(warranty_until=local))["product"]["warranty_date"] == "2026-05-19T00:00:00Z"


@pytest.mark.parametrize(
    ("price", "printed"),
    [
        ("147.00", b'{"value":147,'),
        ("149.50", b'{"value":149.5,'),
        ("49.9", b'{"value":49.9,'),
        ("0", b'{"value":0,'),
        ("1E+3", b'{"value":1000,'),
        ("9999999999.99", b'{"value":9999999999.99,'),
    ],
)
def test_an_amount_is_a_number_without_noise(price, printed):
    sale = Sale(price=Decimal(price), currency="BRL")
    assert printed in json_v2.render("1", EventType.APPROVED, NOW, sale, Audience.PRODUCER)


@given(st.decimals(min_value=0, max_value=Decimal("9999999999.99"), places=2))
def test_any_amount_can_be_read_back_to_the_last_cent(price):
    body = json_v2.render("1", EventType.APPROVED, NOW, Sale(price=price), Audience.PRODUCER)
    assert json.loads(body, parse_float=Decimal)["data"]["purchase"]["price"]["value"] == price
    assert b"e+" not in body


def test_accents_are_not_escaped():
    body = json_v2.render(
        "1", EventType.APPROVED, NOW, Sale(buyer_name="João Nuñes 漢字 🎓"), Audience.PRODUCER
    )
    assert "João Nuñes 漢字 🎓".encode() in body


def test_a_sale_that_cannot_be_put_into_json_is_refused():
    with pytest.raises(ValueError, match=r"Sale.price cannot be 'NaN'"):
        Sale.from_json({"price": "NaN"})


# --- The affiliate's copy -----------------------------------------------------------------------------

SALE_FACTS_OF_THE_BUYER = [f.name for f in fields(Sale) if f.name.startswith(("buyer_", "billet_", "pix_"))]


@pytest.mark.parametrize("payment", ["BILLET", "PIX", "CREDIT_CARD"])
@pytest.mark.parametrize("event", sorted(PURCHASE))
def test_an_affiliate_learns_nothing_of_the_buyer_without_consent(event, payment):
    secrets = {name: f"hidden-{name}" for name in SALE_FACTS_OF_THE_BUYER}
    secrets |= {"pix_expires_at": NOW + timedelta(days=999), "billet_due_on": date(2031, 1, 1)}
    sale = full_sale(payment_type=payment, **secrets)
    hidden = replace(sale, product=replace(sale.product, shares_buyers=False))
    body = json_v2.render("1", event, NOW, hidden, Audience.AFFILIATE)
    milliseconds = str(int((NOW + timedelta(days=999)).timestamp() * 1000)).encode()
    assert b"hidden-" not in body
    assert milliseconds not in body
    assert json.loads(body)["data"]["buyer"] == {}
    assert b"hidden-buyer_email" in json_v2.render("1", event, NOW, sale, Audience.AFFILIATE)  # with consent
    assert b"hidden-buyer_email" in json_v2.render("1", event, NOW, hidden, Audience.PRODUCER)


def test_an_affiliate_learns_no_buyer_of_a_cart_without_consent():
    cart = full_cart(affiliate=Seller("A1", "Bia"))
    hidden = replace(cart, product=replace(cart.product, shares_buyers=False))
    assert data(hidden, EventType.CART_ABANDONED, Audience.AFFILIATE)["buyer"] == {}
    assert set(data(cart, EventType.CART_ABANDONED, Audience.AFFILIATE)["buyer"]) == {
        "email",
        "name",
        "phone",
    }


@pytest.mark.parametrize("event", sorted(PURCHASE))
def test_an_affiliate_learns_no_document_of_the_producer_and_no_share_of_others(event):
    shares = tuple(
        Commission(source, Decimal(n), "BRL")
        for n, source in enumerate(("MARKETPLACE", "PRODUCER", "AFFILIATE", "COPRODUCER", "ADDON"))
    )
    copy = data(full_sale(commissions=shares), event, Audience.AFFILIATE)
    assert copy["commissions"] == [{"source": "AFFILIATE", "value": 2, "currency_value": "BRL"}]
    assert set(copy["producer"]) == {"name", "legal_nature"}


@pytest.mark.parametrize("event", sorted(PURCHASE))
def test_an_affiliate_gets_all_else(event):
    """Nothing but the four groups is left out."""
    sale = full_sale(payment_type="BILLET")
    hidden = replace(sale, product=replace(sale.product, shares_buyers=False))
    missing = paths(data(sale, event)) - paths(data(hidden, event, Audience.AFFILIATE))
    assert {path for path in missing if not path.startswith(("buyer.", "commissions[]."))} == {
        "producer.document",
        "purchase.payment.billet_url",
        "purchase.payment.billet_barcode",
    }


# --- The snapshot -------------------------------------------------------------------------------------

SIMPLE = {
    str: st.text(max_size=8),
    int: st.integers(0, 10**9),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=10**9),
    datetime: st.datetimes(timezones=st.just(UTC)),
    date: st.dates(),
}


def any_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    def of(hint: Any) -> st.SearchStrategy[Any]:
        if args := get_args(hint):
            inner = of(args[0])
            return st.lists(inner, max_size=3).map(tuple) if args[-1] is ... else st.none() | inner
        return SIMPLE[hint] if hint in SIMPLE else any_of(hint)

    return st.builds(cls, **{name: of(hint) for name, hint in get_type_hints(cls).items()})


@given(any_of(Sale) | any_of(Cart))
@settings(deadline=None, max_examples=60)
def test_a_snapshot_comes_back_from_json_as_it_was(snapshot):
    kept = json.loads(json.dumps(snapshot.to_json()))
    assert type(snapshot).from_json(kept) == snapshot


@given(any_of(Sale), st.sampled_from(sorted(PURCHASE)), st.sampled_from(Audience.values))
@settings(deadline=None, max_examples=60)
def test_any_sale_gives_the_same_bytes_now_and_from_its_json(sale, event, audience):
    body = json_v2.render("1", event, NOW, sale, audience)
    assert json_v2.render("1", event, NOW, Sale.from_json(sale.to_json()), audience) == body
    assert None not in _values(json.loads(body)["data"])


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict | list):
        return [v for part in (value.values() if isinstance(value, dict) else value) for v in _values(part)]
    return [value]


def test_a_snapshot_keeps_nothing_that_is_as_its_default():
    kept = Sale(code="HP1", installments=1, price=Decimal("0.00"), product=Product(code=7, name="")).to_json()
    assert kept == {"code": "HP1", "price": "0.00", "product": {"code": 7, "owner": {}}}
    assert Sale(installments=0, is_funnel=True).to_json() == {
        "price": "0", "product": {"owner": {}}, "installments": 0, "is_funnel": True
    }  # fmt: skip


@pytest.mark.parametrize(("cls", "event"), [(Sale, EventType.APPROVED), (Cart, EventType.CART_ABANDONED)])
def test_a_snapshot_of_another_release_can_be_posted(cls, event):
    """An older one lacks facts, a newer one has more."""
    assert data(cls.from_json({"product": {"code": 5}, "was_gift": True}), event)["product"]["id"] == 5
    assert cls.from_json({"product": None}) == cls()


def test_times_are_kept_in_utc():
    local = datetime.fromisoformat("2026-05-18T21:00:00-03:00")
    assert Sale.from_json({"ordered_at": local}).to_json()["ordered_at"] == "2026-05-19T00:00:00+00:00"


@pytest.mark.django_db
def test_a_row_that_was_not_read_back_yet_gives_the_same_snapshot(product):
    """Django saves "147.00", 49.9 and an ISO time as they are given, and the instance keeps them."""
    sale = factories.make_sale(
        product, price="147.00", full_price=163.2, ordered_at="2026-05-12T14:21:38+02:00"
    )
    sale_read = type(sale).objects.with_facts().get()
    assert Sale.of(sale) == Sale.of(sale_read)
    assert Sale.of(sale).full_price == Decimal("163.20")


def test_every_fact_of_a_sale_is_one_of_the_models():
    """`of(row)` reads by name and gives what it does not find its default, so a name misspelt would be silent."""
    from sales import models

    pairs = {Sale: models.Transaction, Cart: models.AbandonedCart, Product: models.Product}
    pairs |= {Seller: models.Seller, Subscription: models.Subscription}
    for snapshot, model in pairs.items():
        assert {f.name for f in fields(snapshot)} <= set(dir(model)), snapshot
