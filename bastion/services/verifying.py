"""Whether a recording is what was recorded: the chain, the node's signatures, the portal's, the bytes. Never writes."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef, Q

from bastion.gateway.recording import chain
from bastion.gateway.recording.chain import Finding, Findings, Flaw, Link, Signed
from bastion.models import (
    BastionSession,
    BastionSessionQuerySet,
    PortalKey,
    RecordingPiece,
    RecordingPurge,
    SessionFact,
)
from bastion.services import countersigning, keeping
from bastion.services.recordings import signed_of

ARRIVES_WITHIN: Final = timedelta(hours=1)
"""After a session's end, or after what came of it last: a node that was away brings what it has spooled."""
RECORDED: Final = ("shell", "exec")
"""Channels of which there is a recording; of the others, files and forwards are told."""
NOT_BEGUN: Final = ("no_upload", "no_download")
"""With these, an rsync is refused before anything is recorded."""


@dataclass(frozen=True)
class Verdict:
    """`is_purged`: only the chain and the signatures are left to look at."""

    session: BastionSession
    findings: Findings
    size: int
    is_purged: bool
    keys: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return self.findings.is_intact

    @property
    def words(self) -> str:
        """One line for whoever reads a terminal."""
        found = self.findings
        end = "complete" if found.is_finished else "closed after a crash" if found.is_recovered else "still open"
        if not self.is_good and end == "still open" and self.session.state == BastionSession.State.ENDED:
            end = "without its end"
        bytes_ = "purged" if self.is_purged else f"{self.size} bytes"
        state = "ok" if self.is_good else "NOT INTACT"
        return f"{self.session.uid}  {state}  {found.pieces} pieces, {bytes_}, {end}"


@dataclass(frozen=True)
class _Kept:
    """The rows of a session as a `chain.Shelf`."""

    pieces: dict[int, RecordingPiece]

    def numbers(self) -> dict[int, set[str]]:
        return {number: {"json", "cast.zst"} for number in self.pieces}

    def link(self, number: int) -> bytes:
        piece = self.pieces[number]
        return json.dumps({"link": piece.link, "signature": piece.signature}).encode()

    def stored(self, link: Link) -> bytes:
        return keeping.get(self.pieces[link.number])


@dataclass
class _Trusted:
    """Whose signatures of the portal count."""

    keys: Collection[str]
    used: set[str] = field(default_factory=set)

    def flaw(self, piece: RecordingPiece, signed: Signed) -> Finding | None:
        key = piece.portal_key.public_key if piece.portal_key is not None else ""
        if not key or key not in self.keys:
            return Finding(Flaw.CHANGED, piece.number, "was countersigned by a key that is not the portal's")
        said = countersigning.statement_of(piece, signed)
        if not countersigning.is_signed(said, piece.countersignature, key):
            return Finding(Flaw.CHANGED, piece.number, "the portal's signature does not hold")
        self.used.add(key)
        return None


def portal_keys() -> set[str]:
    return set(PortalKey.objects.filter(customer=None).values_list("public_key", flat=True))


def recorded(*, now: datetime) -> BastionSessionQuerySet:
    """Sessions of which a recording is kept, or has been purged, and those of which one should be: nothing is here."""
    pieces, purges = (model.objects.filter(session=OuterRef("pk")) for model in (RecordingPiece, RecordingPurge))
    facts = SessionFact.objects.filter(session=OuterRef("pk"))
    lost = (
        Q(state=BastionSession.State.ENDED, ended_at__lte=now - ARRIVES_WITHIN)
        & ~Q(ending=BastionSession.Ending.RECORDING)
        & Q(Exists(facts.filter(kind="opened", data__channel__in=RECORDED)))
        & ~Q(Exists(facts.filter(kind="refused", data__code__in=NOT_BEGUN)))
    )
    kept = Q(Exists(pieces)) | Q(Exists(purges))
    rows: BastionSessionQuerySet = BastionSession.objects.joined().filter(kept | lost)
    return rows


def verify(session: BastionSession, *, trusted: Collection[str], now: datetime) -> Verdict:
    """`trusted`: public keys of the portal, as base64. Needs a scope that reaches the session."""
    rows = RecordingPiece.objects.filter(session=session).select_related("session", "portal_key")
    pieces = {piece.number: piece for piece in rows}
    is_purged = RecordingPurge.objects.filter(session=session).exists()
    portal = _Trusted(trusted)
    flaws = [flaw for number in sorted(pieces) for flaw in _of_row(pieces[number], portal)]
    node_keys = {piece.node_key for piece in pieces.values()}
    findings = Findings(0, is_finished=False, is_recovered=False)
    if len(node_keys) > 1:
        flaws.append(Finding(Flaw.FOREIGN, 0, "more than one node has signed it"))
    elif node_keys:
        node_key = countersigning.public_of(node_keys.pop())
        findings = chain.verify(_Kept(pieces), node_key, str(session.uid), has_bytes=not is_purged)
    if not (findings.is_finished or findings.is_recovered) and not (is_purged and not pieces):
        flaws += _of_the_end(session, pieces, now)
    whole = Findings(findings.pieces, findings.is_finished, findings.is_recovered, (*flaws, *findings.flaws))
    return Verdict(session, whole, sum(piece.size for piece in pieces.values()), is_purged, tuple(sorted(portal.used)))


def _of_the_end(session: BastionSession, pieces: dict[int, RecordingPiece], now: datetime) -> list[Finding]:
    """A recording that is over and does not say so has lost its last pieces, however well those before fit together."""
    arrivals = [piece.arrived_at for piece in pieces.values()]
    if session.ended_at is None or now < max([session.ended_at, *arrivals]) + ARRIVES_WITHIN:
        return []
    words = "the end of the recording is not here" if pieces else "nothing of the recording is here"
    return [Finding(Flaw.MISSING, max(pieces, default=0) + 1, words)]


def _of_row(piece: RecordingPiece, portal: _Trusted) -> list[Finding]:
    """The columns that are read in place of the link say what the link says, and the portal has signed it."""
    try:
        signed = signed_of(piece)
    except TypeError:
        return [Finding(Flaw.CHANGED, piece.number, "the link cannot be read")]
    link = signed.link
    found = [flaw] if (flaw := portal.flaw(piece, signed)) is not None else []
    shown = (piece.number, piece.first_s, piece.last_s, piece.offset, piece.plain_bytes, piece.has_keyframe, piece.size)
    said = (
        link.number, link.first_s, link.last_s, link.offset, link.plain_bytes, link.has_keyframe, link.stored_bytes
    )  # fmt: skip
    if shown != said:
        found.append(Finding(Flaw.CHANGED, piece.number, "the row is not what its link says"))
    return found
