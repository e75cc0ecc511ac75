"""How much lies unsent in a connection's socket buffer.

asyncssh holds back by the peer's channel window only; a peer that promises a huge window and reads nothing would fill
our memory. There is no public way to ask, hence the one private name here (asyncssh 2.24).
"""

import asyncio
from collections.abc import Callable

import asyncssh

MOST_UNSENT = 1024 * 1024


def unsent(connection: asyncssh.connection.SSHConnection) -> int:
    transport = connection._transport
    return int(transport.get_write_buffer_size()) if transport is not None else 0


class Valve:
    """One flow with several reasons to hold it; `hold` is called when the first comes and the last goes."""

    POLL_S = 0.02

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self._hold = hold
        self._reasons: set[str] = set()

    @property
    def is_held(self) -> bool:
        return bool(self._reasons)

    def turn(self, reason: str, *, is_held: bool) -> None:
        before = bool(self._reasons)
        (self._reasons.add if is_held else self._reasons.discard)(reason)
        if before != bool(self._reasons):
            self._hold(bool(self._reasons))

    def mind(self, connection: asyncssh.connection.SSHConnection) -> None:
        """Hold while the socket that the flow ends in is choked. Cheap: call it after every write."""
        if unsent(connection) > MOST_UNSENT and "socket" not in self._reasons:
            self.turn("socket", is_held=True)
            self._poll(connection)

    def _poll(self, connection: asyncssh.connection.SSHConnection) -> None:
        if unsent(connection) > MOST_UNSENT // 2:
            asyncio.get_running_loop().call_later(self.POLL_S, self._poll, connection)
        else:
            self.turn("socket", is_held=False)
