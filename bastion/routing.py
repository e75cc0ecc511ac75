"""WebSockets: of nodes, which no browser ever opens, beside the door for signed-in people; and of web terminals."""

from django.urls import URLPattern, path

from bastion.consumers import NodeConsumer
from bastion.terminal_consumer import TerminalConsumer

node_patterns: list[URLPattern] = [path("ws/node/", NodeConsumer.as_asgi())]
people_patterns: list[URLPattern] = [path("ws/terminal/", TerminalConsumer.as_asgi())]
