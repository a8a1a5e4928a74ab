"""Each page in its user's language and time zone."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from . import audit


class AuditMiddleware:
    """What a request changes is logged as its user's, with the address that it came from."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with audit.acting(request):
            return self.get_response(request)


class SellerLocaleMiddleware:
    """The seller's own choice; where there is none, what LocaleMiddleware found, and UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        seller = getattr(request.user, "seller", None)  # loaded with the user
        request.seller = seller
        if seller and seller.language:
            translation.activate(seller.language)
            request.LANGUAGE_CODE = translation.get_language()
        with timezone.override(ZoneInfo(seller.time_zone) if seller else None):
            return self.get_response(request)
