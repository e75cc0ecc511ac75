"""Customers (甲方): the list, and one customer's overview, contacts and team."""

from django.contrib import messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import history, tables
from accounts.forms.customers import AssignmentForm, ContactForm, CustomerForm, ProviderContactForm
from accounts.models import Assignment, Contact, Contract, Customer, ProviderContact, User
from accounts.permissions import can_manage_contacts, is_manager, is_provider, person_of, require
from accounts.services import customers, roster

form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    page = tables.page(
        request,
        _with_counts(Customer.objects.all()),
        sort={"name": "name", "status": ("status", "name"), "ends": "contract_ends", "people": "people_count"},
        default="name",
        search=["name", "short_name", "code"],
        filters={"status": tables.Choice(_("Status"), Customer.Status.choices, "status")},
        exports=True,
    )
    if tables.wants_csv(request):
        columns = {
            _("Name"): lambda row: row.name,
            _("Code"): lambda row: row.code,
            _("Status"): Customer.get_status_display,
            _("Contract ends"): lambda row: row.contract_ends,
            _("People"): lambda row: row.people_count,
        }
        return tables.export_csv(page.all(), columns, "customers")
    return render(request, "accounts/customers.html", {"page": page})


def _with_counts(rows: QuerySet[Customer]) -> QuerySet[Customer]:
    """Each customer with its people, engineers and the end of its latest contract, in one query."""
    mine = {"customer": OuterRef("pk")}
    people = User.objects.filter(**mine, is_active=True).order_by().values("customer").annotate(n=Count("pk"))
    engineers = Assignment.objects.filter(**mine).order_by().values("customer").annotate(n=Count("pk"))
    ends = Contract.objects.filter(**mine).order_by("-ends_on").values("ends_on")[:1]
    return rows.annotate(
        people_count=Coalesce(Subquery(people.values("n")), 0),
        engineer_count=Coalesce(Subquery(engineers.values("n")), 0),
        contract_ends=Subquery(ends),
    )


@form_view
@require(is_manager)
def create(request: HttpRequest) -> HttpResponse:
    form = CustomerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        now = timezone.now()
        form.instance.created_at = now
        customers.save(obj=form.instance, customer=form.instance, actor=person_of(request), now=now)
        messages.success(request, _("The customer is there. Next: the contract, the contacts, the engineers."))
        return redirect("accounts:customer_contract", form.instance.pk)
    return _form(request, form, title=_("New customer"), back="/customers/")


@require_safe
def overview(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    now = timezone.now()
    context = {
        "customer": customer,
        "tab": "overview",
        "contract": customers.contract_in_force(customer, timezone.localdate()),
        "missing": customers.missing_contacts(customer),
        "in_charge": customers.project_manager_in_charge(customer),
        "on_duty": roster.on_duty(customer_id=customer.pk, at=now),
    }
    return render(request, "accounts/customer_overview.html", context)


@form_view
@require(is_manager)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    form = CustomerForm(request.POST or None, instance=customer)
    if request.method == "POST" and form.is_valid():
        customers.save(obj=form.instance, customer=customer, actor=person_of(request), now=timezone.now())
        messages.success(request, _("Saved."))
        return redirect("accounts:customer", customer.pk)
    return _form(request, form, title=_("Edit customer"), back=f"/customers/{pk}/", customer=customer)


@require_safe
def contacts(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    rows = list(Contact.objects.filter(customer=customer).select_related("user"))
    order = {kind: place for place, kind in enumerate(Contact.Kind.values)}
    context = {
        "customer": customer,
        "tab": "contacts",
        "contacts": sorted(rows, key=lambda contact: (order[contact.kind], contact.pk)),
        "missing": customers.missing_contacts(customer),
        "in_charge": customers.project_manager_in_charge(customer),
        "changes": history.of(*rows),
    }
    return render(request, "accounts/customer_contacts.html", context)


@form_view
@require(can_manage_contacts)
def contact_new(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    return _contact_form(request, customer, Contact(customer=customer), _("Name a contact"))


@form_view
@require(can_manage_contacts)
def contact_edit(request: HttpRequest, pk: int) -> HttpResponse:
    contact = get_object_or_404(Contact.objects.select_related("customer", "user"), pk=pk)
    return _contact_form(request, contact.customer, contact, _("Change a contact"))


def _contact_form(request: HttpRequest, customer: Customer, contact: Contact, title: str) -> HttpResponse:
    form = ContactForm(request.POST or None, instance=contact, customer=customer)
    if request.method == "POST" and form.is_valid():
        customers.save(obj=form.instance, customer=customer, actor=person_of(request), now=timezone.now())
        messages.success(request, _("Saved. Both sides see the new list at once."))
        return redirect("accounts:customer_contacts", customer.pk)
    return _form(request, form, title=title, back=f"/customers/{customer.pk}/contacts/", customer=customer)


@require_POST
@require(can_manage_contacts)
def contact_remove(request: HttpRequest, pk: int) -> HttpResponse:
    contact = get_object_or_404(Contact.objects.select_related("customer", "user"), pk=pk)
    customers.remove(obj=contact, actor=person_of(request), now=timezone.now())
    messages.success(request, _("%(contact)s was removed; the history keeps it.") % {"contact": contact})
    return redirect("accounts:customer_contacts", contact.customer_id)


@require_POST
@require(can_manage_contacts)
def contact_away(request: HttpRequest, pk: int) -> HttpResponse:
    contact = get_object_or_404(Contact.objects.select_related("customer", "user"), pk=pk)
    contact.is_away = request.POST.get("away") == "1"
    customers.save(obj=contact, customer=contact.customer, actor=person_of(request), now=timezone.now())
    return redirect("accounts:customer_contacts", contact.customer_id)


@require_safe
def team(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    may_edit = is_manager(person_of(request))
    context = {
        "customer": customer,
        "tab": "team",
        "contacts": ProviderContact.objects.filter(customer=customer).select_related("user"),
        "assignments": Assignment.objects.filter(customer=customer).select_related("user").order_by("user__name"),
        "contact_form": ProviderContactForm(customer=customer) if may_edit else None,
        "assignment_form": AssignmentForm(customer=customer) if may_edit else None,
    }
    return render(request, "accounts/customer_team.html", context)


@require_POST
@require(is_manager)
def provider_contact_add(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    form = ProviderContactForm(request.POST, customer=customer)
    if form.is_valid():
        customers.save(obj=form.instance, customer=customer, actor=person_of(request), now=timezone.now())
        return redirect("accounts:customer_team", pk)
    return _form(request, form, title=_("Name a contact"), back=f"/customers/{pk}/team/", customer=customer)


@require_POST
@require(is_manager)
def provider_contact_remove(request: HttpRequest, pk: int) -> HttpResponse:
    contact = get_object_or_404(ProviderContact.objects.select_related("customer", "user"), pk=pk)
    customers.remove(obj=contact, actor=person_of(request), now=timezone.now())
    return redirect("accounts:customer_team", contact.customer_id)


@require_POST
@require(is_manager)
def assign(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    form = AssignmentForm(request.POST, customer=customer)
    if form.is_valid():
        engineer = form.cleaned_data["user"]
        customers.assign(customer=customer, engineer=engineer, actor=person_of(request), now=timezone.now())
        return redirect("accounts:customer_team", pk)
    return _form(request, form, title=_("Assign an engineer"), back=f"/customers/{pk}/team/", customer=customer)


@require_POST
@require(is_manager)
def unassign(request: HttpRequest, pk: int) -> HttpResponse:
    assignment = get_object_or_404(Assignment.objects.select_related("customer", "user"), pk=pk)
    customers.unassign(
        customer=assignment.customer, engineer=assignment.user, actor=person_of(request), now=timezone.now()
    )
    return redirect("accounts:customer_team", assignment.customer_id)


def _form(
    request: HttpRequest, form: object, *, title: str, back: str, customer: Customer | None = None
) -> HttpResponse:
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "title": title, "back": back, "customer": customer}
    return render(request, "accounts/form.html", context, status=status)
