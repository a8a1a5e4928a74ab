"""Two machines, one PostgreSQL and one Redis: they share the work with no setting but the two addresses.

The machines are network namespaces, and the servers the test's own on the bridge between them, so the cut of a cable
is a real one: the connections of whoever is cut off stay open at their other end.
"""

import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests import commands
from tests.machines import Machine, Network
from tests.postgres_server import PostgresServer
from tests.receiver import Answer, Receiver
from tests.redis_server import RedisServer

from .cluster_process import ClusterProcess

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster"), pytest.mark.timeout(600)]

# The seller's machine: makes as many sales as each line says, each in a transaction of its own, in turn for 4 sellers.
SHOP = """
import sys
from itertools import count
from tests import factories
products = [factories.make_product(factories.make_seller(login=False)) for _ in range(4)]
for product in products:
    factories.make_config(product.owner, url=sys.argv[-1])
number = count()
print("open", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        factories.make_sale(products[next(number) % len(products)])
    print("sold", flush=True)
"""


class Shop:
    """`shop.sell(50)` commits 50 sales, whose posts go to the receiver."""

    def __init__(self, environment: dict[str, str], url: str) -> None:
        prelude = "import django; django.setup()\n"
        self._process = subprocess.Popen(
            [sys.executable, "-c", prelude + SHOP, url],
            cwd=commands.ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "open\n"

    def sell(self, count: int) -> None:
        print(count, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "sold\n"

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network(2) as network:
        yield network


class Platform:
    """The servers, the shop and the receiver, for the machines of `network`."""

    def __init__(self, network: Network, postgres: PostgresServer, redis: RedisServer, receiver: Receiver):
        self.receiver = receiver
        self.environment = {
            "DATABASE_URL": postgres.database(),
            "BROKER_URL": redis.url,
            "TEST_ALLOWED_NETWORKS": network.range,
            "DELIVERY_ALLOWED_PORTS": str(receiver.port),
        }
        self._database = psycopg.connect(self.environment["DATABASE_URL"], autocommit=True)
        environment = commands.environment(**self.environment)
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=commands.ROOT, env=environment, check=True,
        )  # fmt: skip
        self.shop = Shop(environment, receiver.url)

    def cluster_on(self, machine: Machine) -> ClusterProcess:
        return ClusterProcess(inside=machine.inside, **self.environment)

    def ids(self, where: str = "true") -> set[str]:
        return {
            row[0]
            for row in self._database.execute(f"SELECT webhook_id FROM deliveries_delivery WHERE {where}")
        }

    def wait_until_all_is_delivered(self) -> None:
        until = time.monotonic() + 120
        while left := self.ids("state <> 'delivered'"):
            assert time.monotonic() < until, f"{len(left)} posts are not delivered."
            time.sleep(0.05)  # between two looks at the condition

    def sell_until_both_post(self, *machines: Machine) -> None:
        """Go on until each of them has sent something from now on."""
        before, until = len(self.receiver.posts), time.monotonic() + 120
        while {post.sender for post in self.receiver.posts[before:]} != {m.address for m in machines}:
            assert time.monotonic() < until, "They do not share the work."
            self.shop.sell(10)

    def senders(self) -> dict[str, list[str]]:
        """{webhook-id: the machines that posted it, in turn}, of all posts that there are: each arrived."""
        senders: dict[str, list[str]] = {}
        for post in self.receiver.posts:
            senders.setdefault(post.headers["webhook-id"], []).append(post.sender)
        assert set(senders) == self.ids()
        return senders

    def close(self) -> None:
        self.shop.close()
        self._database.close()


@pytest.fixture
def platform(network: Network) -> Iterator[Platform]:
    with (
        PostgresServer(network.address) as postgres,
        RedisServer(network.address) as redis,
        Receiver(network.address) as receiver,
    ):
        receiver.answers(Answer(delay=0.05))
        platform = Platform(network, postgres, redis, receiver)
        yield platform
        platform.close()


def test_they_share_the_work_and_either_goes_on_without_the_other(network, platform):
    one, other = network.machines
    with platform.cluster_on(one), platform.cluster_on(other):
        platform.sell_until_both_post(one, other)
        platform.wait_until_all_is_delivered()
        assert all(len(senders) == 1 for senders in platform.senders().values())

        platform.shop.sell(40)
        one.unplug()
        recorded, sold_before = platform.ids("state = 'delivered'"), platform.ids()
        platform.shop.sell(40)
        platform.wait_until_all_is_delivered()
        since = [senders for name, senders in platform.senders().items() if name not in sold_before]
        assert since == [[other.address]] * 40

        one.plug_in()
        platform.sell_until_both_post(one, other)
        platform.wait_until_all_is_delivered()
    # What was in flight or not recorded at the cut came from both. Its first copy may be the later one: what `one` had
    # written into a connection is sent on once it is plugged in.
    twice = {name: senders for name, senders in platform.senders().items() if len(senders) > 1}
    assert not recorded & twice.keys()
    assert all(sorted(senders) == [one.address, other.address] for senders in twice.values())
