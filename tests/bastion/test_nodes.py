"""The page of a node, its own wishes, its load, and what happens when it falls silent."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.cache import cache

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets import keypairs
from bastion.gateway import wire
from bastion.gateway.wire import Enrol, Here
from bastion.models import Node, NodeLoad
from bastion.plot import HEIGHT, MARGIN, WIDTH, plot
from bastion.services import enrolling, living, node_watch
from incidents.models import Incident, TimelineEntry
from notify.models import Delivery, Topic
from tests.bastion.test_node_api import Speaker
from tests.conftest import NOW, ClientFor

LONG = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def platform() -> Iterator[None]:
    cache.clear()
    with scope.platform("test"):
        yield


def enrolled(customer: Customer | None = None, name: str = "jia-1") -> Node:
    _node, token = enrolling.announce(name=name, customer=customer, actor=None, now=NOW)
    key = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    shown = (keypairs.public_half(keypairs.make()),)
    return enrolling.enrol(said=Enrol(token, key, "0.1.0+old", 2222, shown), address="192.0.2.9", now=NOW)


def looked(*moments: datetime) -> None:
    """As often as beat asks between the moments, so that the platform was awake all the while."""
    for moment in moments:
        node_watch.look(now=moment)


# --- its page ---------------------------------------------------------------------------------------------------------


def test_its_page_shows_how_it_is_and_what_to_run_on_its_machine(db: None, root: User, client_for: ClientFor) -> None:
    node = enrolled()
    living.beat(node=node, sessions=[], load={"cpu": 41.4, "memory": 20, "disk_free": 2**31, "spooled": 7}, now=NOW)
    page = client_for(root).get(f"/bastion/nodes/{node.pk}/").content.decode()
    shown = ["41 %", "2.0 GiB", "SHA256:", "0.1.0+old", "ssh -p 2222", "192.0.2.9", "--upgrade", "--remove", "polyline"]
    assert [word for word in shown if word not in page] == []
    assert "--upgrade" in page
    Node.objects.filter(pk=node.pk).update(is_own=True)
    assert "--upgrade" not in client_for(root).get(f"/bastion/nodes/{node.pk}/").content.decode()


def test_one_that_is_short_of_disk_says_that_it_takes_nothing(db: None, root: User, client_for: ClientFor) -> None:
    node, client, words = enrolled(), client_for(root), "不接受新会话"
    for free, is_said in ((2**29, True), (2**31, False)):
        living.beat(node=node, sessions=[], load={"cpu": 1, "disk_free": free, "disk_least": 2**30}, now=NOW)
        assert (words in client.get(f"/bastion/nodes/{node.pk}/").content.decode()) == is_said
    living.beat(node=node, sessions=[], load={}, now=NOW)
    assert words not in client.get(f"/bastion/nodes/{node.pk}/").content.decode()


def test_one_that_waits_is_told_how_to_come_and_its_token_is_on_no_line(
    db: None, root: User, client_for: ClientFor
) -> None:
    answer = client_for(root).post("/bastion/nodes/new/", {"name": "<b>jia</b>", "customer": ""}).content.decode()
    node = Node.objects.get()
    page = client_for(root).get(f"/bastion/nodes/{node.pk}/").content.decode()
    for text in (answer, page):
        assert "apt-get" in text
        assert "dnf" in text
        assert "<b>jia" not in text
    token = answer.partition("data-copy-source>")[2].partition("<")[0]
    assert len(token) > 40
    assert token not in page
    assert answer.count(token) == 2


def test_people_learn_where_it_is_reached(db: None, root: User, client_for: ClientFor) -> None:
    node, client = enrolled(), client_for(root)
    said = {"name": "Gate", "ssh_host": "gate.example.com", "ssh_port": "10022"}
    assert client.post(f"/bastion/nodes/{node.pk}/edit/", said).status_code == 302
    assert "ssh -p 10022" in client.get(f"/bastion/nodes/{node.pk}/").content.decode()
    node.refresh_from_db()
    assert (node.name, node.ssh_host, node.public_port, node.ssh_port) == ("Gate", "gate.example.com", 10022, 2222)
    for wrong in ({"ssh_host": "a b"}, {"ssh_host": "<x>"}, {"ssh_port": "0"}, {"name": ""}):
        assert client.post(f"/bastion/nodes/{node.pk}/edit/", {**said, **wrong}).status_code == 422
    enrolled(name="Other")
    assert client.post(f"/bastion/nodes/{node.pk}/edit/", {**said, "name": "Other"}).status_code in (302, 409, 422)
    node.refresh_from_db()
    assert node.name == "Gate"


@pytest.mark.parametrize("who", ["chen", "lin", "alice", "eve"])
def test_it_is_the_administrators(db: None, client_for: ClientFor, request: pytest.FixtureRequest, who: str) -> None:
    node, client = enrolled(), client_for(request.getfixturevalue(who))
    assert client.get(f"/bastion/nodes/{node.pk}/").status_code == 403
    assert client.post(f"/bastion/nodes/{node.pk}/edit/", {}).status_code == 403


# --- its own wishes ---------------------------------------------------------------------------------------------------


def test_it_drains_itself_and_comes_back_but_takes_no_order_of_a_person_back(db: None, root: User) -> None:
    node = enrolled()
    assert enrolling.drain_itself(node=node, is_on=True, now=NOW).is_draining
    assert not enrolling.drain_itself(node=node, is_on=False, now=NOW).is_draining
    enrolling.drain(node=node, is_on=True, actor=root, now=NOW)
    assert enrolling.drain_itself(node=node, is_on=True, now=NOW).is_draining
    assert enrolling.drain_itself(node=node, is_on=False, now=NOW).is_draining
    assert not enrolling.drain(node=node, is_on=False, actor=root, now=NOW).is_draining
    enrolling.drain_itself(node=node, is_on=True, now=NOW)
    enrolling.drain(node=node, is_on=True, actor=root, now=NOW)
    assert enrolling.drain_itself(node=node, is_on=False, now=NOW).is_draining


def test_it_says_what_it_is_and_leaves_over_its_own_signed_requests(db: None) -> None:
    speaker = Speaker()
    _node, token = enrolling.announce(name="one", customer=None, actor=None, now=NOW)
    Node.objects.update(enrolment_until=datetime.now(tz=NOW.tzinfo) + LONG)
    assert speaker.enrol(token) == 200

    standing = speaker.ask("present", Here("9.9", 2244, ("ssh-ed25519 AAAA",)), wire.Standing)
    assert (standing.version, standing.is_draining, standing.sessions) == ("9.9", False, 0)
    assert speaker.ask("drain", True, wire.Standing).is_draining
    assert not speaker.ask("drain", False, wire.Standing).is_draining
    assert speaker.ask("standing", None, wire.Standing).name == "one"
    assert speaker.ask("leave", None, type(None)) is None
    for what in ("standing", "present", "drain", "leave"):
        assert speaker.refused(what, None).code == "unknown_node"
    assert Node.objects.get().state == Node.State.REVOKED
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"bastion.node.drain", "bastion.node.undrain", "bastion.node.revoke"} <= actions


# --- its load ---------------------------------------------------------------------------------------------------------


def test_one_sample_of_five_minutes_is_kept_for_a_week(db: None) -> None:
    node = enrolled()
    for seconds in range(0, 620, 10):
        living.beat(node=node, sessions=[], load={"cpu": 1.0 * seconds}, now=NOW + timedelta(seconds=seconds))
    assert NodeLoad.objects.filter(node=node).count() in (3, 4)
    living.beat(node=node, sessions=[], load={"cpu": "many", "memory": 3.5}, now=NOW + timedelta(days=8))
    [row] = NodeLoad.objects.filter(node=node)
    assert (row.cpu, row.memory) == (0, 3.5)


def test_a_plot_is_broken_where_samples_are_missing_and_stays_in_its_frame() -> None:
    drawn = plot([(0, 0), (10, 50), (100, 200), (300, 7)], start=0, end=200, every=10, top=100)
    assert drawn.lines == (
        f"0.0,{HEIGHT - MARGIN:.1f} {WIDTH / 20:.1f},{HEIGHT / 2:.1f}",
        f"{WIDTH / 2:.1f},{MARGIN:.1f} {WIDTH / 2:.1f},{MARGIN:.1f}",
    )
    assert plot([], start=0, end=1, every=1).lines == ()
    assert plot([(0, 0), (1, 0)], start=0, end=1, every=1).lines != ()


# --- its silence ------------------------------------------------------------------------------------------------------


def test_a_silent_node_of_a_customer_is_an_incident_once_and_its_return_is_written_there(
    db: None, jia: Customer, root: User
) -> None:
    node = enrolled(jia)
    moments = [NOW + timedelta(seconds=seconds) for seconds in range(0, 400, 20)]
    looked(*moments)
    [incident] = Incident.objects.all()
    assert (incident.customer, incident.severity, "jia-1" in incident.title) == (jia, 2, True)
    assert Delivery.objects.filter(user=root, key__startswith=f"node:{node.pk}").count() == 1
    living.beat(node=node, sessions=[], load={}, now=moments[-1])
    looked(moments[-1] + timedelta(seconds=10), moments[-1] + timedelta(seconds=20))
    kinds = [entry.kind for entry in TimelineEntry.objects.filter(incident=incident)]
    assert kinds.count(TimelineEntry.Kind.RECOVERY) == 1
    assert Delivery.objects.filter(user=root, key__endswith=":over").count() == 1


def test_the_platforms_own_is_told_to_the_provider_and_only_administrators_are_led_to_its_page(
    db: None, root: User, lin: User, alice: User
) -> None:
    node = enrolled()
    looked(*(NOW + timedelta(seconds=seconds) for seconds in range(0, 400, 20)))
    assert not Incident.objects.exists()
    [to_root] = Delivery.objects.filter(user=root, key__contains=":silent")
    [to_lin] = Delivery.objects.filter(user=lin, key__contains=":silent")
    assert (to_root.topic, to_root.url, to_lin.url) == (Topic.ALERT, f"/bastion/nodes/{node.pk}/", "")
    assert not Delivery.objects.filter(user=alice).exists()


def test_after_a_pause_of_the_platform_itself_nobody_is_accused(db: None, jia: Customer) -> None:
    enrolled(jia)
    looked(NOW + timedelta(hours=9), NOW + timedelta(hours=9, seconds=20))
    assert not Incident.objects.exists()


def test_a_revoked_one_and_one_that_never_came_are_not_missed(db: None, jia: Customer, root: User) -> None:
    enrolling.revoke(node=enrolled(jia), actor=root, now=NOW)
    enrolling.announce(name="later", customer=jia, actor=None, now=NOW)
    looked(*(NOW + timedelta(seconds=seconds) for seconds in range(0, 400, 20)))
    assert not Incident.objects.exists()
