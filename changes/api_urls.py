"""The API of changes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from changes.api import CatalogueView, ChangeViewSet

router = SimpleRouter(use_regex_path=False)
router.register("changes", ChangeViewSet, basename="change")
urlpatterns = [path("catalogue/", CatalogueView.as_view(), name="catalogue"), *router.urls]
