"""Service requests: the list, the form that asks for one, and the quote."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import can_write, is_provider, person_of, require
from incidents.forms_requests import Lines, QuoteForm, RequestForm
from incidents.models import Incident, IncidentKind, RequestPhase, ServiceRequest
from incidents.permissions import may, may_ever
from incidents.searching import holding
from incidents.services import quotes, requests
from incidents.services.requests import Wanted
from incidents.states import Verb
from incidents.views.incident import asked_customer, get_incident, picker

form_view = require_http_methods(["GET", "HEAD", "POST"])
SORT: dict[str, tables.SortBy] = {
    "number": "pk",
    "title": "title",
    "customer": ("customer__name", "-opened_at"),
    "phase": ("phase", "-opened_at"),
    "risk": ("request__risk", "-opened_at"),
    "wished": "request__wished_at",
    "opened": "opened_at",
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    rows = Incident.objects.filter(kind=IncidentKind.REQUEST).for_lists().select_related("request", "raised_by")
    page = tables.page(
        request,
        holding(rows, request.GET.get("q", "")),
        sort=SORT,
        default="-opened",
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {"page": page, "now": timezone.now(), "shows_customer": is_provider(person)}
    return render(request, "incidents/requests.html", context)


def _filters(person: User) -> dict[str, tables.Filter]:
    chosen: dict[str, tables.Filter] = {
        "phase": tables.Choice(_("Phase"), RequestPhase.choices, "phase"),
        "risk": tables.Choice(_("Risk"), ServiceRequest.Risk.choices, "request__risk"),
        "billing": tables.Choice(_("Billing"), ServiceRequest.Billing.choices, "request__billing"),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[Incident]) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.number,
        _("Title"): lambda row: row.title,
        _("Customer"): lambda row: row.customer.name,
        _("Phase"): lambda row: row.get_phase_display(),
        _("Operation"): lambda row: row.request.operation,
        _("Risk"): lambda row: row.request.get_risk_display(),
        _("Billing"): lambda row: row.request.get_billing_display(),
        _("Outside the contract's scope"): lambda row: row.request.is_out_of_scope,
        _("Wished for"): lambda row: row.request.wished_at,
        _("Assets"): lambda row: ", ".join(asset.name for asset in row.assets.all()),
        _("Raised by"): lambda row: row.raised_by,
        _("Assignee"): lambda row: row.assignee,
        _("Opened at"): lambda row: row.opened_at,
        _("Closed at"): lambda row: row.closed_at,
        _("Resolution"): lambda row: row.resolution,
    }
    return tables.export_csv(page.all(), columns, "requests")


@form_view
@require(can_write)
def raise_request(request: HttpRequest) -> HttpResponse:
    """The form of the customer; an engineer fills it in for one."""
    person = person_of(request)
    customer = asked_customer(request, person)
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    form = RequestForm(request.POST or None, request.FILES or None, customer=customer)
    if request.method == "POST" and form.is_valid():
        incident = _raise(customer, form, person)
        messages.success(request, _("%(number)s is received.") % {"number": incident.number})
        return redirect("incidents:detail", incident.pk)
    context = {"form": form, **picker(request, customer)}
    return render(request, "incidents/raise_request.html", context, status=422 if form.errors else 200)


def _raise(customer: Customer, form: RequestForm, person: User) -> Incident:
    said = form.cleaned_data
    return requests.raise_request(
        customer=customer,
        title=said["title"],
        description=said["description"],
        assets=said["assets"],
        wanted=Wanted(wished_at=said["wished_at"]),
        files=said["attachments"],
        actor=person,
        now=timezone.now(),
    )


@form_view
def quote(request: HttpRequest, pk: int) -> HttpResponse:
    """Offer extra work with its lines."""
    incident, person = get_incident(pk), person_of(request)
    if not may_ever(person, Verb.QUOTE):
        raise PermissionDenied
    posted = request.POST if request.method == "POST" else None
    form, lines = QuoteForm(posted, request.FILES or None), Lines(posted, prefix="lines")
    if posted is not None and form.is_valid() and lines.is_valid():
        said = form.cleaned_data
        quotes.offer(
            incident=incident,
            lines=[quotes.Line(**line) for line in lines.cleaned_data if line],
            valid_until=said["valid_until"],
            note=said["note"],
            files=said["attachments"],
            actor=person,
            now=timezone.now(),
        )
        messages.success(request, _("The quote waits for the project manager's answer; the clocks stand still."))
        return redirect("incidents:detail", incident.pk)
    context = {"incident": incident, "form": form, "lines": lines, "possible": may(person, Verb.QUOTE, incident)}
    return render(request, "incidents/quote.html", context, status=422 if posted is not None else 200)
