"""What a node asks the portal, over the addresses that nodes use, signed as nodes sign."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from typing import TypeVar

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import LazySettings
from django.test import Client as Browser
from django.utils import timezone

from accounts import limiter, scope
from accounts.errors import DomainError
from accounts.models import Assignment, AuditEntry, Customer, User
from assets import keypairs
from assets.models import Asset, Credential, SshAccess
from assets.services import credentials, reaching
from assets.services.credentials import Entry
from bastion.gateway import wire
from bastion.gateway.contract import Access, Client, Fact, Front, Person, Resource
from bastion.models import BastionSession, LoginTicket, Node, ResourceGroup, SessionCommand
from bastion.node_views import LONGEST_BODY
from bastion.services import (
    enrolling,
    exporting,
    granting,
    groups,
    living,
    searching,
    signing_in,
    ssh_keys,
    ticketing,
)
from bastion.services.granting import Wanted
from incidents.models import IncidentAsset
from tests.bastion.conftest import CONNECT, SSH, server
from tests.conftest import NOW, PASSWORD
from tests.incidents.conftest import raise_incident

CLIENT = Client("192.0.2.7", 50022, "OpenSSH_9.2")
T = TypeVar("T")
SECRET = "JBSWY3DPEHPK3PXP"
_addresses = count(1)


class Speaker:
    """A node as the portal meets it."""

    def __init__(self) -> None:
        self.key, self.number = Ed25519PrivateKey.generate(), 0
        self.browser = Browser()

    @property
    def public_key(self) -> str:
        return base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    def enrol(self, token: str) -> object:
        said = wire.Enrol(token, self.public_key, "1.0", 2222, ("ssh-ed25519 AAAA",))
        answer = self.post("enrol", wire.encode(said), {})
        if answer[0] == 200:
            self.number = wire.decode(wire.Enrolled, answer[1]).node
        return answer[0]

    def ask(self, what: str, question: object, kind: type[T]) -> T:
        status, body = self.signed(what, wire.encode(question))
        assert status == 200, body
        return wire.decode(kind, body)

    def refused(self, what: str, question: object) -> wire.No:
        status, body = self.signed(what, wire.encode(question))
        assert status in (400, 401, 403), body
        return wire.decode(wire.No, body)

    def signed(self, what: str, body: bytes, *, now: float | None = None, path: str = "") -> tuple[int, bytes]:
        moment = time.time() if now is None else now
        headers = wire.sign(
            self.key, node=self.number, method="POST", path=path or f"/bastion/node/{what}/", body=body, now=moment
        )
        return self.post(what, body, headers)

    def post(self, what: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        answer = self.browser.post(f"/bastion/node/{what}/", body, "application/json", headers=headers)
        return answer.status_code, answer.content


@pytest.fixture
def speaker(db: None) -> Speaker:
    made = Speaker()
    with scope.platform("test"):
        _node, token = enrolling.announce(name="one", customer=None, actor=None, now=timezone.now())
    assert made.enrol(token) == 200
    return made


@pytest.fixture
def at_yi(yi: Customer) -> Speaker:
    made = Speaker()
    with scope.platform("test"):
        _node, token = enrolling.announce(name="two", customer=yi, actor=None, now=timezone.now())
    assert made.enrol(token) == 200
    return made


@pytest.fixture
def client() -> Client:
    """Each test fails from an address of its own: failures are counted."""
    return Client(f"198.51.100.{next(_addresses) % 250}", 50022, "OpenSSH_9.2")


@pytest.fixture
def web(jia: Customer) -> Asset:
    asset = server(jia, "web-01")
    with scope.customer(jia):
        Credential.objects.filter(asset=asset).delete()
        for username, purpose in (("trops", "operations"), ("xxadmin", "customer")):
            entry = Entry("host", username, purpose, f"pw-{username}")
            credentials.add(where=asset, entry=entry, actor=None, now=NOW)
        SshAccess.objects.create(
            customer=jia,
            asset=asset,
            host="10.0.0.5",
            port=22,
            host_key="ssh-ed25519 KEY",
            fingerprint="f",
            pinned_at=NOW,
        )
    return asset


@pytest.fixture
def key(chen: User) -> str:
    line = keypairs.public_half(keypairs.make())
    with scope.platform("test"):
        ssh_keys.add(person=chen, name="laptop", public_key=f"{line} chen@laptop", now=NOW)
    return line


def signed_in(speaker: Speaker, person: User, key: str) -> Person:
    return speaker.ask("by-key", wire.ByKey(person.email, key, CLIENT), Person)


def give(person: User, asset: Asset, root: User) -> None:
    with scope.platform("test"):
        granting.grant(person=person, to=asset, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)


def want(person: Person, resource: str, **changes: str) -> wire.ForAccess:
    return wire.ForAccess(person.token, CLIENT, Front.SSH, resource, **{"work": "look at the disk", **changes})


# --- the node itself ----------------------------------------------------------------------------------------------


def test_a_token_enrols_once(db: None) -> None:
    with scope.platform("test"):
        node, token = enrolling.announce(name="one", customer=None, actor=None, now=timezone.now())
    assert Speaker().enrol("guess") == 403
    first, second = Speaker(), Speaker()
    assert first.enrol(token) == 200
    assert second.enrol(token) == 403
    with scope.platform("test"):
        node.refresh_from_db()
        assert (node.state, node.public_key, node.ssh_port) == ("enrolled", first.public_key, 2222)
        assert token not in str(Node.objects.values())


def test_a_token_ages(db: None) -> None:
    with scope.platform("test"):
        _node, token = enrolling.announce(
            name="one", customer=None, actor=None, now=timezone.now() - enrolling.TOKEN_LIFE - timedelta(seconds=1)
        )
    assert Speaker().enrol(token) == 403


def test_nothing_is_answered_to_whoever_does_not_sign_as_the_node(speaker: Speaker, chen: User, key: str) -> None:
    question = wire.encode(wire.ByKey(chen.email, key, CLIENT))
    assert speaker.signed("by-key", question)[0] == 200
    assert speaker.post("by-key", question, {})[0] == 401
    stranger = Speaker()
    stranger.number = speaker.number
    assert stranger.signed("by-key", question)[0] == 401
    assert speaker.signed("by-key", question, now=time.time() - 120)[0] == 401, "too old"
    assert speaker.signed("by-key", question, path="/bastion/node/access/")[0] == 401, "signed for something else"
    headers = wire.sign(
        speaker.key, node=speaker.number, method="POST", path="/bastion/node/by-key/", body=question, now=time.time()
    )
    assert speaker.post("by-key", question + b" ", headers)[0] == 401, "another body"
    assert speaker.post("by-key", question, headers)[0] == 200
    assert speaker.post("by-key", question, headers)[0] == 401, "a second time"


def test_a_revoked_node_is_deaf(speaker: Speaker, root: User, chen: User, key: str) -> None:
    with scope.platform("test"):
        enrolling.revoke(node=Node.objects.get(pk=speaker.number), actor=root, now=NOW)
    assert speaker.refused("by-key", wire.ByKey(chen.email, key, CLIENT)).code == "unknown_node"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"login": 1}', b"\xff", b"null", b'{"facts": [{"number": "x"}]}'])
def test_what_is_not_what_was_agreed_is_said(speaker: Speaker, body: bytes) -> None:
    for what in ("by-key", "by-password", "by-ticket", "resources", "access", "tell"):
        status, answer = speaker.signed(what, body)
        assert (status, wire.decode(wire.No, answer).code) == (400, "malformed"), what


# --- people -------------------------------------------------------------------------------------------------------


def test_a_key_signs_in_its_owner_alone(speaker: Speaker, chen: User, lin: User, key: str) -> None:
    assert speaker.ask("known-key", wire.ByKey(chen.email, key, CLIENT), bool)
    assert not speaker.ask("known-key", wire.ByKey(lin.email, key, CLIENT), bool)
    person = signed_in(speaker, chen, key)
    assert (person.id, person.name) == (chen.pk, chen.name)
    assert speaker.refused("by-key", wire.ByKey(lin.email, key, CLIENT)).code == "refused"


def test_what_stands_before_the_at_is_enough_where_it_is_one_persons(speaker: Speaker, chen: User, key: str) -> None:
    assert speaker.ask("by-key", wire.ByKey(chen.email.partition("@")[0], key, CLIENT), Person).id == chen.pk
    for login in ("", "@", "%", "nobody"):
        assert speaker.refused("by-key", wire.ByKey(login, key, CLIENT)).code == "refused"


def code_now(ahead: int = 0) -> str:
    return str(format_hotp_value(hotp_value(SECRET, list(yield_hotp_counters_from_time())[1] + ahead)))


def test_password_and_code_sign_in_once_per_code(speaker: Speaker, chen: User, client: Client) -> None:
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)
    code = code_now()
    said = wire.ByPassword(chen.email, PASSWORD, code, client)
    assert speaker.ask("by-password", said, Person).id == chen.pk
    assert speaker.refused("by-password", said).code == "refused", "the same code again"


def test_a_code_that_is_still_good_signs_in_no_second_time(
    speaker: Speaker, chen: User, client: Client, settings: LazySettings
) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    }  # goes by Python's clock
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)
    began = timezone.now().timestamp() // 30 * 30
    with time_machine.travel(began, tick=False) as clock:
        said = wire.ByPassword(chen.email, PASSWORD, code_now(ahead=1), client)
        assert speaker.ask("by-password", said, Person).id == chen.pk
        for seconds in (31, 61, 89):
            clock.move_to(began + seconds)
            assert speaker.refused("by-password", said).code == "refused", seconds


def test_wrong_password_wrong_code_and_nobody_look_the_same(speaker: Speaker, chen: User, client: Client) -> None:
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)
    tries = [(chen.email, PASSWORD, "000000"), (chen.email, "wrong", code_now()), ("nobody@example.com", PASSWORD, "1")]
    found = {speaker.refused("by-password", wire.ByPassword(*said, client)) for said in tries}
    assert len(found) == 1


def test_whoever_guesses_is_held_up_and_with_him_the_right_password(
    speaker: Speaker, chen: User, client: Client
) -> None:
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)
    codes = [
        speaker.refused("by-password", wire.ByPassword(chen.email, f"guess{number}", "000000", client)).code
        for number in range(8)
    ]
    assert codes[0] == "refused"
    assert codes[-1] == "often"
    assert speaker.refused("by-password", wire.ByPassword(chen.email, PASSWORD, code_now(), client)).code == "often"


def test_whatever_somebody_is_called_counts_together(speaker: Speaker, chen: User) -> None:
    """Each from an address of its own: what counts is whom they say to be."""
    short = chen.email.partition("@")[0]
    logins = (chen.email, short, chen.email.upper(), f" {short} ", short.upper())
    for number, login in enumerate(logins):
        one = Client(f"203.0.113.{number}", 50022, "OpenSSH_9.2")
        assert speaker.refused("by-password", wire.ByPassword(login, "guess", "000000", one)).code == "refused"
    one = Client("203.0.113.99", 50022, "OpenSSH_9.2")
    for login in (chen.email, short):
        assert speaker.refused("by-password", wire.ByPassword(login, PASSWORD, "000000", one)).code == "often"


def sign_in(person: User, password: str) -> bool:
    said = {"login": person.email, "password": password}
    answer = Browser().post("/accounts/login/", said, REMOTE_ADDR=f"203.0.113.{next(_addresses) % 250}")
    return answer.status_code == 302


def test_guesses_at_the_bastion_and_at_the_portal_count_together(speaker: Speaker, alice: User, bob: User) -> None:
    def guess(person: User) -> str:
        one = Client(f"203.0.113.{next(_addresses) % 250}", 50022, "OpenSSH_9.2")
        return speaker.refused("by-password", wire.ByPassword(person.email, "guess", "000000", one)).code

    assert [guess(alice) for _ in range(5)] == ["refused"] * 5
    assert not sign_in(alice, PASSWORD)
    assert not any(sign_in(bob, "guess") for _ in range(5))
    assert guess(bob) == "often"


def test_wrong_codes_at_the_portal_count_here(speaker: Speaker, chen: User, client: Client) -> None:
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)
    limiter.count_failure("203.0.113.77", [limiter.codes(chen.pk)] * 5)
    right = wire.ByPassword(chen.email, PASSWORD, code_now(), client)
    assert speaker.refused("by-password", right).code == "often"


def test_keys_that_nobody_has_are_offered_only_so_often(
    speaker: Speaker, chen: User, key: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_in, "MOST_OFFERED", "3/5m/key")
    stranger = keypairs.public_half(keypairs.make())
    for _ in range(5):
        assert speaker.ask("known-key", wire.ByKey(chen.email, key, client), bool), "a known one costs nothing"
    for _ in range(3):
        assert not speaker.ask("known-key", wire.ByKey(chen.email, stranger, client), bool)
    assert speaker.refused("known-key", wire.ByKey(chen.email, stranger, client)).code == "often"
    assert speaker.ask("known-key", wire.ByKey(chen.email, key, CLIENT), bool), "from elsewhere"


def test_without_a_second_factor_a_password_is_not_enough(speaker: Speaker, chen: User, client: Client) -> None:
    assert speaker.refused("by-password", wire.ByPassword(chen.email, PASSWORD, "", client)).code == "refused"


def test_a_ticket_is_good_once_from_its_own_address(
    speaker: Speaker, web: Asset, chen: User, root: User, client: Client
) -> None:
    give(chen, web, root)
    with scope.platform("test"):
        _made, ticket = ticketing.make(
            person=chen, asset=web, account="trops", work="a look", address=CLIENT.address, now=timezone.now()
        )
    assert speaker.refused("by-ticket", wire.ByTicket(ticket, client)).code == "refused", "from elsewhere"
    came = speaker.ask("by-ticket", wire.ByTicket(ticket, CLIENT), wire.Ticketed)
    assert (came.person.id, came.wish.resource, came.wish.account) == (chen.pk, f"#{web.pk}", "trops")
    assert speaker.refused("by-ticket", wire.ByTicket(ticket, CLIENT)).code == "refused"


def test_a_login_is_good_at_its_own_node_and_while_its_person_is(
    speaker: Speaker, web: Asset, chen: User, root: User, key: str
) -> None:
    give(chen, web, root)
    person = signed_in(speaker, chen, key)
    other = Speaker()
    with scope.platform("test"):
        _node, token = enrolling.announce(name="two", customer=None, actor=None, now=timezone.now())
    other.enrol(token)
    assert other.refused("resources", wire.ForResources(person.token)).code == "refused"
    with scope.platform("test"):
        User.objects.filter(pk=chen.pk).update(is_active=False)
    assert speaker.refused("access", want(person, "web-01")).code == "refused"


def test_a_customers_node_signs_in_nobody_who_has_nothing_to_do_with_the_customer(
    at_yi: Speaker, speaker: Speaker, web: Asset, yi: Customer, chen: User, lin: User, root: User, key: str
) -> None:
    give(chen, web, root)
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)
        node, now = Node.objects.get(pk=at_yi.number), timezone.now()
        token = signing_in.token_for(chen, node)
        _made, ticket = ticketing.make(
            person=chen, asset=web, account="trops", work="a look", address=CLIENT.address, now=now
        )
    person = at_yi.ask("by-key", wire.ByKey(chen.email, key, CLIENT), Person)
    assert at_yi.refused("by-ticket", wire.ByTicket(ticket, CLIENT)).code == "refused", "for another's server"
    with scope.platform("test"):
        assert LoginTicket.objects.get().used_at is None
        Assignment.objects.filter(user=chen, customer=yi).delete()
    code = code_now()
    assert not at_yi.ask("known-key", wire.ByKey(chen.email, key, CLIENT), bool)
    for what, said in (
        ("by-key", wire.ByKey(chen.email, key, CLIENT)),
        ("by-password", wire.ByPassword(chen.email, PASSWORD, code, CLIENT)),
        ("resources", wire.ForResources(token)),
        ("access", want(person, "web-01")),
    ):
        assert at_yi.refused(what, said).code == "refused", what
    assert speaker.ask("by-key", wire.ByKey(chen.email, key, CLIENT), Person).id == chen.pk
    assert speaker.ask("by-password", wire.ByPassword(chen.email, PASSWORD, code, CLIENT), Person).id == chen.pk
    assert speaker.ask("by-ticket", wire.ByTicket(ticket, CLIENT), wire.Ticketed).person.id == chen.pk


def test_what_a_customers_node_says_of_addresses_and_people_holds_up_nobody_elsewhere(
    at_yi: Speaker, speaker: Speaker, chen: User, key: str, client: Client
) -> None:
    for number in range(12):
        said = wire.ByPassword(f"nobody{number}", "guess", "1", client)
        at_yi.refused("by-password", said)
        at_yi.refused("by-password", wire.ByPassword(chen.email, "guess", "1", client))
    by_key = wire.ByKey(chen.email, key, client)
    for what in ("known-key", "by-key"):
        assert at_yi.refused(what, by_key).code == "often", what
    assert not limiter.is_held_up(client.address, ["web"])
    assert speaker.ask("by-key", by_key, Person).id == chen.pk
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)
    assert speaker.ask("by-password", wire.ByPassword(chen.email, PASSWORD, code_now(), client), Person).id == chen.pk


@pytest.mark.parametrize("length", ["", "x", "-1", "\u0661", "9" * 5000, str(LONGEST_BODY + 1)])
def test_a_body_says_how_long_it_is(speaker: Speaker, length: str) -> None:
    for what in ("standing", "enrol"):
        answer = speaker.browser.post(
            f"/bastion/node/{what}/", b"null", "application/json", headers={wire.NODE: "1"}, CONTENT_LENGTH=length
        )
        assert (answer.status_code, wire.decode(wire.No, answer.content).code) == (400, "malformed"), what


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-rsa",
        "ssh-ed25519 !!!",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB",
        "x" * 9000,
    ],
)
def test_what_is_no_public_key_is_said(chen: User, text: str) -> None:
    with scope.platform("test"), pytest.raises(DomainError) as refusal:
        ssh_keys.add(person=chen, name="", public_key=text, now=NOW)
    assert refusal.value.code == "no_key"


def test_a_key_is_one_persons(chen: User, lin: User, key: str) -> None:
    with scope.platform("test"), pytest.raises(DomainError) as refusal:
        ssh_keys.add(person=lin, name="", public_key=key, now=NOW)
    assert refusal.value.code == "in_use"


# --- resources and access -----------------------------------------------------------------------------------------


def test_the_menu_shows_what_one_may_reach(
    speaker: Speaker, jia: Customer, web: Asset, chen: User, root: User, key: str
) -> None:
    person = signed_in(speaker, chen, key)
    assert speaker.ask("resources", wire.ForResources(person.token), list[Resource]) == []
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
    give(chen, web, root)
    [found] = speaker.ask("resources", wire.ForResources(person.token), list[Resource])
    assert (found.name, found.group, found.accounts) == ("web-01", "Shop", ("trops",))
    assert speaker.ask("resources", wire.ForResources(person.token, "nothing"), list[Resource]) == []
    assert len(speaker.ask("resources", wire.ForResources(person.token, "WEB"), list[Resource])) == 1


def test_the_menu_finds_by_the_name_of_a_group(
    speaker: Speaker, jia: Customer, web: Asset, chen: User, root: User, key: str
) -> None:
    give(chen, web, root)
    person = signed_in(speaker, chen, key)

    def found(query: str) -> int:
        return len(speaker.ask("resources", wire.ForResources(person.token, query), list[Resource]))

    assert found("Shop") == 0
    with scope.platform("test"):
        shop = groups.create(customer=jia, name="Web shop", description="", actor=root, now=NOW)
        groups.add(group=shop, assets=[web], actor=root, now=NOW)
    assert (found("shop"), found("web-01 SHOP"), found("db shop")) == (1, 1, 0)
    with scope.platform("test"):
        groups.retire(group=shop, actor=root, now=NOW)
    assert found("Shop") == 0


def test_old_algorithms_are_spoken_with_a_server_that_is_marked_alone(
    speaker: Speaker, jia: Customer, web: Asset, chen: User, root: User, key: str
) -> None:
    give(chen, web, root)
    person = signed_in(speaker, chen, key)
    assert not speaker.ask("access", want(person, "web-01"), Access).hops[0].legacy_algorithms
    with scope.customer(jia):
        reaching.speak_legacy_algorithms(access=web.ssh_access, is_allowed=True, actor=root, now=NOW)
    assert speaker.ask("access", want(person, "web-01"), Access).hops[0].legacy_algorithms


def test_access_brings_the_way_and_the_secret_and_is_audited(
    speaker: Speaker, web: Asset, chen: User, root: User, key: str
) -> None:
    give(chen, web, root)
    access = speaker.ask("access", want(signed_in(speaker, chen, key), "WEB-01"), Access)
    [hop] = access.hops
    assert (hop.host, hop.port, hop.host_keys) == ("10.0.0.5", 22, ("ssh-ed25519 KEY",))
    assert (hop.account.name, hop.account.password) == ("trops", "pw-trops")
    assert not hop.trusts_first_sight
    with scope.platform("test"):
        session = BastionSession.objects.get(uid=access.session_id)
        used = AuditEntry.objects.filter(actor=chen, detail__purpose=f"bastion session {session.uid}")
        assert used.count() == 1
        assert "pw-trops" not in str(list(AuditEntry.objects.values()))


def test_by_address_by_number_and_not_by_a_name_out_of_reach(
    speaker: Speaker, jia: Customer, yi: Customer, web: Asset, chen: User, root: User, key: str
) -> None:
    give(chen, web, root)
    person = signed_in(speaker, chen, key)
    with scope.platform("test"):
        Asset.objects.filter(pk=web.pk).update(private_ip="10.0.0.5")
    for name in ("10.0.0.5", f"#{web.pk}", "web-01"):
        assert speaker.ask("access", want(person, name), Access).resource.id == web.pk
    foreign = server(yi, "secret-of-yi")
    for name in ("secret-of-yi", f"#{foreign.pk}", "", "#", "#999999999999999", "' OR 1=1"):
        assert speaker.refused("access", want(person, name)).code == "unknown_resource", name


def test_of_two_by_one_name_the_person_chooses(
    speaker: Speaker, jia: Customer, web: Asset, chen: User, root: User, key: str
) -> None:
    twin = server(jia, "web-02")
    with scope.customer(jia):
        Asset.objects.filter(pk=twin.pk).update(name="WEB-01")
        SshAccess.objects.create(customer=jia, asset=twin, host="10.0.0.6", port=22, pinned_at=NOW)
    for asset in (web, twin):
        give(chen, asset, root)
    no = speaker.refused("access", want(signed_in(speaker, chen, key), "web-01"))
    assert (no.code, {one.id for one in no.choices}) == ("ambiguous", {web.pk, twin.pk})


def test_a_customers_administrator_learns_nothing_of_another_customers_resources(
    speaker: Speaker, jia: Customer, yi: Customer, web: Asset, alice: User
) -> None:
    foreign = server(yi, "web-01")
    only_theirs = server(yi, "secret-of-yi")
    with scope.platform("test"):
        for number, asset in enumerate((foreign, only_theirs)):
            SshAccess.objects.create(customer=yi, asset=asset, host=f"10.0.9.{number}", port=22, pinned_at=NOW)
        line = keypairs.public_half(keypairs.make())
        ssh_keys.add(person=alice, name="laptop", public_key=line, now=NOW)
    person = signed_in(speaker, alice, line)
    assert [one.id for one in speaker.ask("resources", wire.ForResources(person.token), list[Resource])] == [web.pk]
    assert speaker.ask("access", want(person, "web-01"), Access).resource.id == web.pk
    for name in ("secret-of-yi", f"#{only_theirs.pk}", f"#{foreign.pk}", "10.0.9.1"):
        assert speaker.refused("access", want(person, name)).code == "unknown_resource", name


def test_an_engineer_reaches_only_customers_that_are_theirs(
    speaker: Speaker, jia: Customer, web: Asset, chen: User, root: User, key: str
) -> None:
    give(chen, web, root)
    person = signed_in(speaker, chen, key)
    assert speaker.ask("access", want(person, "web-01"), Access).resource.id == web.pk
    with scope.platform("test"):
        Assignment.objects.filter(user=chen, customer=jia).delete()
    assert speaker.refused("access", want(person, "web-01")).code == "unknown_resource"
    assert speaker.ask("resources", wire.ForResources(person.token), list[Resource]) == []


def test_whoever_says_no_work_is_offered_what_is_open(
    speaker: Speaker, jia: Customer, web: Asset, chen: User, alice: User, root: User, key: str
) -> None:
    give(chen, web, root)
    with scope.customer(jia):
        incident = raise_incident(alice, customer=jia)
        IncidentAsset.objects.create(customer=jia, incident=incident, asset=web)
    no = speaker.refused("access", want(signed_in(speaker, chen, key), "web-01", work=""))
    assert (no.code, [number for number, _title in no.offers]) == ("work_needed", [incident.number])


def test_an_unknown_host_key_is_taken_at_first_sight_only_where_the_group_says_so(
    speaker: Speaker, jia: Customer, web: Asset, chen: User, root: User, key: str
) -> None:
    give(chen, web, root)
    person = signed_in(speaker, chen, key)
    with scope.platform("test"):
        SshAccess.objects.update(host_key="", fingerprint="")
    assert not speaker.ask("access", want(person, "web-01"), Access).hops[0].trusts_first_sight
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        ResourceGroup.objects.update(trusts_first_sight=True)
    assert speaker.ask("access", want(person, "web-01"), Access).hops[0].trusts_first_sight


# --- what happened ------------------------------------------------------------------------------------------------


@pytest.fixture
def running(speaker: Speaker, web: Asset, chen: User, root: User, key: str) -> str:
    give(chen, web, root)
    session = speaker.ask("access", want(signed_in(speaker, chen, key), "web-01"), Access).session_id
    with scope.platform("test"):
        BastionSession.objects.update(allowed_at=NOW)
    return session


def fact(session: str, number: int, kind: str, **data: object) -> Fact:
    return Fact(session, number, NOW.timestamp() + number, kind, data)


def tell(speaker: Speaker, *facts: Fact) -> dict[str, int]:
    return speaker.ask("tell", wire.Facts(facts), wire.Taken).upto


def test_a_session_is_told_from_its_beginning_to_its_end(speaker: Speaker, running: str) -> None:
    opened = fact(running, 1, "opened", channel="shell", cols=80, rows=24)
    typed = fact(running, 2, "command", text="rm -rf /tmp/x", at_s=3.5, verdict="allow", rule=None, exit=0)
    sent = fact(
        running, 3, "transfer", path="/tmp/a\0b", direction="up", bytes=9, sha256="ab", result="done", tool="scp"
    )
    assert tell(speaker, opened, typed, sent) == {running: 3}
    with scope.platform("test"):
        session = BastionSession.objects.get(uid=running)
        assert (session.state, session.opened_at) == ("open", NOW + timedelta(seconds=1))
        assert session.is_known_to_run(timezone.now())
        assert SessionCommand.objects.get().text == "rm -rf /tmp/x"
    assert tell(speaker, fact(running, 4, "ended", reason="exit", exit=3, sent=10, received=20)) == {running: 4}
    with scope.platform("test"):
        session.refresh_from_db()
        assert (session.state, session.ending, session.exit_status) == ("ended", "exit", 3)
        assert (session.sent, session.received) == (10, 20)


def test_nothing_twice_and_nothing_before_what_is_missing(speaker: Speaker, running: str) -> None:
    first, second, third = (fact(running, number, "command", text=f"c{number}") for number in (1, 2, 3))
    assert tell(speaker, first, third) == {running: 1}
    assert tell(speaker, first, first, second) == {running: 2}
    assert tell(speaker, third, second, first) == {running: 3}
    with scope.platform("test"):
        assert list(SessionCommand.objects.order_by("number").values_list("text", flat=True)) == ["c1", "c2", "c3"]


def test_a_node_speaks_of_its_own_sessions_alone(speaker: Speaker, running: str) -> None:
    other = Speaker()
    with scope.platform("test"):
        _node, token = enrolling.announce(name="two", customer=None, actor=None, now=timezone.now())
    other.enrol(token)
    assert tell(other, fact(running, 1, "ended", reason="exit")) == {}
    assert tell(speaker, fact("no-uuid", 1, "opened")) == {}
    with scope.platform("test"):
        assert BastionSession.objects.get(uid=running).state == "allowed"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"text": 5},
        {"text": "a\0b"},
        {"at_s": "x"},
        {"rule": 10**30},
        {"rule": 2**40},
        {"exit": 2**40},
        {"exit": True},
        {"text": "x" * 200_000},
    ],
)
def test_a_fact_of_any_shape_is_kept_as_far_as_it_goes(speaker: Speaker, running: str, data: dict[str, object]) -> None:
    assert tell(speaker, fact(running, 1, "command", **data)) == {running: 1}


@pytest.mark.parametrize("data", [{"path": ["a\0b"]}, {"a\0b": "c"}, {"path": {"a": "\0"}}])
def test_an_event_of_any_shape_is_kept_as_far_as_it_goes(
    speaker: Speaker, running: str, data: dict[str, object]
) -> None:
    assert tell(speaker, fact(running, 1, "file\0", **data)) == {running: 1}


@pytest.mark.parametrize("at", [-1e300, 0.0, 1e300])
def test_a_session_ended_between_its_beginning_and_now_whatever_a_node_says(
    speaker: Speaker, running: str, at: float
) -> None:
    before = timezone.now()
    assert tell(speaker, Fact(running, 1, at, "ended", {"reason": "exit", "exit": 2**40})) == {running: 1}
    with scope.platform("test"):
        ended_at = BastionSession.objects.get(uid=running).ended_at
    assert ended_at is not None
    assert ended_at == NOW if at <= 0 else before <= ended_at <= timezone.now()


def test_who_disconnected_a_session_is_known(speaker: Speaker, running: str, root: User) -> None:
    with scope.platform("test"):
        session = BastionSession.objects.joined().get(uid=running)
        living.disconnect(session=session, words="", actor=root, now=timezone.now())
    assert tell(speaker, fact(running, 1, "ended", reason="killed", by=root.pk)) == {running: 1}
    with scope.platform("test"):
        assert BastionSession.objects.joined().get(uid=running).ended_by == root


@pytest.mark.parametrize("reason", ["killed", "exit"])
def test_a_node_names_nobody_who_has_not_ordered_it(
    speaker: Speaker, running: str, root: User, alice: User, reason: str
) -> None:
    with scope.platform("test"):
        session = BastionSession.objects.joined().get(uid=running)
        living.disconnect(session=session, words="", actor=root, now=timezone.now())
    by = alice.pk if reason == "killed" else root.pk
    assert tell(speaker, fact(running, 1, "ended", reason=reason, by=by)) == {running: 1}
    with scope.platform("test"):
        session.refresh_from_db()
    assert (session.ending, session.ended_by) == (reason, None)


def test_what_is_renamed_or_removed_is_found_among_the_files(speaker: Speaker, running: str, root: User) -> None:
    told = [
        fact(running, 1, "file", action="rename", path="/etc/app.conf", other="/tmp/stolen", result="done"),
        fact(running, 2, "file", action="remove", path="/var/log/auth.log", result="refused"),
        fact(running, 3, "file", action="setstat", path="/etc/app.conf", result="done"),
    ]
    assert tell(speaker, *told) == {running: 3}
    with scope.user(root):
        assert [one.path for one in searching.files(root, "app.conf stolen")] == ["/etc/app.conf → /tmp/stolen"]
        [removed] = searching.files(root, "auth.log")
        assert (removed.direction, removed.result) == ("remove", "refused")
        rows = list(exporting._files(removed.session))
    assert [row[1:3] for row in rows[1:]] == [
        ("rename", "/etc/app.conf → /tmp/stolen"),
        ("remove", "/var/log/auth.log"),
    ]


@pytest.mark.parametrize("by", [10**9, 2**50, "root", None])
def test_nobody_ended_it_by_a_number_that_nobody_has(speaker: Speaker, running: str, by: object) -> None:
    assert tell(speaker, fact(running, 1, "ended", reason="killed", by=by)) == {running: 1}
    with scope.platform("test"):
        session = BastionSession.objects.get(uid=running)
    assert (session.ending, session.ended_by) == ("killed", None)
