"""The API of incidents."""

from rest_framework.routers import SimpleRouter

from incidents.api import IncidentViewSet
from incidents.follow_up_api import FollowUpViewSet
from incidents.knowledge_api import ArticleViewSet

router = SimpleRouter(use_regex_path=False)
router.register("incidents", IncidentViewSet, basename="incident")
router.register("follow-ups", FollowUpViewSet, basename="follow-up")
router.register("articles", ArticleViewSet, basename="article")
urlpatterns = router.urls
