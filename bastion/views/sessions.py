"""Sessions: who is connected, what was done, and the buttons that end it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.fragments import is_fragment
from accounts.models import User
from accounts.permissions import administers, is_provider, person_of
from bastion.forms import HoldForm, NothingForm, ReasonForm, WordsForm
from bastion.models import BastionSession, RecordingPurge, SessionCommand, SessionFact
from bastion.services import authorising, connected, copies, living, retaining, watching
from bastion.views.choosing import with_customers
from bastion.words import EVENT_KINDS, event_word, verdict_word

SORT: Final[dict[str, tables.SortBy]] = {
    "begun": "allowed_at",
    "person": ("person__name", "-allowed_at"),
    "resource": ("asset__name", "-allowed_at"),
    "customer": ("customer__name", "-allowed_at"),
    "state": ("state", "-allowed_at"),
}
MOST_SHOWN: Final = 200
"""Files and events on a session's page; all of them stand on pages of their own."""
ONLINE: Final = (BastionSession.State.OPEN, BastionSession.State.UNKNOWN)


@dataclass(frozen=True)
class Press:
    """A button of a session's page."""

    form: type[forms.Form]
    title: str | Promise
    button: str | Promise
    act: Callable[[BastionSession, str, User], None]
    done: str | Promise
    may: Callable[[User, BastionSession], bool] = authorising.may_end


def _disconnect(session: BastionSession, words: str, actor: User) -> None:
    living.disconnect(session=session, words=words, actor=actor, now=timezone.now())


def _lock(session: BastionSession, _words: str, actor: User) -> None:
    living.lock(session=session, is_locked=True, actor=actor, now=timezone.now())


def _unlock(session: BastionSession, _words: str, actor: User) -> None:
    living.lock(session=session, is_locked=False, actor=actor, now=timezone.now())


def _hold(session: BastionSession, words: str, actor: User) -> None:
    retaining.hold(session=session, reason=words, actor=actor, now=timezone.now())


def _lift(session: BastionSession, _words: str, actor: User) -> None:
    retaining.lift(session=session, actor=actor, now=timezone.now())


def _may_hold(person: User, session: BastionSession) -> bool:
    return administers(person, session.customer_id)


def _say(session: BastionSession, words: str, actor: User) -> None:
    living.say(session=session, words=words, actor=actor, now=timezone.now())


PRESSES: Final[Mapping[str, Press]] = {
    "disconnect": Press(
        ReasonForm,
        gettext_lazy("Disconnect"),
        gettext_lazy("Disconnect"),
        _disconnect,
        gettext_lazy("Sent to the node."),
    ),
    "lock": Press(
        NothingForm,
        pgettext_lazy("session", "Lock"),
        pgettext_lazy("session", "Lock"),
        _lock,
        gettext_lazy("Nothing typed passes any more."),
        authorising.may_lock,
    ),
    "unlock": Press(
        NothingForm,
        pgettext_lazy("session", "Unlock"),
        pgettext_lazy("session", "Unlock"),
        _unlock,
        gettext_lazy("It goes on."),
        authorising.may_lock,
    ),
    "say": Press(WordsForm, gettext_lazy("Message"), gettext_lazy("Show it"), _say, gettext_lazy("Sent to the node.")),
    "hold": Press(
        HoldForm,
        gettext_lazy("Legal hold"),
        pgettext_lazy("recording", "Hold it"),
        _hold,
        gettext_lazy("The recording stays until the hold is lifted."),
        _may_hold,
    ),
    "lift": Press(
        NothingForm,
        gettext_lazy("Lift the hold"),
        pgettext_lazy("hold", "Lift it"),
        _lift,
        gettext_lazy("The recording goes when its time is over."),
        retaining.may_lift,
    ),
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Those that one may watch: all of the customers one administers, those of one's groups, and one's own."""
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), BastionSession.State.choices, "state"),
        "matched": tables.Choice(
            _("Work"), [("no", _("without incident or change"))], lambda _value: authorising.unmatched()
        ),
        "asset": "asset_id",
        "person": "person_id",
        "incident": "incident_id",
        "change": "change_id",
    }
    filters = with_customers(request, filters)
    page = tables.page(
        request,
        authorising.watchable(person).joined(),
        sort=SORT,
        default="-begun",
        search=("person__name", "asset__name", "account", "reason", "client_address"),
        filters=filters,
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {
        "page": page,
        "shows_customer": is_provider(person),
        "online": authorising.watchable(person).online().count(),
    }
    return render(request, "bastion/sessions.html", context)


@require_safe
def online(request: HttpRequest) -> HttpResponse:
    """Who is connected now, by customer and resource group."""
    person = person_of(request)
    context = {"customers": connected.by_customer(person), "shows_customer": is_provider(person)}
    return render(request, "bastion/_online.html" if is_fragment(request) else "bastion/online.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One session with its commands, files and events. Looking at somebody else's is written down."""
    session, person = get_session(request, pk), person_of(request)
    if not is_fragment(request) and session.person_id != person.pk:
        watching.note_view(session=session, person=person, now=timezone.now())
    commands = tables.page(
        request,
        session.sessioncommands.all(),
        sort={"number": "number"},
        default="number",
        search=("text",),
        filters={},
        exports=True,
    )
    if tables.wants_csv(request):
        return _export_commands(commands)
    context = {
        "session": session,
        "page": commands,
        "transfers": session.filetransfers.order_by("number")[:MOST_SHOWN],
        "files": session.filetransfers.count(),
        "may_fetch": copies.may_fetch(person, session),
        "facts": session.sessionfacts.order_by("number")[:MOST_SHOWN],
        "events": session.sessionfacts.count(),
        "pieces": session.pieces.count(),
        "purge": RecordingPurge.objects.filter(session=session).first(),
        "hold": retaining.hold_of(session),
        "may_hold": _may_hold(person, session),
        "may_lift": retaining.may_lift(person, session),
        "is_online": session.state in ONLINE,
        "may_end": authorising.may_end(person, session),
        "may_lock": authorising.may_lock(person, session),
    }
    return render(request, "bastion/_session.html" if is_fragment(request) else "bastion/session.html", context)


@require_safe
def events(request: HttpRequest, pk: int) -> HttpResponse:
    """All that happened in one session beside commands and files."""
    session, person = get_session(request, pk), person_of(request)
    if session.person_id != person.pk:
        watching.note_view(session=session, person=person, now=timezone.now())
    kinds = [(kind, event_word(kind)) for kind in EVENT_KINDS]
    page = tables.page(
        request,
        session.sessionfacts.all(),
        sort={"number": "number"},
        default="number",
        search=("data__path", "data__other", "data__host", "data__what"),
        filters={"kind": tables.Choice(_("Event"), kinds, "kind")},
        exports=True,
    )
    if tables.wants_csv(request):
        return _export_events(page)
    return render(request, "bastion/session_events.html", {"session": session, "page": page})


@require_http_methods(["GET", "HEAD", "POST"])
def press(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Show the form of a button, or press it."""
    session, person, pressed = get_session(request, pk), person_of(request), PRESSES[name]
    if not pressed.may(person, session):
        raise PermissionDenied
    form = pressed.form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        pressed.act(session, form.cleaned_data.get("words", ""), person)
        if is_fragment(request):
            heard = {"press:done": {}, "toast": {"level": "success", "text": str(pressed.done)}}
            return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(heard)})
        messages.success(request, str(pressed.done))
        return redirect("bastion:session", session.pk)
    context = {"session": session, "form": form, "press": pressed}
    template = "bastion/_press.html" if is_fragment(request) else "bastion/press.html"
    return render(request, template, context, status=422 if form.errors else 200)


def get_session(request: HttpRequest, pk: int) -> BastionSession:
    """404 for what is not there, or not for this person's eyes."""
    session: BastionSession | None = BastionSession.objects.joined().filter(pk=pk).first()
    if session is None or not authorising.may_watch(person_of(request), session):
        raise Http404
    return session


def _export(page: tables.Page[BastionSession]) -> HttpResponse:
    columns: dict[str, Callable[[BastionSession], object]] = {
        _("Customer"): lambda one: one.customer.name,
        _("Person"): lambda one: one.person.name,
        _("Account"): lambda one: one.account,
        _("Resource"): lambda one: one.asset.name,
        _("Client address"): lambda one: one.client_address,
        _("Work"): lambda one: one.work,
        _("State"): lambda one: one.get_state_display(),
        _("Allowed at"): lambda one: one.allowed_at,
        _("Ended at"): lambda one: one.ended_at,
        _("Why it ended"): lambda one: one.get_ending_display(),
    }
    return tables.export_csv(page.all(), columns, "sessions")


def _export_events(page: tables.Page[SessionFact]) -> HttpResponse:
    columns: dict[str, Callable[[SessionFact], object]] = {
        _("At"): lambda one: one.at,
        _("Event"): lambda one: event_word(one.kind),
        _("Details"): lambda one: json.dumps(one.data, ensure_ascii=False),
    }
    return tables.export_csv(page.all(), columns, "events")


def _export_commands(page: tables.Page[SessionCommand]) -> HttpResponse:
    columns: dict[str, Callable[[SessionCommand], object]] = {
        _("At"): lambda one: one.at,
        _("Command"): lambda one: one.text,
        _("Verdict"): lambda one: verdict_word(one.verdict),
        _("Exit status"): lambda one: one.exit_status,
    }
    return tables.export_csv(page.all(), columns, "commands")
