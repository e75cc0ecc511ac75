"""People: the list, inviting, one person's access, and the page of an invitation."""

from collections.abc import Callable

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import limiter, tables
from accounts.errors import DomainError
from accounts.forms.people import InvitationForm, JoinForm, RoleForm
from accounts.models import Customer, Invitation, ProviderContact, Role, User
from accounts.permissions import can_manage_contacts, is_provider, person_of, require
from accounts.services import people

form_view = require_http_methods(["GET", "HEAD", "POST"])


def _managed(request: HttpRequest) -> QuerySet[User]:
    """The people whose access this person manages: everybody's for us, a project manager's own side."""
    actor = person_of(request)
    rows = User.objects.select_related("customer")
    return rows if is_provider(actor) else rows.filter(customer=actor.customer)


@require_safe
@require(can_manage_contacts)
def index(request: HttpRequest) -> HttpResponse:
    second = Authenticator.objects.filter(user=OuterRef("pk")).exclude(type=Authenticator.Type.RECOVERY_CODES)
    filters: dict[str, tables.Filter] = {
        "role": tables.Choice(_("Role"), Role.choices, "role"),
        "active": tables.Choice(_("Access"), (("1", _("active")), ("0", _("ended"))), "is_active"),
    }
    if is_provider(person_of(request)):
        filters["customer"] = tables.Choice(_("Customer"), list(Customer.objects.values_list("pk", "name")), "customer")
    sort = {"name": "name", "role": ("role", "name"), "customer": ("customer__name", "name"), "seen": "last_login"}
    page = tables.page(
        request,
        _managed(request).annotate(has_second_factor=Exists(second)),
        sort=sort,
        default="name",
        search=["name", "email", "phone"],
        filters=filters,
        exports=True,
    )
    if tables.wants_csv(request):
        return tables.export_csv(page.all(), _columns(), "people")
    now = timezone.now()
    invitations = Invitation.objects.filter(accepted_at=None, withdrawn_at=None)
    invitations = invitations.select_related("customer", "invited_by")
    if not is_provider(person_of(request)):
        invitations = invitations.filter(customer=person_of(request).customer)
    return render(request, "accounts/users.html", {"page": page, "invitations": invitations[:50], "now": now})


def _columns() -> dict[str, Callable[[User], object]]:
    return {
        _("Full name"): lambda row: row.name,
        _("E-mail"): lambda row: row.email,
        _("Phone"): lambda row: row.phone,
        _("Role"): lambda row: row.get_role_display(),
        _("Customer"): lambda row: row.customer or "",
        _("Access"): lambda row: _("active") if row.is_active else _("ended"),
        _("Last sign-in"): lambda row: row.last_login,
    }


@form_view
@require(can_manage_contacts)
def invite(request: HttpRequest) -> HttpResponse:
    actor = person_of(request)
    initial = {"customer": request.GET.get("customer", "")}
    form = InvitationForm(request.POST or None, actor=actor, initial={k: v for k, v in initial.items() if v.isdigit()})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        invitation, _token = people.invite(
            email=data["email"],
            name=data["name"],
            role=data["role"],
            customer=data["customer"],
            actor=actor,
            now=timezone.now(),
        )
        messages.success(
            request,
            _("The invitation to %(email)s is on its way. The link works once, until %(end)s.")
            % {"email": invitation.email, "end": timezone.localtime(invitation.expires_at).strftime("%Y-%m-%d %H:%M")},
        )
        return redirect("accounts:users")
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "title": _("Invite a person"), "back": "/users/", "submit_label": _("Send the invitation")}
    return render(request, "accounts/form.html", context, status=status)


@require_POST
@require(can_manage_contacts)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    invitation = get_object_or_404(Invitation.objects.select_related("customer"), pk=pk)
    people.withdraw(invitation=invitation, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The invitation of %(email)s is withdrawn.") % {"email": invitation.email})
    return redirect("accounts:users")


@require_safe
@require(can_manage_contacts)
def person(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(_managed(request), pk=pk)
    factors = Authenticator.objects.filter(user=found).exclude(type=Authenticator.Type.RECOVERY_CODES)
    actor = person_of(request)
    context = {
        "person": found,
        "factors": factors,
        "may_change": people.may_invite(actor, found.role, found.customer) and found.pk != actor.pk,
        "form": RoleForm(person=found, actor=actor),
        "duties": found.contact_duties.all() if found.customer_id else found.provider_duties.select_related("customer"),
        "assignments": found.assignments.select_related("customer"),
    }
    return render(request, "accounts/user.html", context)


@require_POST
@require(can_manage_contacts)
def change_role(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(_managed(request), pk=pk)
    form = RoleForm(request.POST, person=found, actor=person_of(request))
    if not form.is_valid():
        raise PermissionDenied
    people.change(person=found, actor=person_of(request), now=timezone.now(), role=form.cleaned_data["role"])
    messages.success(request, _("Saved. The person must sign in again."))
    return redirect("accounts:user", pk)


@require_POST
@require(can_manage_contacts)
def change_access(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(_managed(request), pk=pk)
    if found.pk == person_of(request).pk:
        raise DomainError(_("You cannot end your own access; ask somebody else to."))
    is_active = request.POST.get("active") == "1"
    people.change(person=found, actor=person_of(request), now=timezone.now(), is_active=is_active)
    messages.success(request, _("The access is restored.") if is_active else _("The access ended, on every device."))
    return redirect("accounts:user", pk)


@require_POST
@require(can_manage_contacts)
def reset_second_factor(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(_managed(request), pk=pk)
    people.reset_second_factor(person=found, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The second factor is taken away. The person sets up a new one at the next sign-in."))
    return redirect("accounts:user", pk)


@require_POST
@require(can_manage_contacts)
def sign_out(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(_managed(request), pk=pk)
    people.sign_out_everywhere(person=found, actor=person_of(request), now=timezone.now())
    messages.success(
        request, _("Signed out on every device and at every server. SSH keys stay until they are removed.")
    )
    return redirect("accounts:user", pk)


@form_view
@never_cache
@login_not_required
@sensitive_post_parameters("password", "again")
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind the link of an invitation. Lies under the sign-in pages, and so in the platform's scope."""
    now = timezone.now()
    found = people.find_invitation(token, now=now)
    if found is None:
        if limiter.failed(request, "invitation"):
            return limiter.too_many(request)
        return render(request, "accounts/invitation_shut.html", status=410)
    form = JoinForm(request.POST or None, email=found.email, initial={"name": found.name})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        people.accept_invitation(
            token=token, name=data["name"], password=data["password"], phone=data["phone"], now=now
        )
        messages.success(request, _("Welcome. Your account is there: please sign in."))
        return redirect("account_login")
    status = 422 if request.method == "POST" else 200
    return render(request, "accounts/invitation.html", {"form": form, "invitation": found}, status=status)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Customers and people for the search page: a fragment of at most eight hits of each."""
    query = request.GET.get("q", "").replace("\x00", "").strip()[:100]
    actor = person_of(request)
    if not query:
        return HttpResponse()
    found = User.objects.filter(Q(name__icontains=query) | Q(email__icontains=query) | Q(phone__contains=query))
    if not is_provider(actor):
        # Customers know their own people and those whom we named to them (R182).
        named = ProviderContact.objects.filter(customer=actor.customer).values("user")
        found = found.filter(Q(customer=actor.customer) | Q(pk__in=named))
    companies = Q(name__icontains=query) | Q(short_name__icontains=query) | Q(code__icontains=query)
    context = {
        "people": found.select_related("customer").filter(is_active=True)[:8],
        "customers": Customer.objects.filter(companies)[:8] if is_provider(actor) else (),
    }
    return render(request, "accounts/_search.html", context)
