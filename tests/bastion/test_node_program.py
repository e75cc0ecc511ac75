"""The whole way: OpenSSH's client, the node program, the portal, a real sshd; what is recorded arrives and verifies."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from assets import keypairs
from assets.models import Asset, Credential, SshAccess
from assets.services import credentials
from assets.services.credentials import Entry
from bastion.gateway.recording import chain, reader
from bastion.gateway.ssh.target import public_line
from bastion.models import BastionSession, FileTransfer, Grant, Node, RecordingPiece, SessionCommand, SessionFact
from bastion.services import enrolling, granting, keeping, living, ssh_keys
from bastion.services.granting import Wanted
from tests.assets.sshd import free_port, wait_for
from tests.bastion.conftest import CONNECT, SSH, server
from tests.bastion.targets import KeyTarget, key_target, needs_terminal
from tests.portal import Portal, portal  # noqa: F401 - a fixture

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


class Program:
    """The node program as it is started on a machine."""

    def __init__(self, place: Path, url: str) -> None:
        self.state, self.url, self.port = place / "node", url, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "bastion.gateway", *words, "--state", str(self.state), "--port", str(self.port)]

    def enrol(self, token: str) -> subprocess.CompletedProcess[str]:
        command = self.command("enrol", "--portal", self.url)
        environment = {"PATH": os.environ["PATH"], "RDMP_NODE_TOKEN": token}
        return subprocess.run(
            command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def start(self) -> None:
        command = self.command("run", "--host", "127.0.0.1")
        self.process = subprocess.Popen(command, cwd=settings.BASE_DIR, env={"PATH": os.environ["PATH"]})
        wait_for(self.port)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[KeyTarget]:
    with key_target(tmp_path / "target") as running:
        yield running


@pytest.fixture
def web(jia: Customer, target: KeyTarget) -> Asset:
    asset = server(jia, "web-01")
    with scope.customer(jia):
        Credential.objects.filter(asset=asset).delete()
        entry = Entry("key_pair", target.user, "operations", target.private_key)
        credentials.add(where=asset, entry=entry, actor=None, now=timezone.now())
        SshAccess.objects.create(
            customer=jia, asset=asset, host="127.0.0.1", port=target.port, host_key=public_line(target.host_key),
            fingerprint="x", pinned_at=timezone.now(),
        )  # fmt: skip
    return asset


@contextmanager
def running(place: Path, url: str) -> Iterator[Program]:
    made = Program(place, url)
    with scope.platform("test"):
        _node, token = enrolling.announce(name="one", customer=None, actor=None, now=timezone.now())
    done = made.enrol(token)
    assert done.returncode == 0, done.stderr
    made.start()
    yield made
    made.stop()


@pytest.fixture
def program(portal: str, tmp_path: Path, db: None) -> Iterator[Program]:  # noqa: F811 - the fixture
    with running(tmp_path, portal) as made:
        yield made


@pytest.fixture
def ssh(program: Program, web: Asset, chen: User, root: User, tmp_path: Path) -> Callable[..., list[str]]:
    return client_of(program, web, chen, root, tmp_path)


def client_of(program: Program, web: Asset, chen: User, root: User, tmp_path: Path) -> Callable[..., list[str]]:
    """The command line of a client that signs in as chen by key."""
    private = keypairs.make()
    (tmp_path / "id").write_text(private)
    (tmp_path / "id").chmod(0o600)
    with scope.platform("test"):
        ssh_keys.add(person=chen, name="laptop", public_key=keypairs.public_half(private), now=timezone.now())
        granting.grant(person=chen, to=web, wanted=Wanted(CONNECT, SSH), actor=root, now=timezone.now())

    def command(*words: str, work: str = "look at the disk", login: str = f"{chen.email}#web-01") -> list[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "LogLevel=ERROR"]
        line = [
            "ssh",
            "-F",
            "none",
            "-p",
            str(program.port),
            "-i",
            str(tmp_path / "id"),
            "-o",
            f'SetEnv=RDMP_WORK="{work}"',
        ]
        for option in options:
            line += ["-o", option]
        return [*line, "-l", login, "127.0.0.1", *words]

    return command


def session() -> BastionSession:
    with scope.platform("test"):
        return BastionSession.objects.joined().latest("allowed_at")


def is_ended() -> bool:
    return session().state == "ended"


def arrived(found: BastionSession, place: Path) -> list[tuple[str, str]]:
    """What the portal has of its recording, once that is whole: nothing of it is missing or changed."""
    with scope.platform("test"):
        until(lambda: RecordingPiece.objects.filter(session=found, link__is_last=True).exists())
        node = Node.objects.get()
        pieces = list(RecordingPiece.objects.filter(session=found).order_by("number").select_related("session"))
        stored = {piece.number: keeping.get(piece) for piece in pieces}
    place.mkdir()
    for piece in pieces:
        name = Path(str(piece.link["file"])).name
        (place / name).write_bytes(stored[piece.number])
        signed = chain.Signed(chain.Link(**piece.link), piece.signature)
        (place / name.replace(".cast.zst", ".json")).write_bytes(signed.as_json())
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(node.public_key))
    findings = chain.verify(place, key)
    assert findings.is_intact
    assert findings.is_finished
    return [(row.code, row.text) for row in reader.rows(place)]


def test_a_command_goes_all_the_way_and_its_recording_arrives(
    ssh: Callable[..., list[str]], program: Program, tmp_path: Path
) -> None:
    done = subprocess.run(
        ssh("echo hello; echo oops >&2; exit 3"), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello\n", "oops\n")
    until(is_ended)
    found = session()
    assert (found.ending, found.exit_status, found.reason) == ("exit", 3, "look at the disk")
    with scope.platform("test"):
        assert SessionCommand.objects.get().text == "echo hello; echo oops >&2; exit 3"
    rows = arrived(found, tmp_path / "arrived")
    assert ("o", "hello\r\n") in rows or ("o", "hello\n") in rows
    assert any(code == "e" and "oops" in text for code, text in rows)


@needs_terminal
def test_the_menu_leads_to_a_session_and_back(ssh: Callable[..., list[str]], web: Asset, chen: User) -> None:
    menu = subprocess.Popen(
        ["ssh", "-tt", *ssh(login=chen.email)[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert menu.stdin is not None
    menu.stdin.write(b"1\r")
    menu.stdin.flush()
    until(lambda: session_is("open"))
    menu.stdin.write(b"echo in-$((6*7)); exit\r")
    menu.stdin.flush()
    until(is_ended)
    shown, _none = menu.communicate(b"q\r", 30)
    assert b"in-42" in shown
    assert menu.returncode == 0
    assert (session().asset_id, session().ending, session().front) == (web.pk, "exit", "ssh")


@pytest.mark.parametrize("form", ["{person}##{number}", "{person}@{account}@#{number}"])
def test_a_resource_is_reached_by_its_number(
    form: str, ssh: Callable[..., list[str]], web: Asset, chen: User, target: KeyTarget
) -> None:
    login = form.format(person=chen.email, account=target.user, number=web.pk)
    assert subprocess.run(ssh("echo in", login=login), capture_output=True, timeout=60, check=True).stdout == b"in\n"


def test_a_session_is_disconnected_from_the_portal_within_a_second(ssh: Callable[..., list[str]], root: User) -> None:
    client = subprocess.Popen(ssh("sleep 300"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: session_is("open"))
    with scope.platform("test"):
        living.disconnect(session=session(), words="Maintenance", actor=root, now=timezone.now())
    began = time.monotonic()
    client.wait(10)
    assert time.monotonic() - began < 1
    until(is_ended)
    assert (session().ending, client.returncode != 0) == ("killed", True)


def test_a_grant_that_is_taken_back_ends_what_runs(ssh: Callable[..., list[str]], root: User) -> None:
    client = subprocess.Popen(ssh("sleep 300"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: session_is("open"))
    with scope.platform("test"):
        [grant] = Grant.objects.select_related("customer")
        granting.end(grant=grant, actor=root, now=timezone.now())
    began = time.monotonic()
    client.wait(10)
    assert time.monotonic() - began < 2
    until(is_ended)
    assert session().ending == "revoked"


def test_a_killed_node_tells_after_its_return_what_it_had_not_told(
    ssh: Callable[..., list[str]], program: Program
) -> None:
    client = subprocess.Popen(ssh("sleep 300"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: session_is("open"))
    program.stop(signal.SIGKILL)
    client.wait(10)
    program.start()
    with scope.platform("test"):
        until(lambda: RecordingPiece.objects.filter(session=session(), link__is_recovered=True).exists())
    until(is_ended)
    assert session().ending == "node"


def test_a_session_goes_on_while_the_portal_is_killed_and_is_told_of_whole(
    web: Asset, chen: User, root: User, tmp_path: Path, db: None
) -> None:
    here = Portal()
    try:
        here.start()
        with running(tmp_path, here.url) as program:
            ssh = client_of(program, web, chen, root, tmp_path)
            client = subprocess.Popen(
                ssh("read a; echo one-$a; read b; echo two-$b"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(b"x\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"one-x\n"
            until(lambda: session_is("open"))
            here.stop(signal.SIGKILL)
            said, _none = client.communicate(b"y\n", 30)
            assert (said, client.returncode) == (b"two-y\n", 0)
            assert session_is("open")
            here.start()
            until(is_ended, 60)
            found = session()
            rows = arrived(found, tmp_path / "arrived")
    finally:
        here.stop()
    assert (found.ending, found.exit_status) == ("exit", 0)
    assert "two-y" in "".join(text for code, text in rows if code == "o")
    with scope.platform("test"):
        rows_of = (SessionFact, SessionCommand, FileTransfer)
        numbers = [number for kind in rows_of for number in kind.objects.values_list("number", flat=True)]
    assert sorted(numbers) == list(range(1, found.last_fact + 1))


def session_is(state: str) -> bool:
    with scope.platform("test"):
        found = BastionSession.objects.order_by("-allowed_at").first()
        return found is not None and found.state == state
