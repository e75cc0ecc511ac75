"""Follow-ups: the list, one of them, planning and changing, and the piece of the incident's page."""

from datetime import date

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import can_write, is_provider, person_of, require
from incidents import follow_up_states
from incidents.follow_up_forms import FollowUpForm, ResultForm
from incidents.follow_up_states import Verb
from incidents.models import FollowUp, FollowUpState, Incident
from incidents.services import following_up

SORT: dict[str, tables.SortBy] = {
    "due": "due_on",
    "title": "title",
    "owner": ("owner__name", "due_on"),
    "customer": ("customer__name", "due_on"),
    "state": ("state", "due_on"),
}
form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person, today = person_of(request), timezone.localdate()
    page = tables.page(
        request,
        FollowUp.objects.for_lists(),
        sort=SORT,
        default="due",
        search=["title", "detail", "owner__name", "customer__name", "incident__title"],
        filters=_filters(person, today),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    mine = FollowUp.objects.open().owned_by(person)
    context = {
        "page": page,
        "today": today,
        "shows_customer": is_provider(person),
        "mine": mine.count(),
        "mine_overdue": mine.overdue(today).count(),
        "overdue": FollowUp.objects.overdue(today).count(),
    }
    return render(request, "incidents/follow_ups.html", context)


@form_view
@require(can_write)
def create(request: HttpRequest) -> HttpResponse:
    """From an incident (`?incident=`), or by hand for a customer."""
    person = person_of(request)
    incident = _incident_of(request)
    customer = incident.customer if incident else _customer_of(request, person)
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    form = _form(request, customer, person)
    if request.method == "POST" and form.is_valid():
        said = {name: value for name, value in form.cleaned_data.items() if name != "version"}
        try:
            made = following_up.plan(customer=customer, incident=incident, actor=person, now=timezone.now(), **said)
        except DomainError as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("%(number)s is planned; %(name)s is told.") % _told(made))
            return redirect("incidents:follow-up", made.pk)
    context = {"form": form, "customer": customer, "incident": incident, "title": _("New follow-up")}
    return render(request, "incidents/follow_up_form.html", context, status=422 if form.errors else 200)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    follow_up = _get(pk)
    part = following_up.part_of(person_of(request), follow_up)
    verbs = [verb.value for verb in follow_up_states.verbs(follow_up.stage, part)]
    context = {"follow_up": follow_up, "verbs": verbs, "today": timezone.localdate()}
    return render(request, "incidents/follow_up.html", context)


@form_view
def change(request: HttpRequest, pk: int) -> HttpResponse:
    follow_up, person = _get(pk), person_of(request)
    if not follow_up_states.may_ever(Verb.CHANGE, following_up.part_of(person, follow_up)):
        raise PermissionDenied
    form = _form(request, follow_up.customer, person, follow_up)
    if request.method == "POST" and form.is_valid():
        try:
            following_up.change(follow_up=follow_up, actor=person, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("Saved."))
            return redirect("incidents:follow-up", follow_up.pk)
    context = {
        "form": form, "customer": follow_up.customer, "incident": follow_up.incident, "follow_up": follow_up,
        "title": follow_up.number,
    }  # fmt: skip
    return render(request, "incidents/follow_up_form.html", context, status=422 if form.errors else 200)


@form_view
def press(request: HttpRequest, pk: int, verb: Verb) -> HttpResponse:
    """Start and reopen at once; finish and drop ask for a word."""
    follow_up, person = _get(pk), person_of(request)
    if not follow_up_states.may_ever(verb, following_up.part_of(person, follow_up)):
        raise PermissionDenied
    asks = verb in (Verb.FINISH, Verb.DROP)
    form = ResultForm(request.POST if request.method == "POST" else None, verb=verb) if asks else None
    if request.method == "POST" and (form is None or form.is_valid()):
        _act(follow_up, verb, form.cleaned_data["text"] if form else "", person)
        return redirect("incidents:follow-up", follow_up.pk)
    context = {"follow_up": follow_up, "form": form, "verb": verb.value}
    return render(request, "incidents/follow_up_press.html", context, status=422 if form and form.errors else 200)


@require_safe
def for_incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    """The follow-ups of one incident, for its page and for its accident report's."""
    incident = get_object_or_404(Incident.objects, pk=incident_id)
    rows = FollowUp.objects.filter(incident=incident).select_related("owner")
    context = {"incident": incident, "rows": rows, "today": timezone.localdate()}
    return render(request, "incidents/_follow_ups.html", context)


def _act(follow_up: FollowUp, verb: Verb, text: str, person: User) -> None:
    now = timezone.now()
    match verb:
        case Verb.START:
            following_up.start(follow_up=follow_up, actor=person, now=now)
        case Verb.FINISH:
            following_up.finish(follow_up=follow_up, result=text, actor=person, now=now)
        case Verb.DROP:
            following_up.drop(follow_up=follow_up, reason=text, actor=person, now=now)
        case Verb.REOPEN:
            following_up.reopen(follow_up=follow_up, actor=person, now=now)


def _get(pk: int) -> FollowUp:
    """Unknown or foreign is 404."""
    return get_object_or_404(FollowUp.objects.for_lists(), pk=pk)


def _form(request: HttpRequest, customer: Customer, person: User, follow_up: FollowUp | None = None) -> FollowUpForm:
    people = following_up.may_own(customer_id=customer.pk, is_internal=bool(follow_up and follow_up.is_internal))
    if not is_provider(person):
        people = [one for one in people if not one.is_provider]
    initial = {} if follow_up is None else {
        "title": follow_up.title, "detail": follow_up.detail, "owner": follow_up.owner_id, "due_on": follow_up.due_on,
        "version": follow_up.version,
    }  # fmt: skip
    asks_internal = follow_up is None and is_provider(person)
    data = request.POST if request.method == "POST" else None
    return FollowUpForm(data, people=people, asks_internal=asks_internal, initial=initial)


def _incident_of(request: HttpRequest) -> Incident | None:
    asked = (request.POST or request.GET).get("incident", "")
    if not asked.isdecimal() or len(asked) > 15:
        return None
    return get_object_or_404(Incident.objects.select_related("customer"), pk=int(asked))


def _customer_of(request: HttpRequest, person: User) -> Customer | None:
    if not is_provider(person):
        return person.customer
    asked = (request.POST or request.GET).get("customer", "")
    if asked.isdecimal() and len(asked) < 15:
        return get_object_or_404(Customer.objects, pk=int(asked))
    reach = list(Customer.objects.all()[:2])
    return reach[0] if len(reach) == 1 else None


def _told(follow_up: FollowUp) -> dict[str, str]:
    return {"number": follow_up.number, "name": follow_up.owner.name}


def _filters(person: User, today: date) -> dict[str, tables.Filter]:
    open_ones = Q(state__in=[FollowUpState.PLANNED, FollowUpState.STARTED])
    states = {"open": open_ones, "overdue": open_ones & Q(due_on__lt=today), "closed": ~open_ones}
    shown = [("open", _("Open")), ("overdue", _("Overdue")), ("closed", _("Done or dropped"))]
    whose = {"me": Q(owner=person), "planned": Q(created_by=person)}
    chosen: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), shown, lambda value: states[value]),
        "who": tables.Choice(
            _("Whose"), [("me", _("Mine")), ("planned", _("Planned by me"))], lambda value: whose[value]
        ),
        "incident": "incident_id",
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[FollowUp]) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.number,
        _("Customer"): lambda row: row.customer,
        _("What is to be done"): lambda row: row.title,
        _("Details"): lambda row: row.detail,
        _("Owner"): lambda row: row.owner.name,
        _("Due on"): lambda row: row.due_on,
        _("State"): lambda row: row.get_state_display(),
        _("Incident"): lambda row: row.incident and row.incident.number,
        _("Result"): lambda row: row.result,
        _("Missed at"): lambda row: row.missed_at,
        _("Closed at"): lambda row: row.closed_at,
    }
    return tables.export_csv(page.all(), columns, "follow-ups")
