"""The published schemas and the OpenAPI document: valid by themselves, and true of what is posted."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from configurations.events import EventType
from configurations.models import Version
from deliveries import contract
from deliveries.contract import samples
from deliveries.contract.snapshot import Sale
from deliveries.models import Audience
from docs_tab import openapi, posts, schemas, tables

POSTED = [
    (version, str(event_type), audience)
    for version in Version.values
    for event_type in EventType
    for audience in Audience.values
    if contract.sends(version, event_type, audience)
]


def closed(schema: Any) -> Any:
    """The same, refusing what it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(inner) for name, inner in schema.items()}
    if made.get("type") == "object":
        made["additionalProperties"] = False
        made.setdefault("properties", {})
    return made


def validator(version: str, event_type: str, audience: str) -> Draft202012Validator:
    schema = copy.deepcopy(schemas.schema(version, event_type, audience))
    return Draft202012Validator(closed(schema), format_checker=FormatChecker())


@pytest.mark.parametrize(("version", "event_type", "audience"), POSTED)
def test_every_schema_is_one_and_all_posts_of_the_event_are_true_to_it(version, event_type, audience):
    schema = schemas.schema(version, event_type, audience)
    Draft202012Validator.check_schema(schema)
    check = validator(version, event_type, audience)
    for facts in [*samples.variants(event_type), *samples.poorest(event_type)]:
        for shares in (False, True):
            shared = replace(facts, product=replace(facts.product, shares_buyers=shares))
            check.validate(posts.copy_for(version, event_type, audience, shared).parsed())


@pytest.mark.parametrize(("version", "event_type", "audience"), POSTED)
def test_a_schema_refuses_a_post_without_what_is_always_there(version, event_type, audience):
    check = validator(version, event_type, audience)
    whole = posts.copy_for(version, event_type, audience).parsed()
    required = schemas.schema(version, event_type, audience)["required"]
    assert required
    for name in required:
        assert not check.is_valid({key: value for key, value in whole.items() if key != name}), name


@pytest.mark.parametrize("version", Version.values)
def test_a_producers_post_is_no_affiliates(version):
    """The affiliate's schema names nothing that is the producer's alone."""
    check = validator(version, EventType.COMPLETE, Audience.AFFILIATE)
    assert not check.is_valid(posts.copy_for(version, EventType.COMPLETE, Audience.PRODUCER).parsed())


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("data.product.id", "4100002"),
        ("data.purchase.price.value", "49.90"),
        ("data.purchase.order_date", "2026-05-12T14:20:31Z"),
        ("data.product.warranty_date", 1778595698000),
        ("data.product.has_co_production", "false"),
        ("event", "PURCHASE_REFUNDED"),
        ("version", "1.0.0"),
    ],
)
def test_a_schema_refuses_another_type(path, wrong):
    check = validator("2.0.0", EventType.APPROVED, Audience.PRODUCER)
    body = posts.copy_for("2.0.0", EventType.APPROVED, Audience.PRODUCER).parsed()
    check.validate(body)
    *parents, key = path.split(".")
    branch = body
    for parent in parents:
        branch = branch[parent]
    branch[key] = wrong
    assert not check.is_valid(body)


texts = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
    .map(str.strip)
    .filter(bool)
)
money = st.decimals(0, 9_999_999_999, places=2)


@given(st.data())
def test_the_posts_of_random_sales_are_true_to_their_schemas(data):
    version, event_type, audience = data.draw(st.sampled_from(POSTED))
    facts = data.draw(st.sampled_from([*samples.variants(event_type), *samples.poorest(event_type)]))
    facts = replace(
        facts, product=replace(facts.product, name=data.draw(texts), shares_buyers=data.draw(st.booleans()))
    )
    if isinstance(facts, Sale):
        facts = replace(
            facts,
            buyer_name=data.draw(texts),
            buyer_city=data.draw(texts | st.just("")),
            price=data.draw(money),
            full_price=data.draw(money | st.none()),
            installments=data.draw(st.integers(1, 24)),
            coupon_code=data.draw(texts | st.just("")),
            xcod=data.draw(texts | st.just("")),
            tickets=data.draw(st.integers(1, 99) | st.none()),
        )
    body = posts.copy_for.__wrapped__(version, event_type, audience, facts).parsed()
    validator(version, event_type, audience).validate(body)


@pytest.mark.parametrize("version", Version.values)
def test_a_carts_phone_may_be_as_long_as_its_field(version):
    facts = replace(samples.sample(EventType.CART_ABANDONED), buyer_phone="9" * 28)
    check = validator(version, EventType.CART_ABANDONED, Audience.PRODUCER)
    check.validate(posts.copy_for(version, EventType.CART_ABANDONED, Audience.PRODUCER, facts).parsed())
    longer = replace(facts, buyer_phone="9" * 29)
    assert not check.is_valid(
        posts.copy_for(version, EventType.CART_ABANDONED, Audience.PRODUCER, longer).parsed()
    )


@pytest.mark.parametrize(("version", "event_type", "audience"), POSTED)
def test_every_parameter_of_the_producers_table_is_in_the_schema(version, event_type, audience):
    def names(schema: Any, path: str = "") -> set[str]:
        found = set()
        for name, inner in schema.get("properties", {}).items():
            here = f"{path}{name}"
            if inner.get("type") == "object":
                found |= names(inner, f"{here}.")
            elif inner.get("type") == "array":
                found |= names(inner["items"], f"{here}[].")
            else:
                found.add(here)
        return found

    rows = {row.name for row in tables.rows(version, event_type)}
    found = names(schemas.schema(version, event_type, audience))
    assert found == rows if audience == Audience.PRODUCER else found < rows or found == rows


def test_the_openapi_document_is_valid_and_has_every_event():
    document = json.loads(json.dumps(openapi.document()))
    OpenAPIV31SpecValidator(document).validate()
    named = {f"{event_type}-{version}" for version, event_type, _audience in POSTED}
    assert set(document["webhooks"]) == named


@pytest.mark.django_db
def test_schemas_and_document_are_downloaded(client, producer):
    client.force_login(producer.user)
    for version, event_type, audience in POSTED:
        answer = client.get(reverse("docs_tab:schema", args=[version, event_type, audience]))
        assert answer["Content-Type"] == "application/json"
        assert "attachment" in answer["Content-Disposition"]
        assert answer.json() == schemas.schema(version, event_type, audience)
    assert client.get(reverse("docs_tab:openapi")).json()["openapi"] == "3.1.0"
