"""SSH keys: one's own, and those of the people whose access one keeps."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.permissions import can_manage_contacts, can_write, person_of, require
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
    _remove(request, person_of(request), pk)
    return redirect("bastion:keys")


@require_safe
@require(can_manage_contacts)
def of_person(request: HttpRequest, person_id: int) -> HttpResponse:
    """404 for whose access one does not keep."""
    subject = _subject(request, person_id)
    return render(request, "bastion/person_keys.html", {"subject": subject, "keys": ssh_keys.of(subject)})


@require_POST
@require(can_manage_contacts)
def remove_of_person(request: HttpRequest, person_id: int, pk: int) -> HttpResponse:
    subject = _subject(request, person_id)
    _remove(request, subject, pk)
    return redirect("bastion:person-keys", subject.pk)


def _subject(request: HttpRequest, person_id: int) -> User:
    subject: User = get_object_or_404(User.objects.select_related("customer"), pk=person_id)
    if not ssh_keys.may_remove(person_of(request), subject):
        raise Http404
    return subject


def _remove(request: HttpRequest, person: User, pk: int) -> None:
    key = next((one for one in ssh_keys.of(person) if one.pk == pk), None)
    if key is None:
        raise Http404
    ssh_keys.remove(key=key, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The key is removed."))
