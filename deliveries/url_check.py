"""Look into a URL step by step: permitted, found, connected to, its certificate, what it answers to a HEAD.

The verdicts are those of the form and of the transport, since it is their code that decides: what is judged and
connected to here is what a post would be. Nothing is posted.
"""

import time
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from cryptography import x509
from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from configurations import addresses

from . import certificates, retries
from .connections import Steps
from .explain import explain
from .transport import Outcome, Transport

ENDS_SOON = timedelta(days=14)
ONLY_POST = {405, 501}  # what a server says that takes posts and nothing else


class Kind(StrEnum):
    OK = "ok"
    LOOK = "look"  # it would work; but look at what is said
    FAILED = "failed"
    NOT_DONE = "not done"  # an earlier step failed


@dataclass(frozen=True, slots=True)
class Step:
    name: str  # permitted, found, connected, certificate, answer
    kind: Kind
    says: str = ""
    advice: str = ""  # what to do, where there is anything
    ms: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """`reason` is the class of the refusal, as addresses.Refused has it; empty where it is allowed."""

    url: str  # as it would be kept
    allowed: bool
    reason: str
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        return all(step.kind in (Kind.OK, Kind.LOOK) for step in self.steps)


def check(url: str, *, connect: bool = True, transport: Transport | None = None) -> Check:
    """Each step up to the first that fails; without `connect` the address alone, and nothing is looked up."""
    began = time.monotonic()
    try:
        canonical = addresses.check(url)
    except addresses.Refused as refused:
        facts = {"subject": refused.subject}
        step = Step("permitted", Kind.FAILED, str(refused.advice), "", _ms_since(began), facts)
        return Check(url, False, refused.reason, (step,))
    permitted = Step("permitted", Kind.OK, _("We may post to this address."), "", _ms_since(began))
    if not connect:
        return Check(canonical, True, "", (permitted,))
    transport = transport or Transport()
    try:
        outcome, steps = transport.head(canonical, {"User-Agent": settings.DELIVERY_USER_AGENT})
    finally:
        transport.close()
    refusal = _first_refusal(steps.addresses)
    looked = _Look(addresses.parse(canonical), outcome, steps)
    return Check(
        canonical, refusal is None, refusal.reason if refusal else "", (permitted, *looked.all(refusal))
    )


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _first_refusal(ips: list[str]) -> addresses.Refused | None:
    return next((refusal for ip in ips if (refusal := _refusal_of(ip))), None)


def _refusal_of(ip: str) -> addresses.Refused | None:
    try:
        addresses.check_address(ip)
    except addresses.Refused as refused:
        return refused
    return None


@dataclass(frozen=True, slots=True)
class _Look:
    """The steps behind the first, out of how far a HEAD came and what came of it."""

    target: addresses.Target
    outcome: Outcome
    steps: Steps

    def all(self, refusal: addresses.Refused | None) -> list[Step]:
        steps = [self._found(refusal), self._connected(), self._certificate(), self._answer()]
        failed = next((n for n, step in enumerate(steps) if step.kind == Kind.FAILED), len(steps))
        return steps[: failed + 1] + [Step(step.name, Kind.NOT_DONE) for step in steps[failed + 1 :]]

    def _ms(self, begins: float | None, ends: float | None) -> int | None:
        """Of a step; one that did not end took until the outcome was there."""
        if begins is None:
            return None
        until = self.steps.began_at + self.outcome.took.total_seconds() if ends is None else ends
        return max(0, round((until - begins) * 1000))

    def _failed(self, name: str, ms: int | None) -> Step:
        """In the words of the History."""
        words = explain(
            self.outcome.status,
            self.outcome.problem,
            self.outcome.detail,
            url=self.target.url,
            headers=self.outcome.headers,
        )
        says = str(words.happened)
        if words.detail and words.detail not in says:
            says = f"{says} ({words.detail})"
        return Step(name, Kind.FAILED, says, str(words.what_to_do), ms, {"problem": self.outcome.problem})

    def _found(self, refusal: addresses.Refused | None) -> Step:
        ms = self._ms(self.steps.began_at, self.steps.found_at)
        if self.steps.found_at is None:
            return self._failed("found", ms)
        ips = self.steps.addresses
        judged = [{"address": ip, "reason": r.reason if (r := _refusal_of(ip)) else ""} for ip in ips]
        facts = {"addresses": judged}
        if refusal:
            return Step("found", Kind.FAILED, str(refusal.advice), _one_refuses_all(len(ips)), ms, facts)
        if ips == [self.target.host]:
            return Step("found", Kind.OK, _("It is an address: there is no name to look up."), "", ms, facts)
        says = ngettext(
            "The name has %(n)d address: %(ips)s.", "The name has %(n)d addresses: %(ips)s.", len(ips)
        )
        return Step("found", Kind.OK, says % {"n": len(ips), "ips": ", ".join(ips)}, "", ms, facts)

    def _connected(self) -> Step:
        ms = self._ms(self.steps.found_at, self.steps.connected_at)
        if self.steps.connected_at is None:
            return self._failed("connected", ms)
        says = _("Connected to %(address)s, port %(port)d.") % {
            "address": self.steps.address,
            "port": self.target.port,
        }
        return Step("connected", Kind.OK, says, "", ms, {"address": self.steps.address})

    def _certificate(self) -> Step:
        if self.target.scheme == "http":
            return Step(
                "certificate",
                Kind.LOOK,
                _("The URL begins with http://, so whoever is on the way can read the posts."),
                _("Use https:// if the server can."),
            )
        ms = self._ms(self.steps.connected_at, self.steps.secured_at)
        if self.steps.secured_at is None:
            return self._failed("certificate", ms)
        return _of_certificate(x509.load_der_x509_certificate(self.steps.certificate), ms)

    def _answer(self) -> Step:
        ms = self._ms(self.steps.secured_at or self.steps.connected_at, None)
        status = self.outcome.status
        if status is None:
            return self._failed("answer", ms)
        facts = {"status": status}
        says = _("It answered %(status)d to a HEAD; nothing was posted.") % {"status": status}
        if status in ONLY_POST or retries.accepted(self.outcome, self.target.url):
            return Step("answer", Kind.OK, says, "", ms, facts)
        if 400 <= status < 500 and status != 410:
            advice = _("A post may be answered otherwise: send a test to be sure.")
            return Step("answer", Kind.LOOK, says, advice, ms, facts)
        failed = self._failed("answer", ms)
        return Step("answer", Kind.FAILED, f"{says} {failed.says}", failed.advice, ms, facts)


def _one_refuses_all(count: int) -> str:
    return "" if count == 1 else _("One address that is not permitted refuses them all.")


def _of_certificate(certificate: x509.Certificate, ms: int | None) -> Step:
    ends = certificate.not_valid_after_utc
    names, issuer = certificates.names_of(certificate), certificates.issuer_of(certificate)
    says = _("It is good until %(day)s, for %(names)s, from %(issuer)s.") % {
        "day": date_format(ends, "DATE_FORMAT"),
        "names": names,
        "issuer": issuer or _("an authority without a name"),
    }
    facts = {"names": names, "until": ends, "issuer": issuer}
    if ends - timezone.now() < ENDS_SOON:
        return Step("certificate", Kind.LOOK, says, _("It ends soon: renew it in time."), ms, facts)
    return Step("certificate", Kind.OK, says, "", ms, facts)
