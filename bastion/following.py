"""One stream out of what is kept and what comes from the node: whole rows, none of them twice, none left out. Pure."""

from __future__ import annotations


class Gap(Exception):
    """What comes begins later than what is wanted: it must be fetched from where it is kept."""


class Follower:
    """`offset`: the next byte of the recording's plain text that is wanted."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._rest = b""

    def take(self, offset: int, data: bytes) -> bytes:
        """The whole rows that are new in it. Raises Gap."""
        if offset > self.offset:
            raise Gap
        new = data[self.offset - offset :]
        self.offset += len(new)
        lines, newline, self._rest = (self._rest + new).rpartition(b"\n")
        return lines + newline

    def leap(self, offset: int) -> int:
        """Go on from there, at the beginning of a row; how many bytes were left out."""
        left_out, self.offset, self._rest = offset - self.offset, offset, b""
        return left_out
