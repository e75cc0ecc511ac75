"""Asking a person for lines over a raw terminal: before a session begins, and between sessions."""

import asyncio
import codecs
import re
import unicodedata
from collections.abc import Callable

MOST_TYPED = 4096
IDLE_S = 600.0  # Nobody is asked any longer: so long without a key, and they have gone.
ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|[^\[O])")
UNFINISHED = re.compile(r"\x1b(\[[0-?]*[ -/]*|O)?$")


class Left(Exception):
    """The person has gone, or has pressed Ctrl-C or Ctrl-D."""


class Idle(Left):
    """The person has not pressed a key for a long time."""


def width(text: str) -> int:
    """Columns on a terminal."""
    return sum(_width(char) for char in text)


def _width(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Cc", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def clean(line: str) -> str:
    """Without control characters: words of others must not move this person's cursor."""
    return "".join(char for char in line if unicodedata.category(char) not in {"Cc", "Cf"})


def fit(text: str, columns: int) -> str:
    """Exactly so many columns: cut with an ellipsis or filled with blanks. Control characters go."""
    text = clean(text)
    if width(text) > columns:
        while text and width(text) > columns - 1:
            text = text[:-1]
        text += "…" if columns else ""
    return text + " " * (columns - width(text))


class Console:
    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typed = ""
        self._is_gone = False
        self._news, self._may_go_on = asyncio.Event(), asyncio.Event()
        self._may_go_on.set()

    def write(self, text: str) -> None:
        self._write(text.replace("\n", "\r\n").encode())

    def feed(self, data: bytes) -> None:
        self._typed = (self._typed + self._decoder.decode(data))[:MOST_TYPED]
        self._news.set()

    def hold(self, is_held: bool) -> None:
        """What is typed waits while nothing of what is said about it arrives."""
        (self._may_go_on.clear if is_held else self._may_go_on.set)()

    def leave(self) -> None:
        self._is_gone = True
        self._news.set()
        self._may_go_on.set()

    def rest(self) -> bytes:
        """What was typed ahead and nobody asked for."""
        rest, self._typed = self._typed, ""
        return rest.encode()

    async def ask(self, prompt: str, *, is_secret: bool = False) -> str:
        """Raises Left, or of its kind Idle."""
        self.write(prompt)
        line = ""
        while True:
            try:
                char = await asyncio.wait_for(self._next(), IDLE_S)
            except TimeoutError:
                raise Idle from None
            if char in "\r\n":
                if char == "\r" and self._typed[:1] == "\n":
                    self._typed = self._typed[1:]
                self.write("\n")
                return line
            if char == "\x03" or (char == "\x04" and not line):
                self.write("\n")
                raise Left
            line = self._edit(line, char, is_secret)

    def _edit(self, line: str, char: str, is_secret: bool) -> str:
        if char in "\x7f\x08":
            kept = line[:-1]
        elif char == "\x15":
            kept = ""
        elif char == "\x17":
            kept = line.rstrip().rpartition(" ")[0]
        elif char < " " or len(line) >= 256:
            return line
        else:
            if not is_secret:
                self.write(char)
            return line + char
        if not is_secret:
            self.write("\b \b" * width(line[len(kept) :]))
        return kept

    async def _next(self) -> str:
        await self._may_go_on.wait()
        while True:
            self._typed = ESCAPE.sub("", self._typed)
            if self._typed and UNFINISHED.match(self._typed) is None:
                char, self._typed = self._typed[0], self._typed[1:]
                return char
            if self._is_gone:
                raise Left
            self._news.clear()
            await self._news.wait()
