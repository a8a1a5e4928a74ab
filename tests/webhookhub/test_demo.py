import json
import threading

import pytest
import requests
from django.core.management import CommandError, call_command

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from deliveries.models import Delivery, State
from sales.models import Transaction
from webhookhub import demo_data, demo_receiver


@pytest.fixture
def receiver():
    """The demo receiver, in this process."""
    demo_receiver.memory.__init__()
    server = demo_receiver.Server(("127.0.0.1", 0), demo_receiver.Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_receiver_shows_what_it_got_and_answers_as_told(receiver):
    body = json.dumps({"event": "PURCHASE_APPROVED", "data": {"purchase": {"transaction": "HP1<b>"}}})
    assert requests.post(f"{receiver}/mine", data=body, timeout=5).status_code == 200
    told = requests.post(f"{receiver}/answer", data={"path": "/mine", "answer": "404"}, timeout=5)
    assert "PURCHASE_APPROVED HP1&lt;b&gt;" in told.text
    assert requests.post(f"{receiver}/mine", data="x", timeout=5).status_code == 404
    requests.post(f"{receiver}/answer", data={"path": "/mine", "answer": "close"}, timeout=5)
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{receiver}/mine", data="x", timeout=5)
    assert requests.get(f"{receiver}/count", timeout=5).text == "3"


def test_the_receiver_takes_no_answer_that_it_does_not_know(receiver):
    requests.post(f"{receiver}/answer", data={"path": "/mine", "answer": "999"}, timeout=5)
    assert requests.post(f"{receiver}/mine", data="x", timeout=5).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_demo_posts_its_sales_and_leaves_a_history(receiver, settings, capsys):
    settings.DEBUG = True
    call_command("demo", receiver=receiver)
    assert demo_data.PRODUCER in capsys.readouterr().out
    assert Transaction.objects.count() == 48
    states = set(Delivery.objects.values_list("state", flat=True))
    assert {State.DELIVERED, State.FAILED, State.HELD} <= states
    assert {config.state for config in WebhookConfig.objects.all()} == {
        ConfigState.ON,
        ConfigState.OFF,
        ConfigState.DISABLED,
    }
    times = [delivery.created_at for delivery in Delivery.objects.order_by("created_at")]
    assert (times[-1] - times[0]).days >= 2

    call_command("demo", receiver=receiver)  # once more: it keeps what is there
    assert Transaction.objects.count() == 48


@pytest.mark.django_db
def test_the_demo_refuses_to_run_in_production(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG"):
        call_command("demo")
