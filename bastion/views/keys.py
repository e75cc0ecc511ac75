"""One's own SSH keys."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import can_write, person_of, require
from accounts.refusals import in_form
from bastion.forms import KeyForm
from bastion.services import ssh_keys


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_write)
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    form = KeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            ssh_keys.add(person=person, now=timezone.now(), **form.cleaned_data)
            messages.success(request, _("The key is added."))
            return redirect("bastion:keys")
    context = {"keys": ssh_keys.of(person), "form": form}
    return render(request, "bastion/keys.html", context, status=422 if form.errors else 200)


@require_POST
@require(can_write)
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """404 for somebody else's."""
    person = person_of(request)
    key = next((one for one in ssh_keys.of(person) if one.pk == pk), None)
    if key is None:
        raise Http404
    ssh_keys.remove(key=key, actor=person, now=timezone.now())
    messages.success(request, _("The key is removed."))
    return redirect("bastion:keys")
