"""The transition table: who may do what, when."""

import pytest

from incidents import states
from incidents.states import Phase, Side, State, Verb

HAPPY_PATH = [
    (Verb.ACKNOWLEDGE, Side.PROVIDER, State.ACKNOWLEDGED),
    (Verb.WAIT, Side.PROVIDER, State.WAITING_CUSTOMER),
    (Verb.REPLY, Side.CUSTOMER, State.ACKNOWLEDGED),
    (Verb.RESOLVE, Side.PROVIDER, State.RESOLVED),
    (Verb.CLOSE, Side.CUSTOMER, State.CLOSED),
    (Verb.REOPEN, Side.CUSTOMER, State.OPEN),
]


def test_an_incident_walks_from_open_to_closed_and_back() -> None:
    state = State.OPEN
    for verb, side, expected in HAPPY_PATH:
        transition = states.find(verb, state, side)
        assert transition is not None, (verb, state, side)
        assert transition.target is expected
        state = expected


@pytest.mark.parametrize("verb", [Verb.ACKNOWLEDGE, Verb.ASSIGN, Verb.RESOLVE, Verb.CHANGE_SEVERITY, Verb.NOTE])
def test_the_customer_may_never_do_the_work_of_the_provider(verb: Verb) -> None:
    assert not states.may_ever(verb, Side.CUSTOMER)
    assert states.may_ever(verb, Side.PROVIDER)


@pytest.mark.parametrize("state", list(State))
def test_a_viewer_may_do_nothing(state: State) -> None:
    assert states.verbs(state, Side.VIEWER) == []


@pytest.mark.parametrize("state", list(State))
def test_everybody_who_writes_may_comment_and_attach_at_any_time(state: State) -> None:
    for side in (Side.PROVIDER, Side.CUSTOMER):
        assert {Verb.COMMENT, Verb.ATTACH} <= set(states.verbs(state, side))


def test_nothing_is_acknowledged_twice() -> None:
    assert [state for state in State if states.find(Verb.ACKNOWLEDGE, state, Side.PROVIDER)] == [State.OPEN]


def test_every_state_can_be_reached_and_left() -> None:
    targets = {each.target for each in states.TRANSITIONS if each.target}
    left = {source for each in states.TRANSITIONS if each.target for source in each.sources}
    assert targets == set(State) == left


def test_every_phase_but_the_first_follows_from_another() -> None:
    assert {each.phase for each in states.TRANSITIONS if each.phase} == set(Phase) - {Phase.RECEIVED}


@pytest.mark.parametrize("phase", [None, *Phase])
def test_no_side_has_two_answers_for_one_press(phase: Phase | None) -> None:
    for verb in Verb:
        for state in State:
            for side in Side:
                lines = [
                    each
                    for each in states.TRANSITIONS
                    if each.verb is verb and state in each.sources and side in each.sides and phase in each.phases
                ]
                assert len(lines) <= 1, (verb, state, side, phase)


@pytest.mark.parametrize("phase", [Phase.RECEIVED, Phase.REVIEW, Phase.ACCEPTED, Phase.REFUSED, Phase.WITHDRAWN])
def test_a_request_that_is_not_in_work_cannot_be_finished(phase: Phase) -> None:
    assert not any(states.find(Verb.FINISH, state, Side.PROVIDER, phase) for state in State)
