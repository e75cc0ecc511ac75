"""What people type to the robot, in Chinese and in English, and what they mean by it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from notify.inbound.signals import SEVERITY_OF_WORD


class Word(StrEnum):
    BIND = "bind"
    LIST = "list"
    ACKNOWLEDGE = "acknowledge"
    COMMENT = "comment"
    NEW = "new"
    HELP = "help"
    SAY = "say"  # no command: something that somebody wants us to know


@dataclass(frozen=True, slots=True)
class Command:
    """`incident` is the number that was named, or None; `text` what is left to say; `severity` 1 to 4 or None."""

    word: Word
    text: str = ""
    incident: int | None = None
    severity: int | None = None


NUMBER: Final = re.compile(r"(?:INC-?|#)\s?0*(\d{1,12})(?!\d)", re.IGNORECASE)
BARE_NUMBER: Final = re.compile(r"0*(\d{1,12})(?!\d)")
MENTION: Final = re.compile(r"^(?:@\S+\s*)+")
LEADING_SEVERITY: Final = re.compile(r"^[\[【(（]?\s*([^\W\d_]{2,8}|[Pp][1-4])\s*[\]】)）:：]\s*")
CODE: Final = re.compile(r"\d{8}")
VERBS: Final[tuple[tuple[Word, tuple[str, ...]], ...]] = (
    (Word.BIND, ("绑定", "bind")),
    (Word.LIST, ("列表", "我的事件", "未解决", "事件列表", "list", "my incidents")),
    (Word.ACKNOWLEDGE, ("确认", "认领", "接手", "ack", "acknowledge")),
    (Word.COMMENT, ("评论", "回复", "备注", "comment", "reply")),
    (Word.NEW, ("新事件", "报障", "新建", "new", "raise")),
    (Word.HELP, ("帮助", "help", "?", "？")),
)
WITHOUT_MORE: Final = frozenset({Word.LIST, Word.HELP})
"""A sentence that begins with one of these words is a sentence: these stand alone."""


def read(said: str) -> Command:
    """What a message means. It never fails: what is no command is something to be said."""
    text = MENTION.sub("", said.strip()).strip()
    for word, names in VERBS:
        for name in names:
            rest = _after(text, name)
            if rest is None or (word in WITHOUT_MORE and rest):
                continue
            command = _command(word, rest)
            if command is not None:
                return command
    return _saying(text)


def code_in(text: str) -> str:
    """The eight digits of a binding code, or nothing."""
    found = CODE.fullmatch(text.replace(" ", "").replace("-", ""))
    return found[0] if found else ""


def _after(text: str, name: str) -> str | None:
    if text[: len(name)].lower() != name:
        return None
    rest = text[len(name) :]
    is_word = not name[-1].isascii() or not rest or not rest[0].isalnum()
    return rest.strip(" \t\n:：,，") if is_word else None


def _command(word: Word, rest: str) -> Command | None:
    match word:
        case Word.ACKNOWLEDGE:
            number, left = _number(rest)
            return None if left else Command(word, incident=number)  # "确认一下…" is a sentence, no command
        case Word.COMMENT:
            number, left = _number(rest)
            return Command(word, left, number) if left else None
        case Word.NEW:
            severity, left = _severity(rest)
            return Command(word, left, severity=severity) if left else None
        case Word.BIND:
            return Command(word, rest) if code_in(rest) else None
    return Command(word, rest)


def _saying(text: str) -> Command:
    named = NUMBER.search(text)
    severity, left = _severity(text)
    return Command(Word.SAY, left, int(named[1]) if named else None, severity)


def _number(rest: str) -> tuple[int | None, str]:
    found = NUMBER.match(rest) or BARE_NUMBER.match(rest)
    return (int(found[1]), rest[found.end() :].strip(" \t\n:：,，")) if found else (None, rest)


def _severity(text: str) -> tuple[int | None, str]:
    """`[严重] …` and `灾难：…` say how bad it is; any other word before a colon is part of the text."""
    found = LEADING_SEVERITY.match(text)
    severity = SEVERITY_OF_WORD.get(found[1].lower()) if found else None
    return (severity, text[found.end() :].strip()) if found and severity else (None, text)
