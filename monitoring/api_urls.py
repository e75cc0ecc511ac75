"""The API of monitoring."""

from rest_framework.routers import SimpleRouter

from monitoring.api import AlertViewSet

router = SimpleRouter(use_regex_path=False)
router.register("alerts", AlertViewSet, basename="alert")
urlpatterns = router.urls
