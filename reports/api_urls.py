"""The API of reports."""

from rest_framework.routers import SimpleRouter

from reports.api import ServiceReportViewSet

router = SimpleRouter(use_regex_path=False)
router.register("service-reports", ServiceReportViewSet, basename="service-report")
urlpatterns = router.urls
