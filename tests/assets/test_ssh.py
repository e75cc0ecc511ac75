"""The SSH client at its edges: an answer that never comes, and words that come last."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import paramiko
import pytest

from assets import ssh

LOGIN = ssh.Login("somebody", password="a-word")


class Silent(paramiko.ServerInterface):
    """Lets everybody in and never says whether a command was begun."""

    def __init__(self) -> None:
        self.is_over = threading.Event()

    def check_auth_password(self, username: str, password: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.is_over.wait(30)
        return False


@pytest.fixture
def silent() -> Iterator[ssh.Door]:
    key, server = paramiko.ECDSAKey.generate(), Silent()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _address = listener.accept()
            transport = paramiko.Transport(peer)
            transport.add_server_key(key)
            transport.start_server(server=server)

        threading.Thread(target=serve, daemon=True).start()
        yield ssh.Door("127.0.0.1", listener.getsockname()[1], f"{key.get_name()} {key.get_base64()}")
        server.is_over.set()


@pytest.mark.parametrize("way", ["run", "execute"])
def test_a_host_that_never_says_whether_it_began_is_not_waited_for(
    silent: ssh.Door, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with ssh.session(silent, LOGIN) as session:
        monkeypatch.setattr(ssh, "CONNECT_S", 0.3)
        begun = time.monotonic()
        with pytest.raises(ssh.SshError) as refused:
            if way == "run":
                session.run("true")
            else:
                session.execute("true", ssh.Output(10), given="", timeout_s=1)
        assert refused.value.code == {"run": "timeout", "execute": "unreachable"}[way]
        assert time.monotonic() - begun < 15


class Hasty:
    """A channel whose last words, end and status arrive between the first question and the second."""

    closed = False

    def __init__(self) -> None:
        self.eof_received, self.words = False, b""

    def exit_status_ready(self) -> bool:
        if not self.eof_received:
            self.eof_received, self.words = True, b"last words"
        return True

    def recv_ready(self) -> bool:
        return bool(self.words)

    def recv_stderr_ready(self) -> bool:
        return False

    def recv(self, _size: int) -> bytes:
        said, self.words = self.words, b""
        return said


def test_words_that_come_with_the_end_are_kept() -> None:
    output = ssh.Output(100)
    session = ssh.Session(None)
    session._follow(Hasty(), output, time.monotonic() + 5)
    assert output.stdout.text == "last words"
