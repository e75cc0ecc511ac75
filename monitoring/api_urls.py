"""The API of monitoring."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from monitoring.api import AlertViewSet, SilenceViewSet
from monitoring.api_write import WriteView

router = SimpleRouter(use_regex_path=False)
router.register("alerts", AlertViewSet, basename="alert")
router.register("silences", SilenceViewSet, basename="silence")
urlpatterns = [path("write", WriteView.as_view(), name="remote-write"), *router.urls]
