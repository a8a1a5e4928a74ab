"""How often one user may do what costs us, or others, something: send a test, send again, export, show a key.

A limit is a setting, `LIMITS[name]`: so many times within so many seconds, by one user over all processes. What was
done is kept in the shared cache. Without the cache nobody is limited: who asks may do it anyway, only not so often.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

logger = logging.getLogger(__name__)
_LOCK = 5  # seconds after which the lock of a process that died is anybody's
_PATIENCE = 2  # seconds that one waits for a lock


def take(name: str, who: Any) -> float:
    """0 if `who` may do it now, and then it counts; else the seconds until it may be done again."""
    times, seconds = settings.LIMITS[name]
    if not times:
        return 0
    key = f"limit:{name}:{who}"
    try:
        with _alone(key):
            now = time.time()
            done = [at for at in cache.get(key, ()) if now - seconds < at <= now]
            if len(done) >= times:
                return max(done[-times] + seconds - now, 0.001)
            cache.set(key, [*done, now], seconds)
    except Exception:  # whatever the cache raises, which differs from one to the next
        logger.warning("The limit %s was not looked at: the cache is away.", name, exc_info=True)
    return 0


@contextmanager
def _alone(key: str) -> Iterator[None]:
    """One at a time over all processes. Who waits in vain goes on: the lock is its holder's for a moment only."""
    until, lock = time.monotonic() + _PATIENCE, f"{key}:lock"
    while not cache.add(lock, 1, _LOCK):
        if time.monotonic() > until:
            yield
            return
        time.sleep(0.005)
    try:
        yield
    finally:
        cache.delete(lock)


def limited(name: str, *methods: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """A view for those with a login, which answers 429 once its user does it too often. Put it below login_required.

    Only requests with one of `methods` count, and can be refused: POST, unless others are given.
    """
    counted = methods or ("POST",)

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method in counted and (wait := take(name, request.user.pk)):
                return refused(request, wait)
            return view(request, *args, **kwargs)

        return inner

    return decorate


def too_many_tries(request: HttpRequest) -> HttpResponse:
    """What allauth answers who guesses at passwords, or has mails sent: its limits are of minutes."""
    response = render(request, "429.html", status=429)
    response.headers["Retry-After"] = "300"
    return response


def refused(request: HttpRequest, wait: float) -> HttpResponse:
    """The page that says how many seconds to wait; of a part of a page, in the place of what is shown."""
    seconds = math.ceil(wait)
    is_part = request.headers.get("HX-Request") == "true"
    template = "components/too_often.html" if is_part else "too_often.html"
    response = render(request, template, {"seconds": seconds}, status=429)
    response.headers["Retry-After"] = str(seconds)
    if is_part:
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#content", "innerHTML"
    return response
