from django.urls import path

from . import views

app_name = "docs_tab"
urlpatterns = [
    path("", views.index, name="index"),
    path("openapi.json", views.openapi_json, name="openapi"),
    path("receivers/<str:name>", views.receiver, name="receiver"),
    path("<str:version>/signature/", views.signature, name="signature"),
    path("<str:version>/success/", views.success, name="success"),
    path("<str:version>/addresses/", views.addresses, name="addresses"),
    path("<str:version>/<str:event_type>/", views.event, name="event"),
    path("<str:version>/<str:event_type>/schema-<str:audience>.json", views.schema_json, name="schema"),
    path("<str:version>/<str:event_type>/sample-<str:audience>", views.sample, name="sample"),
]
