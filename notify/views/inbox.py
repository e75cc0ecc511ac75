"""A person's own messages: the bell, the list, and what comes by mail as well."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.models import Severity
from accounts.permissions import person_of
from notify.forms import PreferenceForm
from notify.models import CHOSEN_TOPICS, Delivery
from notify.services import inbox as service


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    rows = Delivery.objects.inbox_of(person).select_related("customer")
    unread = tables.Choice(_("Read or not"), (("1", _("unread")), ("0", _("read"))), _is_unread)
    page = tables.page(
        request,
        rows,
        sort={"at": "created_at"},
        default="-at",
        search=["subject", "text"],
        filters={
            "unread": unread,
            "severity": tables.Choice(_("Severity"), Severity.choices, "severity"),
            "topic": tables.Choice(_("Topic"), [(topic.value, topic.label) for topic in CHOSEN_TOPICS], "topic"),
        },
    )
    template = "notify/_inbox.html" if getattr(request, "htmx", False) else "notify/inbox.html"
    return render(request, template, {"page": page, "unread": rows.unread().count()})


def _is_unread(value: str) -> Q:
    return Q(read_at__isnull=value == "1")


@require_safe
def badge(request: HttpRequest) -> HttpResponse:
    """The number on the bell."""
    unread = Delivery.objects.inbox_of(person_of(request)).unread()[:100].count()
    return render(request, "notify/_badge.html", {"unread": unread})


@require_POST
def open_message(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark as read and go where the message points."""
    person = person_of(request)
    message = get_object_or_404(Delivery.objects.inbox_of(person), pk=pk)
    service.mark_read(person=person, now=timezone.now(), message_ids=[message.pk])
    inside = url_has_allowed_host_and_scheme(message.url, allowed_hosts=None)
    return redirect(message.url if message.url and inside else reverse("notify:inbox"))


@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    service.mark_read(person=person_of(request), now=timezone.now())
    return redirect("notify:inbox")


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    stored = service.preference_of(person)
    initial = {name: getattr(stored, name) for name in PreferenceForm.base_fields}
    form = PreferenceForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        service.set_preference(person=person, **form.cleaned_data)
        messages.success(request, _("Your preferences are saved."))
        return redirect("notify:preferences")
    return render(request, "notify/preferences.html", {"form": form})
