"""The API of the bastion."""

from rest_framework.routers import SimpleRouter

from bastion.api import (
    AccessRequestViewSet,
    CommandViewSet,
    GrantViewSet,
    HardeningResultViewSet,
    HardeningRunViewSet,
    NodeViewSet,
    SessionViewSet,
)

router = SimpleRouter(use_regex_path=False)
router.register("bastion/sessions", SessionViewSet, basename="bastion-session")
router.register("bastion/commands", CommandViewSet, basename="bastion-command")
router.register("bastion/grants", GrantViewSet, basename="bastion-grant")
router.register("bastion/requests", AccessRequestViewSet, basename="bastion-request")
router.register("bastion/nodes", NodeViewSet, basename="bastion-node")
router.register("hardening/runs", HardeningRunViewSet, basename="hardening-run")
router.register("hardening/results", HardeningResultViewSet, basename="hardening-result")
urlpatterns = router.urls
