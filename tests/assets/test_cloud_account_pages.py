"""The pages of cloud accounts: secrets go in and never come out, except to a person who proves who they are."""

import pytest
from django.test import Client

from accounts import scope, secrets
from accounts.models import Customer, User
from assets.models import CloudAccount, SyncRun
from demo.aliyun import READ_ONLY, ROOT, WRITER, CloudServer, Credentials
from tests.assets.conftest import sync
from tests.conftest import ClientFor

SECRETS = (READ_ONLY.access_key_secret, "console-password")


def form(jia: Customer, server: CloudServer, key: Credentials = READ_ONLY, **more: str) -> dict[str, object]:
    return {
        "customer": jia.pk,
        "name": "Main",
        "access_key_id": key.access_key_id,
        "access_key_secret": key.access_key_secret,
        "login_url": "https://signin.example/jiahe",
        "ram_username": "rdmp-admin@jiahe",
        "ram_password": "console-password",
        "regions": "cn-hangzhou, cn-shanghai",
        "endpoint_override": server.url,
        **more,
    }


def leaks(browser: Client, url: str) -> list[str]:
    page = browser.get(url).content.decode()
    return [secret for secret in SECRETS if secret in page]


def test_an_administrator_registers_an_account(
    jia: Customer, server: CloudServer, root: User, client_for: ClientFor
) -> None:
    browser = client_for(root)

    response = browser.post("/assets/cloud-accounts/new/", form(jia, server))

    with scope.customer(jia):
        account = CloudAccount.objects.get()
        assert response.headers["Location"] == f"/assets/cloud-accounts/{account.pk}/"
        assert account.regions == ["cn-hangzhou", "cn-shanghai"]
        assert SyncRun.objects.get(account=account).state == SyncRun.State.WAITING
        assert secrets.is_set(account, CloudAccount.PASSWORD)


def test_a_key_that_can_write_is_refused_until_somebody_says_why(
    jia: Customer, server: CloudServer, root: User, client_for: ClientFor
) -> None:
    browser = client_for(root)

    refused = browser.post("/assets/cloud-accounts/new/", form(jia, server, WRITER)).content.decode()
    assert "AliyunECSFullAccess" in refused
    assert WRITER.access_key_secret not in refused
    accepted = browser.post("/assets/cloud-accounts/new/", form(jia, server, WRITER, accept_reason="agreed by PM"))

    with scope.customer(jia):
        account = CloudAccount.objects.get()
    assert accepted.status_code == 302
    assert "agreed by PM" in browser.get(f"/assets/cloud-accounts/{account.pk}/").content.decode()


def test_no_page_ever_shows_a_secret(
    account: CloudAccount, jia: Customer, root: User, chen: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        sync(account)
    for person in (root, chen):
        browser = client_for(person)
        for path in ("", "settings/", "key/", "console/", "progress/"):
            assert leaks(browser, f"/assets/cloud-accounts/{account.pk}/{path}") == []
        assert leaks(browser, "/assets/cloud-accounts/") == []
        assert READ_ONLY.access_key_id not in browser.get(f"/assets/cloud-accounts/{account.pk}/").content.decode()


@pytest.mark.parametrize("name", ["alice", "bob", "vera", "eve"])
def test_customers_do_not_see_cloud_accounts(
    account: CloudAccount, client_for: ClientFor, request: pytest.FixtureRequest, name: str
) -> None:
    browser = client_for(request.getfixturevalue(name))

    for path in ("", f"{account.pk}/", f"{account.pk}/progress/", "new/"):
        assert browser.get(f"/assets/cloud-accounts/{path}").status_code == 403


def test_engineers_look_and_synchronise_but_do_not_manage(
    account: CloudAccount, chen: User, client_for: ClientFor
) -> None:
    browser = client_for(chen)

    assert browser.get(f"/assets/cloud-accounts/{account.pk}/").status_code == 200
    assert browser.post(f"/assets/cloud-accounts/{account.pk}/sync/").status_code == 302
    for path in ("key/", "console/", "settings/"):
        assert browser.get(f"/assets/cloud-accounts/{account.pk}/{path}").status_code == 403
    assert browser.post(f"/assets/cloud-accounts/{account.pk}/retire/").status_code == 403


def test_only_an_administrator_may_point_an_account_elsewhere(
    jia: Customer, server: CloudServer, lin: User, client_for: ClientFor
) -> None:
    page = client_for(lin).get("/assets/cloud-accounts/new/").content.decode()

    assert "endpoint_override" not in page


def test_replacing_the_key_shows_why_it_failed_and_keeps_the_old_one(
    account: CloudAccount, jia: Customer, lin: User, client_for: ClientFor
) -> None:
    given = {"access_key_id": ROOT.access_key_id, "access_key_secret": ROOT.access_key_secret}

    page = client_for(lin).post(f"/assets/cloud-accounts/{account.pk}/key/", given).content.decode()

    assert "alert-danger" in page
    with scope.customer(jia):
        account.refresh_from_db()
    assert account.access_key_id == READ_ONLY.access_key_id


def test_the_progress_of_a_pass_can_be_followed(
    account: CloudAccount, jia: Customer, lin: User, client_for: ClientFor
) -> None:
    browser, url = client_for(lin), f"/assets/cloud-accounts/{account.pk}/progress/"
    browser.post(f"/assets/cloud-accounts/{account.pk}/sync/")
    assert "every 2s" in browser.get(url).content.decode()

    with scope.customer(jia):
        sync(account)

    page = browser.get(url).content.decode()
    assert "every 2s" not in page
    assert "<progress" not in page
