"""Looks at real servers over SSH: what is kept, who may ask for it, and what servers do that must not do harm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset, Credential, SshAccess
from bastion.hardening.catalogue import items
from bastion.models import HardenedServer, HardeningCheck, HardeningResult, HardeningRun
from bastion.services.hardening import asking, policies, runs
from bastion.services.hardening.policies import Terms
from tests.changes.hosts import KeyHost, place_host
from tests.conftest import NOW
from timers.models import Timer

ANOTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINvxDkM5oKCIUSuMyEpZKVpFOWn1FsSxlhCYhPhrJcPq"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyHost]:
    with KeyHost(tmp_path_factory.mktemp("host")).running() as host:
        host.stand_in("apt-get", "echo 'Inst bash [5.1] (5.2 Debian:12/stable [amd64])'")  # the real one takes seconds
        yield host


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


class Worker:
    """Turns of a worker by a clock of its own."""

    def __init__(self) -> None:
        self.moment = NOW

    def turn(self, run: HardeningRun) -> HardeningRun:
        self.moment += timedelta(seconds=1)
        runs.advance(run_id=run.pk, clock=lambda: self.moment)
        run.refresh_from_db()
        return run

    def to_rest(self, run: HardeningRun) -> HardeningRun:
        for _ in range(20):
            if run.state != "running":
                break
            self.turn(run)
        return run


@pytest.fixture
def worker() -> Worker:
    return Worker()


def begin(customer: Customer, actor: User | None, *assets: Asset) -> HardeningRun:
    return runs.begin(customer=customer, assets=assets, actor=actor, now=NOW)


def only(run: HardeningRun) -> HardeningCheck:
    (found,) = run.checks.all()
    return found


def test_a_server_is_looked_at(jia: Customer, chen: User, host: KeyHost, worker: Worker) -> None:
    web = place_host(jia, host, "web-1")
    run = worker.to_rest(begin(jia, chen, web))
    check = only(run)
    assert (run.state, check.state, check.problem_code) == ("done", "done", "")
    assert list(check.results.values_list("item", flat=True)) == list(items())
    assert check.passed + check.failed + check.unknown + check.excepted == len(items())
    assert check.system
    server = HardenedServer.objects.get(asset=web)
    assert (server.latest_id, server.score, server.failed) == (check.pk, check.score, check.failed)
    assert server.platform == ["127.0.0.1"]
    assert server.failing == [row.item for row in check.results.filter(outcome="failed")]
    assert AuditEntry.objects.filter(action="secret.use", detail__purpose=f"hardening check #{run.pk}").count() == 1


def test_the_password_hash_never_leaves_the_server(jia: Customer, chen: User, host: KeyHost, worker: Worker) -> None:
    check = only(worker.to_rest(begin(jia, chen, place_host(jia, host, "web-1"))))
    evidence = "".join(check.results.values_list("evidence", flat=True))
    assert "$y$" not in evidence
    assert "$6$" not in evidence


def test_without_sudo_it_says_what_it_could_not_read(jia: Customer, chen: User, host: KeyHost, worker: Worker) -> None:
    """The account is nobody special: sudo refuses, and `id` says so, whoever runs the tests."""
    host.stand_in("sudo", "exit 1")
    host.stand_in("id", '[ "$1" = -u ] && echo 1000 && exit; echo trops')
    host.stand_in("awk", 'case "$*" in */etc/shadow*) exit 77;; esac; exec /usr/bin/awk "$@"')
    try:
        check = only(worker.to_rest(begin(jia, chen, place_host(jia, host, "web-1"))))
    finally:
        for name in ("sudo", "id", "awk"):
            (host.place / "bin" / name).unlink()
        host.stand_in("sudo", '[ "$1" = -n ] || exit 1\nshift\nexec "$@"')
    found = {row.item: (row.outcome, row.reason) for row in check.results.all()}
    assert not check.is_root
    for item in ("root-login", "sudo", "login-source", "file-modes", "empty-passwords"):
        assert found[item][0] == "not_checked", (item, found[item])
    assert found["file-modes"] == ("not_checked", "needs_root")


def test_a_host_that_does_not_answer_keeps_what_it_was_found_to_be(
    jia: Customer, chen: User, host: KeyHost, worker: Worker
) -> None:
    web = place_host(jia, host, "web-1")
    first = only(worker.to_rest(begin(jia, chen, web)))
    SshAccess.objects.filter(asset=web).update(port=1)
    second = only(worker.to_rest(begin(jia, chen, web)))
    server = HardenedServer.objects.get(asset=web)
    assert (second.state, second.problem_code) == ("failed", "unreachable")
    assert (server.latest_id, server.score, server.problem_code) == (first.pk, first.score, "unreachable")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"host_key": ANOTHER_KEY}, "host_key_changed"),
        ({"host_key": ""}, "host_key_unknown"),
        ({"through": "node"}, "no_node"),
    ],
)  # fmt: skip
def test_nothing_is_sent_to_a_host_that_is_not_proven(
    jia: Customer, chen: User, host: KeyHost, worker: Worker, change: dict[str, str], problem: str
) -> None:
    web = place_host(jia, host, "web-1")
    SshAccess.objects.filter(asset=web).update(**change)
    check = only(worker.to_rest(begin(jia, chen, web)))
    assert (check.state, check.problem_code) == ("failed", problem)


def test_a_server_without_an_account_is_not_asked(jia: Customer, chen: User, host: KeyHost, worker: Worker) -> None:
    web = place_host(jia, host, "web-1")
    Credential.objects.filter(asset=web).update(purpose="customer")
    assert only(worker.to_rest(begin(jia, chen, web))).problem_code == "no_account"


@pytest.mark.parametrize(
    ("does", "problem"),
    [
        ("exec cat /dev/zero", "too_much"),
        ("exec yes '#begin sshd'", "too_much"),
        ("echo nothing of the kind", "no_answer"),
        ("sleep 30", "timeout"),
    ],
)
def test_a_hostile_host_does_no_harm(
    jia: Customer,
    chen: User,
    worker: Worker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    does: str,
    problem: str,
) -> None:
    monkeypatch.setattr(asking, "LOCAL_SLACK_S", 0.5)
    monkeypatch.setattr(runs, "LONGEST_S", 1)
    with KeyHost(tmp_path).running() as host:
        host.stand_in("env", f'case "$*" in true) exit 0;; esac\n{does}')
        check = only(worker.to_rest(begin(jia, chen, place_host(jia, host, "web-1"))))
    assert (check.state, check.problem_code) == ("failed", problem)
    assert not HardeningResult.objects.exists()


def test_several_servers_go_batch_by_batch_and_can_be_cancelled(
    jia: Customer, chen: User, host: KeyHost, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "AT_ONCE", 2)
    servers = [place_host(jia, host, f"web-{number}") for number in range(5)]
    run = worker.turn(begin(jia, chen, *servers))
    assert sorted(run.checks.values_list("state", flat=True)) == ["done", "done", "planned", "planned", "planned"]
    runs.cancel(run=run, actor=chen, now=worker.moment)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert run.checks.filter(state="skipped", problem_code="cancelled").count() == 3
    assert runs.advance(run_id=run.pk, clock=lambda: worker.moment) is None
    assert not Timer.objects.pending().filter(key__startswith=f"hardening-run:{run.pk}:").exists()


def test_a_worker_that_died_is_replaced_once(jia: Customer, chen: User, host: KeyHost, worker: Worker) -> None:
    run = begin(jia, chen, place_host(jia, host, "web-1"))
    run.checks.update(state="running", attempts=1)
    HardeningRun.objects.filter(pk=run.pk).update(leased_until=worker.moment + timedelta(minutes=5))
    assert runs.advance(run_id=run.pk, clock=lambda: worker.moment) is None
    worker.moment += timedelta(minutes=6)
    assert only(worker.to_rest(run)).state == "done"
    other = begin(jia, chen, place_host(jia, host, "web-2"))
    other.checks.update(state="running", attempts=2)
    assert only(worker.to_rest(other)).problem_code == "worker_lost"


def test_one_server_is_in_one_run_at_a_time(jia: Customer, chen: User, host: KeyHost) -> None:
    web, db = place_host(jia, host, "web-1"), place_host(jia, host, "db-1")
    begin(jia, chen, web)
    with pytest.raises(DomainError) as refused:
        begin(jia, chen, web)
    assert refused.value.code == "busy"
    assert [check.asset_id for check in begin(jia, chen, web, db).checks.all()] == [db.pk]


def test_who_may_ask(jia: Customer, yi: Customer, alice: User, bob: User, vera: User, eve: User, host: KeyHost) -> None:
    web = place_host(jia, host, "web-1")
    for person in (bob, vera, eve):
        with pytest.raises(PermissionDenied):
            begin(jia, person, web)
    with scope.platform("test"), pytest.raises(DomainError):
        begin(yi, None, web)
    assert begin(jia, alice, web).started_by == alice


def test_windows_and_what_is_no_server_are_left_out(jia: Customer, chen: User, host: KeyHost) -> None:
    web = place_host(jia, host, "web-1")
    Asset.objects.filter(pk=web.pk).update(os="windows")
    with pytest.raises(DomainError) as refused:
        begin(jia, chen, web)
    assert refused.value.code == "no_assets"


def test_every_week_all_servers_are_looked_at(jia: Customer, yi: Customer, lin: User, host: KeyHost) -> None:
    web = place_host(jia, host, "web-1")
    with scope.platform("test"):
        assert runs.keep_weeks(now=NOW) == 2
        assert runs.keep_weeks(now=NOW) == 0
        (timer,) = Timer.objects.pending().filter(key=f"hardening-week:{jia.pk}:")
    local = timer.due_at.astimezone(runs.ZONE)
    assert (local.weekday(), local.hour >= 3, local.hour < 6) == (6, True, True)
    run = runs.weekly(customer=jia, now=timer.due_at)
    assert run is not None
    assert [check.asset_id for check in run.checks.all()] == [web.pk]
    with scope.platform("test"):
        again = Timer.objects.pending().get(key=f"hardening-week:{jia.pk}:")
        assert again.due_at == timer.due_at + timedelta(days=7)
    policies.save(customer=jia, terms=Terms(is_weekly=False), actor=lin, now=NOW)
    with scope.platform("test"):
        runs.keep_weeks(now=NOW)
        assert not Timer.objects.pending().filter(key=f"hardening-week:{jia.pk}:").exists()


def test_what_is_asked_is_written_down_by_managers(
    jia: Customer, yi: Customer, lin: User, chen: User, host: KeyHost
) -> None:
    web = place_host(jia, host, "web-1")
    with pytest.raises(PermissionDenied):
        policies.save(customer=jia, terms=Terms(), actor=chen, now=NOW)
    for terms, code in (
        (Terms(bastions=("nowhere",)), "bad_address"),
        (Terms(bastions=("0.0.0.0/0",)), "bad_address"),
        (Terms(bastions=("::/0",)), "bad_address"),
        (Terms(ports=(70_000,)), "bad_port"),
        (Terms(ports=tuple(range(1, 300))), "too_many"),
    ):
        with pytest.raises(DomainError) as refused:
            policies.save(customer=jia, terms=terms, actor=lin, now=NOW)
        assert refused.value.code == code
    with scope.platform("test"), pytest.raises(DomainError):
        policies.save(customer=yi, terms=Terms(), actor=lin, now=NOW, asset=web)
    policies.save(customer=jia, terms=Terms(ports=(80,), bastions=("10.8.0.4", "10.8.0.4")), actor=lin, now=NOW)
    policies.save(customer=jia, terms=Terms(ports=(8080,)), actor=lin, now=NOW, asset=web)
    standard = policies.standards([web], now=NOW)[web.pk]
    assert standard.ports == {80, 8080}
    assert standard.bastions == ("10.8.0.4",)
    assert AuditEntry.objects.filter(action="hardening.policy").count() == 2
