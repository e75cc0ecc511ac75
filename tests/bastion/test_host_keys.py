"""A key that nobody has confirmed opens nothing; one that is another than before is alarm."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Severity, User
from assets import keypairs
from assets.models import Asset, SshAccess
from bastion.gateway.contract import Fact
from bastion.models import BastionSession, HostKeySighting, Node, ResourceGroup, SessionFact
from bastion.services import authorising, facts, groups, host_key_alarms, host_keys
from bastion.services.regimes import Said
from incidents.models import Incident, TimelineEntry
from notify.models import Delivery
from tests.bastion.conftest import server, wish_for
from tests.conftest import NOW, ClientFor

KEY, OTHER, THIRD = (keypairs.public_half(keypairs.make()) for _ in range(3))
PLACE = ("10.0.0.5", 22)


@pytest.fixture
def access(jia: Customer, web: Asset) -> SshAccess:
    with scope.customer(jia):
        made: SshAccess = SshAccess.objects.create(
            customer=jia, asset=web, host=PLACE[0], port=PLACE[1], pinned_at=NOW, through="node"
        )
    return made


@pytest.fixture
def node(node: Node, jia: Customer) -> Node:
    """In the customer's network."""
    with scope.platform("test"):
        node.customer = jia
        node.save(update_fields=["customer"])
    return node


@pytest.fixture
def session(web: Asset, node: Node, root: User) -> BastionSession:
    with scope.platform("test"):
        return authorising.authorise(person=root, wish=wish_for(web), node=node, now=NOW)


def tell(session: BastionSession, node: Node, **said: object) -> HostKeySighting | None:
    """As the node tells it; what came of it."""
    with scope.platform("test"):
        session.refresh_from_db()
        first: dict[str, object] = {
            "hop": session.asset_id,
            "host": PLACE[0],
            "port": PLACE[1],
            "key": KEY,
            "fingerprint": "x",
            "result": "first",
        }
        fact = Fact(str(session.uid), session.last_fact + 1, NOW.timestamp(), "host_key", {**first, **said})
        assert facts.take(node=node, told=[fact], now=NOW) == {str(session.uid): fact.number}
        return HostKeySighting.objects.joined().order_by("-pk").first()


def pinned() -> tuple[str, str, str]:
    with scope.platform("test"):
        access = SshAccess.objects.get()
        return access.host_key, access.fingerprint, access.through


def told() -> set[str]:
    with scope.platform("test"):
        rows = Delivery.objects.filter(about__startswith="bastion.host_key:", medium="inbox")
        return set(rows.values_list("user__name", flat=True))


def test_a_key_at_first_sight_waits_until_somebody_confirms_it(
    access: SshAccess, session: BastionSession, node: Node, alice: User, root: User
) -> None:
    sighting = tell(session, node)
    assert sighting is not None
    assert (sighting.kind, sighting.state, sighting.fingerprint) == ("first", "waiting", keypairs.fingerprint(KEY))
    assert pinned() == ("", "", "node")
    assert told() == {"Alice", "Root"}
    with scope.platform("test"):
        host_keys.confirm(sighting=sighting, words="Compared at the console", actor=alice, now=NOW)
        assert AuditEntry.objects.filter(action="ssh.pin", actor=alice).count() == 1
        assert AuditEntry.objects.get(action="bastion.host_key.confirmed").detail["words"] == "Compared at the console"
    assert pinned() == (KEY, keypairs.fingerprint(KEY), "node"), "the way to it stays what it is"


def test_what_is_met_again_is_one_sighting(access: SshAccess, session: BastionSession, node: Node) -> None:
    for _ in range(3):
        sighting = tell(session, node)
    assert sighting is not None
    assert sighting.times == 3
    with scope.platform("test"):
        assert HostKeySighting.objects.count() == 1
        assert Delivery.objects.filter(about__startswith="bastion.host_key:").values("user").distinct().count() == 1


def test_a_group_may_trust_first_sight_but_never_a_change(
    jia: Customer, access: SshAccess, web: Asset, session: BastionSession, node: Node, alice: User, root: User
) -> None:
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.change(
            group=group, name="Shop", description="", trusts_first_sight=True, limits=Said(), actor=alice, now=NOW
        )
    assert tell(session, node) is None
    assert pinned()[0] == KEY
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action="ssh.pin", actor=None).exists()
    sighting = tell(session, node, key=OTHER, result="first")
    assert sighting is not None
    assert (sighting.kind, sighting.state) == ("changed", "waiting")
    assert pinned()[0] == KEY


def test_a_changed_key_is_alarm_and_shows_both(
    jia: Customer,
    access: SshAccess,
    web: Asset,
    session: BastionSession,
    node: Node,
    alice: User,
    bob: User,
    root: User,
) -> None:
    with scope.platform("test"):
        SshAccess.objects.update(host_key=KEY, fingerprint=keypairs.fingerprint(KEY))
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
    sighting = tell(session, node, key=OTHER, result="changed")
    assert sighting is not None
    assert (sighting.fingerprint_before, sighting.fingerprint) == (
        keypairs.fingerprint(KEY),
        keypairs.fingerprint(OTHER),
    )
    assert told() == {"Alice", "Bob", "Root"}
    with scope.platform("test"):
        entry = AuditEntry.objects.get(action="bastion.host_key.changed")
        assert entry.detail["before"] == keypairs.fingerprint(KEY)
        host_keys.reject(sighting=sighting, words="Nobody set it up anew", actor=alice, now=NOW)
    assert pinned()[0] == KEY
    again = tell(session, node, key=OTHER, result="changed")
    assert again is not None
    assert (again.pk, again.state, again.times) == (sighting.pk, "rejected", 2)
    with scope.platform("test"):  # they were wrong: it had been set up anew
        host_keys.confirm(sighting=again, words="", actor=alice, now=NOW)
    assert pinned()[0] == OTHER


def test_a_key_is_pinned_for_its_own_server_and_place_alone(
    jia: Customer, access: SshAccess, session: BastionSession, node: Node, alice: User
) -> None:
    """Warpgate CVE-2026-91166: a jump host's key under its target's address."""
    other = server(jia, "db-01")
    with scope.customer(jia):
        SshAccess.objects.create(customer=jia, asset=other, host="10.0.0.9", port=22, pinned_at=NOW)
    for said in ({"hop": other.pk}, {"hop": 0}, {"hop": "x"}, {"host": "10.0.0.9"}, {"port": 2222}, {"host": None}):
        assert tell(session, node, **said) is None, said
    sighting = tell(session, node)
    assert sighting is not None
    with scope.platform("test"):
        SshAccess.objects.filter(asset=session.asset_id).update(host="10.0.0.6")
        with pytest.raises(DomainError) as refusal:
            host_keys.confirm(sighting=sighting, words="", actor=alice, now=NOW)
        assert refusal.value.code == "moved"
        assert not SshAccess.objects.exclude(host_key="").exists()


@pytest.mark.parametrize("key", [None, 5, "", "x", "ssh-ed25519 !!!", "ssh-dss AAAA", KEY + "\0" * 9000, ["a"]])
def test_what_is_no_key_is_none(access: SshAccess, session: BastionSession, node: Node, key: object) -> None:
    assert tell(session, node, key=key) is None
    with scope.platform("test"):
        assert SessionFact.objects.filter(kind="host_key").count() == 1


def test_what_came_late_about_a_confirmed_key_is_nothing_new(
    access: SshAccess, session: BastionSession, node: Node
) -> None:
    with scope.platform("test"):
        SshAccess.objects.update(host_key=KEY, fingerprint=keypairs.fingerprint(KEY))
    assert tell(session, node) is None


@pytest.mark.parametrize("who", ["bob", "chen", "eve", "vera"])
def test_only_administrators_confirm(
    access: SshAccess, session: BastionSession, node: Node, request: pytest.FixtureRequest, who: str
) -> None:
    stranger: User = request.getfixturevalue(who)
    sighting = tell(session, node)
    assert sighting is not None
    with scope.platform("test"):
        for act in (host_keys.confirm, host_keys.reject):
            with pytest.raises(PermissionDenied):
                act(sighting=sighting, words="fine", actor=stranger, now=NOW)
    assert pinned()[0] == ""


def test_of_two_keys_that_wait_the_confirmed_one_ends_the_other(
    access: SshAccess, session: BastionSession, node: Node, alice: User
) -> None:
    first, second = tell(session, node), tell(session, node, key=OTHER)
    assert first is not None
    assert second is not None
    assert first.pk != second.pk
    with scope.platform("test"):
        host_keys.confirm(sighting=second, words="", actor=alice, now=NOW)
        first.refresh_from_db()
        assert first.state == "replaced"
        with pytest.raises(DomainError):
            host_keys.confirm(sighting=first, words="", actor=alice, now=NOW)
        assert not ResourceGroup.objects.exists()


@pytest.fixture
def pinned_access(access: SshAccess) -> SshAccess:
    with scope.platform("test"):
        access.host_key, access.fingerprint = KEY, keypairs.fingerprint(KEY)
        access.save(update_fields=["host_key", "fingerprint"])
    return access


def alarms() -> list[Incident]:
    with scope.platform("test"):
        return list(Incident.objects.order_by("pk"))


def recoveries(incident: Incident) -> int:
    with scope.platform("test"):
        return TimelineEntry.objects.filter(incident=incident, kind=TimelineEntry.Kind.RECOVERY).count()


def is_doubted(access: SshAccess) -> bool:
    with scope.platform("test"):
        return host_key_alarms.is_doubted(access)


def test_a_changed_key_opens_one_incident_of_the_customer(
    jia: Customer, pinned_access: SshAccess, web: Asset, session: BastionSession, node: Node
) -> None:
    for key in (OTHER, OTHER, THIRD):
        sighting = tell(session, node, key=key, result="changed")
    [incident] = alarms()
    assert (incident.customer_id, incident.severity, incident.category) == (jia.pk, Severity.HIGH, "system")
    with scope.platform("test"):
        assert [one.pk for one in incident.assets.all()] == [web.pk]
        assert keypairs.fingerprint(OTHER) in incident.description
        told = TimelineEntry.objects.get(incident=incident, kind=TimelineEntry.Kind.ALERT)
    assert keypairs.fingerprint(THIRD) in told.body, "the third key joins it"
    assert sighting is not None
    assert sighting.incident_id == incident.pk
    assert is_doubted(pinned_access)


def test_first_sight_opens_no_incident(access: SshAccess, session: BastionSession, node: Node) -> None:
    tell(session, node)
    assert alarms() == []
    assert not is_doubted(access)


def test_once_somebody_has_confirmed_the_next_change_is_another_incident(
    pinned_access: SshAccess, session: BastionSession, node: Node, alice: User
) -> None:
    tell(session, node, key=THIRD, result="changed")
    sighting = tell(session, node, key=OTHER, result="changed")
    assert sighting is not None
    with scope.platform("test"):
        host_keys.confirm(sighting=sighting, words="Set up anew", actor=alice, now=NOW)
        pinned_access.refresh_from_db()
    [first] = alarms()
    assert recoveries(first) == 1
    assert not is_doubted(pinned_access)
    tell(session, node, key=KEY, result="changed")
    assert len(alarms()) == 2


def test_a_key_that_is_the_confirmed_one_again_ends_the_alarm_but_not_the_incident(
    pinned_access: SshAccess, session: BastionSession, node: Node, alice: User
) -> None:
    sighting = tell(session, node, key=OTHER, result="changed")
    assert sighting is not None
    with scope.platform("test"):
        host_keys.reject(sighting=sighting, words="Nobody set it up anew", actor=alice, now=NOW)
    tell(session, node, key=OTHER, result="changed")
    [incident] = alarms()
    assert recoveries(incident) == 0
    tell(session, node, key=KEY, result="pinned")
    assert recoveries(incident) == 1
    assert not is_doubted(pinned_access)
    with scope.platform("test"):
        assert Incident.objects.unsolved().count() == 1
    tell(session, node, key=KEY, result="pinned")
    assert recoveries(incident) == 1
    tell(session, node, key=OTHER, result="changed")
    assert len(alarms()) == 2, "it is back, rejected or not: alarm once more"


def test_what_was_allowed_before_the_change_says_nothing_of_it(
    pinned_access: SshAccess, session: BastionSession, node: Node
) -> None:
    with scope.platform("test"):
        BastionSession.objects.update(allowed_at=NOW - timedelta(minutes=1))
    tell(session, node, key=OTHER, result="changed")
    tell(session, node, key=KEY, result="pinned")
    assert is_doubted(pinned_access)


def test_the_page_of_a_changed_key_leads_to_its_incident(
    pinned_access: SshAccess, session: BastionSession, node: Node, alice: User, client_for: ClientFor
) -> None:
    sighting = tell(session, node, key=OTHER, result="changed")
    assert sighting is not None
    page = client_for(alice).get(f"/bastion/host-keys/{sighting.pk}/").content.decode()
    assert f"/incidents/{alarms()[0].pk}/" in page
