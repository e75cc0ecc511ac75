"""What the SSH front does to asyncssh's connections."""

import socket

from bastion.gateway.ssh.tuning import HANDSHAKE, quicken


class Peer:
    """A socket that remembers what it was asked to do."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def setsockopt(self, level: int, name: int, value: int) -> None:
        self.asked.append((level, name, value))


class Connection:
    """As much of asyncssh's as is touched."""

    def __init__(self, peer: Peer | None) -> None:
        self.peer, self.came = peer, b""

    def get_extra_info(self, name: str) -> Peer | None:
        return self.peer if name == "socket" else None

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        self.came += data

    def send_packet(self, pkttype: int, *args: bytes) -> None:
        """Nothing is sent."""


async def test_a_handshake_is_acknowledged_at_once_and_what_follows_as_usual() -> None:
    peer = Peer()
    connection = Connection(peer)
    quicken(connection)  # type: ignore[arg-type]
    for _ in range(2 * HANDSHAKE):
        connection.data_received(b"x")
    assert connection.came == b"x" * 2 * HANDSHAKE
    assert set(peer.asked) == {(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)}
    assert len(peer.asked) == HANDSHAKE - 1


async def test_a_connection_without_a_socket_of_its_own_is_left_as_it_is() -> None:
    connection = Connection(None)
    quicken(connection)  # type: ignore[arg-type]
    connection.data_received(b"x")
    assert connection.came == b"x"
