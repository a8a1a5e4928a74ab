from django.urls import path

from . import sending_views, views
from .models import Kind

SENT, PENDING = {"kind": str(Kind.SENT)}, {"kind": str(Kind.PENDING)}

app_name = "legacy_posts"
urlpatterns = [
    path("sent/", views.posts, SENT, name="sent"),
    path("sent/export/", views.export, SENT, name="sent_export"),
    path("sent/<int:pk>/", views.post, SENT, name="sent_post"),
    path("sent/<int:pk>/panel/", views.panel, SENT, name="sent_panel"),
    path("pending/", views.posts, PENDING, name="pending"),
    path("pending/export/", views.export, PENDING, name="pending_export"),
    path("pending/send/", sending_views.send_all, PENDING, name="send_all"),
    path("pending/<int:pk>/", views.post, PENDING, name="pending_post"),
    path("pending/<int:pk>/panel/", views.panel, PENDING, name="pending_panel"),
    path("pending/<int:pk>/send/", sending_views.send, PENDING, name="send"),
    path("all/", views.everything, name="all"),
]
