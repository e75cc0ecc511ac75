"""The audit log as people read it: filter, export, and prove that nothing was changed."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import islice

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import audit, tables
from accounts.models import AuditEntry, Customer
from accounts.permissions import can_manage_contacts, is_provider, person_of, require

FAULTS_SHOWN = 20
PLATFORM = "platform"


def _entries(request: HttpRequest) -> QuerySet[AuditEntry]:
    """Managers see every chain, a customer's project manager the customer's own."""
    actor = person_of(request)
    rows = AuditEntry.objects.select_related("customer")
    return rows if is_provider(actor) else rows.filter(customer=actor.customer)


@require_safe
@require(can_manage_contacts)
def log(request: HttpRequest) -> HttpResponse:
    rows = _entries(request)
    filters: dict[str, tables.Filter] = {"object": "object_type", "id": "object_id", "actor": "actor"}
    if is_provider(person_of(request)):
        options = [(PLATFORM, _("the platform itself")), *Customer.objects.values_list("pk", "name")]
        filters["customer"] = tables.Choice(_("Customer"), options, _of_customer)
    kinds = sorted({action.partition(".")[0] for action in rows.order_by().values_list("action", flat=True).distinct()})
    filters["kind"] = tables.Choice(_("Kind"), [(kind, kind) for kind in kinds], _of_kind)
    since, until = _day(request, "since"), _day(request, "until")
    if since:
        rows = rows.filter(at__gte=since)
    if until:
        rows = rows.filter(at__lt=until + timedelta(days=1))
    page = tables.page(
        request,
        rows,
        sort={"at": ("at", "sequence"), "who": "actor_name", "action": "action"},
        default="-at",
        search=["actor_name", "action", "object_name", "object_id"],
        filters=filters,
        exports=True,
    )
    if tables.wants_csv(request):
        return tables.export_csv(page.all(), _columns(), "audit")
    return render(request, "accounts/audit.html", {"page": page, "since": since, "until": until})


@require_POST
@require(can_manage_contacts)
def verify(request: HttpRequest) -> HttpResponse:
    """Walk the chains in reach, or the one chosen, and say what does not hold."""
    rows = _entries(request)
    asked = request.POST.get("customer", "")
    chains = sorted(set(rows.order_by().values_list("customer_id", flat=True)), key=lambda pk: pk or 0)
    if asked:
        chains = [pk for pk in chains if str(pk or PLATFORM) == asked]
    faults = [fault for chain in chains for fault in islice(audit.verify(chain), FAULTS_SHOWN)]
    heads = [rows.filter(customer_id=chain).order_by("-sequence").first() for chain in chains]
    names = {customer.pk: customer for customer in Customer.objects.all()}
    context = {
        "faults": [(names.get(fault.customer_id or 0), fault) for fault in faults[:FAULTS_SHOWN]],
        "heads": [head for head in heads if head],
        "now": timezone.now(),
    }
    return render(request, "accounts/_audit_verdict.html", context)


def _of_customer(value: str) -> Q:
    return Q(customer=None) if value == PLATFORM else Q(customer=value)


def _of_kind(value: str) -> Q:
    return Q(action__startswith=f"{value}.")


def _day(request: HttpRequest, name: str) -> datetime | None:
    try:
        day = date.fromisoformat(request.GET.get(name, ""))
    except ValueError:
        return None
    return timezone.make_aware(datetime.combine(day, datetime.min.time())) if 1990 < day.year < 2200 else None


def _columns() -> dict[str, Callable[[AuditEntry], object]]:
    return {
        _("Number"): lambda row: row.sequence,
        _("At"): lambda row: row.at,
        _("Customer"): lambda row: row.customer or "",
        _("Who"): lambda row: row.actor_name,
        _("Action"): lambda row: row.action,
        _("Kind of object"): lambda row: row.object_type,
        _("Object"): lambda row: row.object_id,
        _("Name"): lambda row: row.object_name,
        _("Detail"): lambda row: row.detail,
        _("Hash"): lambda row: row.hash,
    }
