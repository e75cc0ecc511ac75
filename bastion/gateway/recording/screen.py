"""What stands on a session's screen: pyte's screen, made safe against hostile output and kept from costing much.

Small outputs are drawn at once, within a share of the time; more of them wait, and of a flood only the modes it
switches and its last screenfuls are drawn when somebody looks.
"""

import contextlib
import re
import time
from collections import deque
from typing import Final

from wcwidth import wcwidth

from bastion.gateway.recording import escapes
from bastion.gateway.recording.cast import Decoder
from bastion.gateway.recording.terminal import Terminal

AT_ONCE: Final = 4096
"""Bytes that are drawn at a time without waiting for somebody to look."""
REST: Final = 15
"""After drawing, the screen waits this many times as long before it draws unasked: at most 6 % of the time."""
KEEP: Final = 64 * 1024
"""More than this behind, it no longer tries to draw everything."""
TAIL: Final = 32 * 1024
"""Bytes that are drawn at most when somebody looks."""
MOST_LINES: Final = 500
"""Lines of it: each that scrolls the screen costs as much as many characters."""
MOST_DRAW_S: Final = 0.25
"""Seconds of drawing at a time, after a rest: a few bytes can ask for much (a wide screen, erased again and again)."""
SHARE: Final = 0.25
"""Of these seconds, how many come back in a second: whoever looks all the time does not hold up everybody else."""
_SWITCH = re.compile(rb"\x1b(?:\[\?[0-9;]{1,32}[hl]|c)")
_SWITCHES = 32
_CSI = re.compile(r"(?:\x1b\[|\x9b)([?]?)([0-9;]*)([@-~])")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]|[^\x00-\x1f\x7f]{1,256}")


class Screen:
    def __init__(self, cols: int, rows: int) -> None:
        self.terminal = Terminal(*_size(cols, rows))
        self._decoder, self._escapes = Decoder(), escapes.Output()
        self._backlog = bytearray()
        self._switches: deque[bytes] = deque(maxlen=_SWITCHES)
        self._rests_until = 0.0
        self._spent_s, self._spent_at = 0.0, 0.0
        self._last = " "

    @property
    def size(self) -> tuple[int, int]:
        return self.terminal.columns, self.terminal.lines

    @property
    def is_alternate(self) -> bool:
        self.catch_up()
        return self.terminal.is_alternate

    def feed(self, data: bytes) -> None:
        self._backlog += data
        if len(self._backlog) > 2 * KEEP:
            self._skip(len(self._backlog) - KEEP)
        elif len(self._backlog) <= KEEP and time.perf_counter() >= self._rests_until:
            self._draw_waiting(AT_ONCE)

    def catch_up(self) -> None:
        """Draw what waits."""
        if not self._backlog:
            return
        if len(self._backlog) > TAIL or self._backlog.count(b"\n") > MOST_LINES:
            self._skip(self._tail())
        self._draw_waiting(len(self._backlog))

    def _draw_waiting(self, count: int) -> None:
        began, began_work = time.perf_counter(), time.thread_time()
        self._spent_s = max(0.0, self._spent_s - SHARE * (began - self._spent_at))
        until = began_work + MOST_DRAW_S - self._spent_s
        self._switch()
        data = bytes(self._backlog[:count])
        del self._backlog[:count]
        if not self._draw(self._decoder.feed(data), until):
            self._leave_out(data)
            self._switch()
        self._spent_at = time.perf_counter()
        self._spent_s += time.thread_time() - began_work
        self._rests_until = self._spent_at + REST * (self._spent_at - began)

    def _switch(self) -> None:
        """The modes that were switched in what was left out."""
        for switch in self._switches:
            self._draw(switch.decode(), float("inf"))
        self._switches.clear()

    def interrupt(self) -> None:
        self._escapes.interrupt()

    def resize(self, cols: int, rows: int) -> None:
        self.catch_up()
        columns, lines = _size(cols, rows)
        self.terminal.resize(lines, columns)

    def keyframe(self) -> str:
        """What redraws this screen from nothing; empty when that would be too long."""
        self.catch_up()
        return self.terminal.redraw()

    def _skip(self, count: int) -> None:
        """Leave out the beginning of what waits, but for the modes which it switches."""
        dropped = bytes(self._backlog[:count])
        del self._backlog[:count]
        self._leave_out(dropped)

    def _leave_out(self, dropped: bytes) -> None:
        if b"\x1b[?" in dropped or b"\x1bc" in dropped:
            self._switches.extend(_SWITCH.findall(dropped))
        self._decoder, self._escapes = Decoder(), escapes.Output()

    def _tail(self) -> int:
        """Where the last two screenfuls of lines begin; at most TAIL bytes from the end."""
        start = max(len(self._backlog) - TAIL, 0)
        at = len(self._backlog)
        if not self.terminal.is_alternate:
            for _ in range(2 * self.terminal.lines):
                at = self._backlog.rfind(b"\n", start, at)
                if at < 0:
                    break
            if at > 0:
                return at
        return max(self._backlog.find(b"\n", start), start)

    def _draw(self, text: str, until: float) -> bool:
        """False: `until` (of this thread's clock) has come before all was drawn."""
        for piece in self._escapes.cut(text):
            if piece[0] in "\x1b\x9b\x9d\x90\x98\x9e\x9f":
                self._sequence(piece)
                if time.thread_time() > until:
                    return False
                continue
            for run in _CONTROLS.findall(piece):
                if run[0] < " " or run[0] == "\x7f":
                    self.terminal.control(run)
                else:
                    self._text(run)
                if time.thread_time() > until:
                    return False
        return True

    def _text(self, run: str) -> None:
        if run.isascii():
            self._last = run[-1]
            self.terminal.draw(run)
            return
        for char in run:
            width = wcwidth(char)
            if width >= 0:
                self.terminal.put(char, width)
                self._last = char

    def _sequence(self, piece: str) -> None:
        if match := _CSI.fullmatch(piece):
            params = [min(int(part[:5] or 0), 9999) for part in match[2].split(";")][:32]
            if match[3] == "b" and not match[1]:
                self._text(self._last * min(params[0] or 1, self.terminal.columns))
            else:
                with contextlib.suppress(
                    LookupError, NameError, TypeError, ValueError
                ):  # pyte's, over a hostile target
                    self.terminal.csi(match[3], params, is_private=bool(match[1]))
        elif len(piece) == 2:
            self.terminal.escape(piece[1])


def _size(cols: int, rows: int) -> tuple[int, int]:
    """A client may claim any size."""
    return max(2, min(cols, 500)), max(1, min(rows, 300))
