"""Search over the commands and files of all sessions: fast by the index, within the wall, to the right moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from bastion.models import BastionSession, FileTransfer, Node, SessionCommand
from bastion.services import groups, searching
from bastion.trigrams import trigrams
from tests.bastion import kept
from tests.bastion.conftest import server
from tests.conftest import NOW, ClientFor


@pytest.fixture
def session(node: Node, web: Asset, root: User) -> BastionSession:
    made = kept.begin(node, web, root)
    kept.command(made, 5, "systemctl restart nginx", 12.5)
    kept.command(made, 6, "rm -rf /var/tmp/<script>alert(1)</script>", 60.0, verdict="deny")
    return made


@pytest.fixture
def foreign(yi: Customer, node: Node, root: User) -> BastionSession:
    made = kept.begin(node, server(yi, "db-99"), root)
    kept.command(made, 5, "systemctl restart mysqld", 3.0)
    return made


def found(person: User, query: str) -> list[str]:
    with scope.user(person):
        return [one.text for one in searching.commands(person, query)]


def transfer(session: BastionSession, number: int, path: str, sha256: str = "") -> None:
    with scope.platform("test"):
        FileTransfer.objects.create(
            customer_id=session.customer_id, session=session, number=number, at=NOW, path=path,
            trigrams=trigrams(path), direction="up", tool="sftp", size=2048, sha256=sha256, result="done",
        )  # fmt: skip


def test_every_word_must_stand_in_it_whatever_the_case(session: BastionSession, alice: User) -> None:
    assert found(alice, "NGINX restart") == ["systemctl restart nginx"]
    assert found(alice, "nginx mysqld") == []
    assert found(alice, "rf") == ["rm -rf /var/tmp/<script>alert(1)</script>"]
    assert len(found(alice, "")) == 2
    assert found(alice, "%") == []
    assert found(alice, "\0nginx") == ["systemctl restart nginx"]


def test_nobody_finds_what_they_may_not_watch(
    jia: Customer,
    session: BastionSession,
    foreign: BastionSession,
    web: Asset,
    root: User,
    alice: User,
    bob: User,
    eve: User,
    chen: User,
    client_for: ClientFor,
) -> None:
    assert found(alice, "systemctl") == ["systemctl restart nginx"]
    assert found(eve, "systemctl") == ["systemctl restart mysqld"]
    assert sorted(found(root, "systemctl")) == ["systemctl restart mysqld", "systemctl restart nginx"]
    for person in (bob, chen):
        assert found(person, "systemctl") == []
        assert "systemctl restart" not in client_for(person).get("/bastion/commands/?q=systemctl").content.decode()
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
    assert found(bob, "systemctl") == ["systemctl restart nginx"]


def test_the_function_of_the_database_looks_within_the_scope(
    session: BastionSession, foreign: BastionSession, jia: Customer
) -> None:
    """Whoever calls it by hand learns no more than their rows."""

    def numbers() -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM bastion_commands_with(ARRAY['sys']::varchar[], 100)")
            return {pk for (pk,) in cursor.fetchall()}

    with scope.platform("test"):
        all_ = numbers()
        mine = set(SessionCommand.objects.filter(customer=jia, text__contains="systemctl").values_list("pk", flat=True))
    with scope.customer(jia):
        assert numbers() == mine
    assert len(all_) == 2


def test_common_words_are_found_without_the_index(
    session: BastionSession, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "FEW", 0)
    assert found(alice, "nginx") == ["systemctl restart nginx"]


def test_the_page_leads_to_the_moment_and_filters(
    session: BastionSession, alice: User, root: User, client_for: ClientFor
) -> None:
    client = client_for(alice)
    page = client.get("/bastion/commands/?q=nginx").content.decode()
    assert f"/bastion/sessions/{session.pk}/recording/?t=12.5" in page
    assert "systemctl restart nginx" in page
    assert "rm -rf" not in page
    assert "<script>alert" not in client.get("/bastion/commands/").content.decode()
    day = NOW.date()
    for query, is_there in (
        ("verdict=deny", False),
        ("who=Root", True),
        ("who=nobody", False),
        ("where=web", True),
        ("where=db", False),
        (f"since={day}", True),
        (f"until={day}", True),
        (f"since={day + timedelta(days=1)}", False),
        (f"until={day - timedelta(days=1)}", False),
        (f"person={root.pk}", True),
        ("person=999999", False),
        ("since=nonsense&person=x", True),
    ):
        assert ("systemctl restart nginx" in client.get(f"/bastion/commands/?{query}").content.decode()) == is_there, (
            query
        )


def test_it_is_exported_and_opens_no_formula(session: BastionSession, alice: User, client_for: ClientFor) -> None:
    kept.command(session, 9, "=HYPERLINK(1)", 1.0)
    data = client_for(alice).get("/bastion/commands/?export=csv").content.decode()
    assert "systemctl restart nginx" in data
    assert "'=HYPERLINK" in data


def test_files_are_found_by_path_and_by_what_is_in_them(
    session: BastionSession, foreign: BastionSession, alice: User, client_for: ClientFor
) -> None:
    digest = "ab" * 32
    transfer(session, 7, "/etc/nginx/nginx.conf", digest)
    transfer(foreign, 7, "/etc/nginx/theirs.conf", digest)
    client = client_for(alice)
    for query in ("nginx.conf", digest, digest.upper(), "etc conf"):
        page = client.get("/bastion/files/", {"q": query}).content.decode()
        assert "/etc/nginx/nginx.conf" in page, query
        assert "theirs" not in page
    assert "/etc/nginx" not in client.get("/bastion/files/?direction=down").content.decode()
    assert "nginx.conf" in client.get("/bastion/files/?export=csv&q=nginx").content.decode()


def test_a_file_is_found_by_its_sha256_in_an_index(session: BastionSession, alice: User) -> None:
    with scope.user(alice), connection.cursor() as cursor:
        query, params = searching.files(alice, "ab" * 32).query.sql_with_params()
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {query}", params)
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("SET LOCAL enable_seqscan = on")
    assert "session_transfer_by_sha256" in plan


def test_the_index_is_used_under_the_policies(session: BastionSession, alice: User) -> None:
    """By what the function's own statement does; the rest follows from numbers of rows."""
    with connection.as_owner(), connection.cursor() as cursor:  # type: ignore[attr-defined]  # our own backend
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM bastion_sessioncommand WHERE trigrams @> ARRAY['ngi','gin']::varchar[] LIMIT 10"
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("SET LOCAL enable_seqscan = on")
    assert "session_command_by_text" in plan
    assert found(alice, "nginx")
