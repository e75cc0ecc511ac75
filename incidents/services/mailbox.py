"""Reading the mailboxes: behind a mark, each mail stored before it is put away, one reader at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import scope
from accounts.models import Role, User
from incidents.models import InboundKind, InboundMessage, InboundSource
from incidents.services import inbound, sources
from notify import providers
from notify import services as notify
from notify.inbound import imap, mail, reading
from notify.inbound.imap import Fetched, Mailbox, MailboxError, Session

log = logging.getLogger(__name__)
AT_A_TIME: Final = 50
LEASE: Final = timedelta(minutes=4)
FIRST_LOOK: Final = timedelta(days=1)
"""How far back a mailbox is read that is looked at for the first time, or whose numbers have begun anew."""
ALARM_AFTER: Final = timedelta(minutes=10)
Clock = Callable[[], datetime]


def due() -> list[int]:
    """The mailboxes that are to be looked into."""
    with scope.platform(inbound.WHY):
        active = InboundSource.objects.active().filter(kind=InboundKind.EMAIL)
        return list(active.order_by("pk").values_list("pk", flat=True))


def poll(*, source_id: int, clock: Clock = timezone.now) -> int:
    """Take in what is new; returns how many mails. Outside any transaction: it waits for the server."""
    with scope.platform(inbound.WHY):
        source = _leased(source_id, clock())
        if source is None:
            return 0
        try:
            with imap.opened(_box(source, clock()), limits=providers.limits()) as session:
                taken = _take_new(source, session, clock)
            sources.note_success(source, now=clock())
            return taken
        except MailboxError as problem:
            _note_failure(source, str(problem), clock())
            return 0
        finally:
            InboundSource.objects.filter(pk=source.pk).update(lease_until=None)


def try_out(source: InboundSource, *, now: datetime) -> str:
    """Sign in and look: what is wrong, or nothing. Takes in nothing."""
    try:
        with imap.opened(_box(source, now), limits=providers.limits()):
            return ""
    except MailboxError as problem:
        return str(problem)


def _take_new(source: InboundSource, session: Session, clock: Clock) -> int:
    uids = _new_uids(source, session, clock())
    taken = 0
    for uid in uids:
        fetched = session.fetch(uid)
        message = None
        with transaction.atomic():
            if fetched is not None:
                message, _is_new = inbound.store(
                    source=source, received=_received(fetched), now=clock(), came_at=_came_at(fetched, clock())
                )
            InboundSource.objects.filter(pk=source.pk).update(uid_mark=uid, uid_validity=session.uid_validity)
        if message is None:
            continue
        session.put_away(uid, delete=bool(source.config.get("deletes")))
        taken += 1
        _read(message, clock)
    return taken


def _read(message: InboundMessage, clock: Clock) -> None:
    """One mail that breaks the reader must not keep the others waiting: it is stored, and the sweep reads it again."""
    try:
        inbound.read(message_id=message.pk, now=clock())
    except Exception:
        log.exception("mail %s could not be read", message.pk)


def _new_uids(source: InboundSource, session: Session, now: datetime) -> list[int]:
    if source.uid_validity != session.uid_validity:
        return session.uids_since(now - FIRST_LOOK)[: AT_A_TIME * 20]
    return session.new_uids(after=source.uid_mark, most=AT_A_TIME)


def _received(fetched: Fetched) -> inbound.Received:
    data: dict[str, object] = {} if fetched.is_whole else {"too_large": fetched.size}
    return inbound.Received(
        key=mail.key_of(fetched.raw), raw=fetched.raw, content_type="message/rfc822", size=fetched.size, data=data
    )


def _came_at(fetched: Fetched, now: datetime) -> datetime:
    """When the mail server had it: our clock starts there, also when we were away."""
    return reading.within(fetched.came_at, now, back=timedelta(days=7))


@transaction.atomic
def _leased(source_id: int, now: datetime) -> InboundSource | None:
    """One reader at a time; one that died is replaced when its lease is over."""
    free = InboundSource.objects.active().filter(Q(lease_until=None) | Q(lease_until__lt=now), pk=source_id)
    if not free.update(lease_until=now + LEASE):
        return None
    found: InboundSource = InboundSource.objects.select_related("customer").get(pk=source_id)
    return found


def _box(source: InboundSource, now: datetime) -> Mailbox:
    config = source.config
    return Mailbox(
        host=str(config.get("host", "")),
        port=int(config.get("port") or 993),
        username=str(config.get("username", "")),
        password=sources.secret_of(source, "password", now=now),
        security=str(config.get("security") or "ssl"),
        folder=str(config.get("folder") or "INBOX"),
    )


def _note_failure(source: InboundSource, problem: str, now: datetime) -> None:
    log.warning("the mailbox %s cannot be read: %s", source.pk, problem)
    since = sources.note_failure(source, problem, now=now)
    if now - since < ALARM_AFTER:
        return
    for person in User.objects.filter(role__in=(Role.MANAGER, Role.ADMIN), is_active=True):
        with translation.override(person.language):
            message = notify.Message(
                topic="incident",
                subject=_("The mailbox %(name)s cannot be read: customers' mails are waiting") % {"name": source.name},
                text=problem,
                url=f"/ways-in/{source.pk}/",
                severity=2,
            )
        key = f"inbound:{source.pk}:failing:{since:%Y%m%d%H%M%S}"
        notify.tell(user=person, key=key, message=message, now=now, channels=("inbox", "email"))
