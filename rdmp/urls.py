"""The address book: each app brings its own pages and its own part of the API."""

from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView

from rdmp import health, metrics, views, webapp

api = [
    path("", include("assets.api_urls")),
    path("", include("monitoring.api_urls")),
    path("", include("incidents.api_urls")),
    path("", include("changes.api_urls")),
    path("", include("costs.api_urls")),
    path("", include("bastion.api_urls")),
    path("", include("reports.api_urls")),
]

urlpatterns = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("healthz", health.healthz, name="healthz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("manifest.webmanifest", webapp.manifest, name="manifest"),
    path("service-worker.js", webapp.service_worker, name="service-worker"),
    path("offline/", webapp.offline, name="offline"),
    # Addresses are given by invitation: nobody puts one on their account that they have not proven to be theirs.
    path("accounts/email/", RedirectView.as_view(pattern_name="accounts:profile")),
    path("accounts/", include("allauth.urls")),
    path("", include("accounts.urls")),
    path("", include("incidents.urls")),
    path("assets/", include("assets.urls")),
    path("changes/", include("changes.urls")),
    path("monitoring/", include("monitoring.urls")),
    path("bastion/", include("bastion.urls")),
    path("costs/", include("costs.urls")),
    path("notify/", include("notify.urls")),
    path("reports/", include("reports.urls")),
    path("api/v1/", include(api)),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("i18n/setlang/", login_not_required(set_language), name="set_language"),
]
