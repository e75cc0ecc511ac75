"""The engineer's board: unsolved incidents, nearest deadline first."""

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.fragments import is_fragment
from accounts.models import Customer, Severity, User
from accounts.permissions import is_provider, person_of, require
from accounts.services import roster
from incidents.models import Incident, IncidentState, SavedFilter
from incidents.searching import holding
from incidents.views.saved import saved_filters

CARDS = 30  # what people take in at a glance; the list has the rest
ON_THE_WALL = 10
COLUMNS = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.WAITING_CUSTOMER)


@require_safe
@require(is_provider)
def board(request: HttpRequest) -> HttpResponse:
    """The page, or only its cards for the browser that refreshes itself."""
    person = person_of(request)
    page = tables.page(
        request,
        holding(Incident.objects.unsolved().standing_alone().with_children().for_cards(), request.GET.get("q", "")),
        sort={"urgency": ("next_due_at", "severity", "opened_at")},
        default="urgency",
        filters=filters(person),
        size=CARDS,
    )
    layout = "columns" if request.GET.get("view") == "columns" else "rows"
    context = {
        "page": page,
        "layout": layout,
        "columns": _columns(page.rows) if layout == "columns" else [],
        "now": timezone.now(),
        "waiting_for_response": sum(1 for row in page.rows if row.state == IncidentState.OPEN),
        "rows_url": page.url(view=None, page=None),
        "columns_url": page.url(view="columns", page=None),
        **saved_filters(person, SavedFilter.Place.BOARD, page),
    }
    return render(request, "incidents/_board.html" if is_fragment(request) else "incidents/board.html", context)


@require_safe
@require(is_provider)
def wall(request: HttpRequest) -> HttpResponse:
    """The board for a screen on the wall: figures, the most urgent, who is on duty; nothing to press."""
    now = timezone.now()
    unsolved = Incident.objects.unsolved()
    counts = dict(unsolved.values_list("severity").annotate(count=Count("pk")).order_by())
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    context = {
        "now": now,
        "rows": unsolved.by_urgency().for_cards()[:ON_THE_WALL],
        "levels": [(severity, counts.get(severity.value, 0)) for severity in Severity],
        "total": sum(counts.values()),
        "unanswered": unsolved.filter(state=IncidentState.OPEN).count(),
        "late": unsolved.breaching(now).count(),
        "opened_today": Incident.objects.filter(opened_at__gte=today).count(),
        "resolved_today": Incident.objects.filter(resolved_at__gte=today).count(),
        "on_duty": roster.on_duty(customer_id=None, at=now),
    }
    return render(request, "incidents/_wall.html" if is_fragment(request) else "incidents/wall.html", context)


def filters(person: User) -> dict[str, tables.Filter]:
    """What board and list are narrowed by; all of it stands in the address."""
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    states = [(state.value, IncidentState(state).label) for state in COLUMNS]
    whose = {"me": Q(assignee=person), "nobody": Q(assignee=None)}
    return {
        "customer": tables.Choice(_("Customer"), customers, "customer_id"),
        "severity": tables.Choice(_("Severity"), Severity.choices, "severity"),
        "state": tables.Choice(_("State"), states, "state"),
        "who": tables.Choice(_("Assignee"), [("me", _("Mine")), ("nobody", _("Nobody"))], lambda value: whose[value]),
    }


def _columns(rows: list[Incident]) -> list[tuple[IncidentState, list[Incident]]]:
    return [(state, [row for row in rows if row.state == state]) for state in COLUMNS]
