"""pyte's screen with what it lacks: the alternate screen, wrapped lines, a scroll-back, a redraw of itself."""

import unicodedata
from collections import deque
from collections.abc import Iterator
from typing import Final

import pyte
from pyte import graphics, modes
from pyte.screens import Char, Cursor, Margins, StaticDefaultDict
from wcwidth import wcwidth

SCROLLED: Final = 200
"""Lines that have left the screen and can still be read, as a long command's beginning may have."""
LONGEST_LINE: Final = 32 * 1024
"""Cells of one wrapped line that are read."""
MOST_MARKED: Final = 9
"""A character and its marks, in one cell."""
LONGEST_REDRAW: Final = 1024 * 1024
"""Characters of what redraws a screen; a wide one with colours of its own in each cell would take ten times as many."""
_BASIC = {"\b": "backspace", "\t": "tab", "\n": "linefeed", "\v": "linefeed", "\f": "linefeed", "\r": "carriage_return"}
_ESCAPES = {"D": "index", "E": "next_line", "M": "reverse_index", "H": "set_tab_stop", "7": "save_cursor"}
_ESCAPES |= {"8": "restore_cursor", "c": "reset"}
_CSI = {final: name for final, name in pyte.Stream.csi.items() if name not in {"set_mode", "reset_mode"}}
_CSI |= {"s": "save_cursor", "u": "restore_cursor"}
_WITHOUT_PARAMETERS = {"save_cursor", "restore_cursor"}
_SILENT = {"report_device_attributes", "report_device_status"}
_ALTERNATE = {47, 1047, 1049}
_KEPT = {1, 9, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 2004}
"""Private modes that change nothing on the screen, but what keys, mouse and pastes send."""
_FOREGROUND = {name: str(code) for code, name in {**graphics.FG_ANSI, **graphics.FG_AIXTERM}.items()}
_BACKGROUND = {name: str(code) for code, name in {**graphics.BG_ANSI, **graphics.BG_AIXTERM}.items()}
_FLAGS = {"bold": "1", "italics": "3", "underscore": "4", "blink": "5", "reverse": "7", "strikethrough": "9"}
_PLAIN = Char(" ")

Line = StaticDefaultDict[int, Char]


class Terminal(pyte.Screen):
    def __init__(self, columns: int, lines: int) -> None:
        self.scrolled = 0
        """Lines that have left the top; row numbers that stay the same count from the first of them."""
        self.history: deque[Line] = deque(maxlen=SCROLLED)
        self.wrapped: set[int] = set()
        """Row numbers that go on with the row above."""
        self.kept_modes: set[int] = set()
        self._main: tuple[dict[int, Line], Cursor, Margins | None, set[int]] | None = None
        super().__init__(columns, lines)

    @property
    def is_alternate(self) -> bool:
        return self._main is not None

    # --- what the target says ---------------------------------------------------------------------------------------

    def control(self, char: str) -> None:
        if name := _BASIC.get(char):
            getattr(self, name)()

    def escape(self, char: str) -> None:
        if name := _ESCAPES.get(char):
            getattr(self, name)()

    def csi(self, final: str, params: list[int], *, is_private: bool) -> None:
        if final in "hl":
            for mode in params:
                self._mode(mode, is_private=is_private, is_on=final == "h")
            return
        name = _CSI.get(final)
        if name is None or name in _SILENT or (is_private and name not in {"erase_in_line", "erase_in_display"}):
            return
        if name == "select_graphic_rendition":
            self.select_graphic_rendition(*params)
        elif name in _WITHOUT_PARAMETERS:
            getattr(self, name)()
        else:
            getattr(self, name)(*params[: 2 if name in {"cursor_position", "set_margins"} else 1])

    def next_line(self) -> None:
        self.carriage_return()
        self.linefeed()

    def put(self, char: str, width: int) -> None:
        """Draw one character of any width. pyte leaves half of a wide one outside, and stops at one without width."""
        if width == 2 and self.cursor.x == self.columns - 1 and modes.DECAWM in self.mode:
            self.cursor.x = self.columns
        if width:
            self.draw(char)
        elif unicodedata.combining(char) and self.cursor.x:
            line, x = self.buffer[self.cursor.y], self.cursor.x - 1
            x -= line[x].data == "" and x > 0
            if len(line[x].data) < MOST_MARKED:
                line[x] = line[x]._replace(data=unicodedata.normalize("NFC", line[x].data + char))

    def draw(self, data: str) -> None:
        if self.cursor.x + len(data) < self.columns:
            super().draw(data)
            return
        for char in data:
            is_full = self.cursor.x >= self.columns
            super().draw(char)
            if is_full and self.cursor.x < self.columns and modes.DECAWM in self.mode:
                self.wrapped.add(self.number)

    def index(self) -> None:
        top, bottom = self.margins or Margins(0, self.lines - 1)
        if self.cursor.y == bottom and top == 0 and not self.is_alternate:
            self._scroll_off()
        super().index()

    def save_cursor(self) -> None:
        super().save_cursor()
        del self.savepoints[:-1]

    def erase_in_display(self, how: int = 0, *args: object, **kwargs: object) -> None:
        if how not in {0, 1, 2, 3}:
            return
        super().erase_in_display(how)
        if how in {2, 3}:
            self.wrapped.clear()
        elif how == 0:
            below = self.number + (self.cursor.x > 0)
            self.wrapped = {number for number in self.wrapped if number < below}

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        if how not in {0, 1, 2}:
            return
        super().erase_in_line(how)
        if how == 2 or (how == 0 and self.cursor.x == 0):
            self.wrapped.discard(self.number)

    def reset(self) -> None:
        super().reset()
        self._main = None
        self.wrapped.clear()
        self.kept_modes.clear()
        self.savepoints.clear()

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """As terminals do it that do not reflow: the cursor's line stays, blank lines below it go first."""
        lines, columns = lines or self.lines, columns or self.columns
        if (gone := self.cursor.y - lines + 1) > 0:
            for y in range(0 if self.is_alternate else gone):
                self._scroll_off(y)
            left = {y - gone: line for y, line in self.buffer.items() if y >= gone}
            self.buffer.clear()
            self.buffer.update(left)
            self.cursor.y -= gone
        for y in [y for y in self.buffer if y >= lines]:
            del self.buffer[y]
        for row in self.buffer.values():
            for x in [x for x in row if x >= columns]:
                del row[x]
        self.lines, self.columns, self.margins = lines, columns, None
        self.tabstops = set(range(8, columns, 8))
        self.cursor.x = min(self.cursor.x, columns - 1)

    def _scroll_off(self, y: int = 0) -> None:
        self.history.append(self.buffer[y])
        self.scrolled += 1
        self.wrapped.discard(self.scrolled - SCROLLED)

    def _mode(self, mode: int, *, is_private: bool, is_on: bool) -> None:
        if not is_private:
            if mode == 4:
                (self.set_mode if is_on else self.reset_mode)(mode)
        elif mode in _ALTERNATE:
            (self._enter_alternate if is_on else self._leave_alternate)()
        elif mode in _KEPT:
            (self.kept_modes.add if is_on else self.kept_modes.discard)(mode)
        elif mode in {6, 7, 25}:
            (self.set_mode if is_on else self.reset_mode)(mode, private=True)
        elif mode == 1048:
            (self.save_cursor if is_on else self.restore_cursor)()

    def _enter_alternate(self) -> None:
        if self._main is None:
            cursor = Cursor(self.cursor.x, self.cursor.y, self.cursor.attrs)
            self._main = dict(self.buffer), cursor, self.margins, self.wrapped
            self.buffer.clear()
            self.margins, self.wrapped = None, set()

    def _leave_alternate(self) -> None:
        if self._main is not None:
            lines, cursor, self.margins, self.wrapped = self._main
            self._main = None
            self.buffer.clear()
            self.buffer.update(lines)
            self.cursor.x, self.cursor.y = min(cursor.x, self.columns - 1), min(cursor.y, self.lines - 1)
            self.cursor.attrs = cursor.attrs

    # --- what can be read --------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The row number of the cursor's line."""
        return self.cursor.y + self.scrolled

    def start(self, number: int) -> int:
        """The row number at which the logical line begins that row `number` belongs to."""
        first = max(self.scrolled - len(self.history), number - LONGEST_LINE // self.columns)
        while number in self.wrapped and number > first:
            number -= 1
        return number

    def end(self, number: int) -> int:
        last = number + LONGEST_LINE // self.columns
        while number + 1 in self.wrapped and number < last:
            number += 1
        return number

    def text(self, first: int, last: int, until: int | None = None) -> str:
        """Rows `first` to `last` as one text, the last up to column `until`; without it, blanks at the end go."""
        parts = [self._row(number, self.columns) for number in range(first, last)]
        tail = self._row(last, self.columns if until is None else until)
        return "".join([*parts, tail.rstrip(" ") if until is None else tail])

    def _row(self, number: int, until: int) -> str:
        y = number - self.scrolled
        lost = y < -len(self.history)
        line = None if lost else self.history[y] if y < 0 else self.buffer.get(y)
        if line is None:
            return " " * until
        filled = max((x for x in line if x < until), default=-1) + 1
        text = "".join([self._whole(line, x) for x in range(filled)])
        is_wide_cut = filled < until and filled == self.columns - 1 and number + 1 in self.wrapped
        return text if is_wide_cut else text + " " * (until - filled)

    def _whole(self, line: Line, x: int) -> str:
        """What stands in a column; a blank for either half of a wide character whose other half is gone."""
        char = line[x].data
        if char.isascii() and char:
            return char
        if not char:
            return "" if x and wcwidth(line[x - 1].data[:1] or " ") == 2 else " "
        is_half = wcwidth(char[0]) == 2 and (x + 1 >= self.columns or line[x + 1].data != "")
        return " " if is_half else char

    def redraw(self) -> str:
        """What draws this screen on one that shows anything; nothing when that would be too long."""
        said: list[str] = []
        left = LONGEST_REDRAW
        for part in self._redrawn():
            said.append(part)
            left -= len(part)
            if left < 0:
                return ""
        return "".join(said)

    def _redrawn(self) -> Iterator[str]:
        yield "\x1bc"
        if self._main is not None:
            yield from self._drawn(self._main[0])
            yield f"\x1b[{self._main[1].y + 1};{self._main[1].x + 1}H\x1b[?1049h\x1b[H"
        yield from self._drawn(self.buffer)
        if self.margins is not None:
            yield f"\x1b[{self.margins.top + 1};{self.margins.bottom + 1}r"
        yield from (f"\x1b[?{mode}h" for mode in sorted(self.kept_modes))
        yield "" if modes.DECAWM in self.mode else "\x1b[?7l"
        yield "\x1b[4h" if modes.IRM in self.mode else ""
        yield f"\x1b[{self.cursor.y + 1};{min(self.cursor.x, self.columns - 1) + 1}H{_rendition(self.cursor.attrs)}"
        yield "\x1b[?25l" if self.cursor.hidden else ""

    def _drawn(self, lines: dict[int, Line]) -> Iterator[str]:
        for y in sorted(lines):
            line = lines[y]
            width = max((x for x, char in line.items() if char != _PLAIN and x < self.columns), default=-1) + 1
            if not width:
                continue
            said, before = [f"\x1b[{y + 1}H"], _PLAIN
            for x in range(width):
                char = line[x]
                if char[1:] != before[1:]:
                    said.append(_rendition(char))
                    before = char
                said.append(self._whole(line, x))
            yield "".join([*said, "\x1b[m" if before[1:] != _PLAIN[1:] else ""])


def _rendition(char: Char) -> str:
    codes = ["0", *(code for name, code in _FLAGS.items() if getattr(char, name))]
    for name, known, extended in ((char.fg, _FOREGROUND, "38"), (char.bg, _BACKGROUND, "48")):
        if name == "default":
            continue
        rgb = ";".join(str(int(name[at : at + 2], 16)) for at in (0, 2, 4)) if name not in known else ""
        codes.append(known.get(name) or f"{extended};2;{rgb}")
    return f"\x1b[{';'.join(codes)}m"
