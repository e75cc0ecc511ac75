"""A host account's password is replaced over real SSH, and whatever fails leaves both secrets and says which works."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope, secrets
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets import ssh, tasks
from assets.facts import Facts
from assets.models import AccountPurpose, Asset, Check, Credential, Rotation, SshAccess
from assets.services import credentials, host_rotation, inventory, reaching, rotating
from assets.services.credentials import Entry
from tests.assets import sshd
from tests.conftest import NOW
from timers import services as timers
from timers.models import Timer

State, Works = Rotation.State, Rotation.Works


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "COMMAND_S", 2.0)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[sshd.Host]:
    with sshd.running(tmp_path) as running:
        yield running


@pytest.fixture
def box(jia: Customer, host: sshd.Host, root: User) -> Asset:
    facts = Facts(kind="server", name="web-1", host="10.9.0.1", os="linux")
    asset = inventory.create_manual(customer=jia, facts=facts, actor=None, now=NOW)
    seen = reaching.look(host="127.0.0.1", port=host.port, actor=root)
    reaching.pin(asset=asset, host="127.0.0.1", port=host.port, host_key=seen, actor=root, now=NOW)
    return asset


@pytest.fixture
def operator(box: Asset, host: sshd.Host) -> Credential:
    entry = Entry("host", host.operator, AccountPurpose.OPERATIONS, sshd.OPERATOR_PASSWORD, has_sudo=True)
    return credentials.add(where=box, entry=entry, actor=None, now=NOW)


@pytest.fixture
def account_(box: Asset, host: sshd.Host, operator: Credential) -> Credential:
    entry = Entry("host", host.account, AccountPurpose.CUSTOMER, sshd.ACCOUNT_PASSWORD, has_sudo=True)
    return credentials.add(where=box, entry=entry, actor=None, now=NOW)


def rotate(credential: Credential, actor: User, now: datetime = NOW) -> Rotation:
    asked = rotating.start(credential=credential, actor=actor, now=now)
    done = rotating.run(rotation_id=asked.pk, clock=lambda: now)
    assert done is not None
    credential.refresh_from_db()
    return done


def opens(host: sshd.Host, credential: Credential, field: str = Credential.SECRET) -> bool:
    """Whether the host itself takes what the vault holds."""
    word = secrets.use(obj=credential, field=field, purpose="test", now=NOW)
    assert credential.asset is not None
    try:
        with ssh.session(reaching.door_of(credential.asset), ssh.Login(host.account, password=word)):
            return True
    except ssh.SshError:
        return False


def test_a_new_password_is_set_tried_and_promoted(host: sshd.Host, account_: Credential, lin: User) -> None:
    done = rotate(account_, lin, NOW + timedelta(days=1))

    assert (done.state, done.works, done.problem_code) == (State.DONE, Works.NEW, "")
    assert opens(host, account_)
    assert not secrets.is_set(account_, Credential.PENDING)
    assert (account_.check_state, account_.secret_set_at) == (Check.WORKS, NOW + timedelta(days=1))
    word = secrets.use(obj=account_, field=Credential.SECRET, purpose="test", now=NOW)
    assert word != sshd.ACCOUNT_PASSWORD
    said = " ".join(f"{entry.action} {entry.detail}" for entry in AuditEntry.objects.all())
    assert word not in said
    assert sshd.OPERATOR_PASSWORD not in said


def test_the_account_for_operations_rotates_itself(host: sshd.Host, operator: Credential, lin: User) -> None:
    done = rotate(operator, lin)
    assert done.state == State.DONE
    assert operator.check_state == Check.WORKS


def test_sudo_that_refuses_leaves_the_old_password(host: sshd.Host, account_: Credential, lin: User) -> None:
    host.fault = "sudo"
    failed = rotate(account_, lin)

    assert (failed.state, failed.works, failed.problem_code) == (State.FAILED, Works.OLD, "sudo_refused")
    assert opens(host, account_)
    assert secrets.is_set(account_, Credential.PENDING)
    host.fault = ""
    assert rotate(account_, lin).state == State.DONE


def test_a_host_that_sets_nothing_and_does_not_answer_keeps_the_old_one(
    host: sshd.Host, account_: Credential, lin: User
) -> None:
    host.fault = "hang"
    failed = rotate(account_, lin)
    assert (failed.state, failed.works, failed.problem_code) == (State.FAILED, Works.OLD, "timeout")
    assert secrets.is_set(account_, Credential.PENDING)


def test_a_host_that_sets_it_and_does_not_answer_is_found_out(host: sshd.Host, account_: Credential, lin: User) -> None:
    host.fault = "late"
    assert rotate(account_, lin).state == State.DONE
    assert opens(host, account_)


class _Killed(BaseException):
    """What a worker that dies leaves behind is what stands in the database."""


def test_killed_between_setting_and_logging_in(
    host: sshd.Host, account_: Credential, lin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = rotating.start(credential=account_, actor=lin, now=NOW)

    def die(*_args: object) -> bool:
        raise _Killed

    with monkeypatch.context() as dying:
        dying.setattr(host_rotation, "_opens", die)
        with pytest.raises(_Killed):
            rotating.run(rotation_id=asked.pk, clock=lambda: NOW)
    assert opens(host, account_, Credential.PENDING)
    assert not opens(host, account_)
    assert rotating.run(rotation_id=asked.pk, clock=lambda: NOW) is None  # the dead worker's lease

    with monkeypatch.context() as watching:
        watching.setattr(host_rotation, "_set", die)  # it is not set a second time
        later = NOW + Rotation.LEASE
        done = rotating.run(rotation_id=asked.pk, clock=lambda: later)
    assert done is not None
    assert done.state == State.DONE
    assert opens(host, account_)


def test_the_timer_wakes_what_a_dead_worker_left(account_: Credential, lin: User) -> None:
    asked = rotating.start(credential=account_, actor=lin, now=NOW)
    timer = Timer.objects.get(key=f"rotation:{asked.pk}:", task=tasks.wake_rotation.name)
    with scope.platform("test timers"):
        assert timers.fire(timer_id=timer.pk, now=timer.due_at)
    timer.refresh_from_db()
    assert timer.fired_at is None
    assert timer.due_at > NOW + Rotation.LEASE


def test_the_wrong_word_of_the_operator_changes_nothing(
    host: sshd.Host, account_: Credential, operator: Credential, lin: User
) -> None:
    credentials.set_secret(credential=operator, value="wrong", actor=lin, now=NOW)
    failed = rotate(account_, lin)
    assert (failed.state, failed.works, failed.problem_code) == (State.FAILED, Works.OLD, "operator_refused")


def test_neither_works_when_somebody_else_changed_it(host: sshd.Host, account_: Credential, lin: User) -> None:
    host.fault = "sudo"
    host.set_password("changed-behind-our-back")
    assert rotate(account_, lin).works == Works.NEITHER


def test_a_changed_host_key_is_refused_before_a_word_is_sent(host: sshd.Host, account_: Credential, lin: User) -> None:
    host.new_host_key()
    failed = rotate(account_, lin)

    assert (failed.state, failed.works, failed.problem_code) == (State.FAILED, Works.UNKNOWN, "host_key_changed")
    assert secrets.is_set(account_, Credential.SECRET)
    assert secrets.is_set(account_, Credential.PENDING)


def test_an_unknown_host_key_is_refused(account_: Credential, lin: User) -> None:
    SshAccess.objects.all().delete()
    with pytest.raises(DomainError) as refused:
        rotating.start(credential=account_, actor=lin, now=NOW)
    assert refused.value.code == "host_key_unknown"


def test_a_person_settles_which_of_the_two_counts(host: sshd.Host, account_: Credential, lin: User) -> None:
    host.fault = "sudo"
    rotate(account_, lin)
    rotating.settle(credential=account_, keep_new=False, actor=lin, now=NOW)
    assert not secrets.is_set(account_, Credential.PENDING)
    assert opens(host, account_)
    with pytest.raises(DomainError):
        rotating.settle(credential=account_, keep_new=True, actor=lin, now=NOW)


def test_while_one_runs_no_second_one_begins(account_: Credential, lin: User) -> None:
    first = rotating.start(credential=account_, actor=lin, now=NOW)
    assert rotating.start(credential=account_, actor=lin, now=NOW) == first


@pytest.mark.parametrize("name", ["chen", "alice", "vera"])
def test_only_managers_rotate_pin_and_settle(
    account_: Credential, box: Asset, name: str, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(name)
    with pytest.raises(PermissionDenied):
        rotating.start(credential=account_, actor=person, now=NOW)
    with pytest.raises(PermissionDenied):
        rotating.settle(credential=account_, keep_new=True, actor=person, now=NOW)
    with pytest.raises(PermissionDenied):
        reaching.look(host="127.0.0.1", port=22, actor=person)
    with pytest.raises(PermissionDenied):
        reaching.pin(asset=box, host="h", port=22, host_key="x", actor=person, now=NOW)


def test_a_check_logs_in_and_sees_whether_sudo_works(
    host: sshd.Host, operator: Credential, account_: Credential, lin: User
) -> None:
    reaching.check(credential=operator, actor=lin, now=NOW)
    operator.refresh_from_db()
    assert (operator.check_state, operator.has_sudo) == (Check.WORKS, True)

    reaching.check(credential=account_, actor=lin, now=NOW)
    account_.refresh_from_db()
    assert (account_.check_state, account_.has_sudo) == (Check.WORKS, False)  # its word is not the operator's

    host.set_password("another")
    reaching.check(credential=account_, actor=lin, now=NOW)
    account_.refresh_from_db()
    assert account_.check_state == Check.REFUSED
