"""Rotations as rows: starting one, running it as far as it goes, and picking up what a dead worker left."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from celery import current_app
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit, secrets
from accounts.errors import DomainError
from accounts.models import User
from assets.models import Check, Credential, CredentialKind, Rotation
from assets.permissions import can_manage_credentials
from assets.services import credentials, host_rotation, key_rotation
from assets.services.rotation_outcome import Kind
from notify import live
from timers import services as timers

RUN_TASK = "assets.rotate"
WAKE_TASK = "assets.wake_rotation"
Clock = Callable[[], datetime]


def start(*, credential: Credential, actor: User, now: datetime) -> Rotation:
    """Ask for a new secret. While one rotation is open, that one is returned."""
    if not can_manage_credentials(actor):
        raise PermissionDenied
    if credential.retired_at is not None:
        raise DomainError(_("It was retired: its secret is gone."), code="retired")
    _kind_of(credential).must_be_possible(credential)
    try:
        with transaction.atomic():
            audit.hold(credential.customer_id)
            rotation = Rotation.objects.create(
                customer_id=credential.customer_id, credential=credential, actor=actor, started_at=now
            )
            _record("credential.rotate", rotation, actor, now, {})
            _wake_later(rotation, now + Rotation.LEASE)
            publish(rotation)
    except IntegrityError:
        return Rotation.objects.get(credential=credential, state__in=Rotation.OPEN)
    return rotation


def publish(rotation: Rotation) -> None:
    """Tell a worker after commit. Should the queue lose it, the rotation's timer tells it again."""
    send = partial(current_app.send_task, RUN_TASK, args=[rotation.customer_id, rotation.pk])
    transaction.on_commit(send, robust=True)


def wake(*, rotation_id: int, now: datetime) -> None:
    """The timer rang: an open rotation goes on, and its timer is armed anew in case that worker dies as well."""
    rotation = Rotation.objects.filter(pk=rotation_id, state__in=Rotation.OPEN).first()
    if rotation is not None:
        _wake_later(rotation, now + Rotation.LEASE)
        publish(rotation)


def run(*, rotation_id: int, clock: Clock) -> Rotation | None:
    """Take a rotation as far as it goes now. None when somebody else has it, it waits for its hour, or it is over."""
    now = clock()
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    due = Q(next_at=None) | Q(next_at__lte=now)
    mine = Rotation.objects.filter(free, due, pk=rotation_id, state__in=Rotation.OPEN)
    if not mine.update(leased_until=now + Rotation.LEASE):
        return None
    related = ("credential__asset", "credential__cloud_account", "credential__customer", "actor", "customer")
    rotation = Rotation.objects.select_related(*related).get(pk=rotation_id)
    outcome = _kind_of(rotation.credential).advance(rotation, clock)
    with transaction.atomic():
        audit.hold(rotation.customer_id)
        rotation.state, rotation.works = outcome.state, outcome.works or rotation.works
        rotation.problem_code, rotation.leased_until, rotation.next_at = outcome.problem, None, outcome.next_at
        rotation.finished_at = None if rotation.is_open else clock()
        rotation.save()
        key = _key(rotation)
        if not rotation.is_open:
            timers.cancel(prefix=key)
            detail = {"problem": outcome.problem, "works": rotation.works}
            _record(f"credential.rotation_{rotation.state}", rotation, rotation.actor, clock(), detail)
        elif rotation.next_at is not None:
            _wake_later(rotation, rotation.next_at)
        live.publish(customer_id=rotation.customer_id, topic="assets", object_id=rotation.credential_id)
    return rotation


@transaction.atomic
def settle(*, credential: Credential, keep_new: bool, actor: User, now: datetime) -> None:
    """After a failed rotation a person says which of the two secrets counts; the other one is destroyed."""
    if not can_manage_credentials(actor):
        raise PermissionDenied
    audit.hold(credential.customer_id)
    if Rotation.objects.filter(credential=credential, state__in=Rotation.OPEN).exists():
        raise DomainError(_("A rotation is still running."), code="running")
    if not secrets.is_set(credential, Credential.PENDING):
        raise DomainError(_("There is no second secret any more."), code="settled")
    if keep_new:
        purpose = "kept after a failed rotation"
        value = secrets.use(obj=credential, field=Credential.PENDING, purpose=purpose, actor=actor, now=now)
        credentials.store(credential, value, actor=actor, now=now)
    secrets.drop(obj=credential, field=Credential.PENDING, actor=actor, now=now)
    words = _("kept by hand: the new secret") if keep_new else _("kept by hand: the old secret")
    credentials.note_check(credential=credential, state=Check.NEVER, words=words, actor=actor, now=now)


def _kind_of(credential: Credential) -> Kind:
    if credential.kind == CredentialKind.HOST:
        return host_rotation.KIND
    if credential.kind == CredentialKind.ACCESS_KEY:
        return key_rotation.KIND
    raise DomainError(_("This kind of secret is changed by hand and then entered here."), code="by_hand")


def _key(rotation: Rotation) -> str:
    return f"rotation:{rotation.pk}:"


def _wake_later(rotation: Rotation, at: datetime) -> None:
    timers.set(
        key=_key(rotation),
        due_at=at + timedelta(seconds=1),
        task=WAKE_TASK,
        args={"rotation_id": rotation.pk},
        customer=rotation.customer_id,
    )


def _record(action: str, rotation: Rotation, actor: User | None, now: datetime, detail: dict[str, str]) -> None:
    audit.record(
        action=action,
        actor=actor,
        customer=rotation.credential.customer,
        obj=rotation.credential,
        detail=detail,
        now=now,
    )
