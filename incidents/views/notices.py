"""Notices of changed responders: which are open, what they say, how they were given (R183)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import is_manager, is_provider, person_of, require
from incidents.duty_forms import GivenForm, now_local
from incidents.models import ResponderNotice
from incidents.services import responders
from incidents.views.incident import form_view


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    page = tables.page(
        request,
        ResponderNotice.objects.filter(given_at__isnull=False).select_related("customer", "given_by"),
        sort={"changed": "changed_at", "given": "given_at", "customer": ("customer__name", "-changed_at")},
        default="-given",
        search=["customer__name", "evidence"],
        filters={"customer": tables.Choice(_("Customer"), customers, "customer_id")},
    )
    waiting = ResponderNotice.objects.open().select_related("customer").order_by("due_at")
    return render(request, "incidents/responder_notices.html", {"page": page, "open": waiting, "now": now})


@form_view
@require(is_provider)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """What it says; and, while it is open, the form for who gave it another way."""
    notice = get_object_or_404(ResponderNotice.objects.select_related("customer", "given_by"), pk=pk)
    now, person = timezone.now(), person_of(request)
    form = GivenForm(request.POST or None, initial={"given_at": now_local(now)})
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        responders.record_given(
            notice=notice, how=said["how"], given_at=said["given_at"], evidence=said["evidence"], actor=person, now=now
        )
        messages.success(request, _("Recorded."))
        return redirect("incidents:responder-notices")
    may_give = is_manager(person) and notice.given_at is None
    context = {
        "notice": notice,
        "form": form if may_give else None,
        "changes": responders.changes(notice.told, notice.card),
        "now": now,
    }
    return render(request, "incidents/responder_notice.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_manager)
def send(request: HttpRequest, pk: int) -> HttpResponse:
    """Now, without waiting for further edits."""
    notice = get_object_or_404(ResponderNotice.objects.open(), pk=pk)
    responders.send(notice_id=notice.pk, now=timezone.now(), actor=person_of(request))
    messages.success(request, _("The notice is on its way to the customer's contacts."))
    return redirect("incidents:responder-notices")
