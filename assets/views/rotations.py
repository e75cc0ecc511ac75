"""Trying and replacing secrets, and confirming the host key that SSH goes by."""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import secrets
from accounts.errors import DomainError
from accounts.permissions import person_of
from assets import keypairs
from assets.models import Asset, Credential, SshAccess
from assets.permissions import can_manage_credentials
from assets.services import checking, reaching, rotating
from assets.views.credentials import find, find_to_manage


class DoorForm(forms.Form):
    host = forms.CharField(label=gettext_lazy("Host"), max_length=253)
    port = forms.IntegerField(label=gettext_lazy("Port"), min_value=1, max_value=65535)
    behind_node = forms.BooleanField(
        label=gettext_lazy("It can be reached through a node in the customer's network only"), required=False
    )


class LegacyForm(forms.Form):
    legacy_algorithms = forms.BooleanField(
        label=gettext_lazy("The bastion may speak old algorithms with it"),
        required=False,
        help_text=gettext_lazy(
            "SHA-1 key exchange, ssh-rsa host keys and CBC ciphers are broken or weak: whoever stands between node and "
            "server may read or change what passes. Only for a server that cannot be brought up to date."
        ),
    )


@require_POST
def check(request: HttpRequest, pk: int) -> HttpResponse:
    checking.check(credential=find_to_manage(request, pk), actor=person_of(request), now=timezone.now())
    return redirect("assets:credential", pk)


@require_POST
def rotate(request: HttpRequest, pk: int) -> HttpResponse:
    rotating.start(credential=find_to_manage(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Asked for. The page follows how far it comes."))
    return redirect("assets:credential", pk)


@require_POST
def settle(request: HttpRequest, pk: int) -> HttpResponse:
    credential, is_new = find_to_manage(request, pk), request.POST.get("keep") == "new"
    rotating.settle(credential=credential, keep_new=is_new, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Settled: one secret is left."))
    return redirect("assets:credential", pk)


@require_safe
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment that follows a rotation while it runs."""
    credential = find(request, pk)
    return render(request, "assets/_rotations.html", rotations_of(request, credential))


def rotations_of(request: HttpRequest, credential: Credential) -> dict[str, object]:
    rows = list(credential.rotations.select_related("actor")[:5])
    return {
        "credential": credential,
        "rotations": rows,
        "is_running": bool(rows) and rows[0].state == rows[0].State.RUNNING,
        "has_two": secrets.is_set(credential, Credential.PENDING) and not (rows and rows[0].is_open),
        "may_settle": can_manage_credentials(person_of(request)),
    }


@require_http_methods(["GET", "HEAD", "POST"])
def ssh_access(request: HttpRequest, pk: int) -> HttpResponse:
    """Read the host key, compare it with what the server's console says, confirm it."""
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=pk)
    person, now = person_of(request), timezone.now()
    if not can_manage_credentials(person):
        raise PermissionDenied
    access = SshAccess.objects.filter(asset=asset).select_related("pinned_by").first()
    host = access.host if access else asset.host or asset.private_ip or asset.public_ip or ""
    behind_node = access is not None and access.through == SshAccess.Through.NODE
    first = {"host": host, "port": access.port if access else 22, "behind_node": behind_node}
    form = DoorForm(request.POST or None, initial=first)
    context: dict[str, object] = {"asset": asset, "access": access, "form": form}
    if access is not None:
        context["legacy_form"] = LegacyForm(initial={"legacy_algorithms": access.legacy_algorithms})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        behind_node = given.pop("behind_node")
        context["behind_node"] = behind_node
        through = SshAccess.Through.NODE if behind_node else SshAccess.Through.DIRECT
        try:
            if behind_node and request.POST.get("keep"):
                reaching.put_behind_node(asset=asset, **given, actor=person, now=now)
                messages.success(request, _("Kept: it is reached through a node only."))
                return redirect("assets:detail", pk)
            if seen := request.POST.get("host_key", ""):
                reaching.pin(asset=asset, host_key=seen, **given, actor=person, now=now, through=through)
                messages.success(request, _("Confirmed: no other host key is accepted."))
                return redirect("assets:detail", pk)
            context["seen"] = reaching.look(**given, actor=person, behind=asset if behind_node else None)
            context["seen_fingerprint"] = keypairs.fingerprint(str(context["seen"]))
        except DomainError as problem:
            form.add_error(None, problem.message)
            context["can_keep"] = behind_node
    return render(request, "assets/ssh_access.html", context)


@require_POST
def legacy_algorithms(request: HttpRequest, pk: int) -> HttpResponse:
    access = get_object_or_404(SshAccess.objects.select_related("asset__customer"), asset=pk)
    form = LegacyForm(request.POST)
    is_allowed = form.is_valid() and form.cleaned_data["legacy_algorithms"]
    reaching.speak_legacy_algorithms(access=access, is_allowed=is_allowed, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Saved. It holds for sessions that begin from now on."))
    return redirect("assets:ssh_access", pk)
