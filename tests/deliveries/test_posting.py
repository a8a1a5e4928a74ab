"""What is posted, beside its body: the keys, read once for a batch."""

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from configurations.models import Token, WebhookConfig
from deliveries import engine, posting
from deliveries.models import Delivery, Problem, State
from tests import factories

pytestmark = pytest.mark.django_db


def unreadable(table: str, column: str, pk: int) -> None:
    """As if it was written with a key that FIELD_ENCRYPTION_KEY holds no more."""
    other = Fernet(Fernet.generate_key()).encrypt(b"whatever").decode()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [other, pk])


def test_a_seller_without_a_token_gets_one_at_the_first_post(receiver, config, sell):
    assert not Token.objects.exists()
    sell()
    engine.drain()
    sell()
    engine.drain()
    token = Token.objects.get(seller=config.owner).value
    assert [post.headers["x-hotmart-hottok"] for post in receiver.posts] == [token, token]


def test_the_keys_of_a_batch_cost_a_few_queries_however_many_there_are(
    receiver, product, producer, django_assert_num_queries
):
    for _ in range(5):
        factories.make_config(producer, url=receiver.url)
    factories.make_sale(product)
    factories.make_sale(product)
    Token.objects.create(seller=producer)
    deliveries = list(Delivery.objects.all())
    with django_assert_num_queries(2):
        keys = posting.Keys.of(deliveries)
    assert len(keys.secrets) == 5


@pytest.mark.parametrize("what", ["secret", "token"])
def test_a_key_that_cannot_be_decrypted_stops_only_its_own_posts(receiver, config, sell, what):
    lost = sell()
    other = factories.make_config(factories.make_seller(), url=receiver.url)
    factories.make_sale(factories.make_product(other.owner))
    if what == "secret":
        unreadable(WebhookConfig._meta.db_table, "secret", config.pk)
    else:
        token = Token.objects.create(seller=config.owner)
        unreadable(Token._meta.db_table, "value", token.pk)
    engine.drain()
    lost = Delivery.objects.defer("config").get(pk=lost.pk)
    assert (lost.state, lost.last_problem) == (State.WAITING, Problem.OURS)
    assert "decrypted" in lost.attempts.get().detail
    assert other.deliveries.get().state == State.DELIVERED


def test_the_token_may_be_a_placeholder(config):
    headers = posting.headers_for(
        "msg_1", b"{}", token="$HOTTOK", secrets=[config.secret], timestamp=1_700_000_000
    )
    assert headers["X-HOTMART-HOTTOK"] == "$HOTTOK"
    assert headers["webhook-signature"].startswith("v1,")


def test_a_masked_token_shows_its_last_four():
    assert posting.stored({"X-HOTMART-HOTTOK": "abcdefgh1234", "webhook-id": "msg_1"}) == [
        ["X-HOTMART-HOTTOK", "••••1234"],
        ["webhook-id", "msg_1"],
    ]
