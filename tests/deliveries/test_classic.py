"""A configuration of 1.0.0, from the form where it is chosen to the receiver and the History."""

import json
import subprocess

import pytest
from django.urls import reverse

from configurations.models import Token, Version
from deliveries import engine, posting
from deliveries.contract import FORM
from deliveries.models import Delivery, State
from tests import factories

from .samples_v1 import parsed

pytestmark = pytest.mark.django_db
NAME = "João Nuñes 漢字 🎓 O'Neil $(touch x) & co"


@pytest.fixture
def classic(config):
    config.version = Version.V1
    config.save()
    return config


@pytest.fixture
def signed_in(client, producer):
    client.force_login(producer.user)
    return client


def test_a_sale_arrives_as_a_form_with_the_token_in_it_and_none_is_kept(receiver, classic, sell):
    sell(buyer_name=NAME)
    engine.drain()
    (post,) = receiver.posts
    form = parsed(post.body)
    token = Token.objects.get(seller=classic.owner).value
    assert post.headers["content-type"] == FORM
    assert (form["name"], form["hottok"], post.headers["x-hotmart-hottok"]) == (NAME, token, token)
    delivery = Delivery.objects.select_related("event", "config").get()
    assert delivery.state == State.DELIVERED
    assert token.encode() not in posting.body_of(delivery)
    assert posting.with_token(posting.body_of(delivery), token) == post.body


def test_a_cart_arrives_as_json_with_the_token_in_it(receiver, classic, product):
    factories.make_cart(product, buyer_name=NAME)
    engine.drain()
    (post,) = receiver.posts
    body = json.loads(post.body)
    assert post.headers["content-type"] == "application/json"
    assert (body["buyerVO"]["name"], body["productId"]) == (NAME, product.code)
    assert body["hottok"] == Token.objects.get(seller=classic.owner).value


def test_the_history_shows_a_form_decoded_and_without_the_token(signed_in, classic, sell):
    delivery = sell(buyer_name="João Nuñes 漢字 🎓")
    engine.drain()
    page = signed_in.get(
        reverse("deliveries:detail", args=[delivery.pk]), {"tab": "payload"}
    ).content.decode()
    assert "João Nuñes 漢字 🎓" in page
    assert Token.objects.get(seller=classic.owner).value not in page


def test_the_command_posts_the_same_form(signed_in, receiver, classic, sell, tmp_path):
    delivery = sell(buyer_name=NAME)
    command = signed_in.get(reverse("deliveries:curl", args=[delivery.pk])).content.decode()
    token = Token.objects.get_or_create(seller=classic.owner)[0].value
    assert token not in command
    subprocess.run(
        ["bash", "-c", command],
        env={"HOTTOK": token, "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    [got] = receiver.wait_for(1)
    assert got.headers["content-type"] == FORM
    assert (parsed(got.body)["name"], parsed(got.body)["hottok"]) == (NAME, token)


def test_the_form_offers_both_formats_and_says_for_whom_each_is(signed_in):
    page = signed_in.get(reverse("configurations:add")).content.decode()
    assert page.index('value="2.0.0"') < page.index('value="1.0.0"')
    assert "For receivers made for it" in page
    assert "Recommended: one JSON object for each post" in page
