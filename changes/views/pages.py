"""The list of changes, one change, its form, its files; and the pieces of other pages that show changes."""

from __future__ import annotations

import json

from django.contrib import messages
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.downloads import download as download_of
from accounts.fragments import is_fragment
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from assets.models import Asset
from changes import answers, faces, states
from changes.catalogue import Risk, after_failure, operations
from changes.forms import ContentForm, OriginForm
from changes.models import (
    REVIEW_DUE,
    Change,
    ChangeEntry,
    ChangeFile,
    ChangeGate,
    ChangeKind,
    ChangeRisk,
    ChangeState,
    RequestTarget,
    TrailEvent,
)
from changes.operation_forms import OperationForm
from changes.permissions import may, side_of
from changes.services import approving, drafting, scheduling
from changes.services.drafting import Content
from changes.states import Verb
from changes.timeline import sentence
from changes.views.catalogue import find
from incidents.models import Incident, IncidentKind, ServiceRequest
from incidents.views.incident import asked_customer, picker

SORT: dict[str, tables.SortBy] = {
    "number": "pk",
    "title": "title",
    "customer": ("customer__name", "-created_at"),
    "state": ("state", "-created_at"),
    "risk": ("risk", "-created_at"),
    "window": "starts_at",
    "created": "created_at",
}
OF_ASSET = 10
form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        Change.objects.for_lists().prefetch_related(*(("checks__by", "files") if tables.wants_csv(request) else ())),
        sort=SORT,
        default="-created",
        search=("title", "reason", "assets__name", "customer__name"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {
        "page": page,
        "shows_customer": is_provider(person),
        "waiting": len(approving.waiting_for(person, now=timezone.now())),
    }
    return render(request, "changes/list.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    change, person = get_change(pk), person_of(request)
    now = timezone.now()
    context = {
        "change": change,
        "gates": faces.shown_gates(change, now=now),
        "levels": faces.shown_levels(change),
        "details": answers.shown(change.operation, change.fields),
        "verbs": set(states.verbs(change.stage, side_of(person))),
        "is_time": change.starts_at is None or change.starts_at <= now,
        "may_decide": change.pk in {one.pk for one in approving.waiting_for(person, now=now)},
        "conflicts": scheduling.conflicts(change) if change.stage in states.OPEN else [],
        "is_outside": change.stage in states.OPEN and scheduling.is_outside_maintenance(change),
        "may_check": may(person, Verb.CHECK, change),
        "may_check_failure": may(person, Verb.CHECK_FAILURE, change),
        "checklist": [] if change.is_pending else faces.shown_points(change, change.checklist),
        "after_failure": faces.shown_points(change, after_failure()) if change.stage in states.FAILING else [],
        "entries": [(entry, sentence(entry)) for entry in _newest_first(change)],
        "files": change.files.select_related("by"),
        "tests": change.tests.select_related("asset", "by"),
        "trail": TrailEvent.objects.filter(change=change).for_lists()[:OF_ASSET],
        "backups": change.backups.select_related("asset", "by"),
    }
    template = "changes/_detail.html" if is_fragment(request) else "changes/change.html"
    return render(request, template, context)


@form_view
@require(is_provider)
def create(request: HttpRequest) -> HttpResponse:
    """An engineer drafts a change, from a request, an incident, a vendor's notice or the catalogue."""
    incident = _asked_incident(request)
    customer = incident.customer if incident is not None else asked_customer(request, person_of(request))
    code = _asked_operation(request, incident)
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    if not code:
        context = {"operations": _choices(), "customer": customer, "incident": incident}
        return render(request, "changes/choose_operation.html", context)
    operation, posted = find(code), request.POST if request.method == "POST" else None
    form = ContentForm(posted, customer=customer, initial=_proposed(code, incident))
    origin = OriginForm(posted, customer=customer, initial=_origin(incident))
    questions = OperationForm(posted, operation=operation, initial=_answers(request, incident))
    if posted is not None and form.is_valid() and origin.is_valid() and questions.is_valid():
        given = origin.cleaned_data
        change = drafting.draft(
            customer=customer,
            content=_content(form, questions),
            origin=given["origin"],
            vendor_notice=given["vendor_notice"],
            incident=given["incident"],
            actor=person_of(request),
            now=timezone.now(),
        )
        messages.success(request, _("%(number)s is drafted.") % {"number": change.number})
        return redirect("changes:detail", change.pk)
    context = {"operation": operation, "form": form, "origin": origin, "questions": questions, "code": code}
    touched = [] if incident is None else incident.assets.values_list("pk", flat=True)
    shown = {**context, **picker(request, customer, preset=touched, kinds=operation.kinds)}
    return render(request, "changes/form.html", shown, status=422 if posted is not None else 200)


@form_view
@require(is_provider)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Rewrite it: everybody's word is asked for again."""
    change = get_change(pk)
    operation, posted = find(change.operation), request.POST if request.method == "POST" else None
    known = {**drafting.as_data(change), "version": change.version}
    form = ContentForm(posted, customer=change.customer, initial=known)
    questions = OperationForm(posted, operation=operation, initial=change.fields)
    if posted is not None and form.is_valid() and questions.is_valid():
        version = posted.get("version", "")
        drafting.edit(
            change=change,
            content=_content(form, questions),
            version=int(version) if version.isdecimal() and len(version) < 10 else None,
            actor=person_of(request),
            now=timezone.now(),
        )
        messages.success(request, _("Saved."))
        return redirect("changes:detail", change.pk)
    context = {
        "change": change,
        "operation": operation,
        "form": form,
        "questions": questions,
        "version": change.version,
    }
    shown = picker(request, change.customer, preset=[asset.pk for asset in change.assets.all()], kinds=operation.kinds)
    return render(request, "changes/form.html", {**context, **shown}, status=422 if posted is not None else 200)


@require_safe
def download(request: HttpRequest, pk: int, file_id: int) -> FileResponse:
    """The bytes under their harmless name; never shown by the browser as a page of this site."""
    file = get_object_or_404(ChangeFile.objects, pk=file_id, change_id=pk)
    return download_of(file.stored_name, name=file.name, content_type=file.content_type)


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """The changes of one asset, for the asset's page (R24)."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    rows = list(Change.objects.touching([asset.pk]).for_lists().order_by("-created_at")[: OF_ASSET + 1])
    context = {"changes": rows[:OF_ASSET], "more": len(rows) > OF_ASSET, "asset": asset}
    return render(request, "changes/_for_asset.html", context)


@require_safe
def for_request(request: HttpRequest, incident_id: int) -> HttpResponse:
    """What a service request asks for, in the catalogue's words."""
    asked = get_object_or_404(ServiceRequest.objects, incident=incident_id)
    context = {
        "operation": operations().get(asked.operation),
        "code": asked.operation,
        "details": answers.shown(asked.operation, asked.fields),
        "target": RequestTarget.objects.for_lists().filter(incident=incident_id).first(),
    }
    return render(request, "changes/_for_request.html", context)


@require_safe
def for_incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    """The changes that an incident or request led to, and what was changed on its assets just before."""
    incident = get_object_or_404(Incident.objects, pk=incident_id)
    before = incident.detected_at - states.LOOKED_BACK
    near = Change.objects.touching(incident.assets.values_list("pk", flat=True)).filter(
        begun_at__gte=before, begun_at__lte=incident.opened_at
    )
    context = {
        "incident": incident,
        "changes": Change.objects.filter(incident=incident).for_lists(),
        "near": near.exclude(incident=incident).for_lists().order_by("-begun_at")[:5],
        "events": TrailEvent.objects.filter(incident=incident).for_lists()[:OF_ASSET],
    }
    return render(request, "changes/_for_incident.html", context)


def _newest_first(change: Change) -> QuerySet[ChangeEntry]:
    return change.entries.select_related("actor").order_by("-at", "-pk")


def get_change(pk: int) -> Change:
    """404 for what is not there or not in reach."""
    rows = Change.objects.select_related(
        "customer", "incident", "template", "requester", "owner", "customer_owner", "confirmation__answer",
        "freeze_overruled_by", "signed_off_by", "reviewed_by", "verified_by",
    ).prefetch_related("assets")  # fmt: skip
    return get_object_or_404(rows, pk=pk)


def answer(request: HttpRequest, change: Change, done: str) -> HttpResponse:
    """Back to the change; htmx gets the news as events and refreshes what it shows."""
    if is_fragment(request):
        events: dict[str, object] = {"press:done": {}, "live": {"topic": "changes", "id": change.pk}}
        if done:
            events["toast"] = {"level": "success", "text": done}
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(events)})
    if done:
        messages.success(request, done)
    return redirect("changes:detail", change.pk)


def _content(form: ContentForm, questions: OperationForm) -> Content:
    given = {**form.cleaned_data}
    assets = tuple(given.pop("assets"))
    return Content(operation=questions.operation.code, fields=questions.values(), assets=assets, **given)


def _asked_incident(request: HttpRequest) -> Incident | None:
    asked = request.GET.get("incident", "")
    if not asked.isdecimal() or len(asked) > 15:
        return None
    rows = Incident.objects.exclude(kind=IncidentKind.INTERNAL).select_related("customer", "request")
    return get_object_or_404(rows, pk=int(asked))


def _asked_operation(request: HttpRequest, incident: Incident | None) -> str:
    asked = request.GET.get("operation", "")
    return asked or (incident.request.operation if incident is not None and incident.is_request else "")


def _proposed(code: str, incident: Incident | None) -> dict[str, object]:
    entry = operations().get(code)
    risk = ChangeRisk.LOW if entry is None or entry.risk is Risk.NONE else entry.risk.value
    told = {} if incident is None else {"title": incident.title, "reason": incident.description[:4000]}
    if entry is not None and entry.makes_new:
        told["backup_waiver"] = _("Something new is made: nothing that exists is changed.")
    return {"risk": risk, **told}


def _origin(incident: Incident | None) -> dict[str, object]:
    if incident is None:
        return {"origin": Change.Origin.PROVIDER}
    theirs = incident.raised_by is not None and not incident.raised_by.is_provider
    return {
        "incident": incident.number,
        "origin": Change.Origin.CUSTOMER if theirs else Change.Origin.PROVIDER,
    }


def _answers(request: HttpRequest, incident: Incident | None) -> dict[str, object]:
    """What the request said, or the page that led here."""
    if incident is not None and incident.is_request:
        return dict(incident.request.fields)
    return {name: request.GET[name] for name in ("script", "parameters") if name in request.GET}


def _choices() -> list[object]:
    return [each for each in operations().values() if each.changes_something]


def _filters(person: User) -> dict[str, tables.Filter]:
    chosen: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), ChangeState.choices, "state"),
        "gate": tables.Choice(_("Waits at"), ChangeGate.choices, "gate"),
        "kind": tables.Choice(_("Kind"), ChangeKind.choices, "kind"),
        "review": tables.Choice(_("Review"), [("due", _("still to be reviewed"))], lambda _value: REVIEW_DUE),
        "risk": tables.Choice(_("Risk"), ChangeRisk.choices, "risk"),
        "origin": tables.Choice(_("Wanted by"), Change.Origin.choices, "origin"),
        "asset": "assets",
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[Change]) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.number,
        _("Title"): lambda row: row.title,
        _("Customer"): lambda row: row.customer.name,
        _("Kind"): lambda row: row.get_kind_display(),
        _("Wanted by"): lambda row: row.get_origin_display(),
        _("Operation"): lambda row: row.operation,
        _("Risk"): lambda row: row.get_risk_display(),
        _("State"): lambda row: row.get_state_display(),
        _("Assets"): lambda row: ", ".join(asset.name for asset in row.assets.all()),
        _("Engineer"): lambda row: row.owner,
        _("Window begins"): lambda row: row.starts_at,
        _("Window ends"): lambda row: row.ends_at,
        _("Begun at"): lambda row: row.begun_at,
        _("Ended at"): lambda row: row.ended_at,
        _("What went wrong"): lambda row: row.failure,
        _("Result"): lambda row: row.result,
        _("Verified by"): lambda row: row.verified_by,
        _("Evidence"): faces.evidence_text,
    }
    return tables.export_csv(page.all(), columns, "changes")
