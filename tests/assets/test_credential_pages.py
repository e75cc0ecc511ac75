"""The pages and the API of credentials: secrets go in, come out once to whom may see them, and nowhere else."""

import logging
import time

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope, secrets
from accounts.models import AuditEntry, Customer, User
from assets import keypairs
from assets.models import Asset, CloudAccount, Credential, CredentialKind, SshAccess
from assets.services import credentials, reaching, revealing
from tests.accounts.test_second_factor import SECRET as SEED
from tests.accounts.test_second_factor import code, give_totp
from tests.assets.conftest import later
from tests.assets.test_credentials import SECRET, server_, trops
from tests.conftest import PASSWORD, ClientFor

__all__ = ["server_", "trops"]


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> object:
    with scope.customer(jia):
        yield


def proven(browser: Client, person: User) -> Client:
    """A browser whose person has just given a code."""
    session = browser.session
    session["account_authentication_methods"] = [{"method": "mfa", "type": "totp", "at": time.time()}]
    session["account_authentication_methods_user"] = str(person.pk)
    session.save()
    return browser


@pytest.fixture
def console(account: CloudAccount) -> Credential:
    found: Credential = account.credentials.get(kind=CredentialKind.CONSOLE)
    return found


PATHS = ("", "change/", "secret/", "reveal/")
VERBS = ("checked/", "retire/", "check/", "rotate/", "settle/")


def test_no_page_and_no_log_holds_a_secret(
    trops: Credential, server_: Asset, root: User, client_for: ClientFor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    browser = proven(client_for(root), root)
    pages = [f"/assets/credentials/{trops.pk}/{path}" for path in PATHS]
    pages += ["/assets/credentials/", "/assets/account-standard/", f"/assets/{server_.pk}/accounts/", "/audit/"]
    pages += ["/api/v1/credentials/", f"/api/v1/credentials/{trops.pk}/"]
    for page in pages:
        answer = browser.get(page)
        assert answer.status_code == 200, page
        assert SECRET not in answer.content.decode(), page
    browser.post(f"/assets/credentials/{trops.pk}/reveal/", {"reason": "INC-7"})
    assert SECRET not in caplog.text


def test_a_code_is_asked_for_before_a_secret_is_shown(trops: Credential, chen: User, client_for: ClientFor) -> None:
    give_totp(chen)
    browser, url = client_for(chen), f"/assets/credentials/{trops.pk}/reveal/"
    sent = browser.get(url)
    assert (sent.status_code, sent["Location"].split("?")[0]) == (302, "/accounts/2fa/reauthenticate/")

    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert browser.get(url).status_code == 302  # the password is no second factor

    back = browser.post(sent["Location"], {"code": code(secret=SEED)})
    assert (back.status_code, back["Location"]) == (302, url)
    assert "console" not in back["Location"]
    shown = browser.post(url, {"reason": "INC-7"})
    assert SECRET in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert 'data-vanishes="30"' in shown.content.decode()
    assert SECRET not in browser.get(url).content.decode()


def test_no_reason_shows_nothing(trops: Credential, lin: User, client_for: ClientFor) -> None:
    page = proven(client_for(lin), lin).post(f"/assets/credentials/{trops.pk}/reveal/", {"reason": " "})
    assert SECRET not in page.content.decode()


def test_an_administrators_login_is_shown_once_after_another_agreed(
    console: Credential, chen: User, lin: User, client_for: ClientFor
) -> None:
    engineer, manager = proven(client_for(chen), chen), client_for(lin)
    url = f"/assets/credentials/{console.pk}/reveal/"
    assert engineer.post(url, {"reason": "INC-8"}).status_code == 302
    asked = console.reveal_requests.get()
    assert "console-password" not in engineer.post(url, {"reason": "INC-8"}).content.decode()
    assert engineer.post(f"/assets/reveals/{asked.pk}/decide/", {"answer": "approve"}).status_code == 403

    assert "INC-8" in manager.get(f"/assets/reveals/{asked.pk}/").content.decode()
    manager.post(f"/assets/reveals/{asked.pk}/decide/", {"answer": "approve"})

    assert "console-password" not in engineer.get(url).content.decode()
    assert "console-password" in engineer.post(url).content.decode()
    assert "console-password" not in engineer.post(url).content.decode()


@pytest.mark.parametrize("name", ["alice", "bob", "vera"])
def test_the_customer_sees_that_an_account_exists_and_its_age(
    trops: Credential, server_: Asset, client_for: ClientFor, name: str, request: pytest.FixtureRequest
) -> None:
    browser = client_for(request.getfixturevalue(name))

    page = browser.get(f"/assets/{server_.pk}/accounts/").content.decode()
    assert "trops" in page
    assert f"/assets/credentials/{trops.pk}/" not in page
    for path in PATHS:
        assert browser.get(f"/assets/credentials/{trops.pk}/{path}").status_code == 403
    assert browser.get("/assets/credentials/").status_code == 403
    assert browser.get(f"/assets/{server_.pk}/accounts/new/").status_code == 403
    [row] = browser.get("/api/v1/credentials/").json()["results"]
    assert row["username"] == "trops"
    assert "secret" not in row


def test_another_customer_finds_nothing(trops: Credential, server_: Asset, eve: User, client_for: ClientFor) -> None:
    browser = client_for(eve)
    for path in (*PATHS, "rotations/", *VERBS):
        ask = browser.post if path in VERBS else browser.get
        assert ask(f"/assets/credentials/{trops.pk}/{path}").status_code == 404
    assert browser.get(f"/assets/{server_.pk}/accounts/").status_code == 404
    assert browser.get(f"/assets/{server_.pk}/ssh/").status_code == 404
    assert browser.get(f"/api/v1/credentials/{trops.pk}/").status_code == 404
    assert browser.get("/api/v1/credentials/").json()["results"] == []


def test_a_request_of_another_customer_is_not_found(
    console: Credential, chen: User, eve: User, alice: User, client_for: ClientFor
) -> None:
    asked = revealing.ask(credential=console, reason="INC-8", actor=chen, now=later())
    assert client_for(eve).get(f"/assets/reveals/{asked.pk}/").status_code == 404
    assert client_for(alice).get(f"/assets/reveals/{asked.pk}/").status_code == 403
    assert client_for(eve).post(f"/assets/reveals/{asked.pk}/decide/", {"answer": "approve"}).status_code == 404


def test_an_engineer_looks_and_does_not_manage(trops: Credential, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    assert browser.get(f"/assets/credentials/{trops.pk}/").status_code == 200
    for path in ("change/", "secret/"):
        assert browser.get(f"/assets/credentials/{trops.pk}/{path}").status_code == 403
    for path in VERBS:
        assert browser.post(f"/assets/credentials/{trops.pk}/{path}").status_code == 403
    assert browser.get(f"/assets/{trops.asset_id}/ssh/").status_code == 403
    assert browser.post(f"/api/v1/credentials/{trops.pk}/secret/", {"secret": "x"}).status_code == 403


def test_a_manager_writes_an_account_down_from_the_asset(server_: Asset, lin: User, client_for: ClientFor) -> None:
    browser, url = client_for(lin), f"/assets/{server_.pk}/accounts/new/?kind=host&user=www"
    assert 'value="www"' in browser.get(url).content.decode()

    given = {"username": "www", "purpose": "application", "has_sudo": "no", "secret": "run-the-shop"}
    answer = browser.post(url, given)

    made = Credential.objects.get(username="www")
    assert answer["Location"] == f"/assets/credentials/{made.pk}/"
    assert (made.has_sudo, credentials.has_secret(made)) == (False, True)
    again = browser.post(url, given).content.decode()
    assert "alert-danger" in again
    assert "run-the-shop" not in again


def test_the_list_is_filtered_by_kind_customer_and_what_is_due(
    trops: Credential, account: CloudAccount, lin: User, client_for: ClientFor
) -> None:
    browser = client_for(lin)

    def names(query: str) -> set[str]:
        rows = browser.get(f"/assets/credentials/?{query}").context["page"].rows
        return {row.username for row in rows}

    assert names("") == {"trops", "rdmp-admin@jiahe", "rdmp-readonly"}
    assert names("kind=host") == {"trops"}
    assert names("show=unverified") == {"trops", "rdmp-admin@jiahe"}
    assert "rdmp-readonly" not in names("show=due")
    assert names(f"customer={trops.customer_id}&check=works") == {"rdmp-readonly"}


def test_deviations_are_listed_per_server(trops: Credential, chen: User, client_for: ClientFor) -> None:
    [server] = client_for(chen).get("/assets/account-standard/").context["servers"]
    assert [deviation.name for deviation in server.deviations] == ["xxadmin", "www"]


def test_the_api_takes_secrets_in_and_never_gives_them_out(server_: Asset, lin: User, client_for: ClientFor) -> None:
    browser = client_for(lin)
    given = {"asset": server_.pk, "kind": "host", "username": "trops", "purpose": "operations", "secret": SECRET}
    made = browser.post("/api/v1/credentials/", given, content_type="application/json")
    assert made.status_code == 201
    assert SECRET not in made.content.decode()

    url = f"/api/v1/credentials/{made.json()['id']}/secret/"
    set_ = browser.post(url, {"secret": "another-one"}, content_type="application/json")
    assert set_.status_code == 200
    assert "another-one" not in set_.content.decode()
    assert browser.get(url).status_code == 405
    row = Credential.objects.get()
    assert credentials.use(credential=row, reason="test", now=later()) == "another-one"


def test_a_check_by_hand_says_how(trops: Credential, lin: User, client_for: ClientFor) -> None:
    browser, url = client_for(lin), f"/assets/credentials/{trops.pk}/checked/"
    browser.post(url, {"works": "yes", "words": " "})
    assert not AuditEntry.objects.filter(action="credential.check").exists()
    browser.post(url, {"works": "yes", "words": "signed in at the console"})
    trops.refresh_from_db()
    assert (trops.check_state, trops.check_words) == ("works", "signed in at the console")


def test_an_operations_key_is_written_down_on_its_cloud_account(
    account: CloudAccount, lin: User, chen: User, client_for: ClientFor
) -> None:
    url = f"/assets/cloud-accounts/{account.pk}/operations-key/"
    given = {"username": "rdmp-ops", "access_key_id": "LTAI0123456789abcdef", "secret": "of-the-key"}
    assert client_for(chen).post(url, given).status_code == 403

    browser = client_for(lin)
    made = browser.post(url, given)
    page = browser.get(made["Location"]).content.decode()
    assert "of-the-key" not in page
    assert "LTAI0123456789abcdef" not in page


def test_an_account_of_another_kind_of_asset_cannot_be_made(jia: Customer, lin: User, client_for: ClientFor) -> None:
    url_asset = Asset.objects.create(
        customer=jia, kind="url", name="shop", url="https://x/", created_at=later(), changed_at=later()
    )
    assert client_for(lin).get(f"/assets/{url_asset.pk}/accounts/new/").status_code == 404


def test_a_rotation_that_is_not_possible_says_why_and_asks_nobody(
    trops: Credential, lin: User, client_for: ClientFor
) -> None:
    browser = client_for(lin)
    browser.post(f"/assets/credentials/{trops.pk}/rotate/")
    assert not trops.rotations.exists()
    assert "主机密钥" in str(next(iter(browser.get("/assets/credentials/").context["messages"])))


def test_the_page_says_which_secret_worked_last_and_lets_a_manager_settle(
    trops: Credential, jia: Customer, lin: User, chen: User, client_for: ClientFor
) -> None:
    trops.rotations.create(
        customer=jia, started_at=later(), state="failed", step="setting", works="old", problem_code="sudo_refused"
    )
    secrets.put(obj=trops, field=Credential.PENDING, value="half-way", actor=None, now=later())
    url = f"/assets/credentials/{trops.pk}/"

    page = client_for(lin).get(f"{url}rotations/").content.decode()
    assert f"{url}settle/" in page
    assert "half-way" not in page
    assert f"{url}settle/" not in client_for(chen).get(f"{url}rotations/").content.decode()
    client_for(lin).post(f"{url}settle/", {"keep": "new"})
    assert credentials.use(credential=trops, reason="test", now=later()) == "half-way"


def test_a_host_key_is_confirmed_by_a_manager_only_as_it_was_seen(
    server_: Asset, lin: User, client_for: ClientFor
) -> None:
    browser, url = client_for(lin), f"/assets/{server_.pk}/ssh/"
    assert browser.get(url).status_code == 200
    given = {"host": "127.0.0.1", "port": "22", "host_key": "no key at all"}
    assert "alert-danger" in browser.post(url, given).content.decode()

    given["host_key"] = keypairs.public_half(keypairs.make())
    assert browser.post(url, given).status_code == 302
    assert server_.ssh_access.fingerprint == keypairs.fingerprint(given["host_key"])


def test_old_algorithms_are_allowed_by_a_manager_for_one_server_and_it_is_written_down(
    server_: Asset, lin: User, chen: User, client_for: ClientFor
) -> None:
    url = f"/assets/{server_.pk}/ssh/"
    assert client_for(lin).post(f"{url}legacy-algorithms/", {"legacy_algorithms": "on"}).status_code == 404
    with scope.platform("test"):
        access = SshAccess.objects.create(
            customer_id=server_.customer_id, asset=server_, host="10.0.0.5", port=22, pinned_at=timezone.now()
        )

    def change(person: User, given: dict[str, str]) -> tuple[int, bool]:
        status = client_for(person).post(f"{url}legacy-algorithms/", given).status_code
        with scope.platform("test"):
            access.refresh_from_db()
        return status, access.legacy_algorithms

    badge = "badge bg-warning-lt"
    assert badge not in client_for(lin).get(url).content.decode()
    assert change(chen, {"legacy_algorithms": "on"}) == (403, False)
    assert change(lin, {"legacy_algorithms": "on"}) == (302, True)
    assert change(lin, {"legacy_algorithms": "on"}) == (302, True)
    assert badge in client_for(lin).get(url).content.decode()
    with scope.platform("test"):
        reaching.put_behind_node(asset=server_, host="10.0.0.6", port=22, actor=lin, now=timezone.now())
    assert change(lin, {}) == (302, False)
    with scope.platform("test"):
        said = AuditEntry.objects.filter(action__startswith="ssh.legacy").order_by("pk").values_list("action", "actor")
        assert list(said) == [("ssh.legacy_algorithms", lin.pk), ("ssh.legacy_algorithms_off", lin.pk)]
