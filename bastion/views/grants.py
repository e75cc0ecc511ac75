"""Grants: who was let to what, on which terms, until when; and the two questions behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.numbers import row_number
from accounts.permissions import administers, can_write, is_administrator, is_provider, person_of, require
from accounts.refusals import in_form
from assets.models import Asset
from bastion.access import Protocol
from bastion.access_forms import GrantForm, TermsForm, fits, terms_of
from bastion.models import Grant, GroupAdministrator
from bastion.permissions import may_be_let_in
from bastion.services import answering, authorising, granting, groups
from bastion.views.choosing import choose, customer_of, with_customers
from bastion.words import ACTIONS, PROTOCOLS

SORT: Final[dict[str, tables.SortBy]] = {
    "granted": "-granted_at",
    "person": ("person__name", "-granted_at"),
    "place": ("group__name", "asset__name"),
    "until": "until",
}


@require_safe
@require(can_write)
def index(request: HttpRequest) -> HttpResponse:
    """Those that one may take back, and one's own."""
    person, now = person_of(request), timezone.now()
    seen = granting.seen_by(person).joined()
    states = [("now", _("in force")), ("later", _("begins later")), ("ended", _("ended"))]
    filters: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), states, lambda value: _in_state(value, now)),
        "group": tables.Choice(
            _("Resource group"), list(groups.seen_by(person).values_list("pk", "name")[:500]), "group_id"
        ),
        "person": "person_id",
        "asset": "asset_id",
    }
    filters = with_customers(request, filters)
    page = tables.page(
        request,
        seen,
        sort=SORT,
        default="granted",
        search=("person__name", "asset__name", "group__name", "reason"),
        filters=filters,
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    endable = granting.endable_by(person, page.rows)
    rows = [(grant, grant.pk in endable) for grant in page.rows]
    context = {
        "page": page,
        "rows": rows,
        "now": now,
        "shows_customer": is_provider(person),
        "may_give": may_give(person),
    }
    return render(request, "bastion/grants.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_write)
def create(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    if not may_give(person):
        raise PermissionDenied
    customer = _customer_of_place(request) or customer_of(request)
    if customer is None:
        return choose(request, _("Give access"))
    form = _form(request, customer)
    if request.method == "POST" and form.is_valid():
        given = dict(form.cleaned_data)
        with in_form(form):
            made = granting.grant(
                person=given["person"], to=given["to"], wanted=form.wanted(), actor=person, now=timezone.now()
            )
            messages.success(request, _("%(name)s has access.") % {"name": made.person.name})
            return redirect("bastion:grants")
    context = {"form": form, "customer": customer}
    return render(request, "bastion/grant_form.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_write)
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Other terms for the same person and place."""
    grant, person = _get(request, pk), person_of(request)
    if not granting.may_end(person, grant) or grant.person_id == person.pk or not grant.is_in_force(timezone.now()):
        raise PermissionDenied
    if not fits(grant):
        raise DomainError(
            _("Its hours do not fit into this form. Take it back and give another one."), code="other_windows"
        )
    form = TermsForm(request.POST if request.method == "POST" else None, initial=terms_of(grant))
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            granting.replace(grant=grant, wanted=form.wanted(), actor=person, now=timezone.now())
            messages.success(request, _("Saved. Whoever is connected hears of it at once."))
            return redirect("bastion:grants")
    context = {"form": form, "customer": grant.customer, "grant": grant}
    return render(request, "bastion/grant_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(can_write)
def end(request: HttpRequest, pk: int) -> HttpResponse:
    granting.end(grant=_get(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Taken back. Whoever was connected by it alone is cut off."))
    return redirect("bastion:grants")


@require_safe
@require(can_write)
def who_reaches(request: HttpRequest, pk: int) -> HttpResponse:
    """Who can reach this server, and how."""
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=pk)
    person = person_of(request)
    if not administers(person, asset.customer_id) and not authorising.administers_a_group_of(person, asset.pk):
        raise Http404
    people = answering.who_reaches(asset, now=timezone.now())
    context = {"asset": asset, "people": people, "may_give": administers(person, asset.customer_id)}
    return render(request, "bastion/reach_asset.html", context)


@require_safe
@require(can_write)
def what_reaches(request: HttpRequest, pk: int) -> HttpResponse:
    """What this person can reach, of what is in sight of whoever asks."""
    asker, now = person_of(request), timezone.now()
    person = get_object_or_404(User.objects.select_related("customer"), pk=pk)
    if person.pk != asker.pk and not is_administrator(asker):
        raise Http404
    rows = authorising.reachable(person, protocol=Protocol.SSH, now=now)
    page = tables.page(
        request, rows, sort={"name": "name", "customer": ("customer__name", "name")}, default="name",
        search=("name", "host", "private_ip", "public_ip"),
    )  # fmt: skip
    context = {
        "subject": person,
        "page": page,
        "rows": answering.how(person, page.rows, now=now),
        "shows_customer": is_provider(asker),
    }
    return render(request, "bastion/reach_person.html", context)


def may_give(person: User) -> bool:
    """Administrators, and whoever administers a group."""
    return is_administrator(person) or GroupAdministrator.objects.filter(person=person, group__retired_at=None).exists()


def _get(request: HttpRequest, pk: int) -> Grant:
    return get_object_or_404(granting.seen_by(person_of(request)).joined(), pk=pk)


def _form(request: HttpRequest, customer: Customer) -> GrantForm:
    person = person_of(request)
    may_all = administers(person, customer.pk)
    people = may_be_let_in(customer.pk)
    reached = [kind for kinds in authorising.REACHED.values() for kind in kinds]
    assets = Asset.objects.active().filter(customer=customer, kind__in=reached).order_by("name")
    return GrantForm(
        request.POST if request.method == "POST" else None,
        people=people if may_all else people.exclude(pk=person.pk),
        groups=groups.seen_by(person).filter(customer=customer).order_by("name"),
        assets=assets if may_all else None,
        initial={name: request.GET[name] for name in ("person", "group", "asset") if request.GET.get(name)},
    )


def _customer_of_place(request: HttpRequest) -> Customer | None:
    """Of the group or server that the address names; 404 for one out of sight."""
    for field, rows in (
        ("group", groups.seen_by(person_of(request))),
        ("asset", Asset.objects.select_related("customer")),
    ):
        said = request.GET.get(field, "")
        if said:
            found = rows.filter(pk=row_number(said)).first()
            if found is None:
                raise Http404
            customer: Customer = found.customer
            return customer
    return None


def _in_state(value: str, now: object) -> Q:
    in_force = Q(ended_at=None) & (Q(until=None) | Q(until__gt=now))
    begins_later = in_force & Q(since__gt=now)
    return {"now": in_force & ~Q(since__gt=now), "later": begins_later}.get(value, ~in_force)


def _words(known: Mapping[str, str | Promise], codes: Iterable[str]) -> str:
    return ", ".join(str(known.get(code, code)) for code in codes)


def _export(page: tables.Page[Grant]) -> HttpResponse:
    columns: dict[str, Callable[[Grant], object]] = {
        _("Customer"): lambda one: one.customer.name,
        _("Person"): lambda one: one.person.name,
        _("Resource group"): lambda one: "" if one.group is None else one.group.name,
        _("Resource"): lambda one: "" if one.asset is None else one.asset.name,
        _("Accounts"): lambda one: ", ".join(one.accounts),
        _("Protocols"): lambda one: _words(PROTOCOLS, one.protocols),
        _("Actions"): lambda one: _words(ACTIONS, one.actions),
        _("Destinations of port forwarding"): lambda one: ", ".join(one.forwards),
        _("From"): lambda one: one.since or one.granted_at,
        _("Until"): lambda one: one.until,
        _("Weekly windows"): lambda one: "; ".join(answering.weekly_lines(one)),
        _("Reason"): lambda one: one.reason,
        _("Granted by"): lambda one: one.granted_by.name,
        _("Granted at"): lambda one: one.granted_at,
        _("Ended at"): lambda one: one.ended_at,
        _("Ended by"): lambda one: "" if one.ended_by is None else one.ended_by.name,
    }
    return tables.export_csv(page.all(), columns, "grants")
