"""The API of monitoring."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from monitoring.api import AlertViewSet, SilenceViewSet
from monitoring.api_rule_settings import MacroViewSet, ProcessViewSet, ScheduleViewSet
from monitoring.api_samples import SamplesView
from monitoring.api_templates import TemplateTaskViewSet, TemplateViewSet
from monitoring.api_write import WriteView
from monitoring.rules_api import GroupViewSet, OverrideViewSet, RuleViewSet

router = SimpleRouter(use_regex_path=False)
router.register("alerts", AlertViewSet, basename="alert")
router.register("silences", SilenceViewSet, basename="silence")
router.register("rules", RuleViewSet, basename="rule")
router.register("rule-overrides", OverrideViewSet, basename="rule-override")
router.register("asset-groups", GroupViewSet, basename="asset-group")
router.register("rule-macros", MacroViewSet, basename="rule-macro")
router.register("rule-schedules", ScheduleViewSet, basename="rule-schedule")
router.register("expected-processes", ProcessViewSet, basename="expected-process")
router.register("monitoring-templates", TemplateViewSet, basename="monitoring-template")
router.register("monitoring-template-tasks", TemplateTaskViewSet, basename="monitoring-template-task")
urlpatterns = [
    path("write", WriteView.as_view(), name="remote-write"),
    path("samples/", SamplesView.as_view(), name="samples"),
    *router.urls,
]
