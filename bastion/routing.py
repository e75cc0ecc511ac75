"""WebSockets: of nodes, which no browser ever opens, beside the door for people; of terminals and of who looks on."""

from django.urls import URLPattern, path

from bastion.consumers import NodeConsumer
from bastion.terminal_consumer import TerminalConsumer
from bastion.watch_consumer import WatchConsumer

node_patterns: list[URLPattern] = [path("ws/node/", NodeConsumer.as_asgi())]
people_patterns: list[URLPattern] = [
    path("ws/terminal/", TerminalConsumer.as_asgi()),
    path("ws/bastion/sessions/<int:pk>/watch/", WatchConsumer.as_asgi()),
]
