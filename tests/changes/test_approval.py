"""Whose word counts, and what the words add up to; without a database."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from changes.approval import Round, Vote, barred, may_decide, open_level, outcome, verdicts
from changes.catalogue import Duty, Needs
from changes.gates import Word

LIN, ROOT, ALICE, BOB, CHEN = 1, 2, 3, 4, 5
AUTHORS = frozenset({CHEN})
OWNER = Round(Duty.OWNER, Needs.ANY, frozenset({LIN, ROOT}))
SECURITY = replace(OWNER, duty=Duty.SECURITY)
CUSTOMER = Round(Duty.CUSTOMER, Needs.ALL, frozenset({ALICE, BOB}))


def yes(*people: int) -> tuple[Vote, ...]:
    return tuple(Vote(person, person, is_yes=True) for person in people)


def test_nobody_asked_is_no_approval() -> None:
    assert outcome([], AUTHORS) is Word.NOT_ASKED


def test_any_one_is_enough_or_all_are_needed() -> None:
    assert verdicts([replace(OWNER, votes=yes(ROOT))], AUTHORS) == [Word.YES]
    assert verdicts([replace(CUSTOMER, votes=yes(ALICE))], AUTHORS) == [Word.PENDING]
    assert verdicts([replace(CUSTOMER, votes=yes(ALICE, BOB))], AUTHORS) == [Word.YES]


def test_one_no_stops_it_whatever_the_others_say() -> None:
    refused = replace(CUSTOMER, votes=(*yes(ALICE), Vote(BOB, BOB, is_yes=False)))
    assert outcome([replace(OWNER, votes=yes(LIN)), refused], AUTHORS) is Word.NO
    assert open_level([refused, OWNER], AUTHORS) is None


def test_levels_are_asked_one_after_the_other() -> None:
    assert open_level([OWNER, CUSTOMER], AUTHORS) == 0
    assert open_level([replace(OWNER, votes=yes(LIN)), CUSTOMER], AUTHORS) == 1
    assert open_level([replace(OWNER, votes=yes(LIN)), replace(CUSTOMER, votes=yes(ALICE, BOB))], AUTHORS) is None


def test_whoever_asked_or_wrote_does_not_approve_on_our_side() -> None:
    assert may_decide([OWNER], 0, LIN, {LIN, ALICE}) is None
    assert verdicts([replace(OWNER, votes=yes(LIN))], {LIN, ALICE}) == [Word.PENDING]


def test_a_customer_who_asked_for_it_may_approve_beside_somebody_of_ours_but_never_alone() -> None:
    own = replace(CUSTOMER, needs=Needs.ANY, votes=yes(ALICE))
    assert outcome([own], {ALICE}) is Word.PENDING
    assert outcome([replace(OWNER, votes=yes(LIN)), own], {ALICE, CHEN}) is Word.YES


def test_a_delegate_gives_the_word_of_whoever_is_away_once() -> None:
    assert may_decide([OWNER], 0, BOB, AUTHORS, principals=[LIN]) == LIN
    assert may_decide([OWNER], 0, BOB, AUTHORS) is None
    spoken = replace(OWNER, needs=Needs.ALL, votes=(Vote(LIN, BOB, is_yes=True),))
    assert may_decide([spoken], 0, BOB, AUTHORS, principals=[LIN]) is None
    assert may_decide([spoken], 0, LIN, AUTHORS) is None


def test_whoever_asked_does_not_speak_for_another_either() -> None:
    assert may_decide([OWNER], 0, CHEN, AUTHORS, principals=[LIN]) is None


def test_whose_word_carried_one_level_carries_no_other() -> None:
    spoken = replace(OWNER, votes=yes(LIN))
    assert may_decide([spoken, SECURITY], 1, LIN, AUTHORS) is None
    assert may_decide([spoken, SECURITY], 1, LIN, AUTHORS, principals=[ROOT]) is None
    assert may_decide([spoken, SECURITY], 1, ROOT, AUTHORS) == ROOT
    both = [spoken, replace(SECURITY, votes=yes(LIN))]
    assert verdicts(both, AUTHORS) == [Word.YES, Word.PENDING]


def test_neither_does_who_was_spoken_for_nor_who_spoke_for_them() -> None:
    spoken = replace(OWNER, votes=(Vote(LIN, BOB, is_yes=True),))
    assert may_decide([spoken, SECURITY], 1, LIN, AUTHORS) is None
    assert may_decide([spoken, SECURITY], 1, BOB, AUTHORS, principals=[ROOT]) is None
    assert barred([spoken, SECURITY], 1, AUTHORS) == {LIN, BOB, CHEN}


def test_a_level_that_nobody_answered_lapses() -> None:
    assert outcome([replace(OWNER, has_lapsed=True), CUSTOMER], AUTHORS) is Word.LAPSED


PEOPLE = st.integers(1, 6)
LEVELS = st.lists(
    st.builds(Round, st.sampled_from(list(Duty)), st.sampled_from(list(Needs)), st.frozensets(PEOPLE, min_size=1)),
    min_size=1,
    max_size=4,
)


@given(LEVELS, st.frozensets(PEOPLE, max_size=3), st.lists(st.tuples(PEOPLE, st.frozensets(PEOPLE, max_size=2))))
def test_whoever_presses_whatever_no_person_carries_two_levels_nor_what_they_wrote(
    levels: list[Round], authors: frozenset[int], presses: list[tuple[int, frozenset[int]]]
) -> None:
    for person, principals in presses:
        place = open_level(levels, authors)
        if place is None:
            break
        voter = may_decide(levels, place, person, authors, principals)
        if voter is not None:
            vote = Vote(voter, person, is_yes=True)
            levels[place] = replace(levels[place], votes=(*levels[place].votes, vote))
    heard = [{who for vote in level.votes for who in (vote.voter, vote.person)} for level in levels]
    assert sum(map(len, heard)) == len(set().union(*heard)), "nobody is heard at two levels"
    for level, people in zip(levels, heard, strict=True):
        assert level.duty is Duty.CUSTOMER or not people & authors
    if outcome(levels, authors) is Word.YES:
        assert all(heard)
        assert set().union(*heard) - authors
