"""The API of assets."""

from rest_framework.routers import SimpleRouter

from assets.api import AssetViewSet
from assets.credentials_api import CredentialViewSet

router = SimpleRouter(use_regex_path=False)
router.register("assets", AssetViewSet, basename="asset")
router.register("credentials", CredentialViewSet, basename="credential")
urlpatterns = router.urls
