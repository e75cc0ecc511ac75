"""Runs of scripts: the list, one of them as it goes, and what is pressed there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Length, Right
from django.db.models.lookups import GreaterThan
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.fragments import is_fragment
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of
from assets.models import Asset
from changes.models import HostState, ScriptHost, ScriptRun, ScriptRunState
from changes.permissions import may_ever
from changes.script_forms import JudgementForm, PaceForm
from changes.script_words import problem_text
from changes.services import script_runs
from changes.states import Verb
from changes.views.pages import answer, get_change
from changes.words import said

SHOWN: Final = 4000
"""Of what a host said so many characters, the last ones, stand on the page."""
OF_ASSET: Final = 8
OUTPUTS: Final = ("stdout", "stderr")
PLAIN: Final = "text/plain; charset=utf-8"
SORT: dict[str, tables.SortBy] = {
    "planned": "planned_at",
    "script": ("version__code", "-planned_at"),
    "customer": ("customer__name", "-planned_at"),
    "state": ("state", "-planned_at"),
}


class Press(Protocol):
    def __call__(self, *, run: ScriptRun, actor: User, now: datetime) -> object: ...


PRESSES: Final[Mapping[str, tuple[Press, str | Promise]]] = {
    "start": (script_runs.start, gettext_lazy("Started.")),
    "pause": (script_runs.pause, gettext_lazy("No further host is begun.")),
    "go-on": (script_runs.go_on, gettext_lazy("It goes on.")),
    "stop": (script_runs.stop, gettext_lazy("No further host is begun.")),
}


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """The scripts that ran on one host (R24)."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    rows = ScriptHost.objects.filter(asset=asset).select_related("run__version", "run__change")
    found = rows.defer("stdout", "stderr", "run__version__body").order_by("-run__planned_at", "-pk")[:OF_ASSET]
    return render(request, "changes/_script_runs_for_asset.html", {"hosts": found})


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        ScriptRun.objects.for_lists().defer("version__body"),
        sort=SORT,
        default="-planned",
        search=("version__code", "version__name_zh", "version__name_en", "customer__name", "hosts__asset__name"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    _count(page.rows)
    return render(request, "changes/script_runs.html", {"page": page, "shows_customer": is_provider(person)})


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One run with its hosts and what they said; follows while it runs."""
    run, person = _get(pk), person_of(request)
    rows = run.hosts.select_related("asset", "credential")
    hosts = tables.page(
        request,
        rows if tables.wants_csv(request) else _last_words(rows),
        sort={"place": "position", "name": "asset__name", "state": ("state", "position")},
        default="place",
        search=("asset__name", "stdout", "stderr"),
        filters={"state": tables.Choice(_("State"), HostState.choices, "state")},
        exports=True,
    )
    if tables.wants_csv(request):
        return _export_hosts(hosts)
    counts = [(HostState(one), getattr(run, one)) for one in HostState.values if getattr(run, one)]
    context = {
        "run": run,
        "page": hosts,
        "counts": counts,
        "over": sum(count for state, count in counts if state not in (HostState.PLANNED, HostState.RUNNING)),
        "lines": run.lines.select_related("actor").order_by("-at", "-pk"),
        "may_press": may_ever(person, Verb.RUN),
    }
    return render(request, "changes/_script_run.html" if is_fragment(request) else "changes/script_run.html", context)


def _last_words(rows: QuerySet[ScriptHost]) -> QuerySet[ScriptHost]:
    """Without all that the hosts said, which may be megabytes."""
    ends = {f"{name}_end": Right(name, SHOWN) for name in OUTPUTS}
    longer = {f"{name}_is_longer": GreaterThan(Length(name), SHOWN) for name in OUTPUTS}
    return rows.defer(*OUTPUTS).annotate(**ends, **longer)


@require_safe
def stdout(request: HttpRequest, pk: int, host_id: int) -> HttpResponse:
    """All that one host said, as it was kept."""
    return HttpResponse(_said_by(pk, host_id).stdout, content_type=PLAIN)


@require_safe
def stderr(request: HttpRequest, pk: int, host_id: int) -> HttpResponse:
    return HttpResponse(_said_by(pk, host_id).stderr, content_type=PLAIN)


def _said_by(pk: int, host_id: int) -> ScriptHost:
    return get_object_or_404(ScriptHost.objects.filter(run__in=ScriptRun.objects.all()), pk=host_id, run=pk)


@require_POST
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    """The dry run of the script that a change names."""
    change, person = get_change(pk), person_of(request)
    if not may_ever(person, Verb.DRY_RUN):
        raise PermissionDenied
    form = PaceForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(one) for said in form.errors.values() for one in said))
        return redirect("changes:detail", pk)
    pace = form.pace(list(change.assets.all()))
    run = script_runs.plan_for_change(change=change, pace=pace, actor=person, now=timezone.now())
    if is_fragment(request):
        return answer(request, change, _("Nothing was sent yet: look at the commands, then carry them out."))
    return redirect("changes:script-run", run.pk)


@require_POST
def press(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    if not may_ever(person_of(request), Verb.RUN):
        raise PermissionDenied
    if name not in PRESSES:
        raise Http404
    act, done = PRESSES[name]
    act(run=_get(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, str(done))
    return redirect("changes:script-run", pk)


@require_http_methods(["GET", "HEAD", "POST"])
def judge(request: HttpRequest, pk: int, host_id: int) -> HttpResponse:
    """Somebody has looked at a host of which nobody knew how it went."""
    host = _host(request, pk, host_id)
    form = JudgementForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        is_done = given["outcome"] == "done"
        script_runs.judge(
            host=host, is_done=is_done, words=given["words"], actor=person_of(request), now=timezone.now()
        )
        return redirect("changes:script-run", pk)
    context = {"form": form, "host": host, "run": host.run}
    return render(request, "changes/script_judge.html", context, status=422 if form.errors else 200)


@require_POST
def again(request: HttpRequest, pk: int, host_id: int) -> HttpResponse:
    script_runs.again(host=_host(request, pk, host_id), actor=person_of(request), now=timezone.now())
    return redirect("changes:script-run", pk)


def _get(pk: int) -> ScriptRun:
    run = get_object_or_404(ScriptRun.objects.for_lists(), pk=pk)
    _count([run])
    return run


def _host(request: HttpRequest, pk: int, host_id: int) -> ScriptHost:
    if not may_ever(person_of(request), Verb.RUN):
        raise PermissionDenied
    rows = ScriptHost.objects.select_related("run__version", "run__change", "run__customer", "asset")
    return get_object_or_404(rows, pk=host_id, run=pk)


def _count(runs: Sequence[ScriptRun]) -> None:
    """Each gets how many of its hosts are in which state, all by one query."""
    rows = ScriptHost.objects.filter(run__in=runs).order_by().values_list("run", "state").annotate(Count("pk"))
    counted = {(run, state): count for run, state, count in rows}
    for run in runs:
        counts = {state: counted.get((run.pk, state), 0) for state in HostState.values}
        vars(run).update(counts, total=sum(counts.values()))


def _number(**which: object) -> Coalesce:
    """How many hosts a row has, for an export of many rows."""
    hosts = ScriptHost.objects.filter(run=OuterRef("pk"), **which).order_by().values("run")
    return Coalesce(Subquery(hosts.annotate(count=Count("pk")).values("count")), 0)


def _filters(person: User) -> dict[str, tables.Filter]:
    chosen: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), ScriptRunState.choices, lambda state: Q(state=state)),
        "change": "change_id",
        "asset": "hosts__asset",
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[ScriptRun]) -> HttpResponse:
    columns: dict[str, Callable[[ScriptRun], object]] = {
        _("Number"): lambda row: row.pk,
        _("Customer"): lambda row: row.customer.name,
        _("Script"): lambda row: str(row.version),
        _("Name"): lambda row: said(row.version.words),
        pgettext("noun", "Change"): lambda row: "" if row.change is None else row.change.number,
        _("Reason"): lambda row: row.reason,
        _("State"): lambda row: row.get_state_display(),
        _("Hosts"): lambda row: getattr(row, "total", ""),
        _("Failed"): lambda row: getattr(row, "failed", ""),
        _("Planned at"): lambda row: row.planned_at,
        _("Started by"): lambda row: row.started_by,
        _("Started at"): lambda row: row.started_at,
        _("Ended at"): lambda row: row.ended_at,
    }
    rows = page.all().annotate(total=_number(), failed=_number(state=HostState.FAILED))
    return tables.export_csv(rows, columns, "script-runs")


def _export_hosts(page: tables.Page[ScriptHost]) -> HttpResponse:
    columns: dict[str, Callable[[ScriptHost], object]] = {
        _("Host"): lambda row: row.asset.name,
        _("Address"): lambda row: row.address,
        _("State"): lambda row: row.get_state_display(),
        _("What went wrong"): lambda row: problem_text(row.problem_code),
        _("Exit status"): lambda row: row.exit_status,
        _("Command"): lambda row: row.command,
        _("Output"): lambda row: row.stdout,
        _("Error output"): lambda row: row.stderr,
        _("Started at"): lambda row: row.started_at,
        _("Ended at"): lambda row: row.ended_at,
    }
    return tables.export_csv(page.all(), columns, "hosts")
