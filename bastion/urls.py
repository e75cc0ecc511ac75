"""Addresses of the bastion: `node/` is for node programs, the rest for people."""

from django.urls import path

from bastion import node_views
from bastion.views import hardening, hardening_presses, keys, nodes, sessions

app_name = "bastion"

urlpatterns = [
    path("sessions/", sessions.index, name="sessions"),
    path("sessions/<int:pk>/", sessions.detail, name="session"),
    *(
        path(f"sessions/<int:pk>/{name}/", sessions.press, {"name": name}, name=f"session-{name}")
        for name in sessions.PRESSES
    ),
    path("nodes/", nodes.index, name="nodes"),
    path("nodes/new/", nodes.announce, name="node-announce"),
    path("nodes/<int:pk>/again/", nodes.ask_again, name="node-again"),
    *(path(f"nodes/<int:pk>/{name}/", nodes.press, {"name": name}, name=f"node-{name}") for name in nodes.PRESSES),
    path("keys/", keys.index, name="keys"),
    path("keys/<int:pk>/remove/", keys.remove, name="key-remove"),
    path("hardening/", hardening.index, name="hardening"),
    path("hardening/check/", hardening.begin, name="hardening-begin"),
    path("hardening/runs/", hardening.run_list, name="hardening-runs"),
    path("hardening/runs/<int:pk>/", hardening.run, name="hardening-run"),
    path("hardening/runs/<int:pk>/cancel/", hardening.cancel, name="hardening-cancel"),
    path("hardening/servers/<int:asset_id>/", hardening.server, name="hardening-server"),
    path("hardening/servers/<int:asset_id>/trend.json", hardening.trend, name="hardening-trend"),
    path("hardening/servers/<int:asset_id>/ports/", hardening_presses.ports, name="hardening-ports"),
    path("hardening/servers/<int:asset_id>/<slug:item>/", hardening.history, name="hardening-item"),
    path(
        "hardening/servers/<int:asset_id>/<slug:item>/except/", hardening_presses.except_item, name="hardening-except"
    ),
    path("hardening/servers/<int:asset_id>/<slug:item>/right/", hardening_presses.make_right, name="hardening-right"),
    path("hardening/for-asset/<int:asset_id>/", hardening.for_asset, name="hardening-for-asset"),
    path("hardening/standard/<int:customer_id>/", hardening_presses.standard, name="hardening-standard"),
    path("hardening/exceptions/", hardening_presses.exception_list, name="hardening-exceptions"),
    path("hardening/exceptions/<int:pk>/", hardening_presses.exception_detail, name="hardening-exception"),
    path("hardening/exceptions/<int:pk>/end/", hardening_presses.end_exception, name="hardening-exception-end"),
    path("hardening/logins/", hardening_presses.login_list, name="direct-logins"),
    path("hardening/logins/<int:pk>/explain/", hardening_presses.explain, name="direct-login-explain"),
    path("node/enrol/", node_views.enrol, name="node-enrol"),
    path("node/known-key/", node_views.known_key, name="node-known-key"),
    path("node/by-key/", node_views.by_key, name="node-by-key"),
    path("node/by-password/", node_views.by_password, name="node-by-password"),
    path("node/by-ticket/", node_views.by_ticket, name="node-by-ticket"),
    path("node/resources/", node_views.resources, name="node-resources"),
    path("node/access/", node_views.access, name="node-access"),
    path("node/tell/", node_views.tell, name="node-tell"),
    path("node/piece/", node_views.piece, name="node-piece"),
]
