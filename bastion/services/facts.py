"""What nodes tell of their sessions, taken once and in order: a fact that is missing holds back those after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction

from accounts import audit
from accounts.models import AuditEntry, User
from bastion.access import OWN
from bastion.gateway.contract import LONGEST_COMMAND, LONGEST_PATH, Fact
from bastion.models import BastionSession, FileTransfer, Node, SessionCommand, SessionFact, SessionShare
from bastion.models.sessions import LEASE
from bastion.services import host_keys
from bastion.trigrams import trigrams
from notify import live

LONGEST_NAME: Final = 120
LARGEST_INTEGER: Final = 2**31 - 1
"""What the database keeps in an integer."""
ENDING_BY: Final = BastionSession.Ending.KILLED
MOVES: Final = frozenset({"remove", "rename", "rmdir"})
"""What ends a path or gives it another name: it is found where files are looked for."""
ENDINGS: Final = frozenset(BastionSession.Ending.values)
STATES: Final = BastionSession.State


def take(*, node: Node, told: Sequence[Fact], now: datetime) -> dict[str, int]:
    """Up to which number each session's facts are kept now. What this node may not speak of is passed over."""
    by_session: dict[str, list[Fact]] = defaultdict(list)
    for fact in told:
        by_session[fact.session_id].append(fact)
    upto = {}
    for session_id, facts in by_session.items():
        kept = _take(node, session_id, sorted(facts, key=lambda fact: fact.number), now)
        if kept is not None:
            upto[session_id] = kept
    return upto


@transaction.atomic
def _take(node: Node, session_id: str, facts: Iterable[Fact], now: datetime) -> int | None:
    facts = list(facts)
    if any(fact.kind == "host_key" for fact in facts):
        _take_turn(node, session_id)
    session = _session(node, session_id)
    if session is None:
        return None
    for fact in facts:
        if fact.number != session.last_fact + 1:
            if fact.number <= session.last_fact:
                continue
            break
        _keep(session, fact, now)
        if fact.kind == "host_key":
            host_keys.note(session=session, data=fact.data, now=now)
        session.last_fact = fact.number
    if session.state == STATES.UNKNOWN:
        session.state = STATES.OPEN
    if session.state == STATES.OPEN:
        session.leased_until = now + LEASE
    session.save()
    live.publish(customer_id=session.customer_id, topic="bastion", object_id=0)
    return session.last_fact


def _session(node: Node, session_id: str) -> BastionSession | None:
    rows = BastionSession.objects.select_for_update(of=("self",)).filter(node=node)
    found: BastionSession | None = rows.called(session_id).first()
    return found


def _take_turn(node: Node, session_id: str) -> None:
    """In the customer's audit log, before a row is locked: what follows is recorded there."""
    found = BastionSession.objects.filter(node=node).called(session_id).values_list("customer_id", flat=True)
    if (customer_id := found.first()) is not None:
        audit.hold(customer_id)


def _keep(session: BastionSession, fact: Fact, now: datetime) -> None:
    at = _moment(fact.at, session.allowed_at, now)
    if fact.kind == "command":
        _command(session, fact, at)
    elif fact.kind == "transfer":
        _transfer(session, fact, at)
    else:
        row = SessionFact(
            customer_id=session.customer_id, session=session, number=fact.number, at=at, kind=_text(fact.kind, 20)
        )
        row.data = {_text(key, 40): _plain(value) for key, value in fact.data.items()}
        row.save()
    if fact.kind == "file" and fact.data.get("action") in MOVES:
        _move(session, fact, at)
    if fact.kind == "opened" and session.state == STATES.ALLOWED:
        session.state, session.opened_at = STATES.OPEN, at
    elif fact.kind == "account" and session.account == OWN:
        session.account = f"{OWN}:{_text(fact.data.get('name'), LONGEST_NAME)}"
    elif fact.kind == "ended" and session.state != STATES.ENDED:
        _end(session, fact.data, at)


def _command(session: BastionSession, fact: Fact, at: datetime) -> None:
    text = _text(fact.data.get("text"), LONGEST_COMMAND)
    SessionCommand.objects.create(
        customer_id=session.customer_id,
        session=session,
        asset_id=session.asset_id,
        person_id=_typist(session, fact.data.get("by")),
        number=fact.number,
        at=at,
        text=text,
        trigrams=trigrams(text),
        at_s=_number(fact.data.get("at_s")),
        verdict=_text(fact.data.get("verdict"), 8),
        rule=_whole(fact.data.get("rule"), LARGEST_INTEGER),
        exit_status=_small(fact.data.get("exit")),
    )


def _typist(session: BastionSession, said: object) -> int:
    """A guest who could type and was there, where the node names one; else whose session it is."""
    guest_id = _whole(said, LARGEST_INTEGER)
    typed = SessionShare.objects.filter(session=session, guest=guest_id, may_type=True).exclude(joined_at=None)
    return guest_id if guest_id is not None and typed.exists() else session.person_id


def _transfer(session: BastionSession, fact: Fact, at: datetime) -> None:
    path = _text(fact.data.get("path"), LONGEST_PATH)
    FileTransfer.objects.create(
        customer_id=session.customer_id,
        session=session,
        number=fact.number,
        at=at,
        path=path,
        trigrams=trigrams(path),
        direction=_text(fact.data.get("direction"), 4),
        tool=_text(fact.data.get("tool"), 8),
        size=_whole(fact.data.get("bytes")) or 0,
        size_back=_whole(fact.data.get("back")),
        exit_status=_small(fact.data.get("exit")),
        sha256=_text(fact.data.get("sha256"), 64),
        result=_text(fact.data.get("result"), 8),
        kept_as=_text(fact.data.get("copy"), 100),
    )


def _move(session: BastionSession, fact: Fact, at: datetime) -> None:
    path, other = (_text(fact.data.get(name), LONGEST_PATH) for name in ("path", "other"))
    whole = f"{path} → {other}" if other else path
    FileTransfer.objects.create(
        customer_id=session.customer_id,
        session=session,
        number=fact.number,
        at=at,
        path=whole,
        trigrams=trigrams(whole),
        direction=_text(fact.data.get("action"), 10),
        size=0,
        result=_text(fact.data.get("result"), 8),
    )


def _end(session: BastionSession, data: dict[str, Any], at: datetime) -> None:
    reason = _text(data.get("reason"), 10)
    session.state, session.ended_at, session.leased_until = STATES.ENDED, at, None
    session.ending = reason if reason in ENDINGS else BastionSession.Ending.NODE
    session.exit_status = _small(data.get("exit"))
    session.ended_by = _who_disconnected(session, data.get("by")) if reason == ENDING_BY else None
    session.sent, session.received = _whole(data.get("sent")) or 0, _whole(data.get("received")) or 0


def _who_disconnected(session: BastionSession, said: object) -> User | None:
    """Whom the node names, where they have ordered it here: the log of audits has it."""
    person_id = _whole(said, LARGEST_INTEGER)
    ordered = AuditEntry.objects.filter(
        customer=session.customer_id,
        action="bastion.session.disconnect",
        actor=person_id,
        object_type=BastionSession._meta.label_lower,
        object_id=str(session.pk),
    )
    return User.objects.filter(pk=person_id).first() if person_id is not None and ordered.exists() else None


def _moment(said: float, earliest: datetime, latest: datetime) -> datetime:
    """When the node says it was, as far as that can be: how long evidence stays goes by it."""
    return datetime.fromtimestamp(min(latest.timestamp(), max(earliest.timestamp(), said)), tz=UTC)


def _text(value: object, longest: int) -> str:
    """What a database can keep of a text; nothing of what is none."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:longest] if isinstance(value, str) else ""


def _whole(value: object, largest: int = 2**53) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= largest
    return int(value) if is_number else None  # type: ignore[call-overload]


def _small(value: object) -> int | None:
    """An exit status may be any 32 bits: as the signed number that these are."""
    number = _whole(value)
    if number is None or not -(2**31) <= number < 2**32:
        return None
    return number - 2**32 if number >= 2**31 else number


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 10**9 else 0.0


def _plain(value: object) -> object:
    """A text, a number or nothing: no fact has more in it."""
    return value if value is None or isinstance(value, int | float) else _text(str(value), LONGEST_PATH)
