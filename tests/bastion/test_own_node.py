"""The node beside the platform: it enrols itself by a secret that both have, and comes back by itself."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import LazySettings, settings
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry
from bastion.gateway import identity, life, voucher
from bastion.gateway.wire import Enrol
from bastion.models import Node
from bastion.services import enrolling
from tests.assets.sshd import free_port
from tests.conftest import NOW
from tests.portal import NODE_SECRET, portal  # noqa: F401 - a fixture

SECRET = "a secret of forty characters or thereabouts"


def a_key() -> str:
    return base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


def comes(key: str, *, secret: str = SECRET, off_s: float = 0, vouched_for: str = "") -> Node:
    token = voucher.write(secret, vouched_for or key, NOW.timestamp() + off_s)
    with scope.platform("test"):
        return enrolling.enrol(said=Enrol(token, key, "1.0", 2299, ("ssh-ed25519 AAAA",)), address="127.0.0.1", now=NOW)


@pytest.fixture(autouse=True)
def secret(settings: LazySettings) -> None:
    settings.NODE_SECRET = SECRET
    settings.PUBLIC_URL = "https://portal.example.com"


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(DomainError) as no:
        act()
    return no.value.code


def test_it_enrols_once_and_a_restart_changes_no_row(db: None) -> None:
    key = a_key()
    first, again = comes(key), comes(key)
    assert first.pk == again.pk
    assert (again.ssh_host, again.ssh_port, again.customer_id) == ("portal.example.com", 2299, None)
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action="bastion.node.enrol").count() == 1


def test_another_key_takes_its_place_and_keeps_what_was_said_about_it(db: None) -> None:
    first = comes(a_key())
    with scope.platform("test"):
        Node.objects.filter(pk=first.pk).update(is_draining=True, ssh_host="ssh.example.com")
    second = comes(a_key())
    with scope.platform("test"):
        first.refresh_from_db()
    assert first.state == Node.State.REVOKED
    assert (second.name, second.is_draining, second.ssh_host) == (first.name, True, "ssh.example.com")


def test_a_revoked_key_stays_out(db: None) -> None:
    key = a_key()
    node = comes(key)
    with scope.platform("test"):
        enrolling.revoke(node=node, actor=None, now=NOW)  # type: ignore[arg-type]
    assert refusal(lambda: comes(key)) == "revoked_key"
    assert comes(a_key()).pk != node.pk


def test_only_who_has_the_secret_vouches_and_only_now_and_for_that_key(db: None, settings: LazySettings) -> None:
    key = a_key()
    assert refusal(lambda: comes(key, secret="another")) == "bad_token"
    assert refusal(lambda: comes(key, off_s=61)) == "bad_token"
    assert refusal(lambda: comes(key, off_s=-61)) == "bad_token"
    assert refusal(lambda: comes(key, vouched_for=a_key())) == "bad_token"
    assert refusal(lambda: comes("no key at all")) == "revoked_key"
    settings.NODE_SECRET = ""
    assert refusal(lambda: comes(key, secret="")) == "bad_token"
    with scope.platform("test"):
        assert not Node.objects.exists()


def test_it_takes_no_token_of_others_and_nobody_gives_it_one(db: None) -> None:
    node = comes(a_key())
    with scope.platform("test"):
        assert refusal(lambda: enrolling.ask_again(node=node, actor=None, now=NOW)) == "own"


def test_a_node_of_its_name_does_not_stand_in_its_way(db: None) -> None:
    first = comes(a_key())
    with scope.platform("test"):
        enrolling.revoke(node=first, actor=None, now=NOW)  # type: ignore[arg-type]
        enrolling.announce(name=first.name, customer=None, actor=None, now=NOW)
    assert comes(a_key()).name == f"{first.name} 2"


class Program:
    """As the Procfile starts it."""

    def __init__(self, place: Path, url: str) -> None:
        self.state, self.url, self.port = place / "node", url, free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self, secret: str = NODE_SECRET) -> None:
        command = [sys.executable, "-m", "bastion.gateway", "beside", "--portal", self.url, "--state", str(self.state)]
        environment = {"PATH": os.environ["PATH"], "RDMP_NODE_SECRET": secret}
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            cwd=settings.BASE_DIR,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def has_come_up(self) -> bool:
        """It has what it brings to the portal, and hears signals."""
        return (self.state / "ssh_host_rsa_key").exists()

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as greeting:
                return greeting.recv(8).startswith(b"SSH-2.0-")
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit status and what it had to say."""
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(number)
        said = process.communicate(timeout=20)[1]
        return process.returncode, said


@pytest.fixture
def program(portal: str, tmp_path: Path) -> Iterator[Program]:  # noqa: F811 - the fixture
    made = Program(tmp_path, portal)
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def enrolled() -> list[Node]:
    with scope.platform("test"):
        return list(Node.objects.filter(is_own=True, state=Node.State.ENROLLED))


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_revoked_it_comes_back_under_another_key_and_keeps_what_it_had_not_told(program: Program) -> None:
    program.start()
    until(program.answers)
    [first] = enrolled()
    assert (program.state / "node_key").stat().st_mode & 0o777 == 0o600
    (program.state / "spool" / "facts" / "unsent.facts").write_text("")
    with scope.platform("test"):
        enrolling.revoke(node=first, actor=None, now=timezone.now())  # type: ignore[arg-type]
    until(lambda: [node.pk for node in enrolled()] not in ([], [first.pk]))
    until(program.answers)
    assert list((program.state / "former").rglob("unsent.facts"))
    with scope.platform("test"):
        Node.objects.all().delete()  # as with a database that was set up anew
    until(lambda: bool(enrolled()))
    until(program.answers)
    key = identity.public_of(identity.key_of(program.state))
    assert [node.public_key for node in enrolled()] == [key]
    status, said = program.stop()
    assert status == 0
    assert "Traceback" not in said
    program.start()
    until(program.answers)
    assert [node.public_key for node in enrolled()] == [key]
    assert program.stop(signal.SIGINT)[0] == 0


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_it_waits_for_its_portal_and_says_once_when_the_secret_is_another(program: Program) -> None:
    program.start(secret="another")
    until(program.has_come_up)
    time.sleep(3)
    status, said = program.stop()
    assert status == 0
    assert said.count("does not take this node: bad_token") == 1
    program.url = f"http://127.0.0.1:{free_port()}"
    (program.state / "ssh_host_rsa_key").unlink()
    program.start()
    until(program.has_come_up)
    time.sleep(1)
    assert not program.answers()
    status, said = program.stop()
    assert (status, said) == (0, "")


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://portal.example.com", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://localhost:8000", True),
        ("http://portal.example.com", False),
        ("http://10.0.0.5:8000", False),
        ("http://localhost.example.com", False),
        ("portal.example.com", False),
        ("ftp://127.0.0.1", False),
    ],
)
def test_a_node_tells_nobody_a_token_in_the_clear(
    url: str, is_taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(identity.PLAIN_HTTP, raising=False)
    identity.key_of(tmp_path)
    identity.write(tmp_path, 7, url)
    if is_taken:
        assert identity.read(tmp_path).portal == url
        return
    with pytest.raises(identity.Insecure):
        identity.read(tmp_path)
    with pytest.raises(identity.Insecure):
        asyncio.run(life.join(tmp_path, url, "token", 2222))
    monkeypatch.setenv(identity.PLAIN_HTTP, "1")
    if url.startswith("http:"):
        assert identity.read(tmp_path).portal == url
    else:
        with pytest.raises(identity.Insecure):
            identity.read(tmp_path)
