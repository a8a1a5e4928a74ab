from django.urls import path

from . import bulk_views, export_views, sale_views, testing_views, views

app_name = "deliveries"
urlpatterns = [
    path("configurations/<int:pk>/enable/", views.enable, name="enable"),
    path("configurations/<int:pk>/test/", testing_views.test, name="test"),
    path("tests/", testing_views.tests, name="tests"),
    path("tests/<int:pk>/", testing_views.result, name="test_result"),
    path("tests/<int:pk>/part/", testing_views.part, name="test_part"),
    path("configurations/<int:pk>/send-earlier/", sale_views.send_earlier, name="backfill"),
    path("history/", views.history_page, name="history"),
    path("history/live/", views.live, name="live"),
    path("history/reprocess/", bulk_views.reprocess_all, name="reprocess_all"),
    path("history/bulk/", bulk_views.bulks, name="bulks"),
    path("history/bulk/<int:pk>/", bulk_views.one_bulk, name="bulk"),
    path("history/bulk/<int:pk>/part/", bulk_views.part, name="bulk_part"),
    path("history/export/", export_views.history_csv, name="export"),
    path("history/codes/", views.codes, name="codes"),
    path("history/codes/<slug:slug>/", views.code, name="code"),
    path("history/sale/", sale_views.find, name="find_sale"),
    path("history/sale/<path:code>/", sale_views.sale, name="timeline"),
    path("history/<int:pk>/", views.detail, name="detail"),
    path("history/<int:pk>/panel/", views.panel, name="panel"),
    path("history/<int:pk>/curl/", views.curl, name="curl"),
    path("history/<int:pk>/reprocess/", views.reprocess, name="reprocess"),
]
