"""A lost laptop, a leaked key: whatever was signed in to ends at servers as in browsers, and opens nothing more."""

# ruff: noqa: F811 - fixtures that are imported

from __future__ import annotations

from collections.abc import Callable

import pytest
from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from accounts import scope
from accounts.models import AuditEntry, User
from accounts.services import people
from assets.models import Asset
from bastion import tasks
from bastion.gateway import wire
from bastion.gateway.contract import Access, End, Front, Order, Person
from bastion.models import BastionSession, SshKey
from bastion.services import ssh_keys, ticketing
from notify.models import Delivery
from tests.bastion.test_node_api import (  # noqa: F401 - fixtures
    CLIENT,
    Speaker,
    give,
    key,
    signed_in,
    speaker,
    web,
)
from tests.bastion.test_revoking import told  # noqa: F401 - the fixture
from tests.conftest import ClientFor

Told = Callable[[Callable[[], object]], list[Order]]


def for_access(person: Person) -> wire.ForAccess:
    return wire.ForAccess(person.token, CLIENT, Front.SSH, "web-01", "", "look at the disk")


@pytest.fixture
def chens(speaker: Speaker, web: Asset, chen: User, root: User, key: str) -> Person:
    """At the node by key, with one session that runs."""
    give(chen, web, root)
    person = signed_in(speaker, chen, key)
    assert speaker.ask("access", for_access(person), Access)
    return person


ENDINGS: dict[str, Callable[..., object]] = {
    "signed out everywhere": lambda root, chen: people.sign_out_everywhere(person=chen, actor=root, now=timezone.now()),
    "second factor taken away": lambda root, chen: people.reset_second_factor(
        person=chen, actor=root, now=timezone.now()
    ),
    "password changed or reset": lambda root, chen: get_adapter().set_password(chen, "another-Long-word-7"),
}


@pytest.mark.parametrize("what", ENDINGS)
def test_what_runs_ends_and_nothing_more_is_opened(
    told: Told,
    speaker: Speaker,
    chens: Person,
    chen: User,
    root: User,
    key: str,
    what: str,
) -> None:
    assert told(tasks.watch_rights) == []

    def lost() -> None:
        ENDINGS[what](root=root, chen=chen)
        tasks.watch_rights()  # every second

    assert told(lost) == [End("revoked")]
    assert speaker.refused("access", for_access(chens)).code == "refused"
    assert speaker.refused("resources", wire.ForResources(chens.token, "", 10)).code == "refused"
    again = signed_in(speaker, chen, key)
    assert speaker.ask("access", for_access(again), Access), "whoever signs in anew goes on"


def test_an_unused_ticket_is_worth_nothing_any_more(
    speaker: Speaker,
    web: Asset,
    chen: User,
    root: User,
) -> None:
    give(chen, web, root)
    with scope.user(chen):
        _made, ticket = ticketing.make(
            person=chen, asset=web, account="trops", work="look at it", address=CLIENT.address, now=timezone.now()
        )
    with scope.platform("test"):
        people.sign_out_everywhere(person=chen, actor=root, now=timezone.now())
    assert speaker.refused("by-ticket", wire.ByTicket(ticket, CLIENT)).code == "refused"


def test_a_removed_key_takes_with_it_what_it_opened_and_nothing_else(
    told: Told,
    speaker: Speaker,
    chens: Person,
    web: Asset,
    chen: User,
    key: str,
) -> None:
    with scope.platform("test"):
        by_key = BastionSession.objects.get()
        one = SshKey.objects.select_related("person").get()
        assert by_key.key_fingerprint == one.fingerprint
        by_key.pk, by_key.uid, by_key.key_fingerprint = None, "1" * 32, ""
        by_key.save()  # another of hers, by password
    assert told(lambda: ssh_keys.remove(key=one, actor=chen, now=timezone.now())) == [End("revoked")]
    assert speaker.refused("access", for_access(chens)).code == "refused"


def test_whoever_keeps_an_access_removes_its_keys_and_the_person_is_told(
    speaker: Speaker,
    chens: Person,
    chen: User,
    root: User,
    client_for: ClientFor,
) -> None:
    with scope.platform("test"):
        pk = SshKey.objects.get().pk
    client, address = client_for(root), f"/bastion/keys/of/{chen.pk}/"
    assert address in client.get(f"/users/{chen.pk}/").content.decode()
    assert f"{address}{pk}/remove/" in client.get(address).content.decode()
    assert client.post(f"{address}{pk}/remove/").status_code == 302
    assert client.post(f"{address}{pk}/remove/").status_code == 404
    with scope.platform("test"):
        assert not SshKey.objects.exists()
        [entry] = AuditEntry.objects.filter(action="bastion.key.remove")
        assert (entry.actor_id, entry.detail["of"]) == (root.pk, chen.name)
        [note] = Delivery.objects.filter(user=chen, key__startswith="bastion:key-removed:", medium="inbox")
        assert root.name in note.text


def test_nobody_else_does(
    speaker: Speaker,
    chens: Person,
    chen: User,
    lin: User,
    alice: User,
    client_for: ClientFor,
) -> None:
    with scope.platform("test"):
        one = SshKey.objects.select_related("person__customer").get()
    for other in (lin, alice):  # only administrators keep the provider's people
        assert client_for(other).get(f"/bastion/keys/of/{chen.pk}/").status_code == 404
        assert client_for(other).post(f"/bastion/keys/of/{chen.pk}/{one.pk}/remove/").status_code == 404
        with pytest.raises(PermissionDenied):
            ssh_keys.remove(key=one, actor=other, now=timezone.now())


def test_a_project_manager_keeps_their_own_side_alone(bob: User, eve: User, alice: User, client_for: ClientFor) -> None:
    assert client_for(alice).get(f"/bastion/keys/of/{bob.pk}/").status_code == 200
    assert client_for(eve).get(f"/bastion/keys/of/{bob.pk}/").status_code == 404
    assert client_for(bob).get(f"/bastion/keys/of/{bob.pk}/").status_code == 403
