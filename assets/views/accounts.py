"""Cloud accounts: the list, one account with its synchronisation, and its two credentials (write-only)."""

from django.contrib import messages
from django.db.models import Count, Q
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import secrets, tables
from accounts.errors import DomainError
from accounts.permissions import is_admin, is_provider, person_of, require
from assets import services
from assets.forms import AccountForm, ConsoleForm, KeyForm, SettingsForm, settings_of
from assets.models import CloudAccount, RamFinding, SyncRun
from assets.permissions import can_manage_accounts
from assets.services import syncing

form_view = require_http_methods(["GET", "HEAD", "POST"])
RUNS_SHOWN = 8


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    counted = Count("assets", filter=Q(assets__retired_at=None))
    rows = CloudAccount.objects.existing().select_related("customer").annotate(asset_count=counted)
    page = tables.page(
        request,
        rows,
        sort={
            "name": "name",
            "customer": ("customer__name", "name"),
            "synced": "synced_at",
            "state": ("state", "name"),
        },
        default="customer",
        search=["name", "account_uid", "customer__name"],
        filters={"state": tables.Choice(_("State"), CloudAccount.State.choices, "state"), "customer": "customer"},
    )
    return render(request, "assets/cloud_accounts.html", {"page": page, "now": timezone.now()})


@sensitive_post_parameters("access_key_secret", "ram_password")
@form_view
@require(can_manage_accounts)
def create(request: HttpRequest) -> HttpResponse:
    person, now = person_of(request), timezone.now()
    form = AccountForm(request.POST or None, may_set_endpoint=is_admin(person))
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            account = services.register_account(
                customer=given["customer"],
                name=given["name"],
                credentials=form.credentials(),
                regions=given["regions"],
                endpoint_override=given.get("endpoint_override", ""),
                accept_reason=given["accept_reason"],
                actor=person,
                now=now,
            )
        except DomainError as problem:
            form.add_error(None, problem.message)
        else:
            syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=person, now=now)
            return redirect("assets:cloud_account", account.pk)
    return render(request, "assets/cloud_account_form.html", {"form": form, "title": _("New cloud account")})


@require_safe
@require(is_provider)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    account = _account(pk)
    context = {
        "account": account,
        "now": timezone.now(),
        "may_manage": can_manage_accounts(person_of(request)),
        "has_password": secrets.is_set(account, CloudAccount.PASSWORD),
        "credentials": {one.kind: one for one in account.credentials.in_use().order_by("purpose")},
        "flaw_count": account.ram_findings.filter(RamFinding.OPEN).count(),
        "asset_count": account.assets.active().count(),
        **_progress(account),
    }
    return render(request, "assets/cloud_account.html", context)


@require_safe
@require(is_provider)
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment that follows a synchronisation while it runs."""
    account = _account(pk)
    return render(request, "assets/_sync.html", {"account": account, **_progress(account)})


def _account(pk: int) -> CloudAccount:
    return get_object_or_404(CloudAccount.objects.select_related("customer"), pk=pk)


def _progress(account: CloudAccount) -> dict[str, object]:
    runs = list(account.runs.prefetch_related("steps")[:RUNS_SHOWN])
    latest = runs[0] if runs else None
    done = sum(not step.is_open for step in latest.steps.all()) if latest else 0
    return {"latest": latest, "runs": runs, "done": done}


@require_POST
@require(is_provider)
def sync(request: HttpRequest, pk: int) -> HttpResponse:
    account = _account(pk)
    syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=person_of(request), now=timezone.now())
    return redirect("assets:cloud_account", pk)


@require_POST
@require(is_provider)
def verify(request: HttpRequest, pk: int) -> HttpResponse:
    services.verify_again(account=_account(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("The credentials work."))
    return redirect("assets:cloud_account", pk)


@form_view
@require(can_manage_accounts)
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    account = _account(pk)
    form = SettingsForm(request.POST or None, initial=settings_of(account))
    if request.method == "POST" and form.is_valid():
        services.change_settings(account=account, **form.cleaned_data, actor=person_of(request), now=timezone.now())
        messages.success(request, _("Saved."))
        return redirect("assets:cloud_account", pk)
    return _form(request, account, form, _("Settings"))


@sensitive_post_parameters("access_key_secret")
@form_view
@require(can_manage_accounts)
def key(request: HttpRequest, pk: int) -> HttpResponse:
    account = _account(pk)
    form = KeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.replace_key(account=account, **form.cleaned_data, actor=person_of(request), now=timezone.now())
        except DomainError as problem:
            form.add_error(None, problem.message)
        else:
            messages.success(request, _("The new AccessKey works and has taken the place of the old one."))
            return redirect("assets:cloud_account", pk)
    return _form(request, account, form, _("Replace the AccessKey"))


@sensitive_post_parameters("ram_password")
@form_view
@require(can_manage_accounts)
def console(request: HttpRequest, pk: int) -> HttpResponse:
    account = _account(pk)
    initial = {"login_url": account.login_url, "ram_username": account.ram_username}
    form = ConsoleForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        services.set_console_login(account=account, **form.cleaned_data, actor=person_of(request), now=timezone.now())
        messages.success(request, _("Saved."))
        return redirect("assets:cloud_account", pk)
    return _form(request, account, form, _("Console sign-in"))


@require_POST
@require(can_manage_accounts)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    services.retire_account(account=_account(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Retired: the credentials are destroyed, the assets and their history stay."))
    return redirect("assets:cloud_accounts")


def _form(request: HttpRequest, account: CloudAccount, form: Form, title: str) -> HttpResponse:
    context = {"form": form, "title": title, "account": account}
    return render(request, "assets/cloud_account_form.html", context)
