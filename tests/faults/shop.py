"""The site and one address more, where the platform sells: `POST /sell/` writes an approved sale."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from sales.models import Product
from tests import factories
from webhookhub import urls

handler500 = urls.handler500


@csrf_exempt
@require_POST
def sell(request: HttpRequest) -> HttpResponse:
    """Once this answers 201 the sale is committed. Fields: `code` of the sale, `product` by its id."""
    product = Product.objects.get(pk=request.POST["product"])
    factories.sale(product, code=request.POST["code"]).save()
    return HttpResponse(status=201)


urlpatterns = [path("sell/", sell), *urls.urlpatterns]
