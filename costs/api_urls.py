"""The API of cost."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from costs.api import AnomalyViewSet, BillLineViewSet, CostSummaryView, ProposalViewSet, StatementViewSet

router = SimpleRouter(use_regex_path=False)
router.register("bill-lines", BillLineViewSet, basename="bill-line")
router.register("cost-statements", StatementViewSet, basename="cost-statement")
router.register("cost-anomalies", AnomalyViewSet, basename="cost-anomaly")
router.register("saving-proposals", ProposalViewSet, basename="saving-proposal")
urlpatterns = [
    path("customers/<int:customer_id>/cost/", CostSummaryView.as_view(), name="customer-cost"),
    *router.urls,
]
