"""The table of URLs that customers type (data/outbound.tsv), and a name server that answers what it says."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PORTS = [80, 443, 8080, 8443]


@dataclass(frozen=True)
class Row:
    url: str
    verdict: str
    reason: str
    dns: (
        str  # what the name server answers: "a,b" at once, "a;b" the first time and later, "a*40" forty times
    )

    def __str__(self) -> str:
        return self.url[:60].encode("unicode_escape").decode()


def _rows() -> Iterator[Row]:
    lines = (Path(__file__).parent / "data" / "outbound.tsv").read_text("utf-8").split("\n")
    for line in lines[1:]:
        if line:
            url, verdict, reason, note = line.split("\t")
            dns = note.partition(" ")[0].removeprefix("dns=") if note.startswith("dns=") else ""
            yield Row(json.loads(f'"{url}"'), verdict, reason, dns)


ROWS = list(_rows())
AT_FORM = [row for row in ROWS if row.verdict == "refuse_at_form"]
AT_CONNECT = [row for row in ROWS if row.verdict == "refuse_at_connect"]
ALLOWED = [row for row in ROWS if row.verdict == "allow"]


def addresses_of(answer: str) -> list[str]:
    """ "a,b*2" → [a, b, b]."""
    return [
        ip for part in answer.split(",") for ip in [part.partition("*")[0]] * int(part.partition("*")[2] or 1)
    ]


class NameServer:
    """Stands for the system's resolver: `NameServer({"host": "1.2.3.4"})`. A host it does not know does not exist."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = {host: answer.split(";") for host, answer in answers.items()}
        self.asked: Counter[str] = Counter()

    @classmethod
    def of(cls, row: Row) -> "NameServer":
        """It knows the row's host in whatever spelling."""
        if not row.dns:
            return cls({})
        host = urlsplit(row.url.strip()).hostname
        return cls({host.encode("idna").decode("ascii"): row.dns})

    def __call__(self, host: str, port: int) -> list[tuple]:
        answers = self.answers.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answer = answers[min(self.asked[host], len(answers) - 1)]
        self.asked[host] += 1
        return [self._found(ip, port) for ip in addresses_of(answer)]

    @staticmethod
    def _found(ip: str, port: int) -> tuple:
        plain, _, scope = ip.partition("%")
        if ":" in ip:
            address = (ip, port, 0, int(scope or 0))
            return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (plain, port)
