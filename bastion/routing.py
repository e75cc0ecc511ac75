"""The WebSocket of nodes: no browser ever opens it, so it stands beside the door for signed-in people."""

from django.urls import URLPattern, path

from bastion.consumers import NodeConsumer

node_patterns: list[URLPattern] = [path("ws/node/", NodeConsumer.as_asgi())]
