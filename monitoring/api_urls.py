"""The API of monitoring."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from monitoring.api import AlertViewSet, SilenceViewSet
from monitoring.api_samples import SamplesView
from monitoring.api_write import WriteView
from monitoring.rules_api import GroupViewSet, OverrideViewSet, RuleViewSet

router = SimpleRouter(use_regex_path=False)
router.register("alerts", AlertViewSet, basename="alert")
router.register("silences", SilenceViewSet, basename="silence")
router.register("rules", RuleViewSet, basename="rule")
router.register("rule-overrides", OverrideViewSet, basename="rule-override")
router.register("asset-groups", GroupViewSet, basename="asset-group")
urlpatterns = [
    path("write", WriteView.as_view(), name="remote-write"),
    path("samples/", SamplesView.as_view(), name="samples"),
    *router.urls,
]
