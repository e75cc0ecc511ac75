"""Approval in levels (R93): who has to say yes, whose word counts, and what it adds up to. Pure.

Levels are asked one after the other. At a level any one of those who may decide is enough, or all of them are needed.
Four eyes are four eyes: whoever asked for a change or wrote at it does not approve it, and whose word carried one level
carries no other. A customer who asked may say yes at the customer's level, but never alone.
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


def verdicts(levels: Sequence[Round], authors: Collection[int]) -> list[Word]:
    """What each level came to, in order. `authors`: who asked for it or wrote at it, by id."""
    return [_verdict(level, barred(levels, place, authors)) for place, level in enumerate(levels)]


def outcome(levels: Sequence[Round], authors: Collection[int]) -> Word:
    """What all levels together came to. No level: nobody was asked."""
    if not levels:
        return Word.NOT_ASKED
    found = verdicts(levels, authors)
    for bad in (Word.NO, Word.LAPSED):
        if bad in found:
            return bad
    if Word.PENDING in found:
        return Word.PENDING
    others = {vote.person for level in levels for vote in level.votes}.difference(authors)
    return Word.YES if others else Word.PENDING


def open_level(levels: Sequence[Round], authors: Collection[int]) -> int | None:
    """The place of the level whose turn it is; None when nobody is asked any more."""
    for place, found in enumerate(verdicts(levels, authors)):
        if found in (Word.NO, Word.LAPSED):
            return None
        if found is Word.PENDING:
            return place
    return None


def barred(levels: Sequence[Round], place: int, authors: Collection[int]) -> frozenset[int]:
    """Whose word does not count at this level: the authors', and of who spoke or was spoken for at an earlier one.

    At the customer's own level a customer who asked for the change is not barred.
    """
    own = frozenset() if levels[place].duty is Duty.CUSTOMER else frozenset(authors)
    return own.union(*(_speakers(earlier) for earlier in levels[:place]))


def may_decide(
    levels: Sequence[Round], place: int, person: int, authors: Collection[int], principals: Collection[int] = ()
) -> int | None:
    """Whose word this person would give: their own, or that of somebody who delegated to them; None: nobody's."""
    level, out = levels[place], barred(levels, place, authors)
    if person in out:
        return None
    wanted = level.deciders - out - {vote.voter for vote in level.votes}
    return next((who for who in (person, *sorted(principals)) if who in wanted), None)


def _verdict(level: Round, out: Collection[int]) -> Word:
    if any(not vote.is_yes for vote in level.votes):
        return Word.NO
    said = {vote.voter for vote in level.votes if vote.person not in out and vote.voter not in out}
    wanted = level.deciders.difference(out)
    enough = bool(said) if level.needs is Needs.ANY else bool(wanted) and wanted <= said
    if enough:
        return Word.YES
    return Word.LAPSED if level.has_lapsed else Word.PENDING


def _speakers(level: Round) -> frozenset[int]:
    return frozenset(who for vote in level.votes for who in (vote.voter, vote.person))
