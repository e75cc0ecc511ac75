"""Showing a secret to a person: with a reason, a fresh second factor, and for administrators a second person.

Nor does one person alone make a secret one that needs no second person: that is asked and answered in the same way.
"""

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts import audit, secrets, stepup
from accounts.errors import DomainError
from accounts.models import User
from assets.models import Credential, CredentialKind, RevealRequest
from assets.permissions import can_decide_reveal, can_manage_credentials, can_reveal
from assets.services import rotation_due
from notify.services import Message, Note, tell_many

State, Kind = RevealRequest.State, RevealRequest.Kind


def reveal(*, credential: Credential, reason: str, proven_at: datetime | None, actor: User, now: datetime) -> str:
    """The secret, once. `proven_at` is when the actor last gave a second factor in this session.

    An administrator's login is shown only on an approved request of the same person, which is then used up, with the
    reason that was approved.
    """
    _may_reveal(credential, actor)
    if not stepup.is_fresh(proven_at, now):
        raise DomainError(_("Prove your second factor once more, then ask again."), code="factor_stale")
    obj, field = credential.place
    try:
        with transaction.atomic():
            audit.hold(credential.customer_id)
            request = _used_up(credential, actor, now) if credential.needs_second_person else None
            reason = request.reason if request else _given(reason)
            value = secrets.reveal(obj=obj, field=field, reason=reason, actor=actor, now=now)
            Credential.objects.filter(pk=credential.pk).update(last_used_at=now)
            if request is not None:
                _tell_of_showing(request, now)
    except secrets.Missing:
        raise DomainError(_("No secret was entered for %(name)s.") % {"name": credential}, code="no_secret") from None
    return value


@transaction.atomic
def ask(*, credential: Credential, reason: str, actor: User, now: datetime) -> RevealRequest:
    """Ask a second person. While a request of one's own is open, that one is returned."""
    _may_reveal(credential, actor)
    if not credential.needs_second_person:
        raise DomainError(_("This secret needs no second person."), code="not_needed")
    return _ask(credential, Kind.SHOW, reason, actor=actor, now=now)


@transaction.atomic
def ask_to_unmark(*, credential: Credential, reason: str, actor: User, now: datetime) -> RevealRequest:
    """Ask a second person that it be an administrator's login no longer: its secret is then shown to one alone."""
    if not can_manage_credentials(actor):
        raise PermissionDenied
    if credential.kind == CredentialKind.CONSOLE or not credential.is_privileged or credential.retired_at is not None:
        raise DomainError(_("There is nothing here that could be taken back."), code="not_marked")
    return _ask(credential, Kind.UNMARK, reason, actor=actor, now=now)


def _ask(credential: Credential, kind: RevealRequest.Kind, reason: str, *, actor: User, now: datetime) -> RevealRequest:
    reason = _given(reason)
    audit.hold(credential.customer_id)
    open_one = open_request(credential, actor, now, kind=kind)
    if open_one is not None:
        return open_one
    request = RevealRequest.objects.create(
        customer_id=credential.customer_id,
        credential=credential,
        kind=kind,
        asked_by=actor,
        reason=reason,
        asked_at=now,
        ends_at=now + RevealRequest.LIFE,
    )
    _record(
        "credential.ask_reveal" if kind is Kind.SHOW else "credential.ask_unmark",
        request,
        actor,
        now,
        {"reason": reason},
    )
    deciders = [person for person in rotation_due.guardians() if person != actor]
    for person in deciders:
        with override(person.language):
            subject = (
                _("%(who)s asks to see %(credential)s")
                if kind is Kind.SHOW
                else _("%(who)s asks that %(credential)s be an administrator login no longer")
            )
            message = Message(
                topic="account",
                subject=subject % {"who": actor, "credential": credential},
                text=_("Reason: %(reason)s. A second person has to agree.") % {"reason": reason},
                url=f"/assets/reveals/{request.pk}/",
                about=f"reveal:{request.pk}",
            )
        note = Note(person, f"reveal-asked:{request.pk}", message, ("inbox", "email", "push"))
        tell_many(customer=credential.customer, notes=[note], now=now)
    return request


@transaction.atomic
def decide(*, request: RevealRequest, is_approved: bool, actor: User, now: datetime) -> RevealRequest:
    """A second person agrees or refuses; whoever asked cannot."""
    if not can_decide_reveal(actor) or request.asked_by_id == actor.pk:
        raise PermissionDenied
    audit.hold(request.customer_id)
    request = _locked(request.pk)
    if request.state != State.WAITING or not request.is_open(now):
        raise DomainError(_("This request is answered or over already."), code="over")
    request.state = State.APPROVED if is_approved else State.REFUSED
    request.decided_by, request.decided_at = actor, now
    shows = request.kind == Kind.SHOW
    if is_approved:
        request.ends_at = now + RevealRequest.WINDOW if shows else now
    request.save(update_fields=["state", "decided_by", "decided_at", "ends_at"])
    detail = {"asked_by": str(request.asked_by), "reason": request.reason, "approved": is_approved}
    _record("credential.decide_reveal" if shows else "credential.decide_unmark", request, actor, now, detail)
    if is_approved and not shows:
        Credential.objects.filter(pk=request.credential_id).update(is_privileged=False)
    with override(request.asked_by.language):
        message = Message(
            topic="account",
            subject=_("Your request about %(credential)s") % {"credential": request.credential},
            text=_answer(request, actor, is_approved=is_approved),
            url=f"/assets/credentials/{request.credential_id}/{'reveal/' if shows else ''}",
            about=f"reveal:{request.pk}",
        )
    note = Note(request.asked_by, f"reveal-decided:{request.pk}", message, ("inbox", "push"))
    tell_many(customer=request.customer, notes=[note], now=now)
    return request


def _answer(request: RevealRequest, actor: User, *, is_approved: bool) -> str:
    if not is_approved:
        return _("%(who)s refuses.") % {"who": actor}
    if request.kind == Kind.UNMARK:
        return _("%(who)s agrees. It is an administrator login no longer.") % {"who": actor}
    minutes = int(RevealRequest.WINDOW.total_seconds() // 60)
    return _("%(who)s agrees. It can be shown once within %(minutes)s minutes.") % {"who": actor, "minutes": minutes}


def open_request(
    credential: Credential, actor: User, now: datetime, *, kind: RevealRequest.Kind = Kind.SHOW
) -> RevealRequest | None:
    """The actor's request of this kind that waits or may be used."""
    rows = RevealRequest.objects.filter(credential=credential, asked_by=actor, kind=kind, ends_at__gt=now)
    return rows.filter(state__in=(State.WAITING, State.APPROVED)).first()


def _used_up(credential: Credential, actor: User, now: datetime) -> RevealRequest:
    found = open_request(credential, actor, now)
    request = _locked(found.pk) if found is not None else None
    if request is None or request.state != State.APPROVED or not request.is_open(now):
        raise DomainError(_("A second person has to agree first."), code="second_person")
    request.state, request.shown_at = State.USED, now
    request.save(update_fields=["state", "shown_at"])
    return request


def _tell_of_showing(request: RevealRequest, now: datetime) -> None:
    for person in (request.asked_by, request.decided_by):
        if person is None:
            continue
        with override(person.language):
            message = Message(
                topic="account",
                subject=_("Shown: %(credential)s") % {"credential": request.credential},
                text=_("To %(who)s, agreed by %(second)s. Reason: %(reason)s.")
                % {"who": request.asked_by, "second": request.decided_by, "reason": request.reason},
                url=f"/assets/reveals/{request.pk}/",
                about=f"reveal:{request.pk}",
            )
        note = Note(person, f"reveal-shown:{request.pk}", message, ("inbox", "email"))
        tell_many(customer=request.customer, notes=[note], now=now)


def _may_reveal(credential: Credential, actor: User) -> None:
    if not can_reveal(actor, credential):
        raise PermissionDenied
    if not credential.may_be_revealed:
        raise DomainError(_("The secret of an AccessKey is never shown again after it was entered."), code="never")


def _given(reason: str) -> str:
    text = " ".join(reason.split())[:300]
    if not text:
        raise DomainError(_("Please say why you need the secret; the reason is kept."), code="reason_missing")
    return text


def _locked(pk: int) -> RevealRequest:
    rows = RevealRequest.objects.select_for_update(of=("self",))
    related = ("credential__asset", "credential__cloud_account", "asked_by", "decided_by", "customer")
    return rows.select_related(*related).get(pk=pk)


def _record(action: str, request: RevealRequest, actor: User, now: datetime, detail: dict[str, object]) -> None:
    credential = request.credential
    audit.record(action=action, actor=actor, customer=request.customer, obj=credential, detail=detail, now=now)
