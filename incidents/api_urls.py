"""The API of incidents."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from incidents.api import IncidentViewSet
from incidents.api_desk import ServiceDeskView
from incidents.api_records import CauseViewSet, FaultViewSet, ThirdPartyViewSet, ViolationViewSet
from incidents.api_requests import AttestationViewSet, RequestViewSet
from incidents.api_sla import ResultView, StandingsView
from incidents.follow_up_api import FollowUpViewSet
from incidents.knowledge_api import ArticleViewSet

router = SimpleRouter(use_regex_path=False)
router.register("incidents", IncidentViewSet, basename="incident")
router.register("requests", RequestViewSet, basename="request")
router.register("attestations", AttestationViewSet, basename="attestation")
router.register("violations", ViolationViewSet, basename="violation")
router.register("faults", FaultViewSet, basename="fault")
router.register("causes", CauseViewSet, basename="cause")
router.register("third-party-times", ThirdPartyViewSet, basename="third-party-time")
router.register("follow-ups", FollowUpViewSet, basename="follow-up")
router.register("articles", ArticleViewSet, basename="article")
urlpatterns = [
    path("service-desk/", ServiceDeskView.as_view(), name="service-desk"),
    path("sla/", StandingsView.as_view(), name="sla"),
    path("sla/<int:customer_id>/", ResultView.as_view(), name="sla-customer"),
    *router.urls,
]
