"""Recurring duties: what is due, overdue and done, one of them with its evidence, and what comes round how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.downloads import download as download_of
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_manager, is_provider, person_of, require
from changes.catalogue import Words
from changes.duties import NEEDS, Kind, Need, lacks
from changes.models import Change, DutyFile, DutyKind, DutyOccurrence, DutyRhythm, RecurringDuty
from changes.recurrence import Rhythm
from changes.services import recurring
from changes.services.recurring import NEED_WORDS, Described, Shown
from changes.words import said
from incidents.views.incident import asked_customer

SORT: dict[str, tables.SortBy] = {
    "due": ("due_on", "pk"),
    "customer": ("customer__name", "due_on"),
    "duty": ("duty__kind", "due_on"),
}
LONG = forms.Textarea({"rows": 8})
form_view = require_http_methods(["GET", "HEAD", "POST"])


class EvidenceForm(forms.Form):
    """What closes it; each kind asks for its own."""

    result = forms.ChoiceField(
        label=gettext_lazy("Result"), choices=[("", "—"), *DutyOccurrence.Result.choices], required=False
    )
    backup = forms.CharField(
        label=gettext_lazy("Backup that was proven"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("ID of the backup set or snapshot, or path of the file; physical or logical."),
    )
    restore_minutes = forms.IntegerField(
        label=gettext_lazy("Restored within (minutes)"), min_value=1, max_value=100_000, required=False
    )
    minutes = forms.CharField(label=gettext_lazy("Minutes"), max_length=20_000, required=False, widget=LONG)
    link = forms.URLField(
        label=gettext_lazy("Address of the document"), max_length=500, required=False, assume_scheme="https"
    )
    change = forms.CharField(
        label=gettext_lazy("Change or restore"),
        max_length=20,
        required=False,
        help_text=gettext_lazy("Such as CHG-000123."),
    )
    file = forms.FileField(label=gettext_lazy("File"), required=False)

    def __init__(self, *args: Any, kind: Kind, **options: Any) -> None:
        super().__init__(*args, **options)
        if kind is not Kind.RESTORE_DRILL:
            for name in ("result", "backup", "restore_minutes"):
                del self.fields[name]

    def clean_change(self) -> Change | None:
        digits = self.cleaned_data["change"].strip().upper().removeprefix("CHG-").lstrip("#")
        if not digits:
            return None
        found = Change.objects.filter(pk=int(digits)).first() if digits.isdecimal() and len(digits) < 15 else None
        if found is None:
            raise forms.ValidationError(_("There is no such change."))
        return found

    def shown(self) -> Shown:
        given = {name: value for name, value in self.cleaned_data.items() if name != "file"}
        return Shown(**given)


class AgendaForm(forms.Form):
    agenda = forms.CharField(
        label=gettext_lazy("Agenda, content and requirements"),
        max_length=8000,
        widget=forms.Textarea({"rows": 10}),
        help_text=gettext_lazy("The customer's project managers get it with the day, by mail and in the portal."),
    )


class DropForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("Why it is not done this time"), max_length=300)


class DutyForm(forms.Form):
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=DutyKind.choices)
    name_zh = forms.CharField(label=gettext_lazy("Name in Chinese"), max_length=120)
    name_en = forms.CharField(label=gettext_lazy("Name in English"), max_length=120)
    rhythm = forms.ChoiceField(label=gettext_lazy("Rhythm"), choices=DutyRhythm.choices, initial=DutyRhythm.QUARTERLY)
    first_due_on = forms.DateField(
        label=gettext_lazy("Due first on"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    lead_days = forms.IntegerField(
        label=gettext_lazy("Begun so many days before"), min_value=0, max_value=recurring.LONGEST_LEAD, initial=7
    )
    owner_role = forms.ChoiceField(label=gettext_lazy("Who does it"), choices=RecurringDuty.Owner.choices)
    tells_customer = forms.BooleanField(label=gettext_lazy("The customer is told before"), required=False)
    agenda = forms.CharField(
        label=gettext_lazy("Agenda, content and requirements"), max_length=8000, required=False, widget=LONG
    )

    def described(self) -> Described:
        given = dict(self.cleaned_data)
        words = Words(given.pop("name_en"), given.pop("name_zh"))
        kind, rhythm = Kind(given.pop("kind")), Rhythm(given.pop("rhythm"))
        return Described(kind=kind, words=words, rhythm=rhythm, **given)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What is due, overdue and done."""
    person, today = person_of(request), timezone.localdate()
    page = tables.page(
        request,
        DutyOccurrence.objects.for_lists(),
        sort=SORT,
        default="-due",
        search=("duty__name_zh", "duty__name_en", "customer__name", "minutes", "backup"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {
        "page": page,
        "shown": [(row, state_of(row)) for row in page.rows],
        "late": DutyOccurrence.objects.overdue(today).count(),
        "shows_customer": is_provider(person),
    }
    return render(request, "changes/duties.html", context)


@require_safe
def plan(request: HttpRequest) -> HttpResponse:
    """What comes round how often, of the customers in reach."""
    person = person_of(request)
    page = tables.page(
        request,
        RecurringDuty.objects.with_last_due().select_related("customer", "created_by", "ended_by"),
        sort={"customer": ("customer__name", "kind"), "kind": ("kind", "customer__name")},
        default="customer",
        search=("name_zh", "name_en", "customer__name"),
        filters=_of_customer(person),
    )
    context = {
        "page": page,
        "shown": [(row, recurring.next_due(row)) for row in page.rows],
        "shows_customer": is_provider(person),
        "may_end": is_manager(person),
    }
    return render(request, "changes/duty_plan.html", context)


@form_view
@require(is_provider)
def create(request: HttpRequest) -> HttpResponse:
    customer = asked_customer(request, person_of(request))
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    form = DutyForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            recurring.create(customer=customer, said=form.described(), actor=person_of(request), now=timezone.now())
        except DomainError as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("Saved."))
            return redirect("changes:duty-plan")
    return _form(request, form, customer.name, "changes:duty-plan", _("One more duty"), customer=customer)


@require_POST
@require(is_manager)
def end(request: HttpRequest, pk: int) -> HttpResponse:
    duty = get_object_or_404(RecurringDuty.objects, pk=pk)
    recurring.end(duty=duty, actor=person_of(request), now=timezone.now())
    messages.success(request, _("It comes round no more."))
    return redirect("changes:duty-plan")


@form_view
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One of them; whoever has done it puts the evidence in here."""
    occurrence, person = _get(pk), person_of(request)
    kind = Kind(occurrence.duty.kind)
    may_complete = is_provider(person) and occurrence.is_open
    form = EvidenceForm(kind=kind) if may_complete else None
    if request.method == "POST":
        if not is_provider(person):
            raise PermissionDenied
        form = _complete(request, occurrence, kind)
        if form.is_valid():
            return redirect("changes:duty", pk)
    missing = set(lacks(kind, recurring.evidence_of(occurrence)))
    context = {
        "occurrence": occurrence,
        "state": state_of(occurrence),
        "needs": [(NEED_WORDS[need], need not in missing) for need in NEEDS[kind]],
        "form": form,
        "files": occurrence.files.select_related("by"),
        "may_tell": may_complete and (occurrence.duty.tells_customer or Need.TOLD in NEEDS[kind]),
        "may_drop": is_manager(person) and occurrence.is_open,
    }
    return render(request, "changes/duty.html", context, status=422 if form is not None and form.errors else 200)


def _complete(request: HttpRequest, occurrence: DutyOccurrence, kind: Kind) -> EvidenceForm:
    """The form as it was sent; what the service refuses stands in it. A file that was sent is kept in any case."""
    person, now = person_of(request), timezone.now()
    form = EvidenceForm(request.POST, request.FILES, kind=kind)
    if not form.is_valid():
        return form
    try:
        if form.cleaned_data["file"]:
            recurring.attach(occurrence=occurrence, file=form.cleaned_data["file"], actor=person, now=now)
        recurring.complete(occurrence=occurrence, shown=form.shown(), actor=person, now=now)
    except DomainError as refused:
        form.add_error(None, refused.message)
    else:
        messages.success(request, _("It is done."))
    return form


@form_view
@require(is_provider)
def tell(request: HttpRequest, pk: int) -> HttpResponse:
    occurrence = _get(pk)
    form = AgendaForm(request.POST if request.method == "POST" else None, initial={"agenda": occurrence.agenda})
    if form.is_bound and form.is_valid():
        try:
            recurring.tell(
                occurrence=occurrence, agenda=form.cleaned_data["agenda"], actor=person_of(request), now=timezone.now()
            )
        except DomainError as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("The customer was told."))
            return redirect("changes:duty", pk)
    return _form(request, form, str(said(occurrence.duty.words)), "changes:duty", _("Tell the customer"), pk=pk)


@form_view
@require(is_manager)
def drop(request: HttpRequest, pk: int) -> HttpResponse:
    occurrence = _get(pk)
    form = DropForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            recurring.drop(occurrence=occurrence, actor=person_of(request), now=timezone.now(), **form.cleaned_data)
        except DomainError as refused:
            form.add_error(None, refused.message)
        else:
            return redirect("changes:duty", pk)
    return _form(request, form, str(said(occurrence.duty.words)), "changes:duty", _("Leave it out this time"), pk=pk)


@require_safe
def download(request: HttpRequest, pk: int, file_id: int) -> FileResponse:
    file = get_object_or_404(DutyFile.objects, pk=file_id, occurrence_id=pk)
    return download_of(file.stored_name, name=file.name, content_type=file.content_type)


def state_of(occurrence: DutyOccurrence) -> str:
    """`done`, `dropped`, `overdue` or `due`."""
    if occurrence.done_at is not None:
        return "done"
    if occurrence.dropped_at is not None:
        return "dropped"
    return "overdue" if occurrence.is_overdue(timezone.localdate()) else "due"


def _form(
    request: HttpRequest,
    form: forms.Form,
    about: str,
    back: str,
    title: str,
    *,
    pk: int | None = None,
    customer: Customer | None = None,
) -> HttpResponse:
    context = {"form": form, "about": about, "back": back, "title": title, "pk": pk, "customer": customer}
    return render(request, "changes/duty_form.html", context, status=422 if form.errors else 200)


def _get(pk: int) -> DutyOccurrence:
    return get_object_or_404(DutyOccurrence.objects.for_lists(), pk=pk)


def _of_customer(person: User) -> dict[str, tables.Filter]:
    if not is_provider(person):
        return {}
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    return {"customer": tables.Choice(_("Customer"), customers, "customer_id")}


def _filters(person: User) -> dict[str, tables.Filter]:
    states = [("due", _("To be done")), ("overdue", _("Overdue")), ("done", _("Done")), ("dropped", _("Left out"))]
    return {
        **_of_customer(person),
        "state": tables.Choice(_("State"), states, _in_state),
        "kind": tables.Choice(_("Kind"), DutyKind.choices, "duty__kind"),
    }


def _in_state(state: str) -> Q:
    if state == "done":
        return Q(done_at__isnull=False)
    if state == "dropped":
        return Q(dropped_at__isnull=False)
    is_open = Q(done_at=None, dropped_at=None)
    today = timezone.localdate()
    return is_open & (Q(due_on__lt=today) if state == "overdue" else Q(due_on__gte=today))


def _export(page: tables.Page[DutyOccurrence]) -> HttpResponse:
    words = {"due": _("To be done"), "overdue": _("Overdue"), "done": _("Done"), "dropped": _("Left out")}
    columns: dict[str, Callable[[DutyOccurrence], object]] = {
        _("Customer"): lambda row: row.customer.name,
        _("Duty"): lambda row: said(row.duty.words),
        _("Kind"): lambda row: row.duty.get_kind_display(),
        _("Due on"): lambda row: row.due_on,
        _("State"): lambda row: words[state_of(row)],
        _("Told at"): lambda row: row.told_at,
        _("Result"): lambda row: row.get_result_display(),
        _("Backup that was proven"): lambda row: row.backup,
        _("Restored within (minutes)"): lambda row: row.restore_minutes,
        _("Minutes"): lambda row: row.minutes,
        _("Address of the document"): lambda row: row.link,
        pgettext("noun", "Change"): lambda row: "" if row.change is None else row.change.number,
        _("Done by"): lambda row: row.done_by,
        _("Done at"): lambda row: row.done_at,
        _("Why it was dropped"): lambda row: row.dropped_because,
    }
    return tables.export_csv(page.all(), columns, "duties")
