"""One incident, and the forms that raise one."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.fragments import is_fragment
from accounts.models import Contact, Customer, ProviderContact, Severity, SlaTerm, User
from accounts.permissions import can_write, is_provider, person_of, require
from accounts.services import customers, roster
from assets.models import Asset
from incidents import services
from incidents.faces import faces
from incidents.forms import CommentForm, LogContactForm, RaiseForm, chosen_assets
from incidents.models import Attachment, EscalationStep, Incident, TimelineEntry
from incidents.permissions import sees_internal, side_of
from incidents.policy import Policy
from incidents.stages import steps
from incidents.states import State, Verb, verbs
from incidents.views.relatives import Relatives, makes_sense
from incidents.views.signatures import Signatures
from incidents.views.timeline import shown

MATCHES = 20
"""As many are offered; what was chosen stays, up to `CHOSEN`."""
CHOSEN = 500
"""As many as one change or script run takes: with each search they stand in an address of less than 8 KiB."""
KINDS = 40
"""As many kinds of asset may be asked for at once."""
TALK = {Verb.COMMENT, Verb.NOTE, Verb.ATTACH, Verb.REPLY, Verb.EXPLAIN}
form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The page, or only what changes for the browser that refreshes itself."""
    incident = get_incident(pk)
    context = about(request, incident)
    if is_fragment(request):
        return render(request, "incidents/_live.html", context)
    return render(request, "incidents/incident.html", {**context, "comment_form": CommentForm()})


def _by_person(contacts: Iterable[Contact]) -> list[tuple[Contact, list[str]]]:
    """Each person and number once, with all duties that they have."""
    people: dict[tuple[int, str], tuple[Contact, list[str]]] = {}
    for contact in contacts:
        _first, duties = people.setdefault((contact.user_id, contact.phone), (contact, []))
        duties.append(contact.get_kind_display())
    return list(people.values())


def get_incident(pk: int) -> Incident:
    """Unknown or foreign is 404."""
    rows = Incident.objects.for_lists().select_related(
        "raised_by", "acknowledged_by", "parent", "duplicate_of", "request"
    )
    return get_object_or_404(rows.prefetch_related("third_party_times"), pk=pk)


def about(request: HttpRequest, incident: Incident) -> dict[str, object]:
    """Everything that the incident's page shows to this person."""
    person, now = person_of(request), timezone.now()
    contacts = Contact.objects.filter(customer=incident.customer).select_related("user")
    possible = [verb for verb in verbs(incident.stage, side_of(person), incident.step) if makes_sense(verb, incident)]
    relatives = Relatives.of(incident, person, now)
    return {
        "incident": incident,
        "menu_path": reverse("incidents:requests") if incident.is_request else "",
        "now": now,
        "faces": faces(incident, now=now),
        "policy": Policy.from_json(incident.policy),
        "timeline": shown(incident, person, request.GET),
        "question": _open_question(incident),
        "stages": steps(incident),
        "files": visible_files(incident, person, relatives),
        "verbs": [verb.value for verb in possible],
        "presses": bool(set(possible) - TALK),
        "relatives": relatives,
        "signatures": Signatures.of(incident),
        "faults": incident.faults.all(),
        "notices": incident.cause_notices.all(),
        "third_party_times": incident.third_party_times.all(),
        "contacts": _by_person(contacts),
        "team": ProviderContact.objects.filter(customer=incident.customer).select_related("user"),
        "on_duty": roster.on_duty(customer_id=incident.customer_id, at=now),
        **_escalation(incident, person),
    }


def _escalation(incident: Incident, person: User) -> dict[str, object]:
    """The steps of the latest run, for the provider; `next_step` is the one that fires next."""
    if not sees_internal(person):
        return {}
    steps = list(EscalationStep.objects.filter(incident=incident).select_related("done_by"))
    latest = [step for step in steps if step.run == steps[-1].run]
    spared = [step for step in latest if step.state == EscalationStep.State.CANCELLED]
    waiting = next((step for step in latest if step.state == EscalationStep.State.PENDING), None)
    return {"steps": [step for step in latest if step not in spared], "spared": spared, "next_step": waiting}


def _open_question(incident: Incident) -> TimelineEntry | None:
    """What the customer was asked last, while their answer is awaited."""
    if incident.stage is not State.WAITING_CUSTOMER:
        return None
    return TimelineEntry.objects.filter(incident=incident, kind=TimelineEntry.Kind.WAITING).last()


def visible_files(incident: Incident, person: User, relatives: Relatives) -> QuerySet[Attachment]:
    """Its own files and those of its duplicates."""
    shown = [incident.pk, *(merge.duplicate_id for merge in relatives.merges)]
    rows = Attachment.objects.filter(incident__in=shown).select_related("uploaded_by")
    return rows if sees_internal(person) else rows.filter(is_internal=False)


@form_view
@require(can_write)
def raise_incident(request: HttpRequest) -> HttpResponse:
    """The form of the customer, or the engineer's log of a call when the engineer has said which customer."""
    person = person_of(request)
    customer = asked_customer(request, person)
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    form_class = LogContactForm if is_provider(person) else RaiseForm
    initial = _asked_for(request) | {"callee": person.name}
    form = form_class(request.POST or None, request.FILES or None, customer=customer, initial=initial)
    if request.method == "POST" and form.is_valid():
        incident = _open(customer, form, person)
        messages.success(request, _("%(number)s is open.") % {"number": incident.number})
        return redirect("incidents:detail", incident.pk)
    context = {"form": form, "customer": customer, "offers": offers(customer), **picker(request, customer)}
    if is_provider(person):
        context["callers"] = _callers(customer)
    return render(request, "incidents/raise.html", context, status=422 if form.errors else 200)


def _callers(customer: Customer) -> list[str]:
    """Who of the customer may be on the phone: named contacts with their numbers first, then everybody else."""
    contacts = Contact.objects.filter(customer=customer).select_related("user")
    named = [f"{contact.user.name} {contact.phone}" for contact in contacts]
    others = User.objects.filter(customer=customer, is_active=True).values_list("name", "phone")
    return list(dict.fromkeys([*named, *(f"{name} {phone}".strip() for name, phone in others)]))


def _open(customer: Customer, form: RaiseForm, person: User) -> Incident:
    said = dict(form.cleaned_data)
    said["severity"] = Severity(said["severity"])
    said["files"] = said.pop("attachments")
    if isinstance(form, LogContactForm):
        return services.log_contact(customer=customer, actor=person, now=timezone.now(), **said)
    return services.raise_by_customer(customer=customer, actor=person, now=timezone.now(), **said)


@require_safe
@require(can_write)
def pick_assets(request: HttpRequest) -> HttpResponse:
    """Assets to tick: the chosen ones and those that match, for the form's search field."""
    customer = asked_customer(request, person_of(request))
    if customer is None:
        return HttpResponse(status=204)
    kinds = request.GET.getlist("kind")[:KINDS]
    return render(request, "incidents/_asset_options.html", picker(request, customer, kinds=kinds))


@dataclass(frozen=True, slots=True)
class Offer:
    """A severity as somebody who raises an incident reads it: what it means and what they get (R52, R53)."""

    value: int
    label: str
    definition: str
    original: str
    """As the contract has it, where the reader's language is another."""
    response_minutes: int
    handling: str


def offers(customer: Customer) -> list[Offer]:
    """The four severities in the words of the customer's contract, or of the SOW while there is none."""
    contract = customers.contract_in_force(customer, timezone.localdate())
    terms = {} if contract is None else {term.severity: term for term in contract.sla_terms.all()}
    shown = []
    for default, severity in zip(customers.default_terms(), Severity, strict=True):
        term = terms.get(severity.value)
        handling = term.handling_calendar if term else default["handling_calendar"]
        definition, original = _definition(term.definition if term else "", default["definition"])
        shown.append(
            Offer(
                value=severity.value,
                label=str(severity.label),
                definition=definition,
                original=original,
                response_minutes=term.response_minutes if term else default["response_minutes"],
                handling=str(SlaTerm.HandlingCalendar(handling).label),
            )
        )
    return shown


def _definition(agreed: str, usual: Mapping[str, str]) -> tuple[str, str]:
    """In the reader's language, and as agreed where that is another. A contract's own words stay as they are."""
    here = usual["zh" if get_language().startswith("zh") else "en"]
    if not agreed or agreed == here:
        return here, ""
    return (here, agreed) if agreed in usual.values() else (agreed, "")


def asked_customer(request: HttpRequest, person: User) -> Customer | None:
    """A customer's own; for the provider the one asked for, the asset's, or the only one in reach."""
    if not is_provider(person):
        return person.customer
    asked = request.POST.get("customer") or request.GET.get("customer", "")
    if asked.isdecimal() and len(asked) < 15:
        return get_object_or_404(Customer.objects, pk=int(asked))
    for asset in Asset.objects.filter(pk__in=chosen_assets(request.GET.getlist("asset"))).select_related("customer"):
        return asset.customer
    reach = list(Customer.objects.all()[:2])
    return reach[0] if len(reach) == 1 else None


def _asked_for(request: HttpRequest) -> dict[str, object]:
    return {"title": request.GET.get("title", "")[:200], "severity": request.GET.get("severity", "")[:1]}


def picker(
    request: HttpRequest,
    customer: Customer,
    *,
    preset: Iterable[int] = (),
    kinds: Collection[str] = (),
    offered: int = MATCHES,
) -> dict[str, object]:
    """What the picker of assets shows: the chosen ones, `preset` while nobody has chosen, and what fits the search.

    `kinds`: of these alone; empty: of any. `offered`: as many while nobody searches.
    """
    raw = request.POST.getlist("assets") or [*request.GET.getlist("assets"), *request.GET.getlist("asset")]
    wanted = chosen_assets(raw) if raw or request.method == "POST" else list(preset)
    wanted, left_out = wanted[:CHOSEN], len(wanted[CHOSEN:])
    chosen = Asset.objects.active().filter(customer=customer, pk__in=wanted)
    query = request.GET.get("asset_q", "").replace("\x00", "").strip()[:100]
    matches = Asset.objects.active().filter(customer=customer).exclude(pk__in=chosen)
    matches = matches.filter(name__icontains=query) if query else matches
    matches = matches.filter(kind__in=kinds) if kinds else matches
    shown = {"chosen": chosen, "matches": matches[: MATCHES if query else offered], "customer": customer}
    return {**shown, "asset_query": query, "asset_kinds": sorted(kinds), "most_chosen": CHOSEN, "left_out": left_out}
