"""Approval in levels (R93): who has to say yes, whose word counts, and what it adds up to. Pure.

Levels are asked one after the other. At a level any one of those who may decide is enough, or all of them are needed.
Nobody approves what they asked for alone: a requester's own yes counts at the customer's level only, and only beside
the yes of somebody else at another one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from changes.catalogue import Duty, Needs
from changes.gates import Word


@dataclass(frozen=True, slots=True)
class Vote:
    """`voter` is whose turn it was, also when a delegate spoke for them."""

    voter: int
    person: int
    is_yes: bool


@dataclass(frozen=True, slots=True)
class Round:
    """One level with what was said at it. `deciders`: whose word is wanted, by id."""

    duty: Duty
    needs: Needs
    deciders: frozenset[int]
    votes: tuple[Vote, ...] = ()
    has_lapsed: bool = False


def counts(level: Round, person: int, requester: int | None) -> bool:
    """Whether this person's own yes would count at this level."""
    return person != requester or level.duty is Duty.CUSTOMER


def verdict(level: Round, requester: int | None) -> Word:
    """What a level by itself came to."""
    if any(not vote.is_yes for vote in level.votes):
        return Word.NO
    said = {vote.voter for vote in level.votes if counts(level, vote.person, requester)}
    wanted = {person for person in level.deciders if counts(level, person, requester)}
    enough = bool(said) if level.needs is Needs.ANY else bool(wanted) and wanted <= said
    if enough:
        return Word.YES
    return Word.LAPSED if level.has_lapsed else Word.PENDING


def outcome(levels: Sequence[Round], requester: int | None) -> Word:
    """What all levels together came to. No level: nobody was asked."""
    if not levels:
        return Word.NOT_ASKED
    verdicts = [verdict(level, requester) for level in levels]
    for bad in (Word.NO, Word.LAPSED):
        if bad in verdicts:
            return bad
    if Word.PENDING in verdicts:
        return Word.PENDING
    others = {vote.person for level in levels for vote in level.votes} - {requester}
    return Word.YES if others else Word.PENDING


def open_level(levels: Sequence[Round], requester: int | None) -> int | None:
    """The place of the level whose turn it is; None when nobody is asked any more."""
    for place, level in enumerate(levels):
        found = verdict(level, requester)
        if found in (Word.NO, Word.LAPSED):
            return None
        if found is Word.PENDING:
            return place
    return None


def may_decide(level: Round, person: int, requester: int | None, principals: Collection[int] = ()) -> int | None:
    """Whose word this person would give: their own, or that of somebody who delegated to them; None: nobody's."""
    spoken = {vote.voter for vote in level.votes}
    if person in level.deciders and person not in spoken and counts(level, person, requester):
        return person
    if not counts(level, person, requester):
        return None
    return next((who for who in sorted(principals) if who in level.deciders and who not in spoken), None)
