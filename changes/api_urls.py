"""The API of changes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from changes.api import CatalogueView, ChangeViewSet
from changes.delegation_api import DelegationViewSet
from changes.duty_api import DutyOccurrenceViewSet, RecurringDutyViewSet
from changes.idea_api import AutomationIdeaViewSet
from changes.restore_api import TemporaryInstanceViewSet
from changes.run_api import OperationRunViewSet
from changes.script_api import ScriptRunViewSet, ScriptViewSet
from changes.standard_api import StandardChangeViewSet
from changes.target_api import CatalogueRequestView, RequestTargetViewSet
from changes.trail_api import ReconciliationView, TrailEventViewSet
from changes.window_api import ChangeWindowViewSet

router = SimpleRouter(use_regex_path=False)
router.register("changes", ChangeViewSet, basename="change")
router.register("standard-changes", StandardChangeViewSet, basename="standard-change")
router.register("change-windows", ChangeWindowViewSet, basename="change-window")
router.register("delegations", DelegationViewSet, basename="delegation")
router.register("operation-runs", OperationRunViewSet, basename="operation-run")
router.register("scripts", ScriptViewSet, basename="script")
router.register("script-runs", ScriptRunViewSet, basename="script-run")
router.register("temporary-instances", TemporaryInstanceViewSet, basename="temporary-instance")
router.register("recurring-duties", RecurringDutyViewSet, basename="recurring-duty")
router.register("duties", DutyOccurrenceViewSet, basename="duty")
router.register("request-targets", RequestTargetViewSet, basename="request-target")
router.register("automation-ideas", AutomationIdeaViewSet, basename="automation-idea")
router.register("trail-events", TrailEventViewSet, basename="trail-event")
urlpatterns = [
    path("catalogue/", CatalogueView.as_view(), name="catalogue"),
    path("catalogue/<slug:code>/requests/", CatalogueRequestView.as_view(), name="catalogue-request"),
    path("trail-reconciliation/", ReconciliationView.as_view(), name="trail-reconciliation"),
    *router.urls,
]
