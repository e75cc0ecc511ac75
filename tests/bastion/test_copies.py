"""Copies of files that pass: whole or not at all, sealed, fetched by whoever may, gone with the recording."""

# ruff: noqa: F811 - fixtures that are imported

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.test import Client

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from bastion.gateway import wire
from bastion.gateway.contract import Fact
from bastion.gateway.copies import PART, CopySpool, Part
from bastion.models import BastionSession, FileCopyPart, FileTransfer, Node, RecordingPolicy, RecordingPurge
from bastion.services import copies, facts, groups, keeping, retaining
from tests.bastion import kept
from tests.bastion.conftest import server
from tests.bastion.targets import Bench, KeyTarget, bench, key_target
from tests.bastion.test_node_program import Program, program, session, ssh, target, until, web  # noqa: F401
from tests.bastion.test_web_terminal import grant
from tests.conftest import NOW, ClientFor
from tests.portal import portal  # noqa: F401 - a fixture

MEGABYTE = 1024 * 1024
DATA = os.urandom(2 * MEGABYTE + 300_000)


# --- at a node ------------------------------------------------------------------------------------------------------


class Copying:
    def __init__(self, b: Bench, spool: CopySpool) -> None:
        self.b, self.spool = b, spool

    def waiting(self) -> dict[tuple[int, int], bytes]:
        found: dict[tuple[int, int], bytes] = {}
        while (part := self.spool.next()) is not None:
            found[part.copy, part.number] = part.path.read_bytes()
            self.spool.taken(part)
        return found


@pytest.fixture
async def copying(tmp_path: Path, keys: Path) -> AsyncIterator[Copying]:
    spool = CopySpool(tmp_path / "copies")
    with key_target(tmp_path / "sshd") as running:
        change = lambda node: replace(node, copies=spool)  # noqa: E731 - what `bench` is given
        async with bench(tmp_path, [running.hop()], keys=keys, change=change) as b:
            b.portal.change("web-01", copies_most=3 * MEGABYTE)
            yield Copying(b, spool)


@pytest.mark.parametrize("way", ["-O", "-s"])
async def test_what_goes_up_and_down_is_copied(copying: Copying, tmp_path: Path, way: str) -> None:
    up, there, back = tmp_path / "up", tmp_path / "there", tmp_path / "back"
    up.write_bytes(DATA)
    assert (await copying.b.copy("scp", way, str(up), f"@:{there}")).status == 0
    assert (await copying.b.copy("scp", way, f"@:{there}", str(back))).status == 0
    told = await copying.b.portal.until("transfer", 2)
    assert [one["copy"] for one in told] == ["1", "1"], "each session counts its own"
    waiting: list[bytes] = []
    while (part := copying.spool.next()) is not None:
        waiting.append(part.path.read_bytes())
        assert len(waiting[-1]) <= PART
        copying.spool.taken(part)
    assert b"".join(waiting) == DATA * 2
    assert not list((tmp_path / "copies").iterdir())


async def test_what_is_too_large_or_not_wanted_is_not_copied(copying: Copying, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(DATA + DATA)
    (tmp_path / "small").write_bytes(b"")
    assert (await copying.b.copy("scp", str(tmp_path / "large"), f"@:{tmp_path}/1")).status == 0
    assert (await copying.b.copy("scp", str(tmp_path / "small"), f"@:{tmp_path}/2")).status == 0
    copying.b.portal.change("web-01", copies_most=0)
    assert (await copying.b.copy("scp", str(tmp_path / "small"), f"@:{tmp_path}/3")).status == 0
    told = await copying.b.portal.until("transfer", 3)
    assert [(one["result"], one["copy"]) for one in told] == [("done", None), ("done", "1"), ("done", None)]
    assert copying.waiting() == {(1, 1): b""}
    assert not list((tmp_path / "copies").iterdir())


async def test_what_breaks_off_or_comes_out_of_order_is_not_copied(copying: Copying, tmp_path: Path) -> None:
    async with copying.b.connect() as conn:
        sftp = await conn.start_sftp_client()
        async with sftp.open(str(tmp_path / "jumps"), "wb") as file:
            await file.write(b"b" * 100, offset=100)
            await file.write(b"a" * 100, offset=0)
        await (await sftp.open(str(tmp_path / "half"), "wb")).write(b"half")
    told = await copying.b.portal.until("transfer", 2)
    assert {one["copy"] for one in told} == {None}
    assert copying.waiting() == {}
    assert not list((tmp_path / "copies").iterdir())


async def test_a_full_disk_costs_the_copy_and_not_the_transfer(copying: Copying, tmp_path: Path) -> None:
    (tmp_path / "copies").rmdir()
    (tmp_path / "up").write_bytes(DATA)
    assert (await copying.b.copy("scp", str(tmp_path / "up"), f"@:{tmp_path}/there")).status == 0
    [told] = await copying.b.portal.until("transfer")
    assert (told["result"], told["copy"]) == ("done", None)
    assert told["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_a_restart_forgets_what_was_not_finished(tmp_path: Path) -> None:
    spool = CopySpool(tmp_path)
    done, open_one = spool.begin("a_b", 2, MEGABYTE), spool.begin("a_b", 3, 9 * MEGABYTE)
    done.write(b"whole")
    assert done.finish()
    open_one.write(DATA)
    again = CopySpool(tmp_path)
    assert len(again) == 1
    assert again.next() == Part("a_b", 2, 1, tmp_path / "a_b_000002_000001")


# --- at the portal --------------------------------------------------------------------------------------------------


@pytest.fixture
def moved(node: Node, root: User, jia: Customer) -> BastionSession:
    """A session through which a file of some parts has gone."""
    made = kept.begin(node, server(jia, "db-01"), root, cols=0)
    tell(made, 1, "1")
    send(made, 1)
    kept.end(made)
    with scope.platform("test"):
        return BastionSession.objects.joined().get(pk=made.pk)


def tell(made: BastionSession, number: int, copy: str | None, **said: object) -> FileTransfer:
    data: dict[str, object] = {
        "path": "/var/backup/订单 1.sql", "direction": "down", "bytes": len(DATA), "tool": "sftp", "result": "done",
        "sha256": hashlib.sha256(DATA).hexdigest(), "copy": copy,
    }  # fmt: skip
    with scope.platform("test"):
        BastionSession.objects.filter(pk=made.pk).update(last_fact=number - 1)
        fact = Fact(str(made.uid), number, NOW.timestamp(), "transfer", {**data, **said})
        facts.take(node=made.node, told=[fact], now=NOW)
        return FileTransfer.objects.select_related("session__customer").get(session=made, number=number)


def send(made: BastionSession, copy: int, data: bytes = DATA) -> None:
    for number, start in enumerate(range(0, len(data), PART), 1):
        take(made.node, str(made.uid), copy, number, data[start : start + PART])


def take(node: Node, uid: str, copy: int, number: int, data: bytes) -> FileCopyPart:
    with scope.platform("test"):
        return copies.take(node=node, said=wire.CopyPart(uid, copy, number), data=data, now=NOW)


def fetched(client: Client, made: BastionSession, number: int = 1) -> tuple[int, bytes]:
    answer = client.get(f"/bastion/sessions/{made.pk}/files/{number}/")
    return answer.status_code, b"".join(answer) if answer.streaming else b""


def test_a_copy_is_sealed_and_fetched_with_the_digest_that_is_listed(
    moved: BastionSession, alice: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        parts = list(moved.copies.select_related("session"))
        assert [len(keeping.get(part)) for part in parts] == [PART, PART, 300_000]
        assert all(DATA[:64] not in keeping.store().get(part.file) for part in parts)
    page = client_for(alice).get(f"/bastion/sessions/{moved.pk}/").content.decode()
    assert f"/bastion/sessions/{moved.pk}/files/1/" in page
    answer = client_for(alice).get(f"/bastion/sessions/{moved.pk}/files/1/")
    assert hashlib.sha256(b"".join(answer)).hexdigest() == hashlib.sha256(DATA).hexdigest()
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''%E8%AE%A2")
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/octet-stream", "no-store")
    with scope.platform("test"):
        [entry] = AuditEntry.objects.filter(action="bastion.file.fetch")
        assert (entry.actor_id, entry.detail["path"]) == (alice.pk, "/var/backup/订单 1.sql")


def test_whoever_may_not_watch_fetches_nothing(
    moved: BastionSession, bob: User, eve: User, chen: User, vera: User, root: User, client_for: ClientFor
) -> None:
    address = f"/bastion/sessions/{moved.pk}/files/1/"
    assert Client().get(address).status_code == 302
    for person in (bob, eve, chen, vera, root):
        assert client_for(person).get(address).status_code == 404, f"{person}: root's own session"
    with scope.platform("test"):
        group = groups.create(customer=moved.customer, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[moved.asset], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
    assert fetched(client_for(bob), moved) == (200, DATA)


@pytest.mark.parametrize("how", ["lost", "touched", "missing part", "other digest", "never arrived"])
def test_what_is_not_what_passed_is_not_given_out(
    moved: BastionSession, alice: User, client_for: ClientFor, how: str
) -> None:
    with scope.platform("test"):
        part = moved.copies.order_by("number")[1]
        sealed = keeping.store().get(part.file)
        if how == "lost":
            keeping.store().delete(part.file)
        elif how == "touched":
            keeping.store().put(part.file, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    if how == "missing part":
        tell(moved, 2, "2")
        for number in (1, 3):
            take(moved.node, str(moved.uid), 2, number, DATA[:PART])
    elif how == "other digest":
        tell(moved, 2, "1", sha256="0" * 64)
    elif how == "never arrived":
        tell(moved, 2, "9")
    number = 1 if how in ("lost", "touched") else 2
    status, content = fetched(client_for(alice), moved, number)
    assert (status, content) == (302, b""), "back to the page, with the reason"
    with scope.platform("test"):
        assert not AuditEntry.objects.filter(action="bastion.file.fetch").exists()


def test_a_transfer_without_copy_and_one_of_another_session_are_not_there(
    moved: BastionSession, alice: User, client_for: ClientFor
) -> None:
    tell(moved, 2, None)
    client = client_for(alice)
    assert fetched(client, moved, 2)[0] == fetched(client, moved, 3)[0] == 404


def test_a_part_comes_once_and_only_from_its_own_node(moved: BastionSession, root: User) -> None:
    assert take(moved.node, str(moved.uid), 1, 1, b"another").size == PART
    with scope.platform("test"):
        other = Node.objects.create(
            name="two", state="enrolled", public_key="k2", created_by=root, created_at=NOW, enrolled_at=NOW
        )
    for said in ((other, str(moved.uid), 1, 9), (moved.node, "nonsense", 1, 9), (moved.node, str(moved.uid), 0, 1),
                 (moved.node, str(moved.uid), 1, 0), (moved.node, str(moved.uid), 1, 10_000)):  # fmt: skip
        with pytest.raises(DomainError):
            take(*said, b"x")
    with pytest.raises(DomainError):
        take(moved.node, str(moved.uid), 1, 9, b"x" * (PART + 1))


def test_copies_go_with_the_recording_and_stay_while_it_is_held(moved: BastionSession, alice: User) -> None:
    def purge(days: int) -> int:
        with scope.platform("test"):
            return retaining.purge(customer=moved.customer, now=NOW + timedelta(days=days))

    with scope.platform("test"):
        names = [part.file for part in moved.copies.all()]
        retaining.hold(session=moved, reason="asked for by the court", actor=alice, now=NOW)
    assert purge(500) == 0
    with scope.platform("test"):
        retaining.lift(session=moved, actor=alice, now=NOW)
    assert purge(500) == 1
    with scope.platform("test"):
        assert RecordingPurge.objects.get().size == len(DATA)
        assert not any(keeping.store().exists(name) for name in names)
        assert copies.parts_of(FileTransfer.objects.get()) == []
    with pytest.raises(DomainError):
        take(moved.node, str(moved.uid), 2, 1, b"late")


def test_copies_are_wrapped_anew_under_another_master_key(moved: BastionSession, settings: LazySettings) -> None:
    another = f"t9:{base64.b64encode(os.urandom(32)).decode()}"
    settings.RDMP_MASTER_KEYS = f"{another},{settings.RDMP_MASTER_KEYS}"
    call_command("recordings", "rewrap", stdout=io.StringIO())
    settings.RDMP_MASTER_KEYS = another
    with scope.platform("test"):
        parts = moved.copies.select_related("session").order_by("number")
        assert b"".join(keeping.get(part) for part in parts) == DATA


# --- the whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_a_file_goes_through_and_its_copy_is_fetched(
    ssh: Callable[..., list[str]], program: Program, web: Asset, chen: User, root: User, alice: User, tmp_path: Path,
    client_for: ClientFor, target: KeyTarget,
) -> None:  # fmt: skip
    with scope.platform("test"):
        RecordingPolicy.objects.create(customer=web.customer, copies_mb=5, changed_by=root, changed_at=NOW)
    command = ssh()
    grant(chen, web, root)
    (tmp_path / "up.bin").write_bytes(DATA)
    options = [word for word in command[1:] if word != "127.0.0.1"]
    at = options.index("-l")
    name = f"{chen.email}@{target.user}@web-01"
    options[options.index("-p")] = "-P"
    scp = ["scp", *options[:at], str(tmp_path / "up.bin"), f"{name}@127.0.0.1:{tmp_path}/there.bin"]
    done = subprocess.run(scp, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

    def is_here() -> bool:
        with scope.platform("test"):
            found = FileTransfer.objects.first()
            return found is not None and bool(copies.parts_of(found))

    until(is_here)
    with scope.platform("test"):
        transfer = FileTransfer.objects.select_related("session").get()
    assert fetched(client_for(alice), transfer.session, transfer.number) == (200, DATA)
    until(lambda: not list((program.state / "spool" / "copies").iterdir()), 10)
