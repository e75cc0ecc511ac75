"""Which command somebody entered, read from the screen on which they saw it.

The prompt is remembered at the first key of a line, and at Enter what stands behind it is read: completion, history,
search and editing come out as they were run. Where the screen says nothing of use (an editor, a pager, tmux: the
alternate screen) or too little (a paste whose echo is still to come), the keys do, as far as they were echoed.
An aid for audit and a guard rail, no border: the whole input and output are the evidence.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from bastion.gateway.recording import escapes
from bastion.gateway.recording.cast import Decoder
from bastion.gateway.recording.screen import Screen
from bastion.gateway.redaction import HIDDEN, Redactor

Source = Literal["screen", "keys"]
ENTER: Final = b"\r\n\x0f"
"""Keys that run the line: Enter, Ctrl-J, and Ctrl-O, which also fetches the next one."""
LONGEST: Final = 64 * 1024
"""Characters of one line that are kept."""
_ABANDON = frozenset("\x03\x1c")
_ERASE = frozenset("\x7f\b")
_PASTE, _PASTED = "\x1b[200~", "\x1b[201~"
_SEARCH = re.compile(r"\((?:failed )?(?:reverse-|forward-|bck-|fwd-)?i-search\)`[^\n]*?': ?(?P<found>.*)$", re.DOTALL)
_SEARCHED = 4096
"""Characters at a line's end in which a history search is looked for: its time grows with their square."""
_PROMPT = re.compile(r"^[^\n]{0,200}?[#$%>❯»][ \xa0](?P<rest>.*)$", re.DOTALL)


@dataclass(frozen=True)
class Entered:
    """`text` is one bullet when nothing of it was echoed."""

    text: str
    source: Source


@dataclass
class _Line:
    """What has been typed since the last Enter."""

    number: int
    """The row of the screen on which it began."""
    prompt: str
    asks: bool
    keys: list[str] = field(default_factory=list)
    echoed: list[str] = field(default_factory=list)
    fresh: int = 0
    """How many of the keys' characters came just now, so that no echo can be there yet."""
    is_plain: bool = True
    """Nothing but characters and backspaces: the keys say what the line is."""
    has_moved: bool = False
    """The cursor may stand in the middle of it."""

    @property
    def typed(self) -> str:
        return "".join(self.keys)


class CommandReader:
    """`screen`: one that somebody else feeds and resizes, before they tell this reader; else it keeps its own."""

    def __init__(self, cols: int, rows: int, screen: Screen | None = None) -> None:
        self._is_own = screen is None
        self.screen = screen or Screen(cols, rows)
        self._decoder, self._cut = Decoder(), escapes.Keys()
        self._redactor = Redactor(wait_s=float("inf"))
        self._line: _Line | None = None
        self._last_prompt = ""
        self._is_pasting = False

    def output(self, data: bytes) -> None:
        if self._is_own:
            self.screen.feed(data)
        self._echo(self._redactor.shown(data, 0.0))

    def resize(self, cols: int, rows: int) -> None:
        if self._is_own:
            self.screen.resize(cols, rows)

    def key(self, data: bytes) -> list[Entered]:
        """Keys on their way to the target; returns the lines that they enter.

        Who wants to be sure of the text hands over an Enter by itself, once the echo of what stands before it has come.
        """
        self.screen.interrupt()
        entered: list[Entered] = []
        if self._line is not None:
            self._line.fresh = 0
        for key in self._cut.cut(self._decoder.feed(data)):
            line = self._line or self._begin(is_first=not entered)
            if key in {_PASTE, _PASTED}:
                self._is_pasting = key == _PASTE
            elif key in _ABANDON:
                self._forget(key)
                continue
            elif key.encode() in {b"\r", b"\n"} and self._is_pasting:
                line.keys.append("\n")
            elif key in {"\r", "\n"} or (key == "\x0f" and not self.screen.is_alternate):
                self._echo(self._redactor.typed(b"", 0.0))
                entered += self._lines(line, is_first=not entered)
                self._forget(key)
                continue
            else:
                _press(line, key)
            self._echo(self._redactor.typed(key.encode(), 0.0))
        return entered

    def pending(self) -> str:
        """What stands on the line now and Enter would run; one bullet when it was not echoed."""
        if self._line is None:
            return ""
        self._line.fresh = 0
        return "\n".join(entered.text for entered in self._lines(self._line, is_first=True))

    def _begin(self, *, is_first: bool) -> _Line:
        self.screen.catch_up()
        terminal = self.screen.terminal
        number = terminal.start(terminal.number)
        prompt = terminal.text(number, terminal.number, terminal.cursor.x) if is_first else self._last_prompt
        self._line = _Line(number, prompt, asks=is_first and self._redactor.asks)
        return self._line

    def _forget(self, key: str) -> None:
        self._line = None
        self._is_pasting = False
        self._redactor.typed(key.encode(), 0.0)
        self._redactor.close()

    def _echo(self, text: str) -> None:
        if self._line is not None and len(self._line.echoed) < LONGEST:
            self._line.echoed += text

    def _lines(self, line: _Line, *, is_first: bool) -> list[Entered]:
        if line.asks:
            return [Entered(HIDDEN, "keys")] if line.typed else []
        if not is_first:
            return _split(line.typed, "keys")
        if self.screen.is_alternate:
            return self._from_keys(line)
        return self._from_screen(line)

    def _from_keys(self, line: _Line) -> list[Entered]:
        """What was echoed, and what has just come and could not be."""
        fresh = line.typed[len(line.typed) - line.fresh :]
        if fresh and fresh == line.typed:
            return _split(fresh, "keys")
        seen = _edited(line.echoed)
        is_missing = self._redactor.is_waiting and not fresh
        return _split(seen + (HIDDEN if is_missing and not seen.endswith(HIDDEN) else "") + fresh, "keys")

    def _from_screen(self, line: _Line) -> list[Entered]:
        whole, text = self._read(line)
        typed, fresh = line.typed, line.typed[len(line.typed) - line.fresh :]
        if line.is_plain and typed:
            if whole.endswith(typed):
                return _split(typed, "screen")
            if (text and typed.startswith(text)) or fresh == typed:
                return _split(typed, "keys")  # the rest of its echo is on its way
            if not text.strip("*• "):
                return [Entered(HIDDEN, "keys")]
            echoed = _edited(line.echoed)
            if echoed == typed:  # it was echoed, and something else was written over it
                return [*_split(text, "screen"), *_split(typed, "keys")]
        if fresh and not text.endswith(fresh):
            text += fresh
        if not text.strip() and typed:
            return [Entered(HIDDEN, "keys")]
        if self._last_prompt != line.prompt and text.strip():
            self._last_prompt = line.prompt
        return _split(text, "screen")

    def _read(self, line: _Line) -> tuple[str, str]:
        """The logical line of the cursor, and of it what stands behind the prompt."""
        self.screen.catch_up()
        terminal = self.screen.terminal
        last = terminal.end(terminal.number) if line.has_moved else terminal.number
        until = None if line.has_moved else terminal.cursor.x
        number = terminal.start(terminal.number)
        whole = rows = terminal.text(number, last, until)
        if match := _SEARCH.search(whole[-_SEARCHED:]):
            return whole, match["found"].rstrip()
        stop = max(min(line.number, number), number - terminal.lines, terminal.scrolled - len(terminal.history))
        while True:
            for prompt in (line.prompt, self._last_prompt):
                if prompt.strip() and rows.startswith(prompt):
                    return whole, rows[len(prompt) :]
            if number <= stop:
                break
            end = number - 1
            number = terminal.start(end)
            rows = terminal.text(number, end) + "\n" + rows
        if match := _PROMPT.match(whole):
            return whole, match["rest"]
        return whole, whole


def _press(line: _Line, key: str) -> None:
    if key in _ERASE:
        if line.keys:
            line.keys.pop()
        line.fresh = max(0, line.fresh - 1)
    elif key >= " ":
        if len(line.keys) < LONGEST:
            line.keys.append(key)
            line.fresh += 1
    else:
        line.is_plain = False
        line.has_moved = line.has_moved or key != "\t"


def _edited(keys: list[str]) -> str:
    """What is left of typed text after its backspaces; other control keys leave nothing."""
    left: list[str] = []
    for key in escapes.Keys().cut("".join(keys)):
        if key in _ERASE:
            del left[-1:]
        elif key >= " " or key == "\n":
            left.append(key)
    return "".join(left)


def _split(text: str, source: Source) -> list[Entered]:
    return [Entered(part.strip(), source) for part in text.split("\n") if part.strip()]
