"""Credentials: written down without their secret, aged, used with a reason, and due in time."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core.exceptions import PermissionDenied

from accounts import scope, secrets
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets import keypairs, services, tasks
from assets.facts import Facts
from assets.models import AccountPurpose, Asset, Check, CloudAccount, Credential, CredentialKind
from assets.services import checking, credentials, inventory
from assets.services.credentials import Entry
from demo.aliyun import JIA_UID, OLD, CloudServer, SimulatedCloud
from notify.models import Delivery
from tests.assets.conftest import sync
from tests.conftest import NOW
from timers import services as timers
from timers.models import Timer

SECRET = "Tr0ps-and-nothing-else"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def server_(jia: Customer) -> Asset:
    facts = Facts(kind="server", name="web-1", host="10.9.0.1", os="linux")
    return inventory.create_manual(customer=jia, facts=facts, actor=None, now=NOW)


@pytest.fixture
def trops(server_: Asset) -> Credential:
    entry = Entry("host", "trops", AccountPurpose.OPERATIONS, SECRET, has_sudo=True)
    return credentials.add(where=server_, entry=entry, actor=None, now=NOW)


def everything_said() -> str:
    return " ".join(f"{entry.action} {entry.object_name} {entry.detail}" for entry in AuditEntry.objects.all())


def test_the_row_knows_the_age_and_the_vault_the_secret(trops: Credential) -> None:
    assert (trops.secret_set_at, trops.rotation_due_at) == (NOW, NOW + 90 * DAY)
    assert trops.age(NOW + 3 * DAY) == 3 * DAY
    assert secrets.is_set(trops, Credential.SECRET)
    assert not [value for value in vars(trops).values() if SECRET in str(value)]


def test_an_account_is_written_down_once_per_asset(trops: Credential, server_: Asset) -> None:
    with pytest.raises(DomainError) as refused:
        credentials.add(where=server_, entry=Entry("host", "trops"), actor=None, now=NOW)
    assert refused.value.code == "duplicate"


def test_what_belongs_to_a_host_is_not_written_down_for_a_cloud_account(account: CloudAccount) -> None:
    with pytest.raises(DomainError):
        credentials.add(where=account, entry=Entry("host", "trops"), actor=None, now=NOW)


def test_every_use_is_audited_with_whom_and_why(trops: Credential, chen: User) -> None:
    for moment in (NOW, NOW + timedelta(minutes=1)):
        assert credentials.use(credential=trops, reason="patch of INC-7", actor=chen, now=moment) == SECRET

    said = AuditEntry.objects.filter(action="secret.use")
    assert [(entry.actor, entry.detail["purpose"]) for entry in said] == [(chen, "patch of INC-7")] * 2
    trops.refresh_from_db()
    assert trops.last_used_at == NOW + timedelta(minutes=1)
    assert SECRET not in everything_said()


def test_a_use_without_reason_is_a_mistake_of_the_caller(trops: Credential) -> None:
    with pytest.raises(ValueError, match="reason"):
        credentials.use(credential=trops, reason=" ", now=NOW)


def test_a_new_secret_starts_its_age_and_its_check_anew(trops: Credential, lin: User) -> None:
    credentials.note_check(credential=trops, state=Check.WORKS, words="", actor=None, now=NOW)

    later = NOW + 10 * DAY
    changed = credentials.set_secret(credential=trops, value="another", actor=lin, now=later)

    assert (changed.secret_set_at, changed.check_state) == (later, Check.NEVER)
    assert changed.rotation_due_at == later + 90 * DAY


def test_a_key_pair_made_here_shows_its_public_half_alone(server_: Asset) -> None:
    pair = credentials.add(where=server_, entry=Entry("key_pair", "trops"), actor=None, now=NOW)

    assert pair.public_key.startswith("ssh-ed25519 ")
    assert pair.fingerprint.startswith("SHA256:")
    private = credentials.use(credential=pair, reason="test", now=NOW)
    assert keypairs.public_half(private) == pair.public_key
    assert "PRIVATE" not in everything_said()


def test_what_is_no_private_key_is_refused_and_nothing_is_kept(server_: Asset) -> None:
    with pytest.raises(DomainError) as refused:
        credentials.add(where=server_, entry=Entry("key_pair", "trops", secret="hello"), actor=None, now=NOW)
    assert refused.value.code == "not_a_key"
    assert not Credential.objects.filter(kind=CredentialKind.KEY_PAIR).exists()


def test_retiring_destroys_the_secret_and_silences_the_timer(trops: Credential, lin: User) -> None:
    credentials.retire(credential=trops, actor=lin, now=NOW)

    assert not credentials.has_secret(trops)
    assert not Timer.objects.filter(key__startswith=f"credential:{trops.pk}:").exists()
    with pytest.raises(DomainError):
        credentials.use(credential=trops, reason="test", now=NOW)


@pytest.mark.parametrize("name", ["alice", "vera", "chen"])
def test_only_managers_and_administrators_keep_credentials(
    trops: Credential, server_: Asset, name: str, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(name)
    with pytest.raises(PermissionDenied):
        credentials.add(where=server_, entry=Entry("host", "www"), actor=person, now=NOW)
    with pytest.raises(PermissionDenied):
        credentials.set_secret(credential=trops, value="x", actor=person, now=NOW)
    with pytest.raises(PermissionDenied):
        credentials.retire(credential=trops, actor=person, now=NOW)


def ring(credential: Credential) -> bool:
    timer = Timer.objects.get(key=f"credential:{credential.pk}:due", task=tasks.tell_of_due.name)
    with scope.platform("test timers"):
        return timers.fire(timer_id=timer.pk, now=timer.due_at)


def test_managers_and_administrators_hear_that_rotation_is_due(
    trops: Credential, lin: User, root: User, chen: User
) -> None:
    assert ring(trops)

    told = Delivery.objects.filter(about=f"credential:{trops.pk}", medium="inbox")
    assert {row.user for row in told} == {lin, root}
    assert SECRET not in " ".join(row.subject + row.text for row in told)


def test_a_secret_that_was_replaced_meanwhile_is_not_called_due(trops: Credential, lin: User) -> None:
    old = Timer.objects.get(key=f"credential:{trops.pk}:due").due_at
    credentials.set_secret(credential=trops, value="another", actor=lin, now=NOW + DAY)

    assert Timer.objects.get(key=f"credential:{trops.pk}:due").due_at == old + DAY
    with scope.platform("test timers"):
        assert not timers.fire(timer_id=Timer.objects.get(key=f"credential:{trops.pk}:due").pk, now=old)


def test_a_policy_of_nought_is_never_due(server_: Asset, settings: LazySettings) -> None:
    settings.CREDENTIAL_DAYS = {**settings.CREDENTIAL_DAYS, "host": 0}
    entry = Entry("host", "www", AccountPurpose.APPLICATION, "x")
    made = credentials.add(where=server_, entry=entry, actor=None, now=NOW)
    assert made.rotation_due_at is None
    assert not Timer.objects.filter(key__startswith=f"credential:{made.pk}:").exists()


def test_a_cloud_account_brings_its_two_credentials_along(account: CloudAccount) -> None:
    console, key = account.credentials.order_by("-kind")

    assert (console.username, console.is_privileged) == ("rdmp-admin@jiahe", True)
    assert (key.username, key.purpose, key.check_state) == ("rdmp-readonly", AccountPurpose.READING, Check.WORKS)
    assert key.secret_set_at == account.key_created_at
    assert not key.may_be_revealed
    assert credentials.use(credential=console, reason="test", now=NOW) == "console-password"


def test_the_rows_follow_the_account(account: CloudAccount, server: CloudServer, lin: User) -> None:
    services.replace_key(
        account=account,
        access_key_id=OLD.access_key_id,
        access_key_secret=OLD.access_key_secret,
        actor=None,
        now=NOW,
    )
    key = account.credentials.in_use().get(purpose=AccountPurpose.READING)
    assert (key.username, key.access_key_id) == ("rdmp-old", OLD.access_key_id)

    services.retire_account(account=account, actor=lin, now=NOW)
    assert not account.credentials.in_use().exists()


def test_a_synchronisation_makes_the_rows_of_an_older_account_and_notes_the_use(account: CloudAccount) -> None:
    account.credentials.all().delete()
    sync(account)
    sync(account, NOW + DAY)

    key = account.credentials.get(purpose=AccountPurpose.READING)
    assert key.last_used_at == NOW + DAY
    assert account.credentials.count() == 2


def test_a_key_that_is_refused_is_marked_among_the_credentials(
    account: CloudAccount, cloud: SimulatedCloud, lin: User
) -> None:
    cloud.accounts[JIA_UID][0].disable_key(account.access_key_id)
    key = account.credentials.get(purpose=AccountPurpose.READING)

    with pytest.raises(DomainError):
        checking.check(credential=key, actor=lin, now=NOW)

    key.refresh_from_db()
    assert key.check_state == Check.REFUSED
