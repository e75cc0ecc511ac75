"""Pages of changes."""

from django.urls import path

from changes.views import approvals, automation, backups, catalogue, pages, presses, standard, trail, windows

app_name = "changes"
urlpatterns = [
    path("", pages.index, name="list"),
    path("catalogue/", catalogue.index, name="catalogue"),
    path("catalogue/<slug:code>/", catalogue.ask, name="ask"),
    path("new/", pages.create, name="create"),
    path("approvals/", approvals.inbox, name="approvals"),
    path("approvals/delegate/", approvals.delegate, name="delegate"),
    path("approvals/delegate/<int:pk>/end/", approvals.end_delegation, name="delegation-end"),
    path("decide/<str:token>/", approvals.decide_by_link, name="decide-by-link"),
    path("calendar/", windows.calendar, name="calendar"),
    path("calendar/<str:token>.ics", windows.feed, name="feed"),
    path("automation/", automation.console, name="automation"),
    path("backups/", backups.index, name="backups"),
    path("backups/<int:asset_id>/", backups.record, name="backup-record"),
    path("backups/<int:asset_id>/compare/", backups.compare, name="backup-compare"),
    path("windows/", windows.index, name="windows"),
    path("windows/new/", windows.create, name="window-create"),
    path("windows/<int:pk>/end/", windows.end, name="window-end"),
    path("standard/", standard.index, name="standard"),
    path("standard/new/", standard.create, name="standard-create"),
    path("standard/<int:pk>/", standard.detail, name="standard-one"),
    path("standard/<int:pk>/use/", standard.use, name="standard-use"),
    path("standard/<int:pk>/approve/", standard.approve, name="standard-approve"),
    path("standard/<int:pk>/retire/", standard.retire, name="standard-retire"),
    path("trail/", trail.index, name="trail"),
    path("trail/month/", trail.month, name="trail-month"),
    path("trail/people/", trail.actors, name="trail-actors"),
    path("trail/people/<int:pk>/forget/", trail.forget, name="trail-forget"),
    path("trail/for-asset/<int:asset_id>/", trail.for_asset, name="trail-for-asset"),
    path("trail/<int:pk>/", trail.detail, name="trail-event"),
    *(path(f"trail/<int:pk>/{name}/", trail.press, {"name": name}, name=f"trail-{name}") for name in trail.PRESSES),
    path("for-asset/<int:asset_id>/", pages.for_asset, name="for-asset"),
    path("for-request/<int:incident_id>/", pages.for_request, name="for-request"),
    path("for-incident/<int:incident_id>/", pages.for_incident, name="for-incident"),
    path("<int:pk>/", pages.detail, name="detail"),
    path("<int:pk>/edit/", pages.edit, name="edit"),
    path("<int:pk>/decide/", approvals.decide, name="decide"),
    path("<int:pk>/runs/", automation.of_change, name="runs"),
    path("<int:pk>/runs/plan/", automation.plan, name="runs-plan"),
    path("<int:pk>/runs/<int:run_id>/<slug:name>/", automation.press, name="run-press"),
    path("<int:pk>/check/<slug:code>/", presses.check, name="check"),
    path("<int:pk>/files/<int:file_id>/", pages.download, name="file"),
    *(
        path(f"<int:pk>/{name.replace('_', '-')}/", presses.press, {"name": name}, name=name.replace("_", "-"))
        for name in presses.PRESSES
    ),
]
