"""No sequence of service calls reaches `executing` with a gate unmet.

What a gate is stands in `tests.changes.issue_model`, written from the issue: the gates of the product are not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.windows import Once
from assets.models import Asset
from changes.models import Change, ChangeState
from changes.services import approving, confirming, drafting, evidence, executing, freezing, scheduling
from incidents.models import Incident
from incidents.services import attestations
from tests.changes.conftest import WINDOW, content
from tests.changes.issue_model import Content, Model, Person
from tests.conftest import NOW

Call = Callable[[Change, User, datetime], object]


def calls(web: Asset, staging: Asset, jia: Customer) -> dict[str, Call]:
    def sign(change: Change, actor: User, now: datetime) -> None:
        change.refresh_from_db()
        if change.confirmation is None:
            raise DomainError("there is nothing to sign")
        attestations.sign(attestation=change.confirmation, actor=actor, ip=None, now=now)
        confirming.answered(attestation_id=change.confirmation.pk, now=now)

    def backed(change: Change, actor: User, now: datetime) -> None:
        said = {"method": "snapshot", "reference": "s-bp1abc2def3", "sha256": ""}
        evidence.record_backup(change=change, asset=web, **said, taken_at=now, actor=actor, now=now)

    def tested(change: Change, actor: User, now: datetime, *, passed: bool = True) -> None:
        said = {"asset": staging, "has_passed": passed, "what": "x"}
        evidence.record_test(change=change, **said, tested_at=now, actor=actor, now=now)  # type: ignore[arg-type]

    def attached(change: Change, actor: User, now: datetime) -> None:
        file = SimpleUploadedFile("sop.pdf", b"%PDF-1.7 x")
        evidence.attach(change=change, file=file, purpose="sop", actor=actor, now=now)

    def vote(is_yes: bool) -> Call:
        return lambda change, actor, now: approving.decide(
            change=change, is_yes=is_yes, words="x", actor=actor, now=now
        )

    freeze = [Once(*WINDOW)]
    return {
        "submit": lambda change, actor, now: drafting.submit(change=change, actor=actor, now=now),
        "edit": lambda change, actor, now: drafting.edit(
            change=change, content=content(web, plan=f"at {now}"), actor=actor, now=now
        ),
        "waive": lambda change, actor, now: drafting.edit(
            change=change, content=content(web, plan="x", test_waiver="no", backup_waiver="no"), actor=actor, now=now
        ),
        "emergency": lambda change, actor, now: drafting.make_emergency(
            change=change, reason="x", actor=actor, now=now
        ),
        "risk": lambda change, actor, now: confirming.tell_risk(change=change, text="x", actor=actor, now=now),
        "sign": sign,
        "hear": lambda change, actor, now: confirming.hear(change=change, name="A", words="", actor=actor, now=now),
        "test": tested,
        "bad test": lambda change, actor, now: tested(change, actor, now, passed=False),
        "backup": backed,
        "sop": attached,
        "yes": vote(is_yes=True),
        "no": vote(is_yes=False),
        "ask again": lambda change, actor, now: approving.ask_again(change=change, actor=actor, now=now),
        "schedule": lambda change, actor, now: scheduling.schedule(
            change=change, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=actor, now=now
        ),
        "freeze": lambda _change, actor, now: freezing.create(
            customer=jia, kind="freeze", name="x", windows=freeze, actor=actor, now=now
        ),
        "overrule": lambda change, actor, now: scheduling.overrule_freeze(
            change=change, reason="x", actor=actor, now=now
        ),
        "begin": lambda change, actor, now: executing.begin(change=change, actor=actor, now=now),
        "cancel": lambda change, actor, now: drafting.cancel(change=change, reason="x", actor=actor, now=now),
        "fail": lambda change, actor, now: executing.fail(change=change, reason="x", actor=actor, now=now),
    }


NAMES = tuple(calls(Asset(), Asset(), Customer()))
PATH = ("submit", "risk", "sign", "test", "backup", "yes", "yes", "schedule")
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 5])), max_size=16)
LIKELY = st.lists(st.tuples(st.sampled_from([*PATH, *NAMES]), st.integers(0, 3), st.just(0)), max_size=6)


@pytest.mark.usefixtures("contacts")
def test_no_sequence_of_calls_begins_with_a_gate_unmet(
    jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, lin: User, alice: User, bob: User
) -> None:
    people = (chen, lin, alice, bob)
    cast = {
        chen.pk: Person("chen", is_provider=True),
        lin.pk: Person("lin", is_provider=True, is_manager=True),
        alice.pk: Person("alice", is_provider=False, is_customer_pm=True),
        bob.pk: Person("bob", is_provider=False, is_customer_pm=True),
    }
    able = {"sign": 2, "yes": 1}
    begun = []

    @settings(
        max_examples=50,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(noise=LIKELY, steps=STEPS, share=st.sampled_from([*[len(PATH)] * 8, *range(len(PATH))]))
    def attempt(noise: list[tuple[str, int, int]], steps: list[tuple[str, int, int]], share: int) -> None:
        """Part of the right path, then whatever comes; then the begin."""
        right = [(name, able.get(name, 0), 0) for name in PATH[:share]]
        if share == len(PATH):
            right[6] = ("yes", 2, 0)
        with scope.customer(jia), transaction.atomic():
            change = drafting.draft(customer=jia, content=content(web), incident=incident, actor=chen, now=NOW)
            model = Model(window=WINDOW, requester="alice", authors={"alice", "chen"}, content=Content("first"))
            now = NOW
            for name, who, hours in [*right, *noise, *steps, ("begin", 0, 1)]:
                now += timedelta(hours=hours)
                change.refresh_from_db()
                before = change.stage
                lacks = model.missing(now)
                try:
                    with transaction.atomic():
                        calls(web, staging, jia)[name](change, people[who], now)
                except (DomainError, PermissionDenied):
                    continue
                model.hear(name, cast[people[who].pk], now)
                change.refresh_from_db()
                if change.state == ChangeState.EXECUTING and before != change.stage:
                    begun.append(change.kind)
                    assert lacks == [], (name, lacks)
                    assert name == "begin"
                    assert people[who].is_provider
                if change.state == ChangeState.READY and before != change.stage:
                    assert set(model.missing(now)) <= {"in its window"}, (name, model)
            transaction.set_rollback(True)

    attempt()
    assert len(begun) > 3, "the right path leads somewhere"


@pytest.mark.usefixtures("contacts")
@pytest.mark.parametrize("left_out", range(len(PATH)))
def test_the_right_path_begins_and_without_one_of_its_steps_it_does_not(
    jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, lin: User, alice: User, left_out: int
) -> None:
    """The model refuses exactly where the product does: a model that forbade nothing would let the test above pass."""
    right = [
        ("submit", chen), ("risk", chen), ("sign", alice), ("test", chen), ("backup", chen), ("yes", lin),
        ("yes", alice), ("schedule", chen),
    ]  # fmt: skip
    cast = {
        chen.pk: Person("chen", is_provider=True),
        lin.pk: Person("lin", is_provider=True, is_manager=True),
        alice.pk: Person("alice", is_provider=False, is_customer_pm=True),
    }
    with scope.customer(jia):
        for path in (right, [one for at, one in enumerate(right) if at != left_out]):
            change = drafting.draft(customer=jia, content=content(web), incident=incident, actor=chen, now=NOW)
            model = Model(window=WINDOW, requester="alice", authors={"alice", "chen"}, content=Content("first"))
            for name, person in [*path, ("begin", chen)]:
                change.refresh_from_db()
                now = WINDOW[0] if name == "begin" else NOW
                may = name != "begin" or not model.missing(now)
                try:
                    with transaction.atomic():
                        calls(web, staging, jia)[name](change, person, now)
                except (DomainError, PermissionDenied):
                    assert name != "begin" or not may
                else:
                    assert may
                    model.hear(name, cast[person.pk], now)
            change.refresh_from_db()
            assert (change.state == ChangeState.EXECUTING) is (path is right)
