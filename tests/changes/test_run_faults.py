"""What goes wrong with runs: throttling, lost answers, half-done work, killed workers, changes that ended meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.windows import Once
from assets.models import Asset, CloudAccount
from changes import states
from changes.models import Change, ChangeAsset, ChangeEntry, ChangeState, OperationRun, RunState
from changes.operations.executable import Step, filled
from changes.services import clouds, drafting, executing, freezing, running, runs, scheduling
from changes.timeline import sentence
from demo.aliyun import JIA_UID, CloudServer
from demo.aliyun.account import AccessKey
from incidents.models import Incident
from notify.models import Delivery
from tests.changes.conftest import draft
from tests.changes.runs import Driver, carry_out, log_of, own, set_to, undo, workings
from tests.conftest import NOW
from tests.incidents.conftest import make_asset
from timers.models import Timer

Make = Callable[..., Change]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clouds, "READ_S", 0.5)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def web(account: CloudAccount, server: CloudServer) -> Asset:
    return own(account, server, "mall-web-01")


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def make(incident: Incident, chen: User) -> Make:
    def changed(operation: str, fields: dict[str, object], *assets: Asset) -> Change:
        return set_to(draft(incident, chen, *assets, operation=operation, fields=fields), ChangeState.EXECUTING)

    return changed


def calls(server: CloudServer, action: str) -> int:
    return server.cloud.calls(uid=JIA_UID, action=action)


def test_a_dry_run_changes_nothing_and_shows_the_exact_calls(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    change = make("ecs-power", {"action": "stop", "force": False}, web)
    (run,) = runs.plan(change=change, actor=chen, now=driver.moment)
    (step,) = run.steps.all()
    assert (step.product, step.action) == ("Ecs", "StopInstance")
    assert step.params == {"InstanceId": web.provider_id, "ForceStop": "false", "StoppedMode": "KeepCharging"}
    assert calls(server, "StopInstance") == 0
    (again,) = runs.plan(change=change, actor=chen, now=driver.moment)
    assert (again.pk, again.steps.count()) == (run.pk, 1), "a dry run nobody started is replaced"
    assert driver.turn(run).state == RunState.PLANNED


def test_throttled_calls_come_back_later(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    server.cloud.fail("throttle", 3, action="StopInstance")
    run = carry_out(make("ecs-power", {"action": "stop"}, web), chen, driver)
    assert run.state == RunState.VERIFIED
    assert log_of(run).count("throttled") == 3
    assert calls(server, "StopInstance") == 4
    waits = [running.backoff(attempt).total_seconds() for attempt in range(1, 9)]
    assert waits[0] <= 2 < waits[4]
    assert max(waits) <= 60


@pytest.mark.parametrize("kind", ["timeout", "reset", "half", "garbage"])
def test_a_call_that_arrived_and_whose_answer_was_lost_is_found_not_repeated(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver, kind: str
) -> None:
    server.cloud.fail(kind, 1, action="CreateSnapshot", seconds=1)
    run = carry_out(make("manual-backup", {"method": "snapshot", "keep_days": 7}, web), chen, driver)
    assert run.state == RunState.VERIFIED
    assert {"unsure", "found"} <= set(log_of(run))
    assert calls(server, "CreateSnapshot") == 2, "one for each of two disks"
    assert len(workings(server).snapshots) == 2
    kept = {step.result["SnapshotId"] for step in run.steps.all()}
    assert kept == {snapshot["SnapshotId"] for snapshot in workings(server).snapshots}


def test_a_restart_whose_answer_was_lost_is_seen_by_the_time_since_which_it_runs(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    server.cloud.fail("timeout", 1, action="RebootInstance", seconds=1)
    run = carry_out(make("ecs-power", {"action": "restart"}, web), chen, driver)
    assert (run.state, calls(server, "RebootInstance")) == (RunState.VERIFIED, 1)


def test_a_call_that_did_not_arrive_is_sent_again_when_that_is_harmless(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    server.cloud.fail("unavailable", 1, action="StopInstance")
    run = carry_out(make("ecs-power", {"action": "stop"}, web), chen, driver)
    assert run.state == RunState.VERIFIED
    assert "not_found" in log_of(run)
    assert calls(server, "StopInstance") == 2


def test_a_call_whose_first_one_is_still_at_work_waits_for_it(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    server.cloud.fail("unavailable", 1, action="CreateImage")
    server.cloud.fail("processing", 1, action="CreateImage")
    run = carry_out(make("image-create", {"name": "before-the-move"}, web), chen, driver)
    assert (run.state, calls(server, "CreateImage")) == (RunState.VERIFIED, 3)
    assert [line.data["code"] for line in run.lines.filter(kind="unsure")] == [
        "ServiceUnavailable",
        "IdempotentProcessing",
    ]


def test_a_worker_that_stalled_longer_than_its_lease_sends_nothing_a_second_time(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker stalls right before it writes down that it sends; a second one meanwhile does the work."""
    (run,) = runs.plan(change=make("ecs-power", {"action": "restart"}, web), actor=chen, now=driver.moment)
    runs.start(run=run, actor=chen, now=driver.moment)
    stalled = driver.moment
    second: list[OperationRun | None] = []

    def stall(step: Step, earlier: Sequence[Step]) -> Step:
        if not second:
            second.append(None)
            driver.moment += OperationRun.LEASE
            second[0] = running.advance(run_id=run.pk, clock=lambda: driver.moment)
        return filled(step, earlier)

    monkeypatch.setattr(running, "filled", stall)
    assert running.advance(run_id=run.pk, clock=lambda: stalled) is None, "it lets go"
    assert second[0] is not None, "the second one had it"
    assert calls(server, "RebootInstance") == 1
    run.refresh_from_db()
    assert driver.to_end(run).state == RunState.VERIFIED
    assert (calls(server, "RebootInstance"), log_of(run).count("sent")) == (1, 1)


def test_a_worker_whose_lease_ran_out_before_the_call_does_not_make_it(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs.plan(change=make("ecs-power", {"action": "stop"}, web), actor=chen, now=driver.moment)
    runs.start(run=run, actor=chen, now=driver.moment)
    now, log = [driver.moment], running._Turn._log

    def stall(turn: running._Turn, *args: Any) -> None:
        log(turn, *args)
        now[0] += OperationRun.LEASE

    monkeypatch.setattr(running._Turn, "_log", stall)
    assert running.advance(run_id=run.pk, clock=lambda: now[0]) is None
    monkeypatch.undo()
    assert calls(server, "StopInstance") == 0
    driver.moment = now[0]
    run.refresh_from_db()
    assert driver.to_end(run).state == RunState.VERIFIED, "the next one finds that it did not arrive"
    assert calls(server, "StopInstance") == 1


@pytest.mark.parametrize(
    ("operation", "fields", "so_already"),
    [
        (
            "dns-record",
            {"action": "add", "domain": "jiahe.example", "rr": "a", "type": "A", "value": "203.0.113.7"},
            "record_there",
        ),
        ("ram-user", {"action": "disable", "user": "rdmp-writer"}, "is_so_already"),
    ],
)
def test_one_run_at_a_time_works_on_what_belongs_to_the_account_itself(
    make: Make,
    account: CloudAccount,
    chen: User,
    driver: Driver,
    operation: str,
    fields: dict[str, object],
    so_already: str,
) -> None:
    planned = [runs.plan(change=make(operation, fields), actor=chen, now=driver.moment)[0] for _ in range(2)]
    runs.start(run=planned[0], actor=chen, now=driver.moment)
    with pytest.raises(DomainError) as refusal:
        runs.start(run=planned[1], actor=chen, now=driver.moment)
    assert refusal.value.code == "busy"
    planned[0].refresh_from_db()
    assert driver.to_end(planned[0]).state == RunState.VERIFIED
    planned[1].refresh_from_db()
    runs.start(run=planned[1], actor=chen, now=driver.moment)
    planned[1].refresh_from_db()
    assert driver.to_end(planned[1]).problem_code == so_already, "the first one was before it"


def test_what_cannot_be_told_is_a_persons_case_and_never_repeated(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    order = own(account, server, "mall-order", kind="rds")
    server.cloud.fail("error", 1, action="CreateBackup")
    change = make("manual-backup", {"method": "physical", "keep_days": 7}, order)
    run = carry_out(change, chen, driver)
    assert (run.state, run.problem_code, calls(server, "CreateBackup")) == (RunState.UNKNOWN, "not_seen", 1)
    assert Delivery.objects.filter(subject__contains="mall-order").exists()
    with pytest.raises(DomainError) as early:
        executing.finish_work(change=change, result="x", actor=chen, now=NOW)
    assert early.value.code == "runs_left"
    (second,) = runs.plan(change=change, actor=chen, now=driver.moment)
    with pytest.raises(DomainError) as busy:
        runs.start(run=second, actor=chen, now=driver.moment)
    assert busy.value.code == "busy", "what is not known holds the asset"
    run = runs.look_again(run=run, actor=chen, now=driver.moment)
    assert driver.to_end(run).state == RunState.UNKNOWN
    assert runs.give_up(run=run, actor=chen, now=driver.moment).state == RunState.FAILED


def test_half_of_the_servers_is_completed(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    balancer = own(account, server, "mall-public", kind="slb")
    ids = [own(account, server, f"mall-{name}").provider_id for name in ("web-03", "web-04", "app-01", "app-02")]
    server.cloud.fail("half-done", 1, action="AddBackendServers")
    run = carry_out(make("lb-backend-add", {"servers": "\n".join(ids)}, balancer), chen, driver)
    there = [one["ServerId"] for one in workings(server).backends[balancer.provider_id]]
    assert run.state == RunState.VERIFIED
    assert [name for name in there if name in ids] == ids
    assert next(line for line in run.lines.filter(kind="not_found")).data["words"] == "2/4"


def test_a_run_that_fails_half_way_says_so_and_can_be_taken_back(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    writer = server.cloud.accounts[JIA_UID][0].user("rdmp-writer")
    assert writer is not None
    writer.keys.append(AccessKey("LTAIsecond", "secret", NOW))
    change = make("ram-user", {"action": "disable", "user": "rdmp-writer"}, web)
    (run,) = runs.plan(change=change, actor=chen, now=driver.moment)
    runs.start(run=run, actor=chen, now=driver.moment)
    run.refresh_from_db()
    driver.turn(run)
    writer.keys.pop()
    driver.to_end(run)
    assert (run.state, run.problem_code) == (RunState.FAILED, "EntityNotExist.User.AccessKey")
    assert [step.state for step in run.steps.all()] == ["settled", "failed"]
    executing.fail(change=change, reason="The key does not exist", actor=chen, now=NOW)
    back = undo(run, chen, driver)
    assert (back.state, run.state) == (RunState.VERIFIED, RunState.UNDONE)
    assert [key.active for key in writer.keys] == [True]
    said = [sentence(entry) for entry in ChangeEntry.objects.filter(change=change, kind="run")]
    assert len(said) == 2
    assert list(audit.verify(change.customer_id)) == []


def test_a_run_outside_an_executing_change_is_refused(
    incident: Incident, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    change = draft(incident, chen, web, operation="ecs-power", fields={"action": "stop"})
    for state in (ChangeState.DRAFT, ChangeState.PREPARING, ChangeState.READY):
        set_to(change, state)
        (run,) = runs.plan(change=change, actor=chen, now=driver.moment)
        with pytest.raises(DomainError) as refusal:
            runs.start(run=run, actor=chen, now=driver.moment)
        assert refusal.value.code == "wrong_state"
    for state in (ChangeState.CUSTOMER_TEST, ChangeState.CLOSED, ChangeState.FAILED, ChangeState.CANCELLED):
        set_to(change, state)
        with pytest.raises(DomainError):
            runs.plan(change=change, actor=chen, now=driver.moment)
        with pytest.raises(DomainError):
            runs.start(run=run, actor=chen, now=driver.moment)
    OperationRun.objects.filter(pk=run.pk).update(state=RunState.RUNNING, started_by=chen)
    run.refresh_from_db()
    assert driver.to_end(run).state == RunState.CANCELLED, "asked once more under the lock, before the call"
    assert (run.problem_code, calls(server, "StopInstance")) == ("not_executing", 0)


def test_only_a_backup_runs_while_the_gates_are_open(
    incident: Incident, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    change = draft(incident, chen, web)
    with pytest.raises(DomainError):
        runs.plan(change=change, actor=chen, now=driver.moment, backup=True)
    set_to(change, ChangeState.PREPARING)
    assert carry_out(change, chen, driver, backup=True).state == RunState.VERIFIED
    assert change.backups.count() == 2


def test_the_backup_that_a_change_itself_is_waits_for_its_approval(
    incident: Incident, web: Asset, chen: User, driver: Driver
) -> None:
    change = draft(incident, chen, web, operation="manual-backup", fields={"method": "snapshot", "keep_days": 7})
    set_to(change, ChangeState.PREPARING)
    (own_run,) = runs.plan(change=change, actor=chen, now=driver.moment)
    assert not runs.may_start(own_run, verbs_of(change))
    with pytest.raises(DomainError) as refusal:
        runs.start(run=own_run, actor=chen, now=driver.moment)
    assert refusal.value.code == "wrong_state"
    (gate_run,) = runs.plan(change=change, actor=chen, now=driver.moment, backup=True)
    assert gate_run.pk != own_run.pk
    assert runs.may_start(gate_run, verbs_of(change))
    runs.start(run=gate_run, actor=chen, now=driver.moment)


def test_nothing_is_started_after_the_window_before_its_end_is_moved(
    make: Make, web: Asset, chen: User, lin: User, driver: Driver
) -> None:
    change, now = make("ecs-power", {"action": "stop"}, web), driver.moment
    began = now - timedelta(hours=2)
    Change.objects.filter(pk=change.pk).update(starts_at=began, ends_at=now - timedelta(minutes=1))
    (run,) = runs.plan(change=change, actor=chen, now=now)
    with pytest.raises(DomainError) as refusal:
        runs.start(run=run, actor=chen, now=now)
    assert refusal.value.code == "window_over"
    later = now + timedelta(hours=1)
    with pytest.raises(DomainError) as refusal:
        scheduling.schedule(change=change, starts_at=now, ends_at=later, actor=chen, now=now)
    assert refusal.value.code == "begun"
    freeze = freezing.create(customer=None, kind="freeze", name="Sale", windows=[Once(now, later)], actor=lin, now=now)
    with pytest.raises(DomainError) as refusal:
        scheduling.schedule(change=change, starts_at=began, ends_at=later, actor=chen, now=now)
    assert refusal.value.code == "frozen"
    freezing.end(window=freeze, actor=lin, now=now)
    scheduling.schedule(change=change, starts_at=began, ends_at=later, actor=chen, now=now)
    assert runs.start(run=run, actor=chen, now=now).state == RunState.RUNNING


def verbs_of(change: Change) -> list[states.Verb]:
    return states.verbs(change.stage, states.Side.PROVIDER)


def test_nothing_is_sent_for_what_was_rewritten_since_the_dry_run(
    make: Make, web: Asset, chen: User, driver: Driver, server: CloudServer
) -> None:
    change = make("ecs-power", {"action": "stop"}, web)
    (run,) = runs.plan(change=change, actor=chen, now=driver.moment)
    Change.objects.filter(pk=change.pk).update(revision=2)
    with pytest.raises(DomainError) as refusal:
        runs.start(run=run, actor=chen, now=driver.moment)
    assert refusal.value.code == "rewritten"


def test_nothing_is_sent_when_the_cloud_is_not_as_the_dry_run_showed(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    (run,) = runs.plan(change=make("ecs-power", {"action": "stop"}, web), actor=chen, now=driver.moment)
    server.cloud.estate(JIA_UID).find("mall-web-01")["Status"] = "Stopped"
    runs.start(run=run, actor=chen, now=driver.moment)
    run.refresh_from_db()
    driver.to_end(run)
    assert (run.state, run.problem_code, calls(server, "StopInstance")) == (RunState.FAILED, "wrong_status", 0)


def test_a_person_stops_it_between_two_calls(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    workings(server).takes = timedelta(hours=1)
    change = make("ecs-resize", {"spec": "ecs.g7.2xlarge", "may_restart": True}, web)
    (run,) = runs.plan(change=change, actor=chen, now=driver.moment)
    runs.start(run=run, actor=chen, now=driver.moment)
    run.refresh_from_db()
    assert driver.turn(run).state == RunState.RUNNING
    runs.stop(run=run, actor=chen, now=driver.moment)
    server.cloud.estate(JIA_UID).find("mall-web-01")["Status"] = "Stopped"
    driver.to_end(run)
    assert (run.state, run.problem_code) == (RunState.CANCELLED, "stopped_by_person")
    assert [step.state for step in run.steps.all()] == ["settled", "skipped", "skipped"]
    assert (calls(server, "StopInstance"), calls(server, "ModifyPrepayInstanceSpec")) == (1, 0)


def test_a_run_that_failed_stays_failed_when_somebody_stops_its_last_call(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    server.cloud.estate(JIA_UID).find("mall-web-01")["_downgrades"] = 3
    server.cloud.fail("throttle", 1, action="StartInstance")
    change = make("ecs-resize", {"spec": "ecs.c7.large", "may_restart": True}, web)
    (run,) = runs.plan(change=change, actor=chen, now=driver.moment)
    runs.start(run=run, actor=chen, now=driver.moment)
    run.refresh_from_db()
    while not run.problem_code:
        driver.turn(run)
    runs.stop(run=run, actor=chen, now=driver.moment)
    driver.to_end(run)
    assert (run.state, run.problem_code) == (RunState.FAILED, "InstanceDowngrade.QuotaExceed")
    assert [step.state for step in run.steps.all()] == ["settled", "failed", "skipped"]
    assert Delivery.objects.filter(subject__contains="mall-web-01").exists(), "somebody has to start it"
    assert undo(run, chen, driver).state == RunState.VERIFIED
    assert server.cloud.estate(JIA_UID).find("mall-web-01")["Status"] == "Running"


def test_one_run_at_a_time_works_on_an_asset(make: Make, web: Asset, chen: User, driver: Driver) -> None:
    first, second = (make("ecs-power", {"action": "stop"}, web) for _ in range(2))
    planned = [runs.plan(change=change, actor=chen, now=driver.moment)[0] for change in (first, second)]
    runs.start(run=planned[0], actor=chen, now=driver.moment)
    with pytest.raises(DomainError) as refusal:
        runs.start(run=planned[1], actor=chen, now=driver.moment)
    assert refusal.value.code == "busy"
    assert driver.turn(planned[1]).state == RunState.PLANNED


def test_an_asset_of_another_customer_is_refused(
    make: Make, web: Asset, yi: Customer, chen: User, driver: Driver
) -> None:
    change = make("ecs-power", {"action": "stop"}, web)
    foreign = make_asset(yi, "oa-01")
    with scope.platform("test"):
        ChangeAsset.objects.create(customer_id=change.customer_id, change=change, asset=foreign)
        with pytest.raises(DomainError) as refusal:
            runs.plan(change=change, actor=chen, now=driver.moment)
    assert refusal.value.code == "other_customer"


def test_customers_never_press(make: Make, web: Asset, alice: User, chen: User, driver: Driver) -> None:
    change = make("ecs-power", {"action": "stop"}, web)
    with pytest.raises(PermissionDenied):
        runs.plan(change=change, actor=alice, now=driver.moment)
    (run,) = runs.plan(change=change, actor=chen, now=driver.moment)
    for verb in (runs.start, runs.stop, runs.undo, runs.look_again, runs.give_up):
        with pytest.raises(PermissionDenied):
            verb(run=run, actor=alice, now=driver.moment)


def test_without_a_key_for_operations_nothing_starts(
    make: Make, account: CloudAccount, web: Asset, chen: User, driver: Driver
) -> None:
    account.credentials.filter(purpose="operations").update(retired_at=NOW)
    (run,) = runs.plan(change=make("ecs-power", {"action": "stop"}, web), actor=chen, now=driver.moment)
    with pytest.raises(DomainError) as refusal:
        runs.start(run=run, actor=chen, now=driver.moment)
    assert refusal.value.code == "no_operations_key"


def test_a_run_leaves_no_timer_behind_and_two_workers_do_not_share_it(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    (run,) = runs.plan(change=make("ecs-power", {"action": "stop"}, web), actor=chen, now=driver.moment)
    runs.start(run=run, actor=chen, now=driver.moment)
    assert Timer.objects.pending().filter(key=runs.timer_key(run)).exists()
    OperationRun.objects.filter(pk=run.pk).update(leased_until=driver.moment + timedelta(minutes=1))
    assert running.advance(run_id=run.pk, clock=lambda: driver.moment) is None
    OperationRun.objects.filter(pk=run.pk).update(leased_until=None)
    run.refresh_from_db()
    assert driver.to_end(run).state == RunState.VERIFIED
    assert not Timer.objects.pending().filter(key=runs.timer_key(run)).exists()


def test_a_change_that_was_rewritten_while_planned_keeps_its_history(
    incident: Incident, web: Asset, chen: User, driver: Driver
) -> None:
    change = draft(incident, chen, web, operation="ecs-power", fields={"action": "stop"})
    runs.plan(change=change, actor=chen, now=driver.moment)
    drafting.cancel(change=change, reason="Not needed", actor=chen, now=NOW)
    (run,) = OperationRun.objects.filter(change=change)
    with pytest.raises(DomainError):
        runs.start(run=run, actor=chen, now=driver.moment)


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_middle_of_a_call_repeats_nothing(
    make: Make, web: Asset, server: CloudServer, chen: User, driver: Driver
) -> None:
    server.cloud.fail("timeout", 1, action="CreateSnapshot", seconds=60)
    change = make("manual-backup", {"method": "snapshot", "keep_days": 7}, web)
    (run,) = runs.plan(change=change, actor=chen, now=driver.moment)
    runs.start(run=run, actor=chen, now=driver.moment)
    settings = connection.settings_dict
    socket = settings["HOST"] or settings["OPTIONS"].get("host", "")
    url = f"postgresql://{settings['USER']}:{settings['PASSWORD']}@/{settings['NAME']}?host={socket}"
    url += f"&port={settings['PORT']}" if settings["PORT"] else ""
    command = [sys.executable, "-m", "tests.changes.run_worker", str(run.customer_id), str(run.pk)]
    worker = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": url})
    try:
        until = time.monotonic() + 60
        while not workings(server).snapshots and time.monotonic() < until and worker.poll() is None:
            time.sleep(0.05)
        assert len(workings(server).snapshots) == 1, "the cloud has taken the call"
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    run.refresh_from_db()
    assert [step.state for step in run.steps.all()] == ["sending", "planned"]
    assert driver.turn(run).state == RunState.RUNNING
    assert run.steps.get(position=1).state == "sending", "its lease still counts"
    driver.moment += OperationRun.LEASE
    assert driver.to_end(run).state == RunState.VERIFIED
    assert calls(server, "CreateSnapshot") == 2
    assert len(workings(server).snapshots) == 2
    assert "found" in log_of(run)
