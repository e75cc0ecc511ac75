"""TV mode: walls and dashboards one after the other, in large letters, without anything to click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.models import Customer, User
from accounts.permissions import person_of
from monitoring.models import Dashboard

SECONDS = (
    (10, gettext_lazy("10 seconds")),
    (30, gettext_lazy("30 seconds")),
    (60, gettext_lazy("1 minute")),
    (300, gettext_lazy("5 minutes")),
)
EVERY_S = 30
MOST = 30


@dataclass(frozen=True, slots=True)
class Slide:
    url: str
    title: str


class SetupForm(forms.Form):
    show = forms.MultipleChoiceField(label=gettext_lazy("Show"), widget=forms.CheckboxSelectMultiple)
    every = forms.TypedChoiceField(label=gettext_lazy("Change every"), choices=SECONDS, coerce=int, initial=EVERY_S)

    def __init__(self, *args: Any, slides: dict[str, Slide], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["show"].choices = [(key, slide.title) for key, slide in slides.items()]  # type: ignore[attr-defined]  # a choice field


@require_safe
def setup(request: HttpRequest) -> HttpResponse:
    """What to show and how long each; the answer is an address that can be kept as a bookmark."""
    slides = _slides(person_of(request))
    first = next((key for key in (f"wall-{request.GET.get('customer', '')}", "wall") if key in slides), None)
    form = SetupForm(request.GET if "show" in request.GET else None, slides=slides, initial={"show": [first]})
    if form.is_bound and form.is_valid():
        return redirect(f"{reverse('monitoring:tv')}?{request.GET.urlencode()}")
    return render(request, "monitoring/tv_setup.html", {"form": form})


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    slides = _slides(person_of(request))
    chosen = [slides[key] for key in request.GET.getlist("show")[:MOST] if key in slides]
    every = request.GET.get("every", "")
    context = {
        "slides": chosen or list(slides.values())[:1],
        "every": int(every) if every in {str(seconds) for seconds, _label in SECONDS} else EVERY_S,
    }
    return render(request, "monitoring/tv.html", context)


def _slides(person: User) -> dict[str, Slide]:
    """All that this person may put on a screen, by the keys that addresses use."""
    found: dict[str, Slide] = {}
    if person.customer is None:
        found["wall"] = Slide(reverse("monitoring:wall"), _("All customers"))
        for customer in Customer.objects.exclude(status=Customer.Status.LEFT):
            url = reverse("monitoring:wall-customer", args=[customer.pk])
            found[f"wall-{customer.pk}"] = Slide(url, _("Assets of %(customer)s") % {"customer": customer})
    else:
        found["wall"] = Slide(reverse("monitoring:wall"), _("All assets"))
    for dashboard in Dashboard.objects.present().select_related("customer"):
        title = dashboard.name if person.customer is not None else f"{dashboard.customer} · {dashboard.name}"
        found[f"dashboard-{dashboard.pk}"] = Slide(reverse("monitoring:dashboard", args=[dashboard.pk]), title)
    return found
