"""The ASGI entry: pages and API by Django, the live channel by Channels."""

import os
from importlib import import_module

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rdmp.settings")
django.setup()

from accounts.websockets import SignedInOnly  # noqa: E402 - needs the app registry
from bastion.routing import node_patterns, people_patterns  # noqa: E402 - needs the app registry
from notify.routing import websocket_urlpatterns  # noqa: E402 - needs the app registry
from rdmp.memory import sweep_less  # noqa: E402 - beside the others
from rdmp.safety import refuse_to_serve_insecurely  # noqa: E402 - needs the app registry

refuse_to_serve_insecurely()

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter(
            [*node_patterns, re_path("", SignedInOnly(URLRouter([*websocket_urlpatterns, *people_patterns])))]
        ),
    }
)
import_module(settings.ROOT_URLCONF)  # all of the pages, before the first of them is asked for
sweep_less()
