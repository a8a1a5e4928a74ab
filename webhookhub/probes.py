"""What machines ask, before anything else of the site: /healthz, /readyz and /metrics.

First of the middleware, so that none of it stands in the way: a load balancer asks by address and in plain http
(ALLOWED_HOSTS and the redirect to https would turn it away), and it has no session. docs/monitoring.md says who
asks which.
"""

import hmac
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse

from deliveries import metrics, readiness

Answer = Callable[[HttpRequest], HttpResponse]


class ProbeMiddleware:
    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = ANSWERS.get(request.path_info)
        if answer is None:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            response = HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
        else:
            response = answer(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response._has_been_logged = True  # as an error, by Django: `readiness` has said what is wrong
        return response


def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers; it asks nobody."""
    return JsonResponse({"alive": True})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 or 503, with a sentence for each check. `?without=wake_up` leaves one out; several, with commas between."""
    without = {name for name in request.GET.get("without", "").split(",") if name}
    if without - set(readiness.NAMES):
        return JsonResponse({"error": f"`without` names any of {', '.join(readiness.NAMES)}."}, status=400)
    checks = readiness.look([name for name in readiness.NAMES if name not in without])
    ready = all(check.ok for check in checks)
    found = {check.name: {"ok": check.ok, "says": check.says} for check in checks}
    return JsonResponse({"ready": ready, "checks": found}, status=200 if ready else 503)


def metrics_page(request: HttpRequest) -> HttpResponse:
    """For Prometheus, with the METRICS_TOKEN; where none is set there is no such page."""
    if not settings.METRICS_TOKEN:
        return HttpResponse(status=404)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        token.strip().encode(), settings.METRICS_TOKEN.encode()
    ):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    try:
        return HttpResponse(metrics.page(), content_type=metrics.CONTENT_TYPE)
    except DatabaseError:
        return HttpResponse("The database cannot be used.", status=503, content_type="text/plain")


ANSWERS: dict[str, Answer] = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics_page}
