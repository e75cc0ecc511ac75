"""Nodes: announced, watched, drained, revoked. For the provider's administrators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.permissions import is_admin, person_of, require
from bastion.forms import NodeForm
from bastion.models import BastionSession, Node
from bastion.services import enrolling

PRESSES: Final[Mapping[str, tuple[Callable[[Node, User], object], str | Promise]]] = {
    "drain": (
        lambda node, actor: enrolling.drain(node=node, is_on=True, actor=actor, now=timezone.now()),
        gettext_lazy("It takes no new sessions."),
    ),
    "undrain": (
        lambda node, actor: enrolling.drain(node=node, is_on=False, actor=actor, now=timezone.now()),
        gettext_lazy("It takes sessions again."),
    ),
    "revoke": (
        lambda node, actor: enrolling.revoke(node=node, actor=actor, now=timezone.now()),
        gettext_lazy("Its key opens nothing any more."),
    ),
}


@require_safe
@require(is_admin)
def index(request: HttpRequest) -> HttpResponse:
    nodes = Node.objects.select_related("customer").exclude(state=Node.State.REVOKED)
    now = timezone.now()
    online = BastionSession.objects.online()
    shown = [(node, node.is_silent(now), online.filter(node=node).count()) for node in nodes]
    return render(request, "bastion/nodes.html", {"nodes": shown})


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_admin)
def announce(request: HttpRequest) -> HttpResponse:
    """A node to come; its token is shown once, in this answer alone."""
    form = NodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        node, token = enrolling.announce(**form.cleaned_data, actor=person_of(request), now=timezone.now())
        return _show_token(request, node, token)
    return render(request, "bastion/node_form.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@require(is_admin)
def ask_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Another token for the same node."""
    node, token = enrolling.ask_again(node=_get(pk), actor=person_of(request), now=timezone.now())
    return _show_token(request, node, token)


@require_POST
@require(is_admin)
def press(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    act, done = PRESSES[name]
    act(_get(pk), person_of(request))
    messages.success(request, str(done))
    return redirect("bastion:nodes")


def _get(pk: int) -> Node:
    return get_object_or_404(Node.objects.select_related("customer"), pk=pk)


def _show_token(request: HttpRequest, node: Node, token: str) -> HttpResponse:
    portal = request.build_absolute_uri("/").rstrip("/")
    command = f"RDMP_NODE_TOKEN={token} python3 -m bastion.gateway enrol --portal {portal}"
    messages.success(request, _("%(name)s is announced.") % {"name": node.name})
    response = render(request, "bastion/node_token.html", {"node": node, "token": token, "command": command})
    response["Cache-Control"] = "no-store"
    return response
