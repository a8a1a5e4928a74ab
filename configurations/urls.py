from django.urls import path

from . import views

app_name = "configurations"
urlpatterns = [
    path("", views.list_all, name="list"),
    path("add/", views.add, name="add"),
    path("check-url/", views.check_url, name="check_url"),
    path("<int:pk>/", views.edit, name="edit"),
    path("<int:pk>/disable/", views.disable, name="disable"),
    path("<int:pk>/remove/", views.remove, name="remove"),
]
