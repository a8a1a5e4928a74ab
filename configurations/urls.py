from django.urls import path

from . import key_views, views

app_name = "configurations"
urlpatterns = [
    path("", views.list_all, name="list"),
    path("add/", views.add, name="add"),
    path("check-url/", views.check_url, name="check_url"),
    path("token/", key_views.token, name="token"),
    path("token/rotate/", key_views.rotate_token, name="rotate_token"),
    path("token/keep/", key_views.keep_token, name="keep_token"),
    path("<int:pk>/", views.edit, name="edit"),
    path("<int:pk>/changes/", views.changes, name="changes"),
    path("<int:pk>/disable/", views.disable, name="disable"),
    path("<int:pk>/remove/", views.remove, name="remove"),
    path("<int:pk>/added/", key_views.added, name="added"),
    path("<int:pk>/secret/", key_views.secret, name="secret"),
    path("<int:pk>/secret/rotate/", key_views.rotate_secret, name="rotate_secret"),
]
