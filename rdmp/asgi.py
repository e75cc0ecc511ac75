"""The ASGI entry: pages and API by Django, the live channel by Channels."""

import os
from importlib import import_module

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rdmp.settings")
django.setup()

from accounts.websockets import SignedInOnly  # noqa: E402 - needs the app registry
from bastion.routing import node_patterns, people_patterns  # noqa: E402 - needs the app registry
from notify.routing import websocket_urlpatterns  # noqa: E402 - needs the app registry
from rdmp.memory import sweep_less  # noqa: E402 - beside the others
from rdmp.safety import refuse_to_serve_insecurely  # noqa: E402 - needs the app registry
from rdmp.serving import Handler  # noqa: E402 - beside the others

refuse_to_serve_insecurely()

people = [*websocket_urlpatterns, *people_patterns]
application = ProtocolTypeRouter(
    {
        "http": Handler(),
        "websocket": URLRouter([*node_patterns, re_path("", SignedInOnly(URLRouter(people)))]),
    }
)
import_module(settings.ROOT_URLCONF)  # all of the pages, before the first of them is asked for
sweep_less()
