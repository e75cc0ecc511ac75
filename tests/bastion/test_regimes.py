"""How long sessions last and which copies are kept, as groups say: the strictest counts, and what runs feels it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset, SshAccess
from bastion.gateway.contract import Access, Limits, NewTerms, Order
from bastion.models import BastionSession, Node, RecordingPolicy, ResourceGroup
from bastion.services import authorising, granting, groups
from bastion.services.granting import Wanted
from bastion.services.regimes import Regime, Said, regimes_of, strictest
from tests.bastion.conftest import CONNECT, SSH, server, wish_for
from tests.bastion.targets import Bench, needs_terminal
from tests.bastion.test_revoking import told  # noqa: F401 - a fixture
from tests.conftest import NOW, ClientFor

HOUR = timedelta(hours=1)
Told = Callable[[Callable[[], object]], list[Order]]


def test_nothing_said_leaves_what_is_usual() -> None:
    assert strictest([], usual=Regime(copies_mb=3)) == Regime(30, 720, 3)
    assert strictest([Said(), Said()], usual=Regime()) == Regime()


def test_of_several_the_shorter_time_and_the_fuller_record_count() -> None:
    said = [Said(10, 600, 0), Said(20, 60, 5), Said()]
    assert strictest(said, usual=Regime(copies_mb=9)) == Regime(10, 60, 5)
    assert strictest([Said(60, 900, 0)], usual=Regime(copies_mb=9)) == Regime(60, 900, 0)


def put(customer: Customer, web: Asset, root: User, name: str, limits: Said) -> ResourceGroup:
    with scope.platform("test"):
        group = groups.create(customer=customer, name=name, description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        return say(group, limits, root)


def say(group: ResourceGroup, limits: Said, actor: User) -> ResourceGroup:
    return groups.change(
        group=group, name=group.name, description="", trusts_first_sight=False, limits=limits, actor=actor, now=NOW
    )


def test_a_resource_lives_under_all_of_its_groups(jia: Customer, yi: Customer, web: Asset, root: User) -> None:
    other, theirs = server(jia, "web-02"), server(yi, "web-01")
    one = put(jia, web, root, "one", Said(10, None, None))
    put(jia, web, root, "two", Said(20, 60, 7))
    with scope.platform("test"):
        RecordingPolicy.objects.create(customer=jia, copies_mb=5, changed_by=root, changed_at=NOW)
        found = regimes_of([web, other, theirs])
        assert found[web.pk] == Regime(10, 60, 7)
        assert (found[other.pk], found[theirs.pk]) == (Regime(copies_mb=5), Regime())
        groups.retire(group=one, actor=root, now=NOW)
        assert regimes_of([web])[web.pk] == Regime(20, 60, 7)


@pytest.fixture
def session(web: Asset, node: Node, chen: User, root: User) -> BastionSession:
    with scope.platform("test"):
        granting.grant(person=chen, to=web, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)
        made = authorising.authorise(person=chen, wish=wish_for(web), node=node, now=NOW)
        BastionSession.objects.filter(pk=made.pk).update(state="open", opened_at=NOW, leased_until=NOW + HOUR)
    return made


def test_what_runs_hears_of_it_at_once(
    told: Told,  # noqa: F811 - the fixture
    session: BastionSession,
    jia: Customer,
    web: Asset,
    root: User,
) -> None:
    def terms(act: Callable[[], object]) -> list[tuple[float, float, int]]:
        orders = told(act)
        accesses = [one.access for one in orders if isinstance(one, NewTerms)]
        assert len(accesses) == len(orders)
        return [(one.limits.idle_s, one.limits.total_s, one.copies_most) for one in accesses]

    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        say(group, Said(5, 60, 2), root)
    strict, usual = (300.0, 3600.0, 2 * 1024 * 1024), (1800.0, 43200.0, 0)
    assert terms(lambda: groups.add(group=group, assets=[web], actor=root, now=NOW)) == [strict]
    assert terms(lambda: say(group, Said(5, 60, 2), root)) == []
    assert terms(lambda: say(group, Said(), root)) == [usual]
    assert terms(lambda: say(group, Said(5, 60, 2), root)) == [strict]
    assert terms(lambda: groups.retire(group=group, actor=root, now=NOW)) == [usual]


def test_a_networks_limits_are_felt_by_what_joins_it(
    told: Told,  # noqa: F811 - the fixture
    session: BastionSession,
    jia: Customer,
    web: Asset,
    root: User,
) -> None:
    with scope.platform("test"):
        Asset.objects.filter(pk=web.pk).update(details={})
        server(jia, "web-02", details={"VpcId": "vpc-1"})
        groups.follow_networks(customer=jia, now=NOW)
        say(ResourceGroup.objects.get(network="vpc-1"), Said(idle_minutes=5), root)
        Asset.objects.filter(pk=web.pk).update(details={"VpcId": "vpc-1"})
    [order] = told(lambda: groups.follow_networks(customer=jia, now=NOW))
    assert isinstance(order, NewTerms)
    assert order.access.limits.idle_s == 300


def test_what_changes_is_audited_and_nonsense_is_refused(jia: Customer, web: Asset, root: User, chen: User) -> None:
    group = put(jia, web, root, "one", Said(10, 60, 5))
    with scope.platform("test"):
        [entry] = AuditEntry.objects.filter(action="bastion.group.change")
        assert entry.detail["idle_minutes"] == [None, 10]
        assert entry.detail["copies_mb"] == [None, 5]
        for limits in (Said(idle_minutes=0), Said(idle_minutes=481), Said(total_minutes=4), Said(copies_mb=100_000)):
            with pytest.raises(DomainError) as refusal:
                say(group, limits, root)
            assert refusal.value.code == "limits"
        with pytest.raises(PermissionDenied):
            say(group, Said(), chen)
        with pytest.raises(IntegrityError), transaction.atomic():
            ResourceGroup.objects.filter(pk=group.pk).update(idle_minutes=0)


def test_limits_are_entered_shown_to_whoever_connects_and_checked(
    jia: Customer, web: Asset, alice: User, eve: User, client_for: ClientFor, root: User
) -> None:
    group = put(jia, web, root, "Shop", Said())
    with scope.platform("test"):
        SshAccess.objects.create(
            customer=jia, asset=web, host="10.0.0.1", port=22, host_key="k", fingerprint="x", pinned_at=NOW
        )
    client, address = client_for(alice), f"/bastion/groups/{group.pk}/change/"
    client.cookies["django_language"] = "en"
    form = {"name": "Shop", "idle_minutes": "10", "total_minutes": "120", "copies_mb": "3"}
    assert client.post(address, form | {"idle_minutes": "0"}).status_code == 422
    assert client.post(address, form).status_code == 302
    page = client.get(f"/bastion/groups/{group.pk}/").content.decode()
    assert "10 minutes" in page
    assert "2 hours" in page
    first = client.get(address).content.decode()
    assert 'value="120"' in first
    assert 'name="ranges"' not in first
    shown = client.get(f"/bastion/connect/{web.pk}/").content.decode()
    assert "After 10 minutes without a key, and after 2 hours in any case." in shown
    asked = client.get(f"/bastion/terminal/resources/{web.pk}/").json()["terms"]
    assert len(asked) == 2
    assert client.post(address, {"name": "Shop"}).status_code == 302
    with scope.platform("test"):
        group.refresh_from_db()
        assert Said.of(group) == Said()
    assert client_for(eve).get(address).status_code == 404


# --- at a node ------------------------------------------------------------------------------------------------------


@needs_terminal
async def test_a_shorter_time_ends_what_runs_already(b: Bench) -> None:
    async with b.connect() as conn, conn.create_process("cat", term_type="xterm", encoding="utf-8") as process:
        process.stdin.write("here\n")
        await process.stdout.readuntil("here\r\nhere")
        b.portal.order(NewTerms(replace(access(b), limits=Limits(idle_s=0.5, total_s=600))))
        [ended] = await b.portal.until("ended")
    assert ended["reason"] == "idle"


def access(b: Bench) -> Access:
    """Of the session that runs, as a node is told of what has changed."""
    [grant] = b.portal.grants
    return Access(b.portal.facts[-1].session_id, 1, grant.resource, (), grant.actions, grant.limits)
