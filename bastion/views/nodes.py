"""Nodes: announced, watched, drained, revoked. For the provider's administrators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.permissions import is_admin, person_of, require
from accounts.refusals import in_form
from bastion import node_pages
from bastion.forms import NodeAddressForm, NodeForm
from bastion.installing import bundle
from bastion.models import BastionSession, Node
from bastion.services import connecting, enrolling

MOST_ONLINE: Final = 10
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
    rows = BastionSession.objects.online().order_by().values_list("node").annotate(Count("pk"))
    online = dict(rows)
    offered = bundle.made(settings.BASE_DIR).version
    shown = [(node, node.is_silent(now), online.get(node.pk, 0), node_pages.is_behind(node, offered)) for node in nodes]
    return render(request, "bastion/nodes.html", {"nodes": shown})


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_admin)
def announce(request: HttpRequest) -> HttpResponse:
    """A node to come; its token is shown once, in this answer alone."""
    form = NodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            node, token = enrolling.announce(**form.cleaned_data, actor=person_of(request), now=timezone.now())
            return _show_token(request, node, token)
    return render(request, "bastion/node_form.html", {"form": form}, status=422 if form.errors else 200)


@require_safe
@require(is_admin)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    node, now = _get(pk), timezone.now()
    offered = bundle.made(settings.BASE_DIR).version
    online = BastionSession.objects.online().filter(node=node).joined().order_by("-allowed_at")
    shown = {
        "node": node,
        "is_silent": node.is_silent(now),
        "online": online[:MOST_ONLINE],
        "count": online.count(),
        "errands": node.errands.all(),
        "plots": node_pages.plots(node, now=now),
        "fingerprints": connecting.fingerprints(node),
        "lines": node_pages.lines(node, portal=settings.PUBLIC_URL, offered=offered),
        "offered": offered if node_pages.is_behind(node, offered) else "",
    }
    return render(request, "bastion/node.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_admin)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    node = _get(pk)
    given = {"name": node.name, "ssh_host": node.ssh_host, "ssh_port": node.public_port}
    form = NodeAddressForm(request.POST if request.method == "POST" else None, initial=given)
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            enrolling.describe(node=node, **form.cleaned_data, actor=person_of(request), now=timezone.now())
            messages.success(request, _("Saved."))
            return redirect("bastion:node", pk)
    shown = {"form": form, "node": node}
    return render(request, "bastion/node_edit.html", shown, status=422 if form.errors else 200)


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
    node = _get(pk)
    act(node, person_of(request))
    messages.success(request, str(done))
    return redirect("bastion:nodes") if name == "revoke" else redirect("bastion:node", pk)


def _get(pk: int) -> Node:
    return get_object_or_404(Node.objects.select_related("customer"), pk=pk)


def _show_token(request: HttpRequest, node: Node, token: str) -> HttpResponse:
    messages.success(request, _("%(name)s is announced.") % {"name": node.name})
    shown = {"node": node, "token": token, "lines": node_pages.install_lines(settings.PUBLIC_URL)}
    response = render(request, "bastion/node_token.html", shown)
    response["Cache-Control"] = "no-store"
    return response
