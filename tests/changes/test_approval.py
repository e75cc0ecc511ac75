"""Whose word counts, and what the words add up to; without a database."""

from dataclasses import replace

from changes.approval import Round, Vote, may_decide, open_level, outcome, verdict
from changes.catalogue import Duty, Needs
from changes.gates import Word

LIN, ROOT, ALICE, BOB, CHEN = 1, 2, 3, 4, 5
OWNER = Round(Duty.OWNER, Needs.ANY, frozenset({LIN, ROOT}))
CUSTOMER = Round(Duty.CUSTOMER, Needs.ALL, frozenset({ALICE, BOB}))


def yes(*people: int) -> tuple[Vote, ...]:
    return tuple(Vote(person, person, is_yes=True) for person in people)


def test_nobody_asked_is_no_approval() -> None:
    assert outcome([], CHEN) is Word.NOT_ASKED


def test_any_one_is_enough_or_all_are_needed() -> None:
    assert verdict(replace(OWNER, votes=yes(ROOT)), CHEN) is Word.YES
    assert verdict(replace(CUSTOMER, votes=yes(ALICE)), CHEN) is Word.PENDING
    assert verdict(replace(CUSTOMER, votes=yes(ALICE, BOB)), CHEN) is Word.YES


def test_one_no_stops_it_whatever_the_others_say() -> None:
    refused = replace(CUSTOMER, votes=(*yes(ALICE), Vote(BOB, BOB, is_yes=False)))
    assert outcome([replace(OWNER, votes=yes(LIN)), refused], CHEN) is Word.NO
    assert open_level([refused, OWNER], CHEN) is None


def test_levels_are_asked_one_after_the_other() -> None:
    assert open_level([OWNER, CUSTOMER], CHEN) == 0
    assert open_level([replace(OWNER, votes=yes(LIN)), CUSTOMER], CHEN) == 1
    assert open_level([replace(OWNER, votes=yes(LIN)), replace(CUSTOMER, votes=yes(ALICE, BOB))], CHEN) is None


def test_whoever_asked_does_not_approve_on_our_side() -> None:
    assert may_decide(OWNER, LIN, requester=LIN) is None
    assert verdict(replace(OWNER, votes=yes(LIN)), LIN) is Word.PENDING


def test_a_customer_who_asked_for_it_may_approve_beside_somebody_of_ours_but_never_alone() -> None:
    own = replace(CUSTOMER, needs=Needs.ANY, votes=yes(ALICE))
    assert outcome([own], ALICE) is Word.PENDING
    assert outcome([replace(OWNER, votes=yes(LIN)), own], ALICE) is Word.YES


def test_a_delegate_gives_the_word_of_whoever_is_away_once() -> None:
    assert may_decide(OWNER, BOB, CHEN, principals=[LIN]) == LIN
    assert may_decide(OWNER, BOB, CHEN) is None
    spoken = replace(OWNER, needs=Needs.ALL, votes=(Vote(LIN, BOB, is_yes=True),))
    assert may_decide(spoken, BOB, CHEN, principals=[LIN]) is None
    assert may_decide(spoken, LIN, CHEN) is None


def test_whoever_asked_does_not_speak_for_another_either() -> None:
    assert may_decide(OWNER, CHEN, CHEN, principals=[LIN]) is None


def test_a_level_that_nobody_answered_lapses() -> None:
    assert outcome([replace(OWNER, has_lapsed=True), CUSTOMER], CHEN) is Word.LAPSED
