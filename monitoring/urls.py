"""Pages of monitoring."""

from django.urls import path

from monitoring.views import alerts, graphs, rules, targets

app_name = "monitoring"
urlpatterns = [
    path("alerts/", alerts.index, name="alerts"),
    path("alerts/<int:pk>/", alerts.detail, name="alert"),
    path("for-incident/<int:incident_id>/", alerts.for_incident, name="for-incident"),
    path("search/", alerts.search, name="search"),
    path("rules/", rules.index, name="rules"),
    path("rules/<slug:rule_id>/", rules.detail, name="rule"),
    path("overrides/<int:pk>/restore/", rules.restore, name="override-restore"),
    path("for-asset/<int:asset_id>/", graphs.for_asset, name="for-asset"),
    path("graphs/<int:asset_id>/<str:panel_id>.json", graphs.data, name="graph-data"),
    path("graphs/<int:asset_id>/<str:panel_id>.csv", graphs.export, name="graph-export"),
    path("targets/", targets.index, name="targets"),
    path("targets/new/<int:asset_id>/<slug:kind>/", targets.create, name="target-create"),
    path("targets/suggested/<int:asset_id>/", targets.suggest, name="target-suggest"),
    path("targets/of-account/<int:account_id>/", targets.suggest_for_account, name="target-of-account"),
    path("targets/<int:pk>/", targets.detail, name="target"),
    path("targets/<int:pk>/edit/", targets.edit, name="target-edit"),
    path("targets/<int:pk>/test/", targets.try_now, name="target-test"),
    path("targets/<int:pk>/enable/", targets.switch, {"enabled": True}, name="target-enable"),
    path("targets/<int:pk>/disable/", targets.switch, {"enabled": False}, name="target-disable"),
    path("targets/<int:pk>/internal/", targets.internal, name="target-internal"),
    path("targets/<int:pk>/remove/", targets.remove, name="target-remove"),
]
