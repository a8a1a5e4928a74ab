from django.urls import path

from . import sending_view, views

app_name = "staff"
urlpatterns = [
    path("search/", views.search_page, name="search"),
    path("timeline/<path:code>/", views.timeline_page, name="timeline"),
    path("sending/", sending_view.sending_page, name="sending"),
    path("hosts/", views.host_list, name="hosts"),
    path("hosts/<str:host>/", views.host_page, name="host"),
    path("hosts/<str:host>/hold/", views.hold, name="hold"),
    path("hosts/<str:host>/release/", views.release, name="release"),
]
