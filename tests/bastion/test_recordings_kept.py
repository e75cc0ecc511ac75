"""What is kept of recordings: sealed, signed twice, found out when it is touched, and provable elsewhere."""

from __future__ import annotations

import base64
import csv
import errno
import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Model

from accounts import scope, secrets
from accounts.errors import DomainError
from accounts.models import AuditEntry, Secret, User
from assets.models import Asset
from bastion.gateway import wire
from bastion.gateway.recording import chain, writer
from bastion.gateway.recording.writer import Recorder
from bastion.models import BastionSession, Node, PortalKey, RecordingPiece, RecordingPurge, SessionFact
from bastion.services import countersigning, exporting, keeping, recordings, verifying
from bastion.stores import Disk
from tests.bastion import kept
from tests.bastion.recordings import KEY, header
from tests.bastion.test_node_api import Speaker, speaker  # noqa: F401 - a fixture
from tests.conftest import NOW

WORDS = ("hello\r\n", "password is in the vault\r\n", "bye\r\n")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: LazySettings) -> Path:
    """Its own directory: these tests break what is in it."""
    place = tmp_path / "kept"
    own = {"BACKEND": "bastion.stores.Disk", "OPTIONS": {"location": place}}
    settings.STORAGES = {**settings.STORAGES, "recordings": own}
    return place


@pytest.fixture
def session(node: Node, web: Asset, root: User, tmp_path: Path) -> BastionSession:
    made = kept.begin(node, web, root)
    kept.record(made, tmp_path, kept.lines(*WORDS))
    kept.end(made)
    return made


def pieces(session: BastionSession) -> list[RecordingPiece]:
    with scope.platform("test"):
        return list(RecordingPiece.objects.select_related("session", "portal_key").filter(session=session))


def verify(*options: str) -> str:
    out = io.StringIO()
    call_command("recordings", "verify", *options, stdout=out, stderr=out)
    return out.getvalue()


def path_of(store: Path, piece: RecordingPiece) -> Path:
    return store / piece.file


def test_nothing_that_was_shown_lies_on_the_disk_in_the_clear(session: BastionSession, store: Path) -> None:
    for piece in pieces(session):
        data = path_of(store, piece).read_bytes()
        assert b"vault" not in data
        assert b"\x28\xb5\x2f\xfd" not in data[:64]  # the mark of zstd
    assert b"password is in the vault" in keeping.plain(pieces(session)[1])


def test_a_sealed_piece_opens_in_its_own_place_alone(session: BastionSession, store: Path) -> None:
    first, second = pieces(session)[:2]
    path_of(store, first).write_bytes(path_of(store, second).read_bytes())
    with pytest.raises(keeping.Gone):
        keeping.get(first)


def test_an_intact_recording_verifies_by_the_public_key_alone(session: BastionSession) -> None:
    with scope.platform("test"):
        [key] = PortalKey.objects.all()
    said = verify("--session", str(session.uid), "--public-key", key.public_key)
    assert "4 pieces" in said or "3 pieces" in said
    assert "ok" in said
    assert "intact" in said


def test_a_foreign_portal_key_is_not_believed(session: BastionSession) -> None:
    stranger = kept.NODE_KEY
    with pytest.raises(CommandError, match="1 of 1"):
        verify("--public-key", stranger)


@pytest.mark.parametrize("how", ["bit", "gone", "cut"])
def test_a_piece_that_was_touched_is_found(session: BastionSession, store: Path, how: str) -> None:
    path = path_of(store, pieces(session)[1])
    if how == "gone":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data[:-9] if how == "cut" else data)
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("recordings", "verify", stdout=out, stderr=out)
    assert "piece 2" in out.getvalue()
    assert "NOT INTACT" in out.getvalue()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("first_s", 3.5),
        ("countersignature", "00" * 64),
        ("signature", "00" * 64),
        ("node_key", kept.NODE_KEY.swapcase()),
        ("number", 9),
        ("size", 1),
    ],
)
def test_a_row_that_was_touched_is_found(session: BastionSession, column: str, value: object) -> None:
    """By whoever owns the database: nobody else can change a row at all."""
    piece = pieces(session)[1]
    setattr(piece, column, value)
    with scope.platform("test"):
        rows = {one.number: one for one in pieces(session)} | {piece.number: piece}
        portal = verifying._Trusted(verifying.portal_keys())
        found = verifying._of_row(piece, portal)
        found += chain.verify(verifying._Kept(rows), KEY.public_key(), str(session.uid)).flaws
    assert found


def test_when_it_arrived_is_signed(session: BastionSession) -> None:
    piece = pieces(session)[0]
    piece.arrived_at = NOW.replace(year=2020)
    with scope.platform("test"):
        assert verifying._of_row(piece, verifying._Trusted(verifying.portal_keys()))


def test_pieces_of_an_older_key_still_verify_after_a_rotation(
    session: BastionSession, node: Node, web: Asset, root: User, tmp_path: Path
) -> None:
    call_command("recordings", "rotate-key", stdout=io.StringIO())
    other = kept.begin(node, web, root)
    kept.record(other, tmp_path, kept.lines("again\r\n"))
    with scope.platform("test"):
        assert PortalKey.objects.count() == 2
        assert PortalKey.objects.filter(retired_at=None).count() == 1
    assert {piece.portal_key_id for piece in pieces(session)} & {one.portal_key_id for one in pieces(other)} == set()
    assert "2 recordings are intact" in verify()


def test_the_private_key_lies_in_the_vault_alone(session: BastionSession) -> None:
    with scope.platform("test"):
        [key] = PortalKey.objects.all()
        private = secrets.use(obj=key, field=countersigning.FIELD, purpose="test", now=NOW)
        rows = str(list(PortalKey.objects.values())) + str(list(AuditEntry.objects.values()))
        assert private not in rows
        assert Secret.objects.filter(object_type="bastion.portalkey").count() == 1


def test_a_disk_that_is_full_loses_nothing(
    speaker: Speaker,  # noqa: F811 - the fixture
    web: Asset,
    root: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The node is told that there is no room, keeps the piece and brings it again."""
    with scope.platform("test"):
        node = Node.objects.get(pk=speaker.number)
    session = kept.begin(node, web, root)
    with scope.platform("test"):
        Node.objects.filter(pk=node.pk).update(public_key=speaker.public_key)
    directory = tmp_path / "piece"
    tape = Recorder.open(directory, header(str(session.uid)), speaker.key)
    tape.output(b"hello")
    tape.close()
    link = json.loads((directory / chain.link_name(1)).read_bytes())
    body = wire.with_link(link, (directory / chain.piece_name(1)).read_bytes())

    def full(_self: Disk, name: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "put", full)
        assert speaker.signed("piece", body)[0] == 507
        assert pieces(session) == []
    assert speaker.signed("piece", body)[0] == 200
    assert speaker.signed("piece", body)[0] == 200  # its first answer was lost
    assert len(pieces(session)) == 1


def test_the_largest_piece_arrives(
    speaker: Speaker,  # noqa: F811 - the fixture
    web: Asset,
    root: User,
    tmp_path: Path,
) -> None:
    with scope.platform("test"):
        node = Node.objects.get(pk=speaker.number)
    session = kept.begin(node, web, root)
    with scope.platform("test"):
        Node.objects.filter(pk=node.pk).update(public_key=speaker.public_key)
    directory = tmp_path / "piece"
    Recorder.open(directory, header(str(session.uid)), speaker.key).close()
    link = chain.read((directory / chain.link_name(1)).read_bytes()).link
    plain = os.urandom(recordings.LARGEST - 4096)  # it does not shrink by packing
    signed = writer.store(directory, plain, replace(link, plain_bytes=len(plain)), speaker.key)
    data = (directory / chain.piece_name(1)).read_bytes()
    assert speaker.signed("piece", wire.with_link(signed.as_dict(), data))[0] == 200
    [piece] = pieces(session)
    assert keeping.plain(piece) == plain


def test_what_does_not_follow_or_unpacks_to_something_else_is_refused(
    node: Node, web: Asset, root: User, tmp_path: Path
) -> None:
    session = kept.begin(node, web, root)
    made = kept.begin(node, web, root)
    kept.record(made, tmp_path, kept.lines(*WORDS))
    directory = tmp_path / str(made.uid)
    link = chain.read((directory / chain.link_name(1)).read_bytes()).link
    data = (directory / chain.piece_name(1)).read_bytes()

    def take(**changes: object) -> None:
        changed = chain.Link(**{**vars(link), "session_id": str(session.uid), **changes})
        with scope.platform("test"):
            recordings.take(node=node, link=chain.sign(changed, KEY).as_json(), data=data, now=NOW)

    for changes in (
        {"number": 2},
        {"previous": "ab"},
        {"offset": 7},
        {"plain_bytes": link.plain_bytes + 1},
        {"plain_bytes": 10**10},
        {"plain_bytes": -1},
        {"last_s": -1.0},
        {"first_s": float("nan")},
    ):
        with pytest.raises(DomainError):
            take(**changes)
    with scope.platform("test"), pytest.raises(DomainError):
        forged = chain.sign(chain.Link(**{**vars(link), "session_id": str(session.uid)}), Ed25519PrivateKey.generate())
        recordings.take(node=node, link=forged.as_json(), data=data, now=NOW)
    assert pieces(session) == []
    take()
    assert len(pieces(session)) == 1


def test_evidence_of_many_commands_goes_out_in_parts(session: BastionSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", 3)
    for number in range(10, 20):
        kept.command(session, number, f"echo {'x' * 20_000}", 1.0)
    with scope.platform("test"):
        parts = list(exporting.bundle(BastionSession.objects.joined().get(pk=session.pk)))
    assert max(len(part) for part in parts) < 100_000
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert len(list(csv.reader(io.StringIO(archive.read("commands.csv").decode())))) == 11
        assert len(list(csv.reader(io.StringIO(archive.read("files.csv").decode())))) == 1


def test_evidence_proves_itself_without_the_portal(session: BastionSession, tmp_path: Path) -> None:
    kept.command(session, 5, "=cmd|'/C calc'!A0", 1.0)
    with scope.platform("test"):
        data = b"".join(exporting.bundle(BastionSession.objects.joined().get(pk=session.pk)))
        [key] = PortalKey.objects.all()
    place = tmp_path / "bundle"
    zipfile.ZipFile(io.BytesIO(data)).extractall(place)
    assert "'=cmd" in (place / "commands.csv").read_text()

    def check(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(place / "check.py"), *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    done = check("--portal-key", key.public_key)
    assert (done.returncode, done.stdout) == (0, "intact\n"), done.stdout + done.stderr
    assert check("--portal-key", kept.NODE_KEY).returncode == 1
    first = place / "pieces" / "000001.cast.zst"
    original = first.read_bytes()
    first.write_bytes(original + b"x")
    assert "000001: the bytes are not those" in check().stdout
    first.write_bytes(original)
    proof = place / "pieces" / "000002.json"
    said = json.loads(proof.read_text())
    proof.write_text(json.dumps({**said, "arrived_at": "2020-01-01T00:00:00.000000+00:00"}))
    assert "000002: the portal's signature does not hold" in check().stdout
    proof.unlink()
    assert check().returncode == 1


def test_pieces_are_wrapped_anew_under_another_master_key(session: BastionSession, settings: LazySettings) -> None:
    another = f"t9:{base64.b64encode(os.urandom(32)).decode()}"
    old = settings.RDMP_MASTER_KEYS
    settings.RDMP_MASTER_KEYS = f"{another},{old}"
    out = io.StringIO()
    call_command("recordings", "rewrap", stdout=out)
    count = len(pieces(session))
    assert f"{count} pieces" in out.getvalue()
    settings.RDMP_MASTER_KEYS = another
    assert b"hello" in keeping.plain(pieces(session)[0])


def delete(model: type[Model], **which: object) -> None:
    """As somebody with the database's own rights could; the application itself cannot."""
    table = model._meta.db_table
    with connection.as_owner(), scope.platform("test"), connection.cursor() as cursor:  # type: ignore[attr-defined]  # our own wrapper
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f'ALTER TABLE {table} DISABLE TRIGGER "rdmp_append_only"')
        model._default_manager.filter(**which)._raw_delete(using="default")
        cursor.execute(f'ALTER TABLE {table} ENABLE TRIGGER "rdmp_append_only"')


def cut_off(*numbers: int) -> None:
    delete(RecordingPiece, number__in=numbers)


def lost() -> str:
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("recordings", "verify", stdout=out, stderr=out)
    return out.getvalue()


def test_a_recording_without_its_end_is_not_intact(session: BastionSession) -> None:
    numbers = [piece.number for piece in pieces(session)]
    assert "ok" in verify()
    cut_off(numbers[-1])
    with time_machine.travel(NOW + verifying.ARRIVES_WITHIN / 2):
        assert "still open" in verify(), "a node that was away brings it yet"
    said = lost()
    assert "NOT INTACT" in said
    assert "without its end" in said
    assert f"piece {numbers[-1]}: missing" in said


def test_a_recording_of_which_nothing_is_left_is_listed(session: BastionSession) -> None:
    cut_off(*[piece.number for piece in pieces(session)])
    assert "nothing of the recording is here" in lost()
    assert "0 recordings" in verify("--since", "2030-01-01")
    with scope.platform("test"):
        BastionSession.objects.update(ending="recording")
    assert "0 recordings" in verify(), "it ended since nothing could be recorded"


def test_what_retention_has_purged_is_not_lost(session: BastionSession) -> None:
    with scope.platform("test"):
        count = len(pieces(session))
        RecordingPurge.objects.create(
            customer_id=session.customer_id, session=session, keep_days=184, pieces=count, size=1, purged_at=NOW
        )
    assert "purged" in verify()
    cut_off(*[piece.number for piece in pieces(session)])
    assert "purged" in verify()


def test_a_session_that_is_never_recorded_is_not_missed(node: Node, web: Asset, root: User) -> None:
    files, refused = kept.begin(node, web, root, cols=0), kept.begin(node, web, root, cols=0)
    delete(SessionFact, session=files)
    with scope.platform("test"):
        said = {"customer_id": refused.customer_id, "at": NOW}
        SessionFact.objects.create(session=files, number=1, kind="opened", data={"channel": "sftp"}, **said)
        SessionFact.objects.create(session=refused, number=2, kind="refused", data={"code": "no_upload"}, **said)
    for one in (files, refused):
        kept.end(one)
    assert "0 recordings" in verify()


def test_the_command_says_what_it_cannot_find(session: BastionSession) -> None:
    for words in (("--session", "nonsense"), ("--session", "6b0c6d2e-0000-4000-8000-000000000000"), ("--since", "x")):
        with pytest.raises(CommandError):
            verify(*words)
    assert "0 recordings" in verify("--since", "2030-01-01")
    assert "1 recordings" in verify("--since", "2026-03-01")
