"""Which of the vitals are as they should be: `health` asks for all, a page for what it shows."""

from dataclasses import dataclass, replace
from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sales.templatetags.formats import milliseconds, number, span

from .vitals import Vitals

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """None: whatever it is, it is good. A job of the queue is a wake-up, not a post."""

    max_age: timedelta | None = timedelta(minutes=2)  # of what is due, and of leases that ran out
    max_lag: timedelta | None = timedelta(minutes=1)  # of 95 of 100 first tries
    min_workers: int = 1  # where it is 0, nobody takes jobs: neither queue nor sweep has a bound
    max_queue: int | None = 100
    max_sweep_age: timedelta | None = timedelta(minutes=3)
    max_failing: int | None = None
    max_disabled: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """`value` and `bound` are None where there is nothing to measure, and no bound."""

    name: str
    says: str  # a sentence
    value: float | None
    bound: float | None
    ok: bool
    unit: str = ""  # s: seconds; empty: a count

    @property
    def bound_in_words(self) -> str:
        if self.bound is None:
            return ""
        return span(self.bound * SECOND) if self.unit else number(int(self.bound))


def judge(vitals: Vitals, bounds: Bounds) -> list[Finding]:
    """A finding for each figure, in the order in which one looks. The queue has to be in reach."""
    posts, configurations = vitals.posts, vitals.configurations
    if not bounds.min_workers:
        bounds = replace(bounds, max_queue=None, max_sweep_age=None)
    return [
        _sending(vitals),
        _reach(vitals),
        _at_most("due", _due(posts.due), posts.due, None),
        _age("oldest_due", _oldest_due(vitals), vitals.age(posts.due_since), bounds.max_age),
        _age("lapsed", _lapsed(posts.lapsed), vitals.age(posts.lapsed_since), bounds.max_age),
        _age("lag", _lag(vitals), vitals.lag.p95, bounds.max_lag),
        _at_most("queue", _queue(vitals), vitals.cluster.queue, bounds.max_queue),
        _workers(vitals, bounds.min_workers),
        _sweep(vitals, bounds.max_sweep_age),
        _at_most("failing", _failing(configurations.failing), configurations.failing, bounds.max_failing),
        _at_most(
            "disabled", _disabled(configurations.disabled), configurations.disabled, bounds.max_disabled
        ),
    ]


def _sending(vitals: Vitals) -> Finding:
    """Held, by whomever and however right that is, it is out of bounds: nobody gets anything."""
    held = vitals.held
    if held is None:
        return Finding("sending", _("Sending is not held."), 0, 0, ok=True)
    says = ngettext(
        "All sending has been held for %(span)s, and %(n)s post waits: %(why)s",
        "All sending has been held for %(span)s, and %(n)s posts wait: %(why)s",
        held.waiting,
    )
    facts = {"span": span(vitals.age(held.since)), "n": number(held.waiting), "why": held.why}
    return Finding("sending", says % facts, held.waiting, 0, ok=False)


def _at_most(name: str, says: str, value: int, bound: int | None) -> Finding:
    return Finding(name, says, value, bound, ok=bound is None or value <= bound)


def _age(name: str, says: str, age: timedelta | None, bound: timedelta | None) -> Finding:
    within = age is None or bound is None or age <= bound
    return Finding(name, says, _seconds(age), _seconds(bound), ok=within, unit="s")


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else round(length / SECOND, 3)


def _reach(vitals: Vitals) -> Finding:
    """Not whether one endpoint fails: whether all do at once, and so most likely we."""
    age = vitals.age(vitals.outage_since)
    if age is None:
        return Finding("outage", _("The hosts are in reach."), None, 0.0, ok=True, unit="s")
    says = _("Hardly any host has been in reach for %(span)s: nothing is posted.") % {"span": span(age)}
    return Finding("outage", says, _seconds(age), 0.0, ok=False, unit="s")


def _workers(vitals: Vitals, least: int) -> Finding:
    workers, clusters = vitals.cluster.workers, vitals.cluster.clusters
    says = ngettext("%(workers)s worker is alive.", "%(workers)s workers are alive.", workers) % {
        "workers": number(workers)
    }
    if clusters > 1:
        says = _("%(workers)s workers are alive, in %(clusters)s clusters.") % {
            "workers": number(workers),
            "clusters": number(clusters),
        }
    return Finding("workers", says, workers, least, ok=workers >= least)


def _sweep(vitals: Vitals, bound: timedelta | None) -> Finding:
    """The queue's own job of every minute: that it was done says that jobs are."""
    age = vitals.age(vitals.swept_at)
    if age is None:
        says = _("There has been no sweep yet.")
        return Finding("sweep", says, None, _seconds(bound), ok=bound is None, unit="s")
    return _age("sweep", _("The last sweep was %(span)s ago.") % {"span": span(age)}, age, bound)


def _due(count: int) -> str:
    if not count:
        return _("No post is due.")
    return ngettext("%(n)s post is due.", "%(n)s posts are due.", count) % {"n": number(count)}


def _oldest_due(vitals: Vitals) -> str:
    age = vitals.age(vitals.posts.due_since)
    if age is None:
        return _("No post is late.")
    return _("The oldest of them has been due for %(span)s.") % {"span": span(age)}


def _lapsed(count: int) -> str:
    if not count:
        return _("No worker has left a post behind.")
    return ngettext(
        "%(n)s post was left behind by a worker that ended.",
        "%(n)s posts were left behind by a worker that ended.",
        count,
    ) % {"n": number(count)}


def _lag(vitals: Vitals) -> str:
    lag = vitals.lag
    if lag.p50 is None or lag.p95 is None:
        return _("Nothing was posted for the first time in the last five minutes.")
    millisecond = timedelta(milliseconds=1)
    return _("Of 100 first tries 50 came within %(p50)s of their event, and 95 within %(p95)s.") % {
        "p50": milliseconds(lag.p50 // millisecond),
        "p95": milliseconds(lag.p95 // millisecond),
    }


def _queue(vitals: Vitals) -> str:
    jobs = vitals.cluster.queue
    return ngettext("%(n)s job is in the queue.", "%(n)s jobs are in the queue.", jobs) % {"n": number(jobs)}


def _failing(count: int) -> str:
    return ngettext("%(n)s configuration fails.", "%(n)s configurations fail.", count) % {"n": number(count)}


def _disabled(count: int) -> str:
    return ngettext(
        "%(n)s configuration is disabled by us.", "%(n)s configurations are disabled by us.", count
    ) % {"n": number(count)}
