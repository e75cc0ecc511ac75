"""Chances for automation: the list, a new one, one of them, and the customer's decision."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import can_write, is_customer_pm, is_provider, person_of, require
from changes.models import AutomationIdea
from changes.services import ideas
from changes.services.ideas import Idea
from incidents.views.incident import asked_customer

SORT: dict[str, tables.SortBy] = {
    "proposed": "proposed_at",
    "title": "title",
    "customer": ("customer__name", "-proposed_at"),
    "effort": "effort_hours",
    "saving": "saving_hours",
    "state": ("state", "-proposed_at"),
}
MOST_HOURS = 100_000
form_view = require_http_methods(["GET", "HEAD", "POST"])


class IdeaForm(forms.Form):
    title = forms.CharField(label=gettext_lazy("Title"), max_length=200)
    what = forms.CharField(
        label=gettext_lazy("What is to be automated?"), max_length=8000, widget=forms.Textarea({"rows": 4})
    )
    found_in = forms.CharField(
        label=gettext_lazy("Found in"),
        max_length=200,
        help_text=gettext_lazy("An incident, a report, a meeting: where somebody saw it."),
    )
    tool = forms.CharField(
        label=gettext_lazy("With which tool"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("A tool that the customer has a licence of."),
    )
    effort_hours = forms.IntegerField(label=gettext_lazy("Effort (hours)"), min_value=1, max_value=MOST_HOURS)
    saving_hours = forms.IntegerField(label=gettext_lazy("Saving (hours a month)"), min_value=0, max_value=MOST_HOURS)


class DecisionForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=ideas.LONGEST, required=False, widget=forms.Textarea({"rows": 3})
    )
    answer = forms.ChoiceField(choices=[("accept", ""), ("reject", "")])

    def clean(self) -> dict[str, object]:
        given = super().clean() or {}
        if given.get("answer") == "reject" and not str(given.get("reason") or "").strip():
            self.add_error("reason", _("Please say why not."))
        return given


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        AutomationIdea.objects.for_lists(),
        sort=SORT,
        default="-proposed",
        search=("title", "what", "found_in", "customer__name"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {"page": page, "shows_customer": is_provider(person), "may_propose": can_write(person)}
    return render(request, "changes/ideas.html", context)


@form_view
@require(can_write)
def create(request: HttpRequest) -> HttpResponse:
    customer = asked_customer(request, person_of(request))
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    form = IdeaForm(request.POST or None, initial={"found_in": request.GET.get("found_in", "")[:200]})
    if request.method == "POST" and form.is_valid():
        idea = Idea(**form.cleaned_data)
        made = ideas.propose(customer=customer, idea=idea, actor=person_of(request), now=timezone.now())
        messages.success(request, _("Written down. The customer's project managers decide."))
        return redirect("changes:idea", made.pk)
    context = {"form": form, "title": _("Idea for automation"), "about": customer.name, "back": "/changes/ideas/"}
    return render(request, "changes/plain_form.html", context, status=422 if form.errors else 200)


@form_view
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One idea; the customer's project manager says yes or no."""
    idea, person = get_object_or_404(AutomationIdea.objects.for_lists(), pk=pk), person_of(request)
    form = DecisionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if not is_customer_pm(person):
            raise PermissionDenied
        if form.is_valid():
            act = ideas.accept if form.cleaned_data["answer"] == "accept" else ideas.reject
            act(idea=idea, reason=form.cleaned_data["reason"], actor=person, now=timezone.now())
            messages.success(request, _("Decided. Whoever proposed it is told."))
            return redirect("changes:idea", pk)
    may_decide = is_customer_pm(person) and idea.state == AutomationIdea.State.PROPOSED
    context = {"idea": idea, "form": form, "may_decide": may_decide}
    return render(request, "changes/idea.html", context, status=422 if form.errors else 200)


def _filters(person: User) -> dict[str, tables.Filter]:
    chosen: dict[str, tables.Filter] = {"state": tables.Choice(_("State"), AutomationIdea.State.choices, "state")}
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[AutomationIdea]) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.number,
        _("Title"): lambda row: row.title,
        _("Customer"): lambda row: row.customer.name,
        _("What is to be automated?"): lambda row: row.what,
        _("Found in"): lambda row: row.found_in,
        _("With which tool"): lambda row: row.tool,
        _("Effort (hours)"): lambda row: row.effort_hours,
        _("Saving (hours a month)"): lambda row: row.saving_hours,
        _("State"): lambda row: row.get_state_display(),
        _("Proposed by"): lambda row: row.proposed_by,
        _("Proposed at"): lambda row: row.proposed_at,
        _("Decided by"): lambda row: row.decided_by,
        _("Decided at"): lambda row: row.decided_at,
        _("Reason"): lambda row: row.reason,
        _("Request"): lambda row: row.request.number if row.request else "",
    }
    return tables.export_csv(page.all(), columns, "automation-ideas")
