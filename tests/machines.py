"""Machines of a test's own: network namespaces on a bridge, which see nothing but each other and this one.

Needs Linux, root and iproute2; the test is skipped without them. What it makes is gone afterwards.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import pytest


class Machine:
    """A network namespace with an address. `inside` is what a command has to begin with to run there."""

    def __init__(self, name: str, address: str, plug: str) -> None:
        self.name, self.address, self._plug = name, address, plug
        self.inside: Sequence[str] = ("ip", "netns", "exec", name)

    def unplug(self) -> None:
        """From now on it reaches nobody, and nobody it. Its processes live on, and so do its connections' far ends."""
        _ip("link", "set", self._plug, "down")

    def plug_in(self) -> None:
        _ip("link", "set", self._plug, "up")


class Network:
    """`with Network(2) as network:`; `network.address` is this machine's on it."""

    def __init__(self, machines: int) -> None:
        if shutil.which("ip") is None or os.geteuid() != 0:
            pytest.skip("Network namespaces need root, and iproute2.")
        mark = os.getpid() % 100_000  # so that two test runs do not meet
        self._bridge = f"wh{mark}"
        self._net = f"10.231.{mark % 250}"
        self.address = f"{self._net}.1"
        self.range = f"{self._net}.0/24"
        self.machines = [
            Machine(f"wh{mark}m{n}", f"{self._net}.{n + 2}", f"wh{mark}p{n}") for n in range(machines)
        ]

    def __enter__(self) -> "Network":
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"No network can be made here: {error.stderr.strip()}")
        try:
            _ip("address", "add", f"{self.address}/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            for machine in self.machines:
                self._connect(machine)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _connect(self, machine: Machine) -> None:
        _ip("netns", "add", machine.name)
        _ip("link", "add", machine._plug, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
        _ip("link", "set", machine._plug, "master", self._bridge, "up")
        _ip("-netns", machine.name, "address", "add", f"{machine.address}/24", "dev", "eth0")
        _ip("-netns", machine.name, "link", "set", "eth0", "up")
        _ip("-netns", machine.name, "link", "set", "lo", "up")

    def __exit__(self, *_: object) -> None:
        for machine in self.machines:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", machine.name)  # and its end of the cable, and with that the other
        with suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self._bridge)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
