"""What the platform carries out itself: the runs on a change's page, what is pressed there, and all runs in a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of
from assets.models import CloudAccount
from changes import states
from changes.models import SCRIPT_RUN, Change, OperationRun, RunLine, RunState, ScriptRun
from changes.operations import EXECUTABLES
from changes.permissions import may_ever, side_of
from changes.run_words import problem_text
from changes.services import restores, runs
from changes.states import Verb
from changes.views.pages import answer, get_change
from changes.words import said

SORT: dict[str, tables.SortBy] = {
    "planned": "planned_at",
    "operation": ("operation", "-planned_at"),
    "customer": ("customer__name", "-planned_at"),
    "state": ("state", "-planned_at"),
}
SHOWN: Final = 40
"""Runs on a change's page; the list has them all."""


class Press(Protocol):
    def __call__(self, *, run: OperationRun, actor: User, now: datetime) -> object: ...


PRESSES: Final[Mapping[str, tuple[Press, str | Promise]]] = {
    "start": (runs.start, gettext_lazy("Started.")),
    "stop": (runs.stop, gettext_lazy("No further call is sent.")),
    "undo": (runs.undo, gettext_lazy("The way back is planned: look at its calls, then carry it out.")),
    "look-again": (runs.look_again, gettext_lazy("The cloud is asked again.")),
    "give-up": (runs.give_up, gettext_lazy("It counts as failed.")),
}


@require_safe
def of_change(request: HttpRequest, pk: int) -> HttpResponse:
    """The runs of one change, for its page."""
    change, person = get_change(pk), person_of(request)
    lines = RunLine.objects.select_related("actor").order_by("-at", "-pk")
    rows = OperationRun.objects.filter(change=change).for_lists()
    found = list(rows.prefetch_related("steps", "undoings", Prefetch("lines", queryset=lines))[:SHOWN])
    verbs = set(states.verbs(change.stage, side_of(person)))
    own, backs_up = runs.offers(change)
    context = {
        "change": change,
        "runs": found,
        "is_active": any(run.is_active for run in found),
        "verbs": verbs,
        "starts": {run.pk for run in found if runs.may_start(run, verbs)},
        "may_press": may_ever(person, Verb.RUN),
        "offers_own": own and Verb.DRY_RUN in verbs,
        "offers_backup": backs_up and Verb.RUN_BACKUP in verbs,
        "accounts": _accounts(change) if own else [],
        "script_runs": ScriptRun.objects.filter(change=change).for_lists()[:SHOWN],
        "instances": change.temporary_instances.all(),
        "offers_instance": change.operation in restores.TEMPORARY and Verb.CHECK in verbs,
        "offers_script": change.operation == SCRIPT_RUN and Verb.DRY_RUN in verbs,
    }
    return render(request, "changes/_runs.html", context)


@require_POST
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    """The dry run of the change's operation, or of the backup that its gate waits for."""
    change, person = get_change(pk), person_of(request)
    if not may_ever(person, Verb.DRY_RUN):
        raise PermissionDenied
    given = request.POST.get("account", "")
    account = None
    if given.isdecimal() and len(given) < 15:
        mine = CloudAccount.objects.existing().filter(customer_id=change.customer_id)
        account = get_object_or_404(mine, pk=int(given))
    backup = request.POST.get("what") == "backup"
    runs.plan(change=change, actor=person, now=timezone.now(), backup=backup, account=account)
    return answer(request, change, _("Nothing was changed yet: look at the calls, then carry them out."))


@require_POST
def press(request: HttpRequest, pk: int, run_id: int, name: str) -> HttpResponse:
    if not may_ever(person_of(request), Verb.RUN):
        raise PermissionDenied
    if name not in PRESSES:
        raise Http404
    change = get_change(pk)
    run = get_object_or_404(OperationRun.objects.filter(change=change).for_lists(), pk=run_id)
    act, done = PRESSES[name]
    act(run=run, actor=person_of(request), now=timezone.now())
    return answer(request, change, str(done))


@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """Every run in reach, the newest first."""
    person = person_of(request)
    page = tables.page(
        request,
        OperationRun.objects.for_lists(),
        sort=SORT,
        default="-planned",
        search=("asset__name", "change__title", "cloud_account__name", "customer__name"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {"page": page, "shows_customer": is_provider(person)}
    return render(request, "changes/automation.html", context)


def _accounts(change: Change) -> list[CloudAccount]:
    """To choose from, when the operation is about an account and the change does not say which."""
    if change.assets.exclude(cloud_account=None).exists():
        return []
    found = list(CloudAccount.objects.existing().filter(customer_id=change.customer_id))
    return found if len(found) > 1 else []


def _filters(person: User) -> dict[str, tables.Filter]:
    names = [(one.code, said(one.words)) for one in EXECUTABLES.values()]
    chosen: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), RunState.choices, _with_state),
        "operation": tables.Choice(_("Operation"), names, "operation"),
        "change": "change_id",
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _with_state(state: str) -> Q:
    return Q(state=state)


def _export(page: tables.Page[OperationRun]) -> HttpResponse:
    columns: dict[str, Callable[[OperationRun], object]] = {
        _("Number"): lambda row: row.pk,
        _("Customer"): lambda row: row.customer.name,
        pgettext("noun", "Change"): lambda row: row.change.number,
        _("Operation"): lambda row: said(row.words),
        _("Carried out on"): lambda row: row.target,
        _("Undoes"): lambda row: row.undoes_id or "",
        _("State"): lambda row: row.get_state_display(),
        _("What went wrong"): lambda row: problem_text(row.problem_code, row.problem),
        _("Planned at"): lambda row: row.planned_at,
        _("Started by"): lambda row: row.started_by,
        _("Started at"): lambda row: row.started_at,
        _("Ended at"): lambda row: row.ended_at,
        _("Request IDs"): lambda row: " ".join(name for step in row.steps.all() for name in step.request_ids),
    }
    return tables.export_csv(page.all().prefetch_related("steps"), columns, "automation")
