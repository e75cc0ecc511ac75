"""Addresses of the bastion: `node/` is for node programs, the rest for people."""

from django.urls import path

from bastion import node_views
from bastion.views import connect, grants, groups, host_keys, keys, nodes, requests, reviews, rules, sessions

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
    path("node/enrol/", node_views.enrol, name="node-enrol"),
    path("node/known-key/", node_views.known_key, name="node-known-key"),
    path("node/by-key/", node_views.by_key, name="node-by-key"),
    path("node/by-password/", node_views.by_password, name="node-by-password"),
    path("node/by-ticket/", node_views.by_ticket, name="node-by-ticket"),
    path("node/resources/", node_views.resources, name="node-resources"),
    path("node/access/", node_views.access, name="node-access"),
    path("node/tell/", node_views.tell, name="node-tell"),
    path("node/piece/", node_views.piece, name="node-piece"),
    path("node/review/", node_views.review, name="node-review"),
    path("connect/", connect.index, name="connect"),
    path("connect/<int:pk>/", connect.detail, name="connect-to"),
    path("connect/<int:pk>/ticket/", connect.ticket, name="ticket"),
    path("connect/<int:pk>/star/", connect.star, name="star"),
    path("groups/", groups.index, name="groups"),
    path("groups/new/", groups.create, name="group-create"),
    path("groups/<int:pk>/", groups.detail, name="group"),
    path("groups/<int:pk>/change/", groups.change, name="group-change"),
    path("groups/<int:pk>/add/", groups.add, name="group-add"),
    path("groups/<int:pk>/remove/", groups.remove, name="group-remove"),
    path("groups/<int:pk>/administrators/", groups.name, name="group-name"),
    path("groups/<int:pk>/dismiss/", groups.dismiss, name="group-dismiss"),
    path("groups/<int:pk>/retire/", groups.retire, name="group-retire"),
    path("grants/", grants.index, name="grants"),
    path("grants/new/", grants.create, name="grant-create"),
    path("grants/<int:pk>/change/", grants.change, name="grant-change"),
    path("grants/<int:pk>/end/", grants.end, name="grant-end"),
    path("reach/resource/<int:pk>/", grants.who_reaches, name="who-reaches"),
    path("reach/person/<int:pk>/", grants.what_reaches, name="what-reaches"),
    path("requests/", requests.index, name="requests"),
    path("requests/<int:pk>/", requests.detail, name="request"),
    path("requests/<int:pk>/decide/", requests.decide, name="request-decide"),
    path("requests/<int:pk>/withdraw/", requests.withdraw, name="request-withdraw"),
    path("connect/<int:pk>/ask/", requests.ask, name="request-ask"),
    path("reviews/", reviews.index, name="reviews"),
    path("reviews/<int:pk>/", reviews.detail, name="review"),
    path("reviews/<int:pk>/answer/", reviews.answer, name="review-answer"),
    path("rules/", rules.index, name="rules"),
    path("rules/new/", rules.create, name="rule-create"),
    path("rules/usual/", rules.take_usual, name="rules-usual"),
    path("rules/<int:pk>/", rules.change, name="rule"),
    *(path(f"rules/<int:pk>/{name}/", rules.press, {"name": name}, name=f"rule-{name}") for name in rules.PRESSES),
    path("host-keys/", host_keys.index, name="host-keys"),
    path("host-keys/<int:pk>/", host_keys.detail, name="host-key"),
    path("host-keys/<int:pk>/decide/", host_keys.decide, name="host-key-decide"),
]
