"""An AccessKey is replaced through RAM: never a third key, never a lost one, wherever the worker dies."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from accounts import scope, secrets
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.aliyun import ram
from assets.models import AccountPurpose, CloudAccount, Credential, Rotation
from assets.services import accounts, credentials, key_rotation, rotating
from assets.services.credentials import Entry
from demo.aliyun import JIA_UID, OPERATIONS, READ_ONLY, SimulatedCloud
from demo.aliyun.account import ADMINISTRATOR_ACCESS, AccessKey
from tests.assets.conftest import HASTY, later, sync

State, Step, Works = Rotation.State, Rotation.Step, Rotation.Works


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def operations(account: CloudAccount) -> Credential:
    entry = Entry(
        "access_key",
        "rdmp-operations",
        AccountPurpose.OPERATIONS,
        OPERATIONS.access_key_secret,
        access_key_id=OPERATIONS.access_key_id,
    )
    return credentials.add(where=account, entry=entry, actor=None, now=later())


@pytest.fixture
def reading(account: CloudAccount, operations: Credential) -> Credential:
    found: Credential = account.credentials.get(purpose=AccountPurpose.READING)
    return found


def keys(cloud: SimulatedCloud, user: str = "rdmp-readonly") -> list[AccessKey]:
    found = cloud.accounts[JIA_UID][0].user(user)
    assert found is not None
    return list(found.keys)


def go_on(rotation: Rotation, now: datetime | None = None) -> Rotation:
    moment = later() if now is None else now
    done = rotating.run(rotation_id=rotation.pk, clock=lambda: moment)
    assert done is not None
    return done


def begin(credential: Credential, actor: User) -> Rotation:
    return rotating.start(credential=credential, actor=actor, now=later())


def test_the_reading_key_gets_a_successor_and_the_old_one_ends_by_and_by(
    reading: Credential, account: CloudAccount, cloud: SimulatedCloud, lin: User
) -> None:
    rotation = go_on(begin(reading, lin))
    assert (rotation.state, rotation.step, rotation.works) == (State.GRACE, Step.SWITCHED, Works.NEW)
    account.refresh_from_db()
    assert account.access_key_id == rotation.new_key_id != READ_ONLY.access_key_id
    assert sync(account, later()).state in ("done", "partial")
    assert [key.active for key in keys(cloud)] == [True, True]

    assert rotating.run(rotation_id=rotation.pk, clock=later) is None  # not before its hour
    settled = later() + key_rotation.SETTLING + timedelta(minutes=1)
    assert go_on(rotation, settled).step == Step.DISABLED
    assert [key.active for key in keys(cloud)] == [False, True]

    done = go_on(rotation, settled + timedelta(hours=73))
    assert (done.state, done.step) == (State.DONE, Step.DELETED)
    assert [key.id for key in keys(cloud)] == [rotation.new_key_id]
    new_secret = keys(cloud)[0].secret
    said = " ".join(f"{entry.action} {entry.detail}" for entry in AuditEntry.objects.all())
    assert new_secret not in said
    reading.refresh_from_db()
    assert credentials.use(credential=reading, reason="test", now=later()) == new_secret


def test_a_read_only_key_alone_cannot_make_its_successor(account: CloudAccount, lin: User) -> None:
    with pytest.raises(DomainError) as refused:
        begin(account.credentials.get(purpose=AccountPurpose.READING), lin)
    assert refused.value.code == "no_operations_key"


def test_the_key_for_operations_replaces_itself(operations: Credential, cloud: SimulatedCloud, lin: User) -> None:
    rotation = go_on(begin(operations, lin))
    go_on(rotation, later() + timedelta(hours=1))
    assert go_on(rotation, later() + timedelta(hours=80)).state == State.DONE
    operations.refresh_from_db()
    assert [key.id for key in keys(cloud, "rdmp-operations")] == [operations.access_key_id]


class _Killed(BaseException):
    pass


def die(*_args: object, **_options: object) -> None:
    raise _Killed


def killed(rotation: Rotation) -> None:
    with pytest.raises(_Killed):
        rotating.run(rotation_id=rotation.pk, clock=later)


def resumed(rotation: Rotation) -> Rotation:
    return go_on(rotation, later() + Rotation.LEASE + timedelta(seconds=1))


def test_killed_after_the_key_was_made_and_before_its_secret_was_kept(
    reading: Credential, cloud: SimulatedCloud, lin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotation = begin(reading, lin)
    with monkeypatch.context() as dying:
        dying.setattr(secrets, "put", die)
        killed(rotation)
    [_old, lost] = keys(cloud)

    assert resumed(rotation).step == Step.SWITCHED

    assert lost.id not in [key.id for key in keys(cloud)]
    assert len(keys(cloud)) == 2


@pytest.mark.parametrize("where", ["_verify", "_switch"])
def test_killed_later_the_same_key_is_taken_further(
    reading: Credential, cloud: SimulatedCloud, lin: User, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    rotation = begin(reading, lin)
    with monkeypatch.context() as dying:
        dying.setattr(key_rotation, where, die)
        killed(rotation)
    made = keys(cloud)[1].id

    assert resumed(rotation).new_key_id == made
    assert cloud.calls(action="CreateAccessKey") == 1


@pytest.mark.parametrize("name", ["disable_key", "delete_key"])
def test_killed_at_the_end_of_the_old_key(
    reading: Credential, cloud: SimulatedCloud, lin: User, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rotation = go_on(begin(reading, lin))
    hour = later() + timedelta(hours=1)
    if name == "delete_key":
        go_on(rotation, hour)
        hour += timedelta(hours=73)
    done = getattr(ram, name)

    def do_and_die(*args: object) -> None:
        done(*args)
        raise _Killed

    with monkeypatch.context() as dying:
        dying.setattr(ram, name, do_and_die)
        with pytest.raises(_Killed):
            rotating.run(rotation_id=rotation.pk, clock=lambda: hour)
    resumed_ = go_on(rotation, hour + Rotation.LEASE)
    assert resumed_.step in (Step.DISABLED, Step.DELETED)


def test_a_key_made_without_an_answer_is_found_and_no_third_one_made(
    reading: Credential, cloud: SimulatedCloud, lin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.fail("reset", action="CreateAccessKey")
    waiting = go_on(begin(reading, lin))
    assert (waiting.state, waiting.step) == (State.RUNNING, Step.STARTED)
    assert len(keys(cloud)) == 2

    done = go_on(waiting, later() + timedelta(minutes=2))
    assert done.step == Step.SWITCHED
    assert len(keys(cloud)) == 2


def test_a_user_with_two_keys_is_left_alone(reading: Credential, cloud: SimulatedCloud, lin: User) -> None:
    user = cloud.accounts[JIA_UID][0].user("rdmp-readonly")
    assert user is not None
    user.keys.append(AccessKey("LTAI-OF-SOMEBODY-ELSE", "theirs", later()))

    failed = go_on(begin(reading, lin))

    assert (failed.state, failed.works, failed.problem_code) == (State.FAILED, Works.OLD, "two_keys")
    assert len(keys(cloud)) == 2


def test_a_successor_that_could_write_is_deleted_again(
    reading: Credential, cloud: SimulatedCloud, account: CloudAccount, lin: User
) -> None:
    user = cloud.accounts[JIA_UID][0].user("rdmp-readonly")
    assert user is not None
    user.policies.append(ADMINISTRATOR_ACCESS)

    failed = go_on(begin(reading, lin))

    assert (failed.state, failed.works, failed.problem_code) == (State.FAILED, Works.OLD, "not_read_only")
    assert [key.id for key in keys(cloud)] == [READ_ONLY.access_key_id]
    assert not secrets.is_set(reading, Credential.PENDING)


def test_throttled_it_goes_on_later(reading: Credential, cloud: SimulatedCloud, lin: User) -> None:
    cloud.fail("throttle", 99, product="Ram")
    waiting = go_on(begin(reading, lin))
    assert (waiting.state, waiting.problem_code) == (State.RUNNING, "Throttling.User")
    cloud.heal()
    assert go_on(waiting, later() + timedelta(minutes=2)).step == Step.SWITCHED


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "QUICK", HASTY)
