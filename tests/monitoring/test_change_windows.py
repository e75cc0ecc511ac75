"""An approved change silences the alarms of its own assets, for as long as its window lasts (R92)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from changes.models import Change
from changes.services import drafting, executing, scheduling
from incidents.models import Incident
from monitoring import tasks  # noqa: F401 - timers find them by name
from monitoring.models import Silence
from tests.changes.conftest import (  # noqa: F401 - fixtures
    WINDOW,
    contacts,
    content,
    draft,
    incident,
    look,
    prepared,
    staging,
    web,
)
from tests.conftest import NOW
from tests.incidents.test_deadlines import sweep

MINUTE = timedelta(minutes=1)


@pytest.fixture
def change(
    jia: Customer,
    contacts: None,  # noqa: F811 - the fixture
    incident: Incident,  # noqa: F811
    web: Asset,  # noqa: F811
    staging: Asset,  # noqa: F811
    chen: User,
    alice: User,
    lin: User,
) -> Change:
    with scope.customer(jia):
        return prepared(draft(incident, chen, web), web, staging, chen=chen, alice=alice, lin=lin)


def silences(change: Change, *, standing: bool = True) -> list[Silence]:
    with scope.customer(change.customer_id):
        rows = Silence.objects.filter(key=change.number).order_by("pk")
        return list(rows.filter(ended_at=None) if standing else rows)


def test_it_is_quiet_in_the_window_and_only_there(change: Change, web: Asset) -> None:  # noqa: F811
    sweep(NOW)
    [silence] = silences(change)
    assert silence.source == Silence.Source.CHANGE
    assert silence.asset_ids == [web.pk]
    quiet = [silence.is_quiet(at) for at in (WINDOW[0] - MINUTE, WINDOW[0], WINDOW[1] - MINUTE, WINDOW[1])]
    assert quiet == [False, True, True, False]


def test_a_change_that_moves_takes_its_silence_along(change: Change, jia: Customer, chen: User) -> None:
    sweep(NOW)
    with scope.customer(jia):
        later = (WINDOW[0] + timedelta(days=1), WINDOW[1] + timedelta(days=1))
        scheduling.schedule(change=change, starts_at=later[0], ends_at=later[1], actor=chen, now=NOW)
    sweep(NOW)
    [silence] = silences(change)
    assert [silence.is_quiet(at) for at in (WINDOW[0], later[0])] == [False, True]
    assert len(silences(change, standing=False)) == 2
    sweep(NOW)
    assert silences(change) == [silence], "looking again changes nothing"


def test_work_that_is_done_early_is_heard_again_at_once(change: Change, jia: Customer, chen: User) -> None:
    sweep(NOW)
    with scope.customer(jia):
        executing.begin(change=change, actor=chen, now=WINDOW[0])
        look(change, chen)
        executing.finish_work(change=change, result="Done", actor=chen, now=WINDOW[0] + MINUTE)
    sweep(WINDOW[0] + MINUTE)
    assert silences(change) == []


def test_what_is_given_up_or_rewritten_silences_nothing(change: Change, jia: Customer, web: Asset, chen: User) -> None:  # noqa: F811
    sweep(NOW)
    with scope.customer(jia):
        drafting.edit(change=change, content=content(web, plan="Something else"), actor=chen, now=NOW)
    sweep(NOW)
    assert silences(change) == []
