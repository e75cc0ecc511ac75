"""Making an item right, and what is asked of the servers."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from accounts.refusals import in_form
from bastion.hardening_forms import PolicyForm, PortsForm, RemedyForm
from bastion.models import HardeningPolicy
from bastion.services.hardening import policies, reading, remedies, rights
from bastion.views.hardening_form import form_page, form_view, get_item, posted
from changes.catalogue import field_of
from changes.scripts import shipped
from changes.words import said


@form_view
@require(is_provider)
def make_right(request: HttpRequest, asset_id: int, item: str) -> HttpResponse:
    """Draft the change that makes an item right."""
    asset, entry = get_object_or_404(reading.servers(), pk=asset_id), get_item(item)
    if not entry.remedy.operation:
        raise Http404
    script = shipped().get(entry.remedy.script)
    asked = tuple(field_of(one) for one in script.script.parameters) if script else ()
    form = RemedyForm(posted(request), asked=asked, values=remedies.values_for(entry, asset, now=timezone.now()))
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            remedy = remedies.propose(
                asset=asset, item=item, values=form.values, actor=person_of(request), now=timezone.now()
            )
            messages.success(request, _("Drafted: it goes its way like any other change."))
            return redirect("changes:detail", remedy.change_id)
    title = _("Make it right: %(item)s") % {"item": said(entry.name)}
    back = reverse("bastion:hardening-server", args=[asset.pk])
    note = said(entry.remedy.how)
    if entry.remedy.script and not remedies.is_approved(entry.remedy.script):
        wait = _("The script runs nowhere before a manager has approved it under “Scripts on hosts”.")
        note = f"{note} {wait}"
    return form_page(request, form, title, _("Draft the change"), back=back, note=note)


@form_view
@require(rights.may_set)
def standard(request: HttpRequest, customer_id: int) -> HttpResponse:
    """What is asked of all servers of a customer."""
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    form = PolicyForm.of(policies.of(customer), posted(request))
    back = f"{reverse('bastion:hardening')}?customer={customer.pk}"
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            policies.save(customer=customer, terms=form.terms, actor=person_of(request), now=timezone.now())
            messages.success(request, _("Saved: the next look goes by it."))
            return redirect(back)
    title = _("What is asked of the servers of %(customer)s") % {"customer": customer}
    return form_page(request, form, title, _("Save"), back=back)


@form_view
@require(rights.may_set)
def ports(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What may listen on one server beside what holds for all."""
    asset = get_object_or_404(reading.servers(), pk=asset_id)
    policy = HardeningPolicy.objects.filter(asset=asset).first() or HardeningPolicy(asset=asset)
    form = PortsForm.of(policy, posted(request))
    back = reverse("bastion:hardening-server", args=[asset.pk])
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            policies.save(
                customer=asset.customer, terms=form.terms, actor=person_of(request), now=timezone.now(), asset=asset
            )
            messages.success(request, _("Saved: the next look goes by it."))
            return redirect(back)
    return form_page(request, form, _("Ports of %(server)s") % {"server": asset.name}, _("Save"), back=back)
