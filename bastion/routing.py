"""The WebSockets of the bastion. No browser opens that of nodes: it stands beside the door for signed-in people."""

from django.urls import URLPattern, path

from bastion.consumers import NodeConsumer
from bastion.watch_consumer import WatchConsumer

node_patterns: list[URLPattern] = [path("ws/node/", NodeConsumer.as_asgi())]
people_patterns: list[URLPattern] = [path("ws/bastion/sessions/<int:pk>/watch/", WatchConsumer.as_asgi())]
