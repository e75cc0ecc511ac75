"""Credential administration: the list, one credential with its history, and its secret going in."""

from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer
from accounts.permissions import is_provider, person_of, require
from assets.credential_forms import (
    ChangeForm,
    CheckedForm,
    NewCredentialForm,
    OperationsKeyForm,
    SecretForm,
    kinds_of,
)
from assets.models import AccountPurpose, Asset, Check, CloudAccount, Credential, CredentialKind
from assets.permissions import can_manage_credentials, can_reveal
from assets.services import checking, credentials

form_view = require_http_methods(["GET", "HEAD", "POST"])
HISTORY_SHOWN = 50
_SHOWN = (
    ("due", gettext_lazy("rotation due")),
    ("unverified", gettext_lazy("not verified")),
    ("retired", gettext_lazy("retired ones")),
)


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    page = tables.page(
        request,
        _rows(request.GET.get("show", ""), now),
        sort={
            "name": "username",
            "kind": ("kind", "username"),
            "customer": ("customer__name", "username"),
            "age": "secret_set_at",
            "due": "rotation_due_at",
            "checked": "checked_at",
        },
        default="due",
        search=["username", "asset__name", "cloud_account__name", "customer__name", "fingerprint", "note"],
        filters=_filters(),
    )
    return render(request, "assets/credentials.html", {"page": page, "now": now})


def _rows(show: str, now: datetime) -> QuerySet[Credential]:
    rows = Credential.objects.joined()
    match show:
        case "due":
            found: QuerySet[Credential] = rows.rotation_due(now)
        case "unverified":
            found = rows.unverified()
        case "retired":
            found = rows.exclude(retired_at=None)
        case _:
            found = rows.in_use()
    return found


def _filters() -> dict[str, tables.Filter]:
    customers = [(customer.pk, customer.short_name) for customer in Customer.objects.all()]
    return {
        "kind": tables.Choice(_("Kind"), CredentialKind.choices, "kind"),
        "purpose": tables.Choice(_("Purpose"), AccountPurpose.choices, "purpose"),
        "customer": tables.Choice(_("Customer"), customers, "customer"),
        "check": tables.Choice(_("Last check"), Check.choices, "check_state"),
        "show": tables.Choice(pgettext("list", "Show"), _SHOWN, lambda _show: Q()),
    }


def find(request: HttpRequest, pk: int) -> Credential:
    """A credential in reach, 404 otherwise; then 403 for the customers' own people."""
    credential = get_object_or_404(Credential.objects.joined(), pk=pk)
    if not is_provider(person_of(request)):
        raise PermissionDenied
    return credential


def find_to_manage(request: HttpRequest, pk: int) -> Credential:
    credential = find(request, pk)
    if not can_manage_credentials(person_of(request)):
        raise PermissionDenied
    return credential


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    credential, person, now = find(request, pk), person_of(request), timezone.now()
    may_manage = can_manage_credentials(person) and credential.retired_at is None
    context = {
        "credential": credential,
        "now": now,
        "has_secret": credentials.has_secret(credential),
        "may_manage": may_manage,
        "may_reveal": credential.may_be_revealed and can_reveal(person, credential) and credential.retired_at is None,
        "is_own": credential.place[0] == credential,
        "requests": credential.reveal_requests.select_related("asked_by", "decided_by")[:10],
        "history": history(credential)[:HISTORY_SHOWN],
        "checked_form": CheckedForm() if may_manage else None,
        "may_check": may_manage and checking.can_be_tried(credential),
        "may_rotate": may_manage and credential.kind in (CredentialKind.HOST, CredentialKind.ACCESS_KEY),
    }
    return render(request, "assets/credential.html", context)


def history(credential: Credential) -> QuerySet[AuditEntry]:
    """What the audit log has about a credential; a cloud account keeps two of its secrets itself."""
    mine = Q(object_type=credential._meta.label_lower, object_id=str(credential.pk))
    obj, field = credential.place
    theirs = Q(object_type=obj._meta.label_lower, object_id=str(obj.pk), detail__field=field)
    return AuditEntry.objects.filter(mine | theirs, customer=credential.customer)


@sensitive_post_parameters("secret")
@form_view
def add_to_asset(request: HttpRequest, pk: int) -> HttpResponse:
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=pk)
    if not can_manage_credentials(person_of(request)):
        raise PermissionDenied
    kinds = kinds_of(asset)
    asked = request.GET.get("kind", "") or (kinds[0] if kinds else "")
    if asked not in kinds:
        raise Http404
    kind = CredentialKind(asked)
    form = NewCredentialForm(request.POST or None, kind=kind, username=request.GET.get("user", "")[:32])
    if request.method == "POST" and form.is_valid():
        entry = credentials.Entry(kind=kind, **form.cleaned_data)
        return _added(request, asset, entry, form, kind)
    return _form(request, form, f"{asset.name}: {kind.label}", f"/assets/{asset.pk}/")


@sensitive_post_parameters("secret")
@form_view
def add_to_account(request: HttpRequest, pk: int) -> HttpResponse:
    account = get_object_or_404(CloudAccount.objects.select_related("customer"), pk=pk)
    if not can_manage_credentials(person_of(request)):
        raise PermissionDenied
    form = OperationsKeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        entry = credentials.Entry(
            kind=CredentialKind.ACCESS_KEY, purpose=AccountPurpose.OPERATIONS, **form.cleaned_data
        )
        return _added(request, account, entry, form, CredentialKind.ACCESS_KEY)
    return _form(request, form, _("AccessKey for operations"), f"/assets/cloud-accounts/{account.pk}/")


def _added(
    request: HttpRequest,
    where: Asset | CloudAccount,
    entry: credentials.Entry,
    form: NewCredentialForm | OperationsKeyForm,
    kind: CredentialKind,
) -> HttpResponse:
    try:
        made = credentials.add(where=where, entry=entry, actor=person_of(request), now=timezone.now())
    except DomainError as problem:
        form.add_error(None, problem.message)
        back = f"/assets/{where.pk}/" if isinstance(where, Asset) else f"/assets/cloud-accounts/{where.pk}/"
        return _form(request, form, f"{where}: {kind.label}", back)
    messages.success(request, _("Written down; the secret is in the vault."))
    return redirect("assets:credential", made.pk)


@form_view
def change(request: HttpRequest, pk: int) -> HttpResponse:
    credential = find_to_manage(request, pk)
    form = ChangeForm(request.POST or None, credential=credential)
    if request.method == "POST" and form.is_valid():
        given = {
            "purpose": credential.purpose,
            "has_sudo": credential.has_sudo,
            "is_privileged": credential.is_privileged,
            **form.cleaned_data,
        }
        credentials.change(credential=credential, **given, actor=person_of(request), now=timezone.now())
        messages.success(request, _("Saved."))
        return redirect("assets:credential", pk)
    return _form(request, form, str(credential), f"/assets/credentials/{pk}/")


@sensitive_post_parameters("secret")
@form_view
def secret(request: HttpRequest, pk: int) -> HttpResponse:
    """Put in a secret that was changed elsewhere."""
    credential = find_to_manage(request, pk)
    form = SecretForm(request.POST or None, kind=credential.kind)
    if request.method == "POST" and form.is_valid():
        try:
            credentials.set_secret(
                credential=credential, value=form.cleaned_data["secret"], actor=person_of(request), now=timezone.now()
            )
        except DomainError as problem:
            form.add_error(None, problem.message)
        else:
            messages.success(request, _("The new secret is in the vault."))
            return redirect("assets:credential", pk)
    return _form(request, form, _("New secret: %(name)s") % {"name": credential}, f"/assets/credentials/{pk}/")


@require_POST
def checked(request: HttpRequest, pk: int) -> HttpResponse:
    credential = find_to_manage(request, pk)
    form = CheckedForm(request.POST)
    if form.is_valid():
        credentials.note_check_by_hand(
            credential=credential, **form.cleaned_data, actor=person_of(request), now=timezone.now()
        )
    else:
        messages.error(request, _("Please say how it was checked."))
    return redirect("assets:credential", pk)


@require_POST
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    credentials.retire(credential=find_to_manage(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Retired: the secret is destroyed, the history stays."))
    return redirect("assets:credentials")


def _form(
    request: HttpRequest, form: ChangeForm | NewCredentialForm | OperationsKeyForm | SecretForm, title: str, back: str
) -> HttpResponse:
    return render(request, "assets/credential_form.html", {"form": form, "title": title, "back": back})
