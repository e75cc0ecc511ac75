"""Tells what was pasted from what was typed, as far as bytes can tell. Whoever retypes a text has typed it."""

from collections.abc import Callable
from typing import Final

from bastion.gateway.ssh.guard import PASTE_BEGINS

AT_ONCE: Final = 160
"""Bytes that an input method enters at once: some fifty Chinese characters."""
PER_SECOND: Final = 400
"""A key that is held down repeats thirty times a second."""


class Pasting:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._since, self._bytes, self._tail = clock, 0.0, 0, b""

    def is_pasted(self, data: bytes) -> bool:
        """Asked of each input, in order."""
        now = self._clock()
        if now - self._since > 1:
            self._since, self._bytes = now, 0
        self._bytes += len(data)
        text, self._tail = self._tail + data, (self._tail + data)[-len(PASTE_BEGINS) + 1 :]
        return len(data) > AT_ONCE or self._bytes > PER_SECOND or PASTE_BEGINS in text
