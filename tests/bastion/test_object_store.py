"""Recordings in a bucket of OSS: the store against an endpoint that checks signatures, and one that lies there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from accounts import scope
from accounts.models import User
from assets.models import Asset
from bastion.models import BastionSession, Node, RecordingPiece
from bastion.services import keeping
from bastion.stores import Bucket, Store
from demo.aliyun import (
    OPERATIONS,
    READ_ONLY,
    REVOKED,
    YI_READ_ONLY,
    CloudServer,
    Credentials,
    SimulatedCloud,
    demo_cloud,
)
from tests.bastion import kept
from tests.bastion.test_replay import Viewer
from tests.conftest import ClientFor

BUCKET, PREFIX = "jiahe-backup", "rdmp/kept"
DATA = bytes(range(256)) * 900
NAMES = ("recordings/1/a b/000001.cast", "recordings/1/录像/+%2F&?#.cast", "x")


@pytest.fixture
def server() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


@pytest.fixture
def cloud(server: CloudServer) -> SimulatedCloud:
    return server.cloud


def options(server: CloudServer, key: Credentials = OPERATIONS, **said: str) -> dict[str, str]:
    usual = {"bucket": BUCKET, "region": "cn-shanghai", "endpoint": server.url, "prefix": PREFIX}
    return {**usual, "access_key_id": key.access_key_id, "access_key_secret": key.access_key_secret, **said}


@pytest.fixture
def store(server: CloudServer) -> Store:
    return Bucket(**options(server))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_put_is_got_replaced_and_deleted(store: Store, cloud: SimulatedCloud, name: str) -> None:
    assert not store.exists(name)
    for data in (DATA, b"", b"other"):
        store.put(name, data)
        assert store.exists(name)
        assert store.get(name) == data
    assert list(cloud.objects.kept) == [(BUCKET, f"{PREFIX}/{name}")]
    store.delete(name)
    assert not store.exists(name)
    store.delete(name)


def test_what_is_not_there_is_said_as_such(store: Store, server: CloudServer) -> None:
    with pytest.raises(FileNotFoundError):
        store.get("nothing")
    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        Bucket(**options(server, bucket="nobodys")).get("x")


def test_many_are_deleted_a_thousand_at_a_time(store: Store, cloud: SimulatedCloud) -> None:
    cloud.objects.kept |= {(BUCKET, f"{PREFIX}/n{number}"): b"x" for number in range(1003)}
    for name in NAMES:
        store.put(name, b"x")
    cloud.objects.kept[BUCKET, "somebody-elses"] = b"x"
    store.delete_many([*(f"n{number}" for number in range(1003)), *NAMES, "was never there"])
    assert list(cloud.objects.kept) == [(BUCKET, "somebody-elses")]
    assert cloud.calls(action="DeleteMultipleObjects") == 2
    store.delete_many([])


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (Credentials(OPERATIONS.access_key_id, "another secret"), "SignatureDoesNotMatch"),
        (Credentials("LTAInobody", "secret"), "InvalidAccessKeyId"),
        (REVOKED, "InvalidAccessKeyId"),
        (READ_ONLY, "AccessDenied"),
        (YI_READ_ONLY, "AccessDenied"),
    ],
)
def test_a_wrong_key_writes_nothing(server: CloudServer, key: Credentials, code: str) -> None:
    with pytest.raises(OSError, match=code) as failure:
        Bucket(**options(server, key)).put("x", DATA)
    assert not isinstance(failure.value, FileNotFoundError)
    assert key.access_key_secret not in str(failure.value)
    assert server.cloud.objects.kept == {}


def test_a_key_that_may_only_read_reads(store: Store, server: CloudServer) -> None:
    store.put("x", DATA)
    reader = Bucket(**options(server, READ_ONLY))
    assert reader.get("x") == DATA
    with pytest.raises(OSError, match="AccessDenied"):
        reader.delete("x")
    with pytest.raises(OSError, match="AccessDenied"):
        reader.delete_many(["x"])
    assert store.exists("x")


@pytest.mark.parametrize("kind", ["unavailable", "error", "reset"])
def test_what_fails_for_a_moment_is_tried_again(store: Store, cloud: SimulatedCloud, kind: str) -> None:
    cloud.fail(kind, 2, action="PutObject")
    store.put("x", DATA)
    cloud.fail(kind, 2, action="GetObject")
    assert store.get("x") == DATA
    assert (cloud.calls(action="PutObject"), cloud.calls(action="GetObject")) == (3, 3)


@pytest.mark.parametrize("kind", ["unavailable", "half"])
def test_an_upload_that_breaks_off_leaves_the_old_object(store: Store, cloud: SimulatedCloud, kind: str) -> None:
    store.put("x", b"old")
    fault = cloud.fail(kind, 99, action="PutObject")
    with pytest.raises(OSError, match="OSS"):
        store.put("x", DATA)
    assert fault.remaining < 98, "it was tried again"
    cloud.heal()
    assert store.get("x") == b"old"


def test_a_download_that_breaks_off_is_no_object(store: Store, cloud: SimulatedCloud) -> None:
    store.put("x", DATA)
    cloud.fail("half", 99, action="GetObject")
    with pytest.raises(OSError):  # noqa: PT011 - whatever the connection says
        store.get("x")


def test_an_object_that_is_not_deleted_is_said(store: Store, cloud: SimulatedCloud) -> None:
    store.put("x", b"x")
    cloud.fail("unavailable", 99, action="DeleteMultipleObjects")
    with pytest.raises(OSError, match="ServiceUnavailable"):
        store.delete_many(["x"])
    cloud.heal()
    assert store.exists("x")


# --- a recording ------------------------------------------------------------------------------------------------------


@pytest.fixture
def session(
    server: CloudServer, settings: LazySettings, node: Node, web: Asset, root: User, tmp_path: Path
) -> BastionSession:
    own = {"BACKEND": "bastion.stores.Bucket", "OPTIONS": options(server)}
    settings.STORAGES = {**settings.STORAGES, "recordings": own}
    made = kept.begin(node, web, root)
    kept.record(made, tmp_path, kept.lines("first line\r\n", "the password is in the vault\r\n", "the end\r\n"))
    kept.end(made)
    return made


def verified() -> str:
    out = io.StringIO()
    call_command("recordings", "verify", stdout=out, stderr=out)
    return out.getvalue()


def test_a_recording_in_a_bucket_is_sealed_played_and_verified(
    session: BastionSession, cloud: SimulatedCloud, alice: User, client_for: ClientFor
) -> None:
    names = {f"{PREFIX}/recordings/{session.customer_id}/{session.uid}/"}
    assert {key.rpartition("/")[0] + "/" for _bucket, key in cloud.objects.kept} == names
    assert not [data for data in cloud.objects.kept.values() if b"vault" in data]
    viewer = Viewer(client_for(alice), session)
    index = json.loads(viewer.get("index/").content)  # type: ignore[attr-defined]
    rows = b"".join(viewer.get(f"{number}/").content for number, *_rest in index["pieces"])  # type: ignore[attr-defined]
    assert b"the password is in the vault" in rows
    assert "intact" in verified()


def test_an_object_that_was_touched_or_lost_is_found(session: BastionSession, cloud: SimulatedCloud) -> None:
    for key in list(cloud.objects.kept)[:2]:
        whole = cloud.objects.kept.pop(key)
        with pytest.raises(CommandError):
            verified()
        cloud.objects.kept[key] = whole[:-1] + bytes([whole[-1] ^ 1])
        with pytest.raises(CommandError):
            verified()
        cloud.objects.kept[key] = whole
    assert "intact" in verified()


def test_a_purged_recording_is_gone_from_the_bucket(session: BastionSession, cloud: SimulatedCloud) -> None:
    with scope.platform("test"):
        pieces = list(RecordingPiece.objects.filter(session=session))
        assert len(pieces) == len(cloud.objects.kept) > 1
        keeping.remove_all(pieces)
    assert cloud.objects.kept == {}
