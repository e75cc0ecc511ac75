"""What people press on a change: each verb is a small form, on its own page or in a dialog of the change's."""

from __future__ import annotations

from datetime import datetime

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts import pressing
from accounts.errors import DomainError
from accounts.fragments import is_fragment
from accounts.models import User
from accounts.permissions import person_of
from accounts.pressing import Said
from changes.forms import (
    BackupForm,
    FileForm,
    HearForm,
    ReasonForm,
    ResultForm,
    ReviewForm,
    RiskForm,
    RollBackForm,
    ScheduleForm,
    TakeForm,
    TestForm,
    WordsForm,
)
from changes.models import Change
from changes.operation_forms import EvidenceForm
from changes.permissions import may_ever
from changes.services import approving, confirming, drafting, evidence, executing, scheduling
from changes.states import Verb
from changes.views.pages import answer, get_change
from changes.words import said as in_words

Press = pressing.Press[Verb, Change]
SCHEDULE = pgettext_lazy("change", "Schedule")


def _plain(data: object, _change: Change) -> forms.Form:
    return forms.Form(data)  # type: ignore[arg-type]  # what was posted, or None


def _backup(change: Change, said: Said, actor: User, now: datetime) -> object:
    return evidence.record_backup(change=change, actor=actor, now=now, **said)


def _attach(change: Change, said: Said, actor: User, now: datetime) -> object:
    return evidence.attach(change=change, actor=actor, now=now, **said)


PRESSES: dict[str, Press] = {
    "submit": Press(
        Verb.SUBMIT, _("Hand in"), _("Hand in"), _("Handed in: the gates begin."), _plain,
        lambda change, _said, actor, now: drafting.submit(change=change, actor=actor, now=now),
    ),
    "tell_risk": Press(
        Verb.TELL_RISK, _("Tell the risk"), _("Tell, and ask for the signature"), _("The customer is asked to sign."),
        RiskForm.of,
        lambda change, said, actor, now: confirming.tell_risk(change=change, text=said["text"], actor=actor, now=now),
    ),
    "hear": Press(
        Verb.HEAR, _("The customer said yes on the telephone"), _("Write it down"), _("Written down."),
        lambda data, _change: HearForm(data),
        lambda change, said, actor, now: confirming.hear(change=change, actor=actor, now=now, **said),
    ),
    "ask_signature": Press(
        Verb.ASK_SIGNATURE, _("Ask for the signature again"), _("Ask again"), _("The customer is asked to sign."),
        _plain, lambda change, _said, actor, now: confirming.ask_signature(change=change, actor=actor, now=now),
    ),
    "record_test": Press(
        Verb.RECORD_TEST, _("Record a test"), _("Record"), _("The test is recorded."),
        lambda data, change: TestForm(data, change=change),
        lambda change, said, actor, now: evidence.record_test(change=change, actor=actor, now=now, **said),
    ),
    "record_backup": Press(
        Verb.RECORD_BACKUP, _("Record a backup"), _("Record"), _("The backup is recorded."),
        lambda data, change: BackupForm(data, change=change), _backup,
    ),
    "attach": Press(
        Verb.ATTACH, _("Attach a file"), _("Attach"), _("Attached."), lambda data, _change: FileForm(data), _attach
    ),
    "schedule": Press(
        Verb.SCHEDULE, SCHEDULE, SCHEDULE, _("It has its window."), ScheduleForm.of,
        lambda change, said, actor, now: scheduling.schedule(change=change, actor=actor, now=now, **said),
    ),
    "overrule": Press(
        Verb.SCHEDULE, _("Overrule the freeze"), _("Overrule"), _("The freeze is overruled."),
        lambda data, _change: ReasonForm(data),
        lambda change, said, actor, now: scheduling.overrule_freeze(
            change=change, reason=said["reason"], actor=actor, now=now
        ),
    ),
    "emergency": Press(
        Verb.EDIT, _("Make it an emergency"), _("Make it an emergency"), _("It takes the short path now."),
        lambda data, _change: ReasonForm(data),
        lambda change, said, actor, now: drafting.make_emergency(
            change=change, reason=said["reason"], actor=actor, now=now
        ),
    ),
    "take": Press(
        Verb.TAKE, _("Who does it, who tests it"), _("Save"), _("Saved."),
        lambda data, change: TakeForm(data, change=change),
        lambda change, said, actor, now: drafting.take(change=change, actor=actor, now=now, **said),
    ),
    "ask_again": Press(
        Verb.EDIT, _("Ask the approvers again"), _("Ask again"), _("They are asked again."), _plain,
        lambda change, _said, actor, now: approving.ask_again(change=change, actor=actor, now=now),
    ),
    "begin": Press(
        Verb.BEGIN, _("Begin the work"), _("Begin the work"), _("Begun. The alarms of its assets are quiet."), _plain,
        lambda change, _said, actor, now: executing.begin(change=change, actor=actor, now=now),
    ),
    "finish": Press(
        Verb.FINISH, _("Work is done"), _("Work is done"), _("Done. The customer is asked to test."),
        lambda data, _change: ResultForm(data),
        lambda change, said, actor, now: executing.finish_work(
            change=change, result=said["result"], actor=actor, now=now
        ),
    ),
    "fail": Press(
        Verb.FAIL, _("It failed"), _("It failed"), _("Written down: now it has to be undone."),
        lambda data, _change: ReasonForm(data),
        lambda change, said, actor, now: executing.fail(change=change, reason=said["reason"], actor=actor, now=now),
    ),
    "roll_back": Press(
        Verb.ROLL_BACK, _("Rolled back"), _("Rolled back"), _("It is as before."),
        lambda data, change: RollBackForm(data, change=change),
        lambda change, said, actor, now: executing.roll_back(change=change, actor=actor, now=now, **said),
    ),
    "sign_off": Press(
        Verb.SIGN_OFF, _("Sign off"), _("It works: sign off"), _("Signed off. Thank you."),
        lambda data, _change: WordsForm(data),
        lambda change, said, actor, now: executing.sign_off(change=change, words=said["words"], actor=actor, now=now),
    ),
    "object": Press(
        Verb.OBJECT, _("It is not right"), _("Tell the service team"), _("The service team knows."),
        lambda data, _change: ReasonForm(data),
        lambda change, said, actor, now: executing.object_to(
            change=change, words=said["reason"], actor=actor, now=now
        ),
    ),
    "cancel": Press(
        Verb.CANCEL, _("Give it up"), _("Give it up"), _("Given up. Nothing was changed."),
        lambda data, _change: ReasonForm(data),
        lambda change, said, actor, now: drafting.cancel(change=change, reason=said["reason"], actor=actor, now=now),
    ),
    "review": Press(
        Verb.REVIEW, _("Review the emergency"), _("Save the review"), _("Reviewed."),
        lambda data, change: ReviewForm(data, change=change),
        lambda change, said, actor, now: executing.review(
            change=change, words=said["reason"], unsigned=said.get("unsigned", ""), actor=actor, now=now
        ),
    ),
    "comment": Press(
        Verb.COMMENT, _("Write"), _("Send"), "", lambda data, _change: ReasonForm(data),
        lambda change, said, actor, now: drafting.comment(change=change, body=said["reason"], actor=actor, now=now),
    ),
}  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
def press(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Show the verb's form, or do what it says."""
    change, person, pressed = get_change(pk), person_of(request), PRESSES[name]
    if not may_ever(person, pressed.verb):
        raise PermissionDenied
    form = pressed.make_form(request.POST if request.method == "POST" else None, change)
    form.files = request.FILES
    if request.method == "POST" and form.is_valid():
        pressed.act(change, form.cleaned_data, person, timezone.now())
        return answer(request, change, str(pressed.done))
    context = {"change": change, "form": form, "press": pressed}
    template = "changes/_press.html" if is_fragment(request) else "changes/press.html"
    return render(request, template, context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def check(request: HttpRequest, pk: int, code: str) -> HttpResponse:
    """One point of the checklist: what shows that it was looked at."""
    change, person = get_change(pk), person_of(request)
    if not may_ever(person, Verb.CHECK):
        raise PermissionDenied
    point = next((one for one in change.points if one.code == code), None)
    if point is None:
        raise DomainError(gettext("The checklist has no such point."), code="no_check")
    known = evidence.checked(change).get(code)
    initial = {} if known is None else {**known.evidence, "words": known.words}
    posted = (request.POST, request.FILES) if request.method == "POST" else ()
    form = EvidenceForm(*posted, point=point, held=initial)
    if posted and form.is_valid():
        evidence.check(
            change=change,
            code=code,
            words=form.cleaned_data["words"],
            given=form.given(),
            files=form.uploaded(),
            actor=person,
            now=timezone.now(),
        )
        return answer(request, change, "")
    shown = {"title": in_words(point.words), "button": _("Looked at")}
    context = {"change": change, "form": form, "press": shown}
    template = "changes/_press.html" if is_fragment(request) else "changes/press.html"
    return render(request, template, context, status=422 if form.errors else 200)
