"""What holds for every answer of the site."""

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils.cache import add_never_cache_headers

# What no page of ours needs, and so no script that got into one may have. Of these every browser knows, for one that
# does not know a feature complains in its console.
_NOT_NEEDED = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation",
    "gyroscope", "magnetometer", "microphone", "midi", "payment", "picture-in-picture", "publickey-credentials-get",
    "screen-wake-lock", "usb", "xr-spatial-tracking",
)  # fmt: skip
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _NOT_NEEDED),
}


class ClientAddressMiddleware:
    """Behind a proxy of ours (BEHIND_PROXY) REMOTE_ADDR is the client's, for lockouts and the audit log, and not the proxy's.

    It is the last address of X-Forwarded-For, the one that the proxy wrote: what stands before it, anybody may write.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.BEHIND_PROXY:
            last = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
            with suppress(ValueError):
                request.META["REMOTE_ADDR"] = str(ip_address(last))
        return self.get_response(request)


class HeadersMiddleware:
    """What every answer says, whoever makes it: a page, a redirect, an error, a download, a static file.

    What is not meant to be kept, which is all but static files, is stored nowhere: not in a proxy, not behind the Back
    button.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers or "private" in response.headers["Cache-Control"]:
            add_never_cache_headers(response)
        return response


class NoLoginInAPartMiddleware:
    """Once a session has ended, htmx would put the login page where a part of a page belongs.

    Instead the whole page is loaded again, and that leads to the login and back.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_part = request.headers.get("HX-Request") == "true"
        if is_part and response.headers.get("Location", "").startswith(resolve_url(settings.LOGIN_URL)):
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})
        return response
