"""Both credentials of the SOW: verified on entry, refused when they do not do, rotated, and never readable."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection

from accounts import scope, secrets
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets import services
from assets.models import Access, Asset, CloudAccount, SyncRun
from assets.services import syncing
from demo.aliyun import (
    BLIND,
    CUSTOM,
    GROUPED,
    JIA_UID,
    OLD,
    READ_ONLY,
    REVOKED,
    ROOT,
    WRITER,
    YI_READ_ONLY,
    CloudServer,
    Credentials,
    SimulatedCloud,
)
from tests.assets.conftest import later, register, sync
from tests.conftest import NOW


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def test_a_good_key_is_stored_with_what_was_found_out(account: CloudAccount) -> None:
    assert (account.account_uid, account.key_user) == (JIA_UID, "rdmp-readonly")
    assert (account.key_access, account.console_access) == (Access.READ_ONLY, Access.WRITES)
    assert account.key_created_at is not None
    assert account.simulated
    assert (account.state, account.verified_at, account.next_sync_at) == (CloudAccount.State.WORKING, NOW, NOW)


def test_a_read_only_key_through_a_group_is_read_only(jia: Customer, server: CloudServer) -> None:
    assert register(jia, server, GROUPED).key_access == Access.READ_ONLY


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [
        (Credentials("LTAINOBODYKNOWSTHIS", "x"), "InvalidAccessKeyId.NotFound", ""),
        (Credentials(READ_ONLY.access_key_id, "wrong"), "InvalidAccessKeySecret", ""),
        (REVOKED, "InvalidAccessKeyId.Inactive", ""),
        (ROOT, "root_key", ""),
        (WRITER, "not_read_only", "AliyunECSFullAccess"),
        (CUSTOM, "not_read_only", "jiahe-snapshots: ecs:CreateSnapshot"),
    ],
)
def test_a_key_that_does_not_do_is_refused_and_nothing_is_stored(
    jia: Customer, server: CloudServer, key: Credentials, code: str, said: str
) -> None:
    with pytest.raises(DomainError) as refused:
        register(jia, server, key)

    assert refused.value.code in (code, "SignatureDoesNotMatch" if "Secret" in code else code)
    assert said in refused.value.message
    assert key.access_key_secret not in refused.value.message
    assert not CloudAccount.objects.exists()
    assert not AuditEntry.objects.filter(action__startswith="secret").exists()


def test_a_key_whose_rights_cannot_be_seen_needs_a_reason(jia: Customer, server: CloudServer) -> None:
    with pytest.raises(DomainError):
        register(jia, server, BLIND)


def test_a_writing_key_is_accepted_with_a_reason_and_stays_marked(jia: Customer, server: CloudServer) -> None:
    account = register(jia, server, WRITER, accept_reason="needed until May")

    assert (account.key_access, account.key_accepted_reason) == (Access.WRITES, "needed until May")
    assert account.key_findings == ["AliyunECSFullAccess"]


def test_not_even_a_reason_lets_the_key_of_the_main_account_in(jia: Customer, server: CloudServer) -> None:
    with pytest.raises(DomainError) as refused:
        register(jia, server, ROOT, accept_reason="we are in a hurry")

    assert refused.value.code == "root_key"


def test_an_old_key_is_taken_and_reported_as_old(jia: Customer, server: CloudServer, account: CloudAccount) -> None:
    old = services.replace_key(
        account=account,
        access_key_id=OLD.access_key_id,
        access_key_secret=OLD.access_key_secret,
        actor=None,
        now=NOW,
    )

    assert old.key_is_old(later())
    assert not account.key_is_old(later())


def test_an_account_is_registered_once_per_customer(jia: Customer, server: CloudServer, account: CloudAccount) -> None:
    with pytest.raises(DomainError) as refused:
        register(jia, server)

    assert refused.value.code == "duplicate"
    assert CloudAccount.objects.count() == 1


def test_an_unreachable_cloud_says_so_at_once(jia: Customer, server: CloudServer, cloud: SimulatedCloud) -> None:
    cloud.fail("reset", 99)

    with pytest.raises(DomainError) as refused:
        register(jia, server)

    assert refused.value.code == "Unreachable"


@pytest.mark.parametrize("endpoint", ["http://api.example/", "ftp://127.0.0.1/", "https://169.254.169.254/"])
def test_an_api_address_that_would_leak_requests_is_refused(jia: Customer, endpoint: str) -> None:
    with pytest.raises(DomainError):
        services.register_account(
            customer=jia,
            name="x",
            credentials=services.Credentials(READ_ONLY.access_key_id, READ_ONLY.access_key_secret),
            regions=(),
            endpoint_override=endpoint,
            actor=None,
            now=NOW,
        )


def test_without_regions_all_that_the_cloud_lists_are_taken(jia: Customer, server: CloudServer) -> None:
    account = services.register_account(
        customer=jia,
        name="x",
        credentials=services.Credentials(READ_ONLY.access_key_id, READ_ONLY.access_key_secret),
        regions=(),
        endpoint_override=server.url,
        actor=None,
        now=NOW,
    )

    assert account.regions == ["cn-hangzhou", "cn-shanghai", "cn-beijing"]


def test_a_key_is_replaced_only_by_a_working_one_of_the_same_account(account: CloudAccount, lin: User) -> None:
    for bad in (REVOKED, YI_READ_ONLY, WRITER):
        with pytest.raises(DomainError):
            services.replace_key(
                account=account,
                access_key_id=bad.access_key_id,
                access_key_secret=bad.access_key_secret,
                actor=lin,
                now=NOW,
            )
    account.refresh_from_db()
    assert account.access_key_id == READ_ONLY.access_key_id
    assert services.client_for(account, purpose="test", now=NOW).identity().user_name == "rdmp-readonly"

    services.replace_key(
        account=account,
        access_key_id=GROUPED.access_key_id,
        access_key_secret=GROUPED.access_key_secret,
        actor=lin,
        now=NOW,
    )

    account.refresh_from_db()
    assert services.client_for(account, purpose="test", now=NOW).identity().user_name == "rdmp-grouped"
    entry = AuditEntry.objects.get(action="cloud_account.replace_key")
    assert entry.actor == lin
    assert READ_ONLY.access_key_id not in str(entry.detail)


def test_secrets_lie_sealed_in_the_database(account: CloudAccount) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM accounts_secret")
        sealed = b"".join(bytes(row[0]) for row in cursor.fetchall())

    assert sealed
    assert READ_ONLY.access_key_secret.encode() not in sealed
    assert b"console-password" not in sealed
    assert READ_ONLY.access_key_secret not in repr(vars(account))


def test_every_use_of_the_key_is_in_the_audit_log_once_an_hour(account: CloudAccount) -> None:
    for minutes in (0, 10, 70):
        services.client_for(account, purpose="monitoring", now=NOW + timedelta(minutes=minutes))

    uses = AuditEntry.objects.filter(action="secret.use", detail__purpose="monitoring")
    assert uses.count() == 2


def test_one_client_per_account_is_shared(account: CloudAccount) -> None:
    first = services.client_for(account, purpose="a", now=NOW)

    assert services.client_for(account, purpose="b", now=NOW) is first


def test_checking_again_notices_what_the_customer_changed(
    account: CloudAccount, cloud: SimulatedCloud, lin: User
) -> None:
    user = cloud.accounts[JIA_UID][0].user("rdmp-readonly")
    writer = cloud.accounts[JIA_UID][0].user("rdmp-writer")
    assert user is not None
    assert writer is not None
    user.policies.extend(writer.policies)

    found = services.verify_again(account=account, actor=lin, now=NOW)

    assert (found.key_access, found.key_findings) == (Access.WRITES, ["AliyunECSFullAccess"])


def test_checking_again_with_a_disabled_key_says_so(account: CloudAccount, cloud: SimulatedCloud, lin: User) -> None:
    cloud.accounts[JIA_UID][0].disable_key(READ_ONLY.access_key_id)

    with pytest.raises(DomainError):
        services.verify_again(account=account, actor=lin, now=NOW)

    account.refresh_from_db()
    assert account.state == CloudAccount.State.REFUSED
    assert account.problem


def test_retiring_an_account_destroys_its_secrets_and_keeps_its_assets(account: CloudAccount, lin: User) -> None:
    sync(account)

    services.retire_account(account=account, actor=lin, now=NOW)

    account.refresh_from_db()
    assert not secrets.is_set(account, CloudAccount.KEY_SECRET)
    assert not secrets.is_set(account, CloudAccount.PASSWORD)
    assert (Asset.objects.active().count(), Asset.objects.retired().count()) == (0, 39)
    with pytest.raises(DomainError):
        syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=lin, now=NOW)


def test_a_retired_account_can_be_registered_anew(
    account: CloudAccount, jia: Customer, server: CloudServer, lin: User
) -> None:
    services.retire_account(account=account, actor=lin, now=NOW)

    assert register(jia, server).pk != account.pk


def test_only_managers_touch_credentials(jia: Customer, server: CloudServer, account: CloudAccount, chen: User) -> None:
    key = {"access_key_id": GROUPED.access_key_id, "access_key_secret": GROUPED.access_key_secret}
    attempts: list[Callable[[], object]] = [
        lambda: services.replace_key(account=account, **key, actor=chen, now=NOW),
        lambda: services.retire_account(account=account, actor=chen, now=NOW),
        lambda: services.set_console_login(
            account=account, login_url="", ram_username="", ram_password="", actor=chen, now=NOW
        ),
        lambda: services.change_settings(
            account=account, name="x", regions=[], sync_minutes=5, is_enabled=True, actor=chen, now=NOW
        ),
    ]
    for attempt in attempts:
        with pytest.raises(PermissionDenied):
            attempt()


def test_only_an_administrator_says_where_signed_requests_go(jia: Customer, server: CloudServer, lin: User) -> None:
    with pytest.raises(PermissionDenied):
        services.register_account(
            customer=jia,
            name="x",
            credentials=services.Credentials(READ_ONLY.access_key_id, READ_ONLY.access_key_secret),
            regions=(),
            endpoint_override=server.url,
            actor=lin,
            now=NOW,
        )
