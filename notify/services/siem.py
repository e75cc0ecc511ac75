"""The audit log goes out to SIEMs: in order, each chain by itself, nothing left out however long a receiver is away.

What was sent is noted once the receiver has it: a webhook answers with 2xx, a syslog receiver closes the connection in
order after we have closed our side. Without either, the same entries go again, under the same numbers.
"""

from __future__ import annotations

import contextlib
import logging
import secrets as random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit, secrets
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from accounts.permissions import administers, is_admin, is_administrator
from accounts.services.people import administrators
from accounts.vault import VaultError
from notify import providers, siem
from notify.channels import http, webhook
from notify.channels.http import NoAnswerError, NotSentError
from notify.channels.outcome import Outcome
from notify.models import AuditCursor, AuditReceiver, Topic
from notify.services.outbox import Message, tell
from notify.siem import Entry

log = logging.getLogger(__name__)

Kind = AuditReceiver.Kind
AT_ONCE: Final = 200
LEASE: Final = timedelta(minutes=2)
LONGEST_WAIT: Final = timedelta(minutes=5)
FIRST_WAIT: Final = timedelta(seconds=5)
TELL_AFTER: Final = timedelta(minutes=15)
PLATFORM: Final = "platform"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`authority`: certificates in PEM that vouch for the receiver; without, those that this machine trusts."""

    name: str
    kind: str
    host: str = ""
    port: int | None = None
    url: str = ""
    authority: str = ""
    is_on: bool = True


# --- kept by administrators -------------------------------------------------------------------------------------------


def seen_by(actor: User) -> QuerySet[AuditReceiver]:
    """Within their scope: the provider's administrators all, project managers those of their company."""
    rows: QuerySet[AuditReceiver] = AuditReceiver.objects.select_related("customer", "changed_by")
    if is_admin(actor):
        return rows
    return rows.filter(customer=actor.customer) if is_administrator(actor) else rows.none()


@transaction.atomic
def add(
    *, customer: Customer | None, wanted: Wanted, from_start: bool, actor: User, now: datetime
) -> tuple[AuditReceiver, str]:
    """A receiver, and the key with which a webhook is signed (empty for syslog), which nobody can read again.

    `from_start`: it gets all that was ever written, else what is written from now on.
    Raises PermissionDenied, and DomainError: name, address, authority.
    """
    _may_keep(actor, customer)
    receiver = AuditReceiver(customer=customer, changed_by=actor, changed_at=now)
    _fill(receiver, wanted, actor, now)
    if not from_start:
        for chain in _chains(receiver):
            sequence = audit.head(None if chain is None else chain.pk).sequence
            AuditCursor.objects.create(customer=customer, receiver=receiver, chain=chain, sequence=sequence)
    key = random.token_urlsafe(32) if receiver.kind == Kind.WEBHOOK else ""
    if key:
        secrets.put(obj=receiver, field=AuditReceiver.SECRET, value=key, actor=actor, now=now)
    _write(receiver, "siem.add", actor, now)
    return receiver, key


@transaction.atomic
def change(*, receiver: AuditReceiver, wanted: Wanted, actor: User, now: datetime) -> AuditReceiver:
    """Its kind stays. What waits goes to the new place. Raises as `add`."""
    _may_keep(actor, receiver.customer)
    receiver = AuditReceiver.objects.select_for_update(of=("self",)).select_related("customer").get(pk=receiver.pk)
    if wanted.kind != receiver.kind:
        raise DomainError(_("The kind of a receiver stays. Make another one."), code="kind")
    receiver.failures, receiver.failing_since, receiver.problem, receiver.retry_at = 0, None, "", None
    _fill(receiver, wanted, actor, now)
    _write(receiver, "siem.change", actor, now)
    return receiver


@transaction.atomic
def remove(*, receiver: AuditReceiver, actor: User, now: datetime) -> None:
    _may_keep(actor, receiver.customer)
    _write(receiver, "siem.remove", actor, now)
    secrets.drop(obj=receiver, field=AuditReceiver.SECRET, actor=actor, now=now)
    receiver.delete()


def send_test(*, receiver: AuditReceiver, actor: User, now: datetime) -> str:
    """One entry goes there that says it is a test and belongs to no chain. What is wrong; empty: the receiver has it.

    Outside a transaction, since it calls out. Raises PermissionDenied.
    """
    _may_keep(actor, receiver.customer)
    said, problem = "", ""
    try:
        _send(receiver, [_test_entry(receiver, actor, now)], now)
    except NotSentError as stop:
        problem = str(stop)
        said = _("It was not reached: %(problem)s") % {"problem": problem}
    except NoAnswerError as stop:
        problem = str(stop)
        said = _("It was reached, but did not confirm the entry: %(problem)s") % {"problem": problem}
    with transaction.atomic():
        if not problem:  # nor need what waits wait any longer
            AuditReceiver.objects.filter(pk=receiver.pk).update(retry_at=None)
        _write(receiver, "siem.test", actor, now, problem=problem)
    return said


def waiting(receiver: AuditReceiver) -> int:
    """How many entries it does not have yet."""
    known = _cursors(receiver)
    return sum(
        max(0, audit.head(chain_id).sequence - known.get(chain_id, 0))
        for chain_id in (None if chain is None else chain.pk for chain in _chains(receiver))
    )


def _may_keep(actor: User, customer: Customer | None) -> None:
    if not administers(actor, None if customer is None else customer.pk):
        raise PermissionDenied


def _fill(receiver: AuditReceiver, wanted: Wanted, actor: User, now: datetime) -> None:
    name = wanted.name.strip()[:80]
    if not name or wanted.kind not in Kind.values:
        raise DomainError(_("Please give it a name and a kind."), code="name")
    host, port, url = wanted.host.strip().lower(), wanted.port, wanted.url.strip()
    if wanted.kind == Kind.WEBHOOK:
        host, port = "", None
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise DomainError(_("A webhook needs an address that begins with https://."), code="address")
    else:
        url = ""
        if not host or port is None or not 0 < port < 65536 or any(char.isspace() for char in host):
            raise DomainError(_("Syslog needs a host and a port."), code="address")
    authority = wanted.authority.strip() if wanted.kind == Kind.SYSLOG_TLS else ""
    if authority:
        try:
            ssl.create_default_context(cadata=authority)
        except (ssl.SSLError, ValueError):
            raise DomainError(
                _("The certificate authority cannot be read: PEM is expected."), code="authority"
            ) from None
    receiver.name, receiver.kind, receiver.host, receiver.port, receiver.url = name, wanted.kind, host, port, url[:500]
    receiver.authority, receiver.is_on, receiver.changed_by, receiver.changed_at = authority, wanted.is_on, actor, now
    try:
        with transaction.atomic():
            receiver.save()
    except IntegrityError:
        raise DomainError(_("There is a receiver of this name already."), code="name") from None


def _write(receiver: AuditReceiver, action: str, actor: User, now: datetime, **more: str) -> None:
    detail = {"kind": receiver.kind, "place": receiver.place, "is_on": receiver.is_on, **more}
    audit.record(action=action, actor=actor, customer=receiver.customer, obj=receiver, detail=detail, now=now)


# --- going out --------------------------------------------------------------------------------------------------------


def ship(*, clock: Callable[[], datetime], most_s: float = 60.0) -> None:
    """Everything that waits, to every receiver that is due; each by itself. Needs a platform scope."""
    for receiver in AuditReceiver.objects.filter(is_on=True).select_related("customer").order_by("pk"):
        if receiver.is_due(clock()):
            try:
                _ship_to(receiver, clock, clock() + timedelta(seconds=most_s))
            except Exception:  # what is wrong with one receiver holds up no other
                log.exception("audit log to receiver %s", receiver.pk)


def _ship_to(receiver: AuditReceiver, clock: Callable[[], datetime], until: datetime) -> None:
    """One worker at a time."""
    now, mine = clock(), AuditReceiver.objects.filter(pk=receiver.pk)
    is_free = Q(leased_until=None) | Q(leased_until__lt=now)
    if not mine.filter(is_free, is_on=True).update(leased_until=now + LEASE):
        return
    try:
        for chain, entries in _batches(receiver):
            _send(receiver, [_entry(one) for one in entries], clock())
            _note(receiver, chain, entries, clock())
            if clock() >= until:
                break
    except (NotSentError, NoAnswerError) as problem:
        wait = min(FIRST_WAIT * 2 ** min(receiver.failures, 10), LONGEST_WAIT)
        since = receiver.failing_since or clock()
        mine.update(
            failures=F("failures") + 1,
            failing_since=since,
            problem=str(problem)[:300],
            retry_at=clock() + wait,
        )
        if clock() - since >= TELL_AFTER:
            _tell_away(receiver, since, problem.reason, clock())
        log.warning("receiver %s of the audit log takes nothing, it waits: %s", receiver.pk, problem.reason)
    finally:
        mine.update(leased_until=None)


def _batches(receiver: AuditReceiver) -> Iterator[tuple[Customer | None, list[AuditEntry]]]:
    """What it does not have, chain by chain, until nothing is left."""
    for chain in _chains(receiver):
        while True:
            sequence = _cursors(receiver, chain).get(None if chain is None else chain.pk, 0)
            rows = AuditEntry.objects.filter(customer=chain, sequence__gt=sequence).select_related("customer")
            entries = list(rows.order_by("sequence")[:AT_ONCE])
            if not entries:
                break
            yield chain, entries


def _chains(receiver: AuditReceiver) -> list[Customer | None]:
    return [receiver.customer] if receiver.customer is not None else [None, *Customer.objects.order_by("pk")]


def _cursors(receiver: AuditReceiver, *chains: Customer | None) -> dict[int | None, int]:
    rows = AuditCursor.objects.filter(receiver=receiver)
    if chains:
        rows = rows.filter(chain=chains[0])
    return dict(rows.values_list("chain", "sequence"))


@transaction.atomic
def _note(receiver: AuditReceiver, chain: Customer | None, entries: list[AuditEntry], now: datetime) -> None:
    receiver.failures, receiver.failing_since = 0, None
    AuditCursor.objects.update_or_create(
        receiver=receiver, chain=chain, defaults={"customer": receiver.customer, "sequence": entries[-1].sequence}
    )
    AuditReceiver.objects.filter(pk=receiver.pk).update(
        sent=F("sent") + len(entries), sent_at=now, failures=0, failing_since=None, problem="", retry_at=None,
        leased_until=now + LEASE,
    )  # fmt: skip


def _tell_away(receiver: AuditReceiver, since: datetime, problem: str, now: datetime) -> None:
    """Whoever keeps it hears once of each time that it is away."""
    for person in administrators(receiver.customer_id):
        with translation.override(person.language):
            subject = _("The receiver %(name)s of the audit log is away") % {"name": receiver.name}
            words = _("The audit log waits and is sent when the receiver is back: %(problem)s") % {"problem": problem}
        message = Message(topic=Topic.ALERT, subject=subject, text=words, url="/notify/siem/")
        key = f"notify:siem:{receiver.pk}:{since:%Y%m%d%H%M%S}:{person.pk}"
        tell(user=person, key=key, message=message, now=now, customer=receiver.customer)


def _send(receiver: AuditReceiver, entries: list[Entry], now: datetime) -> None:
    """Raises NotSentError and NoAnswerError."""
    if receiver.kind == Kind.WEBHOOK:
        _post(receiver, entries, now)
    else:
        host = urlsplit(settings.PUBLIC_URL).hostname or "rdmp"
        _syslog(receiver, siem.framed(siem.line(one, host=host) for one in entries))


def _entry(row: AuditEntry) -> Entry:
    return Entry(
        chain=PLATFORM if row.customer is None else row.customer.code,
        customer_id=row.customer_id,
        sequence=row.sequence,
        at=row.at,
        actor=row.actor_name,
        actor_id=row.actor_id,
        action=row.action,
        object_type=row.object_type,
        object_id=row.object_id,
        object_name=row.object_name,
        detail=row.detail,
        hash=row.hash,
        previous_hash=row.previous_hash,
    )


def _test_entry(receiver: AuditReceiver, actor: User, now: datetime) -> Entry:
    return Entry(
        chain=PLATFORM if receiver.customer is None else receiver.customer.code,
        customer_id=receiver.customer_id,
        sequence=0,
        at=now,
        actor=actor.name,
        actor_id=actor.pk,
        action="siem.test",
        object_type=receiver._meta.label_lower,
        object_id=str(receiver.pk),
        object_name=receiver.name,
        detail={"words": "A test of the connection, no entry of the audit log."},
        hash="",
        previous_hash="",
    )


def _post(receiver: AuditReceiver, entries: list[Entry], now: datetime) -> None:
    try:
        key = secrets.use(obj=receiver, field=AuditReceiver.SECRET, purpose="audit log to a SIEM", now=now)
    except (secrets.Missing, VaultError):
        raise NotSentError("the key of the webhook cannot be opened") from None
    content, moment = siem.body(entries), int(now.timestamp())
    reply = http.post(
        receiver.url,
        content,
        {
            "Content-Type": "application/json; charset=utf-8",
            "X-RDMP-Delivery": _name_of(entries, moment),
            "X-RDMP-Timestamp": str(moment),
            "X-RDMP-Signature": webhook.sign(key, moment, content),
        },
        limits=providers.limits(),
    )
    outcome = webhook.read_reply(reply, (key, receiver.url))
    if not outcome.is_accepted:
        raise _RefusedError(outcome)


def _name_of(entries: list[Entry], moment: int) -> str:
    """The same for the same entries: by it a receiver knows what it gets twice. No two tests are the same."""
    first, last = entries[0], entries[-1]
    return f"test-{moment}" if first.is_test else f"{first.chain}-{first.sequence}-{last.sequence}"


class _RefusedError(NoAnswerError):
    """It answered, but not with yes. Its text has the receiver's own words besides, which are nobody's but its own."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.args = (f"{outcome.code} {outcome.detail}".strip(),)


def _syslog(receiver: AuditReceiver, data: bytes) -> None:
    limits, port = providers.limits(), receiver.port or 0
    has_tls = receiver.kind == Kind.SYSLOG_TLS
    names = {receiver.host, f"{receiver.host}:{port}"}
    if not has_tls and not names & limits.allowed_hosts:
        raise NotSentError("plain TCP goes to hosts alone that the settings name (NOTIFY_ALLOWED_HOSTS)")
    address = http.checked_address(receiver.host, port, limits=limits)
    with contextlib.ExitStack() as stack:
        try:
            plain = stack.enter_context(socket.create_connection((address, port), limits.connect_s))
            plain.settimeout(limits.total_s)
            if not has_tls:
                connection = plain
            else:
                context = ssl.create_default_context(cadata=receiver.authority or None)
                connection = stack.enter_context(context.wrap_socket(plain, server_hostname=receiver.host))
        except (OSError, ssl.SSLError) as problem:
            raise NotSentError(_reason(problem)) from None
        try:
            connection.sendall(data)
            _part(connection)
        except OSError as problem:
            raise NoAnswerError(_reason(problem)) from None


def _part(connection: socket.socket) -> None:
    """We say that no more comes, and wait until the receiver has closed: by then it has read everything. Raises
    OSError when it breaks off instead, or does not close in time."""
    if isinstance(connection, ssl.SSLSocket):
        with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            connection.unwrap()  # its close_notify answers ours; many close the connection at once instead
        return
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass


def _reason(problem: Exception) -> str:
    if isinstance(problem, TimeoutError):
        return "time-out"
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"certificate: {problem.verify_message}"
    return getattr(problem, "strerror", None) or type(problem).__name__
