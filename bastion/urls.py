"""Addresses of the bastion: `node/` is for node programs, the rest for people."""

from django.urls import path

from bastion import node_views
from bastion.views import commands, keys, nodes, recordings, retention, sessions

app_name = "bastion"

urlpatterns = [
    path("sessions/", sessions.index, name="sessions"),
    path("sessions/<int:pk>/", sessions.detail, name="session"),
    *(
        path(f"sessions/<int:pk>/{name}/", sessions.press, {"name": name}, name=f"session-{name}")
        for name in sessions.PRESSES
    ),
    path("sessions/<int:pk>/watch/", recordings.watch, name="session-watch"),
    path("sessions/<int:pk>/recording/", recordings.play, name="recording"),
    path("sessions/<int:pk>/recording/index/", recordings.index, name="recording-index"),
    path("sessions/<int:pk>/recording/<int:number>/", recordings.piece, name="recording-piece"),
    path("sessions/<int:pk>/recording/search/", recordings.search, name="recording-search"),
    path("sessions/<int:pk>/recording/download/", recordings.download, name="recording-download"),
    path("sessions/<int:pk>/recording/evidence/", recordings.evidence, name="recording-evidence"),
    path("online/", sessions.online, name="online"),
    path("commands/", commands.index, name="commands"),
    path("files/", commands.files, name="files"),
    path("retention/", retention.index, name="retention"),
    path("retention/<int:pk>/", retention.edit, name="retention-edit"),
    path("nodes/", nodes.index, name="nodes"),
    path("nodes/new/", nodes.announce, name="node-announce"),
    path("nodes/<int:pk>/again/", nodes.ask_again, name="node-again"),
    *(path(f"nodes/<int:pk>/{name}/", nodes.press, {"name": name}, name=f"node-{name}") for name in nodes.PRESSES),
    path("keys/", keys.index, name="keys"),
    path("keys/<int:pk>/remove/", keys.remove, name="key-remove"),
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
