"""Restores of the four kinds (R159) are changes; what two of them leave behind is watched until it is gone.

A temporary instance has its day from the request. Reminders go out before, on the day it becomes "to be released" and
is spoken of every day; a change releases it through its gates. Nothing is ever deleted by time alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import can_write, is_provider
from assets.models import Asset
from changes import restore_messages, states
from changes.models import Change, ChangeEntry, ChangeRisk, ChangeState, TemporaryExtension, TemporaryInstance
from changes.services import drafting
from changes.services.drafting import Content
from changes.services.marks import allowed, finish, hold, required
from changes.states import Verb
from notify import live
from timers import services as timers

OVERWRITE, BACKUP_SET = "restore-overwrite", "restore-backup-set"
POINT_IN_TIME, FILES = "restore-point-in-time", "restore-files"
KINDS: Final = (OVERWRITE, BACKUP_SET, POINT_IN_TIME, FILES)
TEMPORARY: Final = (BACKUP_SET, POINT_IN_TIME)
RELEASE: Final = TemporaryInstance.RELEASED_BY
POINT: Final = "expiry"
"""Of the checklist: it cannot be ticked before the instance is written down."""
TASK: Final = "changes.watch_temporary_instance"
BEFORE: Final = (timedelta(days=3), timedelta(days=1))
AGAIN: Final = timedelta(days=1)
MOST_EXTENSION_DAYS: Final = 30
LONGEST_LIFE: Final = timedelta(days=180)
DEFAULT_DAYS: Final = 7
State = TemporaryInstance.State
BEGUN: Final = (ChangeState.EXECUTING, ChangeState.CUSTOMER_TEST, ChangeState.CLOSED)
GIVEN_UP: Final = (ChangeState.CANCELLED, ChangeState.ROLLED_BACK)


@transaction.atomic
def record(
    *,
    change: Change,
    source: Asset,
    name: str,
    address: str,
    restore_minutes: int | None,
    actor: User,
    now: datetime,
) -> TemporaryInstance:
    """What the restore brought up. From now on its days are counted."""
    change = hold(change)
    allowed(Verb.CHECK, change, actor)
    if change.operation not in TEMPORARY:
        raise DomainError(_("This change restores nothing to a temporary instance."), code="not_temporary")
    if not change.assets.filter(pk=source.pk).exists():
        raise DomainError(_("This is none of the change's assets."), code="not_touched")
    name = required(name, _("Please give the name or ID of the temporary instance."))[:120]
    if name in (source.name, source.provider_id):
        raise DomainError(_("This is the instance itself, not a temporary one."), code="the_source")
    days = change.fields.get("keep_days")
    expires_at = now + timedelta(days=days if isinstance(days, int) and days > 0 else DEFAULT_DAYS)
    try:
        with transaction.atomic():
            instance = TemporaryInstance.objects.create(
                customer_id=change.customer_id,
                change=change,
                source=source,
                name=name,
                address=address.strip()[:253],
                restore_minutes=restore_minutes,
                ready_at=now,
                expires_at=expires_at,
                recorded_by=actor,
            )
    except IntegrityError:
        raise DomainError(_("It is written down already. Nothing was saved."), code="duplicate") from None
    data = {"name": name, "asset": source.name, "until": expires_at.isoformat(), "minutes": restore_minutes}
    finish(change, ChangeEntry.Kind.RESTORED, actor=actor, now=now, data=data)
    _arm(instance, now)
    return instance


@transaction.atomic
def extend(*, instance: TemporaryInstance, days: int, reason: str, actor: User, now: datetime) -> TemporaryInstance:
    """It is needed for longer: either side may say so, with the reason. A release that was prepared is cancelled."""
    if not can_write(actor):
        raise PermissionDenied
    instance = _hold(instance)
    _must_stand(instance)
    if not 1 <= days <= MOST_EXTENSION_DAYS:
        raise DomainError(
            _("At most %(most)d days at a time. Nothing was changed.") % {"most": MOST_EXTENSION_DAYS}, code="too_long"
        )
    if instance.release is not None and instance.release.state in BEGUN:
        raise DomainError(_("Its release has begun already. Nothing was changed."), code="releasing")
    reason = required(reason, _("Please write why it is needed for longer."))[:300]
    before, until = instance.expires_at, max(instance.expires_at, now) + timedelta(days=days)
    if until - instance.ready_at > LONGEST_LIFE:
        raise DomainError(
            _("It would live longer than %(most)d days: ask for an instance of its own. Nothing was changed.")
            % {"most": LONGEST_LIFE.days},
            code="too_long",
        )
    TemporaryExtension.objects.create(
        customer_id=instance.customer_id,
        instance=instance,
        before=before,
        until=until,
        reason=reason,
        by=actor,
        at=now,
    )
    instance.expires_at, instance.state = until, State.IN_USE
    instance.save(update_fields=["expires_at", "state"])
    _cancel_release(instance, reason, actor, now)
    _record(instance, "extend", actor, now, {"until": until.isoformat(), "reason": reason})
    _arm(instance, now)
    restore_messages.extended(instance, actor, reason, now=now)
    return instance


def _cancel_release(instance: TemporaryInstance, reason: str, actor: User, now: datetime) -> None:
    release = instance.release
    if release is None or release.stage not in states.PENDING:
        return
    with translation.override(instance.customer.language):
        said = _("The temporary instance %(name)s is kept for longer: %(reason)s") % {
            "name": instance.name,
            "reason": reason,
        }
    drafting.cancel(change=release, reason=said, actor=actor, now=now)


def may_draft_release(instance: TemporaryInstance) -> bool:
    """It stands, and no release of it is on its way."""
    is_free = instance.release is None or instance.release.state in GIVEN_UP
    return instance.state != State.RELEASED and is_free


@transaction.atomic
def draft_release(*, instance: TemporaryInstance, actor: User, now: datetime) -> Change:
    """The change that releases it, drafted: it goes through its gates like any other."""
    if not is_provider(actor):
        raise PermissionDenied
    instance = _hold(instance)
    _must_stand(instance)
    if instance.release is not None and not may_draft_release(instance):
        return instance.release
    with translation.override(instance.customer.language):
        content = _release(instance)
    change = drafting.draft(
        customer=instance.change.customer,
        content=content,
        origin=Change.Origin.PROVIDER,
        incident=instance.change.incident,
        actor=actor,
        now=now,
    )
    instance.release = change
    instance.save(update_fields=["release"])
    _record(instance, "draft_release", actor, now, {"change": change.pk})
    return change


def _known(instance: TemporaryInstance) -> tuple[Asset, ...]:
    """The instance itself where the inventory has found it by now: what is done to it is looked for at that asset."""
    found = Asset.objects.active().filter(customer=instance.customer_id).exclude(pk=instance.source_id)
    return tuple(found.filter(Q(provider_id=instance.name) | Q(name=instance.name)).order_by("pk"))


def _release(instance: TemporaryInstance) -> Content:
    """What the customer reads and signs, in its language."""
    names = {"name": instance.name, "source": instance.source.name}
    return Content(
        title=(_("Release the temporary instance %(name)s") % names)[:200],
        operation=RELEASE,
        fields={"name": instance.name, "reason": _("Restored from %(source)s; its time is over.") % names},
        assets=_known(instance),
        risk=ChangeRisk.MEDIUM,
        reason=_("The temporary instance %(name)s was restored from %(source)s; its time is over.") % names,
        plan=_(
            "1. Check that %(name)s is the temporary instance and not %(source)s\n2. See that nobody is connected to "
            "it\n3. Release %(name)s\n4. See that %(source)s works as before"
        )
        % names,
        rollback=_("The backup from which it was restored stays: it can be restored again."),
        test_waiver=_("A temporary instance is released; there is nothing to try before."),
        backup_waiver=_("It is a copy; the backup from which it was restored stays."),
    )


@transaction.atomic
def note_release(*, instance: TemporaryInstance, words: str, actor: User, now: datetime) -> TemporaryInstance:
    """Somebody has seen that it is gone; before its change has begun nobody can have."""
    if not is_provider(actor):
        raise PermissionDenied
    instance = _hold(instance)
    _must_stand(instance)
    if instance.release is None or instance.release.state not in BEGUN:
        raise DomainError(
            _("It is released under a change, and that change has not begun. Nothing was changed."), code="no_change"
        )
    instance.released_words = required(words, _("Please write how you saw that it is gone."))[:300]
    instance.state, instance.released_at, instance.released_by = State.RELEASED, now, actor
    instance.save()
    timers.cancel(prefix=_key(instance))
    _record(instance, "release", actor, now, {"change": instance.release.pk, "words": instance.released_words})
    return instance


@transaction.atomic
def watch(*, instance_id: int, now: datetime) -> None:
    """The timer rang: a reminder before the day, and on the day and each day after it until it is gone."""
    found = TemporaryInstance.objects.for_lists().filter(pk=instance_id).first()
    if found is None:
        return
    instance = _hold(found)
    if instance.state == State.RELEASED:
        return
    if instance.is_overdue(now) and instance.state == State.IN_USE:
        instance.state = State.EXPIRED
        instance.save(update_fields=["state"])
        _record(instance, "expire", None, now, {})
    restore_messages.due(instance, now=now)
    _arm(instance, now)


def must_be_recorded(change: Change) -> None:
    """Raises DomainError when a restore to a temporary instance has none to show."""
    if change.operation in TEMPORARY and not change.temporary_instances.exists():
        raise DomainError(
            _("Write the temporary instance down first: its expiry is counted from there."), code="not_recorded"
        )


def _arm(instance: TemporaryInstance, now: datetime) -> None:
    """One timer for the next thing that is to be said; two that meet would only say it twice."""
    moments = [instance.expires_at - before for before in BEFORE] + [instance.expires_at]
    coming = [moment for moment in moments if moment > now]
    timers.set(
        key=_key(instance),
        due_at=min(coming) if coming else _tomorrow(now),
        task=TASK,
        args={"instance_id": instance.pk},
        customer=instance.customer_id,
    )


def _tomorrow(now: datetime) -> datetime:
    """In the morning: nobody looks at it at night."""
    local = timezone.localtime(now) + AGAIN
    return local.replace(hour=9, minute=0, second=0, microsecond=0)


def _key(instance: TemporaryInstance) -> str:
    return f"temporary-instance:{instance.pk}:"


def _hold(instance: TemporaryInstance) -> TemporaryInstance:
    audit.hold(instance.customer_id)
    rows = TemporaryInstance.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("change__customer", "change__incident", "source", "release", "customer").get(
        pk=instance.pk
    )


def _must_stand(instance: TemporaryInstance) -> None:
    if instance.state == State.RELEASED:
        raise DomainError(_("It is released already. Nothing was changed."), code="released")


def _record(
    instance: TemporaryInstance, verb: str, actor: User | None, now: datetime, detail: Mapping[str, object]
) -> None:
    audit.record(
        action=f"temporary_instance.{verb}",
        actor=actor,
        customer=instance.customer,
        obj=instance,
        detail=detail,
        now=now,
    )
    live.publish(customer_id=instance.customer_id, topic="changes", object_id=instance.change_id)
