"""The library of scripts: what there is, what waits for a second person, and using one."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from changes.models import SCRIPT_RUN, ScriptRun, ScriptVersion
from changes.script_forms import ParameterForm, UseForm, VersionForm
from changes.scripts import as_lines, digest, shipped
from changes.services import script_library, script_runs
from incidents.views.incident import asked_customer, picker

SORT: dict[str, tables.SortBy] = {"code": ("code", "-number"), "proposed": "proposed_at"}
LAST_RUNS = 10
OFFERED = 200
"""Servers to choose from before somebody searches."""
form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        _visible(person),
        sort=SORT,
        default="code",
        search=("code", "name_zh", "name_en", "purpose"),
        filters=_filters(),
    )
    context = {"page": page, "offered": _offered() if is_provider(person) else [], "may_write": is_provider(person)}
    return render(request, "changes/scripts.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    version, person = _get(request, pk), person_of(request)
    same = _visible(person).filter(code=version.code, customer=version.customer_id).exclude(pk=pk)
    context = {
        "version": version,
        "others": same.order_by("-number"),
        "runs": version.runs.for_lists()[:LAST_RUNS],
        "may_write": is_provider(person),
        "may_approve": script_library.may_approve(person, version),
        "may_retire": script_library.may_retire(person, version),
    }
    return render(request, "changes/script.html", context)


@form_view
@require(is_provider)
def propose(request: HttpRequest) -> HttpResponse:
    """A new script, or the next version of the one that `?of=` names."""
    asked = request.GET.get("of", "")
    of = _get(request, int(asked)) if asked.isdecimal() and len(asked) < 15 else None
    form = VersionForm.of(request.POST if request.method == "POST" else None, of)
    if form.is_bound and form.is_valid():
        customer, said = None if of is None else of.customer, form.proposal()
        try:
            made = script_library.propose(customer=customer, said=said, actor=person_of(request), now=timezone.now())
        except DomainError as refused:  # what was typed stays
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("Proposed. It runs once a manager other than you has approved it."))
            return redirect("changes:script", made.pk)
    return render(request, "changes/script_form.html", {"form": form, "of": of}, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def adopt(request: HttpRequest, code: str) -> HttpResponse:
    if code not in shipped():
        raise Http404
    made = script_library.adopt(code=code, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Proposed. It runs once a manager other than you has approved it."))
    return redirect("changes:script", made.pk)


@require_POST
@require(is_provider)
def approve(request: HttpRequest, pk: int) -> HttpResponse:
    script_library.approve(version=_get(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Approved."))
    return redirect("changes:script", pk)


@require_POST
@require(is_provider)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    script_library.retire(version=_get(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("It runs no more."))
    return redirect("changes:script", pk)


@form_view
@require(is_provider)
def use(request: HttpRequest, pk: int) -> HttpResponse:
    """Fill in its parameters: to run it now, when it only reads, or to draft the change under which it runs."""
    version = _get(request, pk)
    customer = version.customer or asked_customer(request, person_of(request))
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    posted = request.POST if request.method == "POST" else None
    form = UseForm(posted, customer=customer)
    questions = ParameterForm(posted, fields=version.fields)
    if posted is not None and form.is_valid() and questions.is_valid():
        try:
            if "draft" in posted:
                return redirect(_draft_url(version, customer, form, questions))
            return redirect("changes:script-run", _plan(version, customer, form, questions, person_of(request)).pk)
        except DomainError as refused:  # what was typed stays
            form.add_error(None, refused.message)
    shown = picker(request, customer, kinds=script_runs.KINDS, offered=OFFERED)
    context = {"version": version, "form": form, "questions": questions, **shown}
    return render(request, "changes/script_use.html", context, status=422 if posted is not None else 200)


def _plan(
    version: ScriptVersion, customer: Customer, form: UseForm, questions: ParameterForm, actor: User
) -> ScriptRun:
    assets = list(form.cleaned_data["assets"].select_related("customer"))
    return script_runs.plan_reading(
        customer=customer,
        version=version,
        given=questions.cleaned_data,
        assets=assets,
        reason=form.cleaned_data["reason"],
        pace=form.pace(assets),
        actor=actor,
        now=timezone.now(),
    )


def _draft_url(version: ScriptVersion, customer: Customer, form: UseForm, questions: ParameterForm) -> str:
    values = script_runs.checked(version, questions.cleaned_data)
    chosen = [str(asset.pk) for asset in form.cleaned_data["assets"]]
    if len(chosen) > script_runs.MOST_HOSTS:
        raise DomainError(_("At most %(most)d servers at once.") % {"most": script_runs.MOST_HOSTS}, code="too_many")
    said = {
        "customer": customer.pk,
        "operation": SCRIPT_RUN,
        "script": str(version),
        "parameters": as_lines(values),
        "assets": ",".join(chosen),
    }
    return f"{reverse('changes:create')}?{urlencode(said, safe=',')}"


def _visible(person: User) -> QuerySet[ScriptVersion]:
    """What waits for approval is the provider's own matter."""
    rows: QuerySet[ScriptVersion] = ScriptVersion.objects.joined()
    return rows if is_provider(person) else rows.exclude(approved_at=None)


def _get(request: HttpRequest, pk: int) -> ScriptVersion:
    return get_object_or_404(_visible(person_of(request)), pk=pk)


def _offered() -> list[object]:
    """What comes with the platform and was not taken over yet, in this wording."""
    known = set(ScriptVersion.objects.filter(customer=None, retired_at=None).values_list("code", "sha256"))
    return [one for one in shipped().values() if (one.code, digest(one.script)) not in known]


def _filters() -> dict[str, tables.Filter]:
    states = [
        ("approved", pgettext("script", "Approved")),
        ("waiting", _("Waits for a second person")),
        ("retired", _("Withdrawn")),
    ]
    effects = [("reads", _("only reads")), ("changes", _("changes something"))]
    return {
        "state": tables.Choice(_("State"), states, _in_state),
        "effect": tables.Choice(_("Effect"), effects, lambda said: Q(only_reads=said == "reads")),
    }


def _in_state(state: str) -> Q:
    if state == "retired":
        return Q(retired_at__isnull=False)
    return Q(retired_at=None, approved_at__isnull=state == "waiting")
