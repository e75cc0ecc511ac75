"""Addresses of the bastion: `node/` is for node programs, the rest for people."""

from django.urls import path

from bastion import node_views
from bastion.views import around, keys, nodes, sessions, terminal

app_name = "bastion"

urlpatterns = [
    path("sessions/", sessions.index, name="sessions"),
    path("sessions/<int:pk>/", sessions.detail, name="session"),
    *(
        path(f"sessions/<int:pk>/{name}/", sessions.press, {"name": name}, name=f"session-{name}")
        for name in sessions.PRESSES
    ),
    path("terminal/", terminal.index, name="terminal"),
    path("terminal/resources/", terminal.resources, name="terminal-resources"),
    path("terminal/resources/<int:asset_id>/", terminal.opening, name="terminal-opening"),
    path("terminal/shared/<int:share_id>/", terminal.shared, name="terminal-shared"),
    path("for-incident/<int:incident_id>/", around.for_incident, name="for-incident"),
    path("for-change/<int:change_id>/", around.for_change, name="for-change"),
    path("for-asset/<int:asset_id>/", around.for_asset, name="for-asset"),
    path("for-event/<int:event_id>/", around.for_event, name="for-event"),
    path("nodes/", nodes.index, name="nodes"),
    path("nodes/new/", nodes.announce, name="node-announce"),
    path("nodes/<int:pk>/again/", nodes.ask_again, name="node-again"),
    *(path(f"nodes/<int:pk>/{name}/", nodes.press, {"name": name}, name=f"node-{name}") for name in nodes.PRESSES),
    path("keys/", keys.index, name="keys"),
    path("keys/<int:pk>/remove/", keys.remove, name="key-remove"),
    path("node/enrol/", node_views.enrol, name="node-enrol"),
    path("node/standing/", node_views.standing, name="node-standing"),
    path("node/known-key/", node_views.known_key, name="node-known-key"),
    path("node/by-key/", node_views.by_key, name="node-by-key"),
    path("node/by-password/", node_views.by_password, name="node-by-password"),
    path("node/by-ticket/", node_views.by_ticket, name="node-by-ticket"),
    path("node/resources/", node_views.resources, name="node-resources"),
    path("node/access/", node_views.access, name="node-access"),
    path("node/tell/", node_views.tell, name="node-tell"),
    path("node/piece/", node_views.piece, name="node-piece"),
]
