"""The pages of the bastion: sessions for whoever may see them, nodes for administrators, one's own keys."""

from __future__ import annotations

import pytest
from django.utils import translation

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets import keypairs
from assets.models import Asset
from bastion.models import BastionSession, FileTransfer, Node, SessionCommand, SessionFact, SshKey
from bastion.services import authorising, groups, living
from bastion.trigrams import trigrams
from bastion.views import sessions
from bastion.words import event_word, refused_word, verdict_word
from tests.bastion.conftest import wish_for
from tests.conftest import NOW, ClientFor


@pytest.fixture
def session(web: Asset, node: Node, root: User) -> BastionSession:
    """Of root's, online, with a command, a file and an event."""
    with scope.platform("test"):
        made = authorising.authorise(person=root, wish=wish_for(web), node=node, now=NOW)
        living.beat(node=node, sessions=[str(made.uid)], load={"cpu": 12.5, "disk_free": 10**9}, now=NOW)
        BastionSession.objects.filter(pk=made.pk).update(state="open", opened_at=NOW)
        of = {"customer_id": made.customer_id, "session": made, "at": NOW}
        text = "systemctl restart nginx <script>alert(1)</script>"
        SessionCommand.objects.create(
            **of, number=1, asset=web, person=root, text=text, trigrams=trigrams(text), at_s=1.5, verdict="deny"
        )
        FileTransfer.objects.create(
            **of, number=2, path="/etc/nginx.conf", direction="up", tool="scp", size=10, sha256="ab" * 32, result="done"
        )
        SessionFact.objects.create(**of, number=3, kind="forward", data={"host": "10.0.0.9", "port": 3306})
        made.refresh_from_db()
    return made


def test_a_session_is_listed_and_read(session: BastionSession, alice: User, client_for: ClientFor) -> None:
    client = client_for(alice)
    listed = client.get("/bastion/sessions/").content.decode()
    assert "trops@web-01" in listed
    page = client.get(f"/bastion/sessions/{session.pk}/").content.decode()
    for shown in ("systemctl restart nginx", "/etc/nginx.conf", "10.0.0.9:3306", "192.0.2.7", "look at the disk"):
        assert shown in page, shown
    assert "<script>alert" not in page
    assert "trops@web-01" in client.get("/bastion/sessions/?q=web-01&matched=no").content.decode()
    assert "trops@web-01" not in client.get("/bastion/sessions/?state=ended").content.decode()


def test_all_files_and_events_of_a_long_session_are_reached(
    session: BastionSession, alice: User, eve: User, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, address = client_for(alice), f"/bastion/sessions/{session.pk}/"
    assert f"{address}events/" not in client.get(address).content.decode(), "all of them stand there"
    monkeypatch.setattr(sessions, "MOST_SHOWN", 1)
    with scope.platform("test"):
        of = {"customer_id": session.customer_id, "session": session, "at": NOW}
        FileTransfer.objects.create(
            **of, number=4, path="/etc/last.conf", direction="up", tool="scp", size=1, result="done"
        )
        data = {"action": "rename", "path": "/etc/one", "other": "/etc/two", "result": "done"}
        SessionFact.objects.create(**of, number=5, kind="file", data=data)
    page = client.get(address).content.decode()
    assert "/etc/last.conf" not in page
    assert f"/bastion/files/?session={session.pk}" in page
    assert f"{address}events/" in page
    assert "/etc/last.conf" in client.get(f"/bastion/files/?session={session.pk}").content.decode()
    assert "/etc/last.conf" not in client.get("/bastion/files/?session=999999").content.decode()
    for query, shown in (
        ("", True),
        ("?q=two", True),
        ("?kind=file", True),
        ("?kind=forward", False),
        ("?q=x9", False),
    ):
        assert ("/etc/one → /etc/two" in client.get(f"{address}events/{query}").content.decode()) is shown, query
    assert "/etc/two" in b"".join(client.get(f"{address}events/?export=csv")).decode()
    assert client_for(eve).get(f"{address}events/").status_code == 404
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action="bastion.session.view", actor=alice).exists()


def test_who_looks_at_somebody_elses_session_is_written_down(
    session: BastionSession, alice: User, root: User, client_for: ClientFor
) -> None:
    for person in (root, alice):
        client_for(person).get(f"/bastion/sessions/{session.pk}/")
        client_for(person).get(f"/bastion/sessions/{session.pk}/", headers={"HX-Request": "true"})
    with scope.platform("test"):
        assert [entry.actor_id for entry in AuditEntry.objects.filter(action="bastion.session.view")] == [alice.pk]


def test_others_do_not_see_it(
    jia: Customer,
    session: BastionSession,
    web: Asset,
    bob: User,
    eve: User,
    chen: User,
    root: User,
    client_for: ClientFor,
) -> None:
    for person in (bob, eve, chen):
        client = client_for(person)
        assert "trops@web-01" not in client.get("/bastion/sessions/").content.decode()
        for address in ("", "disconnect/", "say/", "lock/", "unlock/"):
            assert client.get(f"/bastion/sessions/{session.pk}/{address}").status_code == 404
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
    assert "trops@web-01" in client_for(bob).get("/bastion/sessions/").content.decode()
    assert client_for(bob).get(f"/bastion/sessions/{session.pk}/disconnect/").status_code == 200


@pytest.mark.parametrize(
    ("name", "said", "action"),
    [
        ("disconnect", {"words": "Maintenance"}, "bastion.session.disconnect"),
        ("say", {"words": "Please log out"}, "bastion.session.say"),
        ("lock", {}, "bastion.session.lock"),
        ("unlock", {}, "bastion.session.unlock"),
    ],
)
def test_a_button_is_pressed_once_and_audited(
    session: BastionSession, alice: User, client_for: ClientFor, name: str, said: dict[str, str], action: str
) -> None:
    address = f"/bastion/sessions/{session.pk}/{name}/"
    assert client_for(alice).post(address, said).status_code == 302
    assert client_for(alice).post(address, said, headers={"HX-Request": "true"}).status_code == 204
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action=action, actor=alice).count() == 2


def test_a_message_needs_words(session: BastionSession, alice: User, client_for: ClientFor) -> None:
    assert client_for(alice).post(f"/bastion/sessions/{session.pk}/say/", {}).status_code == 422


def test_both_lists_are_exported(session: BastionSession, root: User, client_for: ClientFor) -> None:
    client = client_for(root)
    assert b"web-01" in b"".join(client.get("/bastion/sessions/?export=csv"))
    commands = b"".join(client.get(f"/bastion/sessions/{session.pk}/?export=csv")).decode()
    assert "systemctl" in commands
    with translation.override(root.language):
        assert verdict_word("deny") in commands


@pytest.mark.parametrize(("what", "is_word"), [("target", True), ("connect", True), ("paste", True), ("du -sh", False)])
def test_what_a_node_refused_is_said_in_words(
    session: BastionSession, root: User, client_for: ClientFor, what: str, is_word: bool
) -> None:
    with scope.platform("test"):
        SessionFact.objects.create(
            customer_id=session.customer_id, session=session, number=9, at=NOW, kind="refused", data={"what": what}
        )
    page = client_for(root).get(f"/bastion/sessions/{session.pk}/").content.decode()
    with translation.override(root.language):
        shown = f"{event_word('refused')} {refused_word(what)}"
    assert shown in page
    assert (what not in shown) == is_word


def test_a_node_is_announced_drained_and_revoked(root: User, client_for: ClientFor) -> None:
    client = client_for(root)
    answer = client.post("/bastion/nodes/new/", {"name": "jia-1", "customer": ""})
    page = answer.content.decode()
    assert "install/node.sh" in page
    assert answer["Cache-Control"] == "no-store"
    with scope.platform("test"):
        node = Node.objects.get()
        token = page.partition("data-copy-source>")[2].partition("<")[0]
        assert len(token) > 40
        assert token not in str(list(AuditEntry.objects.values())) + str(list(Node.objects.values()))
        Node.objects.update(state="enrolled", public_key="k", enrolled_at=NOW, load={"cpu": 3, "disk_free": 10**9})
    assert "jia-1" in client.get("/bastion/nodes/").content.decode()
    for name, is_draining in (("drain", True), ("undrain", False)):
        client.post(f"/bastion/nodes/{node.pk}/{name}/")
        with scope.platform("test"):
            node.refresh_from_db()
        assert node.is_draining is is_draining
    assert "install/node.sh" in client.post(f"/bastion/nodes/{node.pk}/again/").content.decode()
    client.post(f"/bastion/nodes/{node.pk}/revoke/")
    assert "jia-1" not in client.get("/bastion/nodes/").content.decode()


@pytest.mark.parametrize("who", ["chen", "lin", "alice"])
def test_nodes_are_the_administrators(
    node: Node, client_for: ClientFor, request: pytest.FixtureRequest, who: str
) -> None:
    client = client_for(request.getfixturevalue(who))
    for address in ("nodes/", "nodes/new/"):
        assert client.get(f"/bastion/{address}").status_code == 403
    for name in ("again", "drain", "undrain", "revoke"):
        assert client.post(f"/bastion/nodes/{node.pk}/{name}/").status_code == 403


def test_one_keeps_ones_own_keys(chen: User, lin: User, client_for: ClientFor) -> None:
    client, line = client_for(chen), keypairs.public_half(keypairs.make())
    assert client.post("/bastion/keys/", {"name": "laptop", "public_key": line}).status_code == 302
    page = client.get("/bastion/keys/").content.decode()
    assert "laptop" in page
    assert "SHA256:" in page
    with scope.platform("test"):
        key = SshKey.objects.get()
    assert client_for(lin).post(f"/bastion/keys/{key.pk}/remove/").status_code == 404
    assert client.post(f"/bastion/keys/{key.pk}/remove/").status_code == 302
    with scope.platform("test"):
        assert not SshKey.objects.exists()
        assert AuditEntry.objects.filter(action__startswith="bastion.key.").count() == 2


def test_what_is_no_key_is_said(chen: User, client_for: ClientFor) -> None:
    answer = client_for(chen).post("/bastion/keys/", {"name": "", "public_key": "nonsense"})
    assert answer.status_code in (200, 302, 409, 422)
    with scope.platform("test"):
        assert not SshKey.objects.exists()
