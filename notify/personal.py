"""From a delivery to one person's telephone or browsers: what is said there, through which account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import scope, secrets
from accounts.models import Severity
from accounts.vault import VaultError
from notify import links, markdown, outlets
from notify.channels import http, push, sms, voice
from notify.channels.notice import Notice
from notify.channels.outcome import Outcome, Verdict
from notify.channels.receipt import Report
from notify.models import Attempt, Delivery, PushDevice

VARIABLE_LIMIT = sms.VARIABLE
REPEATED = timedelta(hours=48)  # how far back a lost SMS is looked for


def call(delivery: Delivery, attempt_id: int, now: datetime, limits: http.Limits) -> Outcome:
    """Ring the person. The call reads the template with who, what and how many."""
    chosen = outlets.current()
    if not chosen.can_call:
        return Outcome(Verdict.REFUSED, "not set up", _("Calls are not set up."))
    try:
        line = outlets.line(chosen, now)
    except (secrets.Missing, VaultError):
        return _no_key()
    said = {**variables(delivery), "count": str(max(1, delivery.parts.filter(withdrawn_at=None).count()))}
    return voice.call(line, delivery.address, said, out_id=str(attempt_id), asks=bool(delivery.asks), limits=limits)


def text(delivery: Delivery, attempt_id: int, now: datetime, limits: http.Limits) -> Outcome:
    """Send an SMS; before a repeat ask whether one of the earlier tries has gone out after all."""
    chosen = outlets.current()
    if not chosen.can_text:
        return Outcome(Verdict.REFUSED, "not set up", _("SMS are not set up."))
    try:
        sender = outlets.texter(chosen, now)
    except (secrets.Missing, VaultError):
        return _no_key()
    found = _sent_before(sender, delivery, attempt_id, now, limits)
    if found is not None:
        return found
    said = {**variables(delivery), "code": _code(delivery)}
    return sms.send(sender, delivery.address, said, out_id=str(attempt_id), limits=limits)


def _sent_before(
    sender: sms.Sender, delivery: Delivery, attempt_id: int, now: datetime, limits: http.Limits
) -> Outcome | None:
    """The outcome when an earlier try with a lost answer is in the provider's list; None when it may be sent again."""
    doubtful = Attempt.objects.filter(delivery=delivery, started_at__gt=now - REPEATED, provider_id="")
    lost = dict(doubtful.exclude(pk=attempt_id).filter(_lost()).values_list("pk", "started_at"))
    if not lost:
        return None
    out_ids = [str(pk) for pk in lost]
    for day in sorted({timezone.localdate(moment) for moment in lost.values()}):
        found = sms.look_up(sender, delivery.address, out_ids=out_ids, on=day, limits=limits)
        if isinstance(found, Outcome):
            return Outcome(Verdict.FAILED, "not sent", f"{found.code} {found.detail}".strip())
        if found is not None:
            return Outcome(Verdict.ACCEPTED, "sent before", _("An earlier try had gone out; it was not repeated."))
    return None


def _lost() -> Q:
    return Q(verdict=Attempt.Verdicts.UNCERTAIN) | Q(settled_at=None)


def look_up(delivery: Delivery, attempt: Attempt, now: datetime, limits: http.Limits) -> Report | Outcome | None:
    """Ask the provider what became of a call or SMS that it accepted; None: not known yet."""
    chosen = outlets.current()
    try:
        if delivery.medium == Delivery.Medium.VOICE:
            line, asked = outlets.line(chosen, now), bool(delivery.asks)
            made_at = attempt.started_at
            return voice.look_up(line, attempt.provider_id, asked=asked, made_at=made_at, limits=limits)
        sender = outlets.texter(chosen, now)
    except (secrets.Missing, VaultError):
        return _no_key()
    ids = [str(pk) for pk in Attempt.objects.filter(delivery=delivery).values_list("pk", flat=True)]
    on = timezone.localdate(attempt.started_at)
    found = sms.look_up(sender, delivery.address, out_ids=ids, on=on, limits=limits)
    return None if isinstance(found, Report) and not found.code else found


def variables(delivery: Delivery) -> Mapping[str, str]:
    """What the approved templates may name (see docs/operations.md)."""
    return {
        "customer": str(delivery.customer or settings.PROVIDER_NAME),
        "severity": str(Severity(delivery.severity).label) if delivery.severity else _("Notice"),
        "title": markdown.plain(delivery.subject) or delivery.subject,
    }


def _code(delivery: Delivery) -> str:
    """What follows the portal's address in the template: where to answer, or where to read."""
    path = links.path_of(delivery) or delivery.url.lstrip("/")
    return path if 0 < len(path) <= VARIABLE_LIMIT else "notify/inbox/"


def push_out(delivery: Delivery, notice: Notice, now: datetime, limits: http.Limits) -> Outcome:
    """To every browser of the person. One that took it is enough; those that are gone are forgotten."""
    sender = outlets.push_sender(now)
    with scope.platform("one's own devices"):
        devices = list(PushDevice.objects.filter(user=delivery.user_id))
    if sender is None or not devices:
        return Outcome(Verdict.REFUSED, "no device", _("The person has no device that takes push messages."))
    body = notice.text.partition(f"{settings.PUBLIC_URL}/a/")[0]
    content = push.payload(notice, text=markdown.plain(body), tag=delivery.about or f"d{delivery.pk}")
    outcomes = []
    for device in devices:
        target = push.Device(device.endpoint, device.p256dh, device.auth)
        outcomes.append(push.send(sender, target, content, notice, now=now, limits=limits))
    _note(devices, outcomes, now)
    return _together(devices, outcomes)


def _note(devices: list[PushDevice], outcomes: list[Outcome], now: datetime) -> None:
    with scope.platform("one's own devices"):
        for device, outcome in zip(devices, outcomes, strict=True):
            mine = PushDevice.objects.filter(pk=device.pk)
            if outcome.code == push.GONE:
                mine.delete()
            elif outcome.is_accepted:
                mine.update(reached_at=now, last_code="")
            else:
                mine.update(last_code=outcome.code[:40])


WORST_LAST = (Verdict.ACCEPTED, Verdict.UNCERTAIN, Verdict.RATE, Verdict.FAILED, Verdict.REFUSED)
"""Of several devices the luckiest counts; without any luck, the one most worth another try."""


def _together(devices: list[PushDevice], outcomes: list[Outcome]) -> Outcome:
    best = min(outcomes, key=lambda outcome: WORST_LAST.index(outcome.verdict))
    each = "; ".join(f"{device}: {outcome.code}" for device, outcome in zip(devices, outcomes, strict=True))
    return replace(best, detail=each if len(devices) > 1 or not best.detail else best.detail)


def _no_key() -> Outcome:
    return Outcome(Verdict.REFUSED, "no secret", _("The AccessKey for calls and SMS is missing: enter it again."))
