"""Search over the commands and the files of all sessions that one may watch; each leads to its moment in the player."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of
from bastion.forms import SearchForm
from bastion.models import FileTransfer, SessionCommand
from bastion.services import searching
from bastion.words import direction_word, result_word, verdict_word

VERDICTS: Final = ("allow", "warn", "deny", "review")
DIRECTIONS: Final = ("up", "down", "remove", "rename", "rmdir")
RESULTS: Final = ("done", "failed", "cut", "refused")
SORT: Final[dict[str, tables.SortBy]] = {"at": ("at",)}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        **_usual(person),
        "verdict": tables.Choice(_("Verdict"), [(one, verdict_word(one)) for one in VERDICTS], "verdict"),
        "person": "person_id",
        "asset": "asset_id",
        "who": "person__name__icontains",
        "where": "asset__name__icontains",
    }
    query = request.GET.get("q", "")[:100]
    rows = (
        searching.commands(person, query)
        .filter(_period(request))
        .select_related("session", "person", "asset", "customer")
    )
    page = tables.page(request, rows, sort=SORT, default="-at", filters=filters, exports=True)
    if tables.wants_csv(request):
        return _export_commands(page)
    return render(request, "bastion/commands.html", _context(request, person, page, query))


@require_safe
def files(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        **_usual(person),
        "direction": tables.Choice(_("Direction"), [(one, direction_word(one)) for one in DIRECTIONS], "direction"),
        "result": tables.Choice(_("Result"), [(one, result_word(one)) for one in RESULTS], "result"),
        "person": "session__person_id",
        "asset": "session__asset_id",
        "session": "session_id",
        "who": "session__person__name__icontains",
        "where": "session__asset__name__icontains",
    }
    query = request.GET.get("q", "")[:100]
    rows = searching.files(person, query).filter(_period(request))
    rows = rows.select_related("session__person", "session__asset", "customer")
    page = tables.page(
        request, rows, sort={**SORT, "size": ("size", "-at")}, default="-at", filters=filters, exports=True
    )
    if tables.wants_csv(request):
        return _export_files(page)
    return render(request, "bastion/files.html", _context(request, person, page, query))


def _usual(person: User) -> dict[str, tables.Filter]:
    filters: dict[str, tables.Filter] = {}
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        filters["customer"] = tables.Choice(_("Customer"), customers, "customer_id")
    return filters


def _period(request: HttpRequest) -> Q:
    since, until = searching.since(request.GET.get("since", "")), searching.until(request.GET.get("until", ""))
    said = Q()
    if since is not None:
        said &= Q(at__gte=since)
    if until is not None:
        said &= Q(at__lt=until)
    return said


def _context(request: HttpRequest, person: User, page: object, query: str) -> dict[str, object]:
    narrowing = ("who", "where", "since", "until")
    return {
        "page": page,
        "form": SearchForm({name: request.GET.get(name, "") for name in narrowing}),
        "is_narrowed": any(request.GET.get(name) for name in narrowing) or bool(query.strip()),
        "shows_customer": is_provider(person),
    }


def _export_commands(page: tables.Page[SessionCommand]) -> HttpResponse:
    columns: dict[str, Callable[[SessionCommand], object]] = {
        _("At"): lambda one: one.at,
        _("Customer"): lambda one: one.customer.name,
        _("Person"): lambda one: one.person.name,
        _("Account"): lambda one: one.session.account,
        _("Resource"): lambda one: one.asset.name,
        _("Command"): lambda one: one.text,
        _("Verdict"): lambda one: verdict_word(one.verdict),
        _("Exit status"): lambda one: one.exit_status,
        _("Session"): lambda one: one.session.uid,
    }
    return tables.export_csv(page.all(), columns, "commands")


def _export_files(page: tables.Page[FileTransfer]) -> HttpResponse:
    columns: dict[str, Callable[[FileTransfer], object]] = {
        _("At"): lambda one: one.at,
        _("Customer"): lambda one: one.customer.name,
        _("Person"): lambda one: one.session.person.name,
        _("Account"): lambda one: one.session.account,
        _("Resource"): lambda one: one.session.asset.name,
        _("Direction"): lambda one: direction_word(one.direction),
        _("Path"): lambda one: one.path,
        _("Bytes"): lambda one: one.size,
        "SHA-256": lambda one: one.sha256,
        _("Result"): lambda one: result_word(one.result),
        _("Exit status"): lambda one: one.exit_status,
        _("Session"): lambda one: one.session.uid,
    }
    return tables.export_csv(page.all(), columns, "files")
