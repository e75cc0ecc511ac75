"""What of a person's typing may be recorded: what the target has echoed, keys that are no text, and else one bullet.

Without a terminal nothing is echoed: there all is recorded, but for lines that answer a question for a secret.

Characters stay in memory until their echo comes, until the line that was entered is over, or until they have waited
too long; only then are they handed out. Pure: moments are passed in, in seconds of any one clock.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Final

from bastion.gateway.recording import escapes
from bastion.gateway.recording.cast import Decoder
from bastion.policy import bare

HIDDEN: Final = "•"
WAIT_S: Final = 5.0
"""How long an echo may take; what comes later is hidden."""
ESCAPE_S: Final = 0.1
"""How long the rest of a key's escape sequence may take."""
ENDING: Final = frozenset("\r\n\x03\x04\x0f\x1a\x1c")
"""Keys that end a line: Enter, Ctrl-J, Ctrl-C, Ctrl-D, Ctrl-O, Ctrl-Z, Ctrl-backslash."""
_LINE = 4096
_RUN = 1024
"""Characters of typed text that are looked for at a time."""
MOST_WAITING: Final = 64 * 1024
"""Keys that wait for their echo; of more, the oldest are hidden."""
_LOOK = 12 * 1024
"""Bytes at the beginning of one output in which an echo is looked for, beside its end."""
_CONTROLS = re.compile(r"[\x00-\x1f]+")
_ASKS = re.compile(
    r"(pass(word|phrase|code|wd)|secret|\bPIN\b|口令|密码|密碼|パスワード)[^:：?？]{0,200}[:：?？]\s*$", re.IGNORECASE
)
_READS = re.compile(
    r"\bsudo(\s+-\S+(\s+[^-\s]\S*)?){0,8}?\s+(-[A-Za-z]*S[A-Za-z]*|--stdin)(?!\S)|\bpasswd\s.{0,200}--stdin\b|--password-stdin\b"
)
_ALL_SECRET = re.compile(r"(\S*/)?chpasswd\b")
_PROMPT = 512
"""Bytes at the end of the output in which a question is looked for."""


def asks_for_secret(prompt: str) -> bool:
    """Whether what stands before the cursor asks for a password; nothing else may stand after the colon."""
    return _ASKS.search(prompt[-400:]) is not None


def reads_secret(command: str) -> bool:
    """Whether a command takes a secret from the first line of its input, asked or not."""
    return _READS.search(command) is not None


def _holds(text: str, run: str) -> bool:
    """Whether the characters stand in this order, whatever is between: a program draws its line anew for each."""
    rest = iter(text)
    return all(char in rest for char in run)


@dataclass(slots=True)
class _Key:
    text: str
    at: float
    is_text: bool
    is_secret: bool
    is_ahead: bool
    """It was typed before the line before it had ended: any new line may come before its echo."""
    shown: int
    """How much had been shown when it was typed."""


class Redactor:
    def __init__(self, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._typed, self._shown = Decoder(), Decoder()
        self._keys, self._escapes = escapes.Keys(), escapes.Output()
        self._waiting: list[_Key] = []
        self._endings = 0
        """How many of them end a line."""
        self._line = ""
        """The end of what stands on the line that the target writes now."""
        self._echo, self._shown_chars = "", 0
        """What it has shown since the first waiting key, on this line or, to what was typed ahead, at all."""
        self._owed = 0
        """Keys that end a line and were handed out before the new line that they cause."""
        self._asks: bool | None = None
        self._is_hidden = False
        self._key_at = 0.0

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def asks(self) -> bool:
        """Whether the line that is typed now answers a question for a secret."""
        return asks_for_secret(self._line) if self._asks is None else self._asks

    def typed(self, data: bytes, now: float) -> str:
        """Somebody types; returns what may be recorded."""
        self._escapes.interrupt()
        self._key_at = now
        return self._take(self._keys.cut(self._typed.feed(data)), now)

    def shown(self, data: bytes, now: float) -> str:
        """The target shows something; returns what may be recorded."""
        if not self._waiting:
            self._owed = max(0, self._owed - data.count(b"\n")) if self._owed else 0
            self._remember(self._text(data[max(data.rfind(b"\n"), len(data) - _LINE, 0) :]))
            return ""
        said: list[str] = []
        text = self._text(data if len(data) <= _LOOK + _LINE else data[:_LOOK] + data[-_LINE:])
        while self._waiting and "\n" in text and (self._owed or not self._waiting[0].is_ahead):
            if not self._endings:
                text = text[text.rfind("\n") + 1 :]  # no echo of text begins a line: somebody else writes
                self._echo, self._line, self._asks, self._owed = "", "", self._asks or None, 0
                break
            line, _, text = text.partition("\n")
            said.append(self._match(line))
            said.append("" if self._owed or self._is_ahead() else self._end_line())
            self._owed = max(0, self._owed - 1)
            self._line = self._echo = ""
        said.append(self._match(text))
        self._remember(text)
        return "".join(said)

    def settle(self, now: float) -> str:
        """What has waited too long is hidden; returns what may be recorded. To be called about once a second."""
        rest = self._keys.flush() if self._keys.is_open and now - self._key_at >= ESCAPE_S else ""
        said = self._take([rest], now) if rest else ""
        while self._waiting and now - self._waiting[0].at >= self._wait_s:
            said += self._hide() + self._release()
        return said

    def close(self) -> str:
        rest = [*self._keys.cut(self._typed.close()), self._keys.flush()]
        said = self._take([key for key in rest if key], self._key_at)
        while self._waiting:
            said += self._hide() + self._release()
        return said

    def _take(self, keys: Iterable[str], now: float) -> str:
        for key in keys:
            is_text = key >= " " and key != "\x7f"
            if is_text and self._asks is None:
                self._asks = asks_for_secret(self._line)
            if not self._waiting:
                self._echo = ""
            is_ahead = self._owed > 0 or self._endings > 0 or self._is_ahead()
            is_secret = is_text and bool(self._asks)
            self._waiting.append(_Key(key, now, is_text, is_secret, is_ahead, self._shown_chars))
            if key in ENDING:
                self._asks = None
                self._endings += 1
        said = ""
        if len(self._waiting) > MOST_WAITING:
            said += self._give_up(len(self._waiting) - MOST_WAITING // 2)
        while self._waiting and self._waiting[0].is_secret:
            said += self._hide() + self._release()
        return said + self._release()

    def _text(self, data: bytes) -> str:
        pieces = self._escapes.cut(self._shown.feed(data))
        return "".join(piece for piece in pieces if piece[0] not in "\x1b\x9b\x9d\x90\x98\x9e\x9f")

    def _remember(self, text: str) -> None:
        if "\n" in text and not self._asks:
            self._asks = None
        line = (self._line + text).rsplit("\n", 1)[-1]
        self._line = line.rstrip("\r").rsplit("\r", 1)[-1][-_LINE:]

    def _match(self, text: str) -> str:
        """Take waiting characters for echoed that are shown in their order."""
        text = _CONTROLS.sub("", text)
        self._shown_chars += len(text)
        self._echo += text
        said = ""
        while self._echo and self._waiting and self._waiting[0].is_text:
            run = self._run()
            if (at := self._echo.find(run)) >= 0:
                count, self._echo = len(run), self._echo[at + len(run) :]
            elif not self._endings and self._echo[0] == run[0]:
                both = zip(self._echo, run, strict=False)
                count = next((n for n, (shown, typed) in enumerate(both) if shown != typed), len(self._echo))
                self._echo = self._echo[count:]
            elif not self._endings and len(run) > 1 and _holds(self._echo, run):
                count, self._echo = len(run), ""
            elif hidden := self._passed_over():
                said += hidden
                continue
            else:
                break
            said += self._say("".join(key.text for key in self._waiting[:count]))
            del self._waiting[:count]
            said += self._release()
        self._echo = self._echo[-_LINE:]
        return said

    def _passed_over(self) -> str:
        """The echo of the line after the first has come, so that of the first never will."""
        end = next((at for at, key in enumerate(self._waiting) if key.text in ENDING), len(self._waiting))
        if not (run := self._run(end + 1)):
            return ""
        since = self._shown_chars - self._waiting[end + 1].shown
        echo = self._echo[-since:] if since else ""
        if not (echo.startswith(run) or (len(run) >= 3 and run in echo)):
            return ""
        self._echo = echo
        return self._end_line()

    def _is_ahead(self) -> bool:
        return bool(self._waiting) and self._waiting[0].is_ahead

    def _run(self, start: int = 0) -> str:
        keys = self._waiting[start : start + _RUN]
        return "".join([key.text for key in takewhile(lambda key: key.is_text, keys)])

    def _end_line(self) -> str:
        """The target has begun a new line: what was entered before and not echoed will not be."""
        said, is_over = "", False
        while self._waiting and not is_over:
            said += self._hide()
            if self._waiting:
                key = self._waiting.pop(0)
                is_over = key.text in ENDING
                self._endings -= is_over
                said += self._say(key.text)
        return said + self._release()

    def _hide(self) -> str:
        count = len(self._run())
        del self._waiting[:count]
        if not count or self._is_hidden:
            return ""
        self._is_hidden = True
        return HIDDEN

    def _give_up(self, count: int) -> str:
        """Hide the oldest keys, many at once."""
        given_up = self._waiting[:count]
        del self._waiting[:count]
        self._endings -= sum(key.text in ENDING for key in given_up)
        runs = groupby(given_up, key=lambda key: key.is_text)
        return "".join(HIDDEN if is_text else "".join(key.text for key in run) for is_text, run in runs)

    def _release(self) -> str:
        """Keys that are no text wait only for those before them."""
        count = next((at for at, key in enumerate(self._waiting) if key.is_text), len(self._waiting))
        said = "".join(key.text for key in self._waiting[:count])
        del self._waiting[:count]
        ended = sum(char in ENDING for char in said)
        self._owed, self._endings = self._owed + ended, self._endings - ended
        return self._say(said)

    def _say(self, text: str) -> str:
        if text:
            self._is_hidden = False
        return text


class Secrets:
    """Which lines of input without a terminal are secrets: those before which the last that the target wrote asks for
    one, and the first after a command that reads one from its input, which may well come before the question."""

    def __init__(self, command: str = "") -> None:
        self._is_all = _ALL_SECRET.match(bare(command)) is not None
        self._follows, self._end = reads_secret(command), b""
        self._is_secret: bool | None = None

    def shown(self, data: bytes) -> None:
        self._end = (self._end + data[-_PROMPT:])[-_PROMPT:]

    @property
    def is_secret(self) -> bool:
        """Of the line that is read now; asked as soon as it begins."""
        if self._is_secret is None:
            asks = self._is_all or self._follows or asks_for_secret(self._end.decode("utf-8", "replace"))
            self._is_secret, self._end = asks, b""
        return self._is_secret

    def ended(self, line: str) -> None:
        self._follows = not self.is_secret and reads_secret(line)
        self._is_secret = None


class PipeRedactor:
    """In place of a `Redactor` where there is no terminal."""

    is_waiting = False

    def __init__(self, command: str = "") -> None:
        self._typed, self._secrets = Decoder(), Secrets(command)
        self._line, self._is_hidden = "", False

    def typed(self, data: bytes, now: float) -> str:
        said: list[str] = []
        for part in re.findall(r"[^\n]*\n|[^\n]+", self._typed.feed(data)):
            is_secret = self._secrets.is_secret
            if not is_secret:
                said.append(part)
            elif not self._is_hidden:
                said.append(HIDDEN)
            self._is_hidden = is_secret
            self._line = (self._line + part)[:_LINE]
            if part[-1] == "\n":
                said.append("\n" if is_secret else "")
                self._secrets.ended(self._line)
                self._line, self._is_hidden = "", False
        return "".join(said)

    def shown(self, data: bytes, now: float) -> str:
        self._secrets.shown(data)
        return ""

    def settle(self, now: float) -> str:
        return ""

    def close(self) -> str:
        rest = self._typed.close()
        return "" if self._secrets.is_secret else rest
