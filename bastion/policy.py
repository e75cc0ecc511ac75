"""Which commands a shell line runs, and what the rules say of them. Pure; a guard rail, no shell.

Where shells differ or a line is left open, it cuts once too often rather than once too little.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import re2

from bastion.gateway.contract import CommandRule, Verdict

MOST_COMMANDS: Final = 4096
MOST_CHARACTERS: Final = 4_000_000
"""A line that runs more, all its commands together, is denied as soon as any rule forbids anything."""
DEEPEST: Final = 40
"""Nested substitutions whose text is kept as part of the command around them; deeper ones are cut out all the same."""
LONGEST_PATTERN: Final = 1000
_STRICTNESS: Final = (Verdict.ALLOW, Verdict.WARN, Verdict.REVIEW, Verdict.DENY)
_TEXT = re.compile(r"[^\\'\"`$();&|\n#]+")
_IN_DOUBLE = re.compile(r"[^\\\"`$)]+")
_ANSI_C = re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL)
_WORD = re.compile(r"(?:[^\s\\'\"]|\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"|['\"\\])+", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_FUNCTION = re.compile(r"\s*(?:function\s+)?[\w.-]+\s*\(\s*\)")
_QUOTING = re.compile(r"\\(.)|['\"]", re.DOTALL)
_RESERVED = frozenset({"{", "}", "!", "if", "then", "elif", "else", "while", "until", "do"})
_PREFIXES: Final = {
    "sudo": "ugphCTRrtUDag",
    "doas": "uC",
    "env": "uCS",
    "exec": "a",
    "nice": "n",
    "time": "fo",
    "nohup": "",
    "command": "",
    "builtin": "",
    "setsid": "",
}
"""Words that run what follows them, and their options that take a value."""
_LONG_VALUES = frozenset({"--user", "--group", "--prompt", "--chdir", "--unset", "--host", "--role", "--type"})
_RUNS = re.compile(r"[^\s]{0,200}(?:sh|su|eval)['\"]?\s")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "su"})


@dataclass(frozen=True)
class Judgement:
    """`rule` is None when none matched. `piece`: the simple command, or the whole line, that decided."""

    verdict: Verdict
    rule: CommandRule | None
    piece: str


def simple_commands(line: str) -> list[str]:
    """The whole line, then each command in it as written and, where that differs, as it is run: without assignments,
    sudo and the like, without the quotes of its words.
    """
    return _commands(line)[0]


def _commands(line: str) -> tuple[list[str], bool]:
    """Also whether it was given up because there is too much."""
    found = dict.fromkeys([line.strip()])
    waiting, size = [line], 0
    for _ in range(DEEPEST):
        scripts: list[str] = []
        for piece in (piece for text in waiting for piece in _pieces(text)):
            as_run = bare(piece)
            for command in (piece, as_run, unquoted(as_run)):
                if command and command not in found:
                    found[command] = None
                    size += len(command)
            if len(found) > MOST_COMMANDS or size > MOST_CHARACTERS:
                return [*found], True
            scripts += _scripts(as_run)
        waiting = scripts
    return [command for command in found if command], bool(waiting)


def judge(line: str, rules: Sequence[CommandRule]) -> Judgement:
    """The strictest verdict over a line and its commands; of one command, the first rule that matches decides.

    Raises ValueError for a pattern that `check_pattern` refuses.
    """
    strictest = Judgement(Verdict.ALLOW, None, line.strip())
    if not rules:
        return strictest
    commands, is_cut = _commands(line)
    if is_cut and any(rule.verdict in {Verdict.DENY, Verdict.REVIEW} for rule in rules):
        return Judgement(Verdict.DENY, None, line.strip()[:200])
    compiled = [(rule, _compiled(rule.pattern)) for rule in rules]
    for command in commands:
        rule = next((rule for rule, pattern in compiled if pattern.search(command)), None)
        if rule is None:
            continue
        stricter = _STRICTNESS.index(rule.verdict) - _STRICTNESS.index(strictest.verdict)
        if stricter > 0 or (stricter == 0 and strictest.rule is None):
            strictest = Judgement(rule.verdict, rule, command)
    return strictest


def fits(pattern: str, command: str) -> bool:
    """Whether a rule with this pattern is about this command. Raises ValueError as `check_pattern` does."""
    return bool(_compiled(pattern).search(command))


def check_pattern(pattern: str) -> None:
    """Raises ValueError that says why this is no RE2 expression."""
    _compiled(pattern)


@lru_cache(maxsize=2048)
def _compiled(pattern: str) -> "re2._Regexp[str]":
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"A pattern has 1 to {LONGEST_PATTERN} characters.")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as problem:
        reason = problem.args[0]
        words = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"This is not a regular expression that RE2 understands: {words}") from None


@dataclass
class _Open:
    """A construct that is not closed yet: the line itself, `(`, a backtick or a double quote."""

    closer: str
    start: int
    is_comment: bool = False


def _pieces(line: str) -> Iterator[str]:
    """The pieces between separators, inner ones before those around them."""
    stack = [_Open("", 0)]
    at, size = 0, len(line)
    while at < size:
        top = stack[-1]
        if top.closer == '"':
            at = yield from _in_double_quotes(line, at, stack)
            continue
        if match := _TEXT.match(line, at):
            at = match.end()
            continue
        char = line[at]
        if char == "\\":
            at += 2
        elif char in "'\"" and top.is_comment:
            at += 1
        elif char == "'":
            at = _after_single(line, at)
        elif char == '"':
            stack.append(_Open('"', at))
            at += 1
        elif char in "(`)" or (char == "$" and line.startswith("$(", at)):
            at = yield from _bracket(line, at, stack)
        elif char in ";&|\n":
            at = yield from _separator(line, at, top)
        else:
            top.is_comment = top.is_comment or (char == "#" and (at == 0 or line[at - 1] in " \t\n;&|("))
            at += 1
    for left in reversed(stack):
        if left.closer != '"':
            yield from _said(line, left.start, size)


def _in_double_quotes(line: str, at: int, stack: list[_Open]) -> Generator[str, None, int]:
    if match := _IN_DOUBLE.match(line, at):
        return match.end()
    char = line[at]
    if char == "\\":
        return at + 2
    if char == '"':
        stack.pop()
        return at + 1
    if char == "`" or line.startswith("$(", at):
        return (yield from _bracket(line, at, stack))
    return at + 1


def _bracket(line: str, at: int, stack: list[_Open]) -> Generator[str, None, int]:
    """Open or close a subshell or a substitution."""
    char = line[at]
    if char == ")" or (char == "`" and any(left.closer == "`" for left in stack)):
        return (yield from _close(line, at, stack, char))
    after = at + (2 if char == "$" else 1)
    if len(stack) < DEEPEST:
        stack.append(_Open("`" if char == "`" else ")", after))
    else:
        yield from _said(line, stack[-1].start, at)
        stack[-1].start = after
    return after


def _close(line: str, at: int, stack: list[_Open], closer: str) -> Generator[str, None, int]:
    while len(stack) > 1 and any(left.closer == closer for left in stack):
        left = stack.pop()
        if left.closer != '"':
            yield from _said(line, left.start, at)
        if left.closer == closer:
            return at + 1
    yield from _said(line, stack[-1].start, at)
    stack[-1].start = at + 1
    return at + 1


def _separator(line: str, at: int, top: _Open) -> Generator[str, None, int]:
    char = line[at]
    is_redirection = (char in "&|" and at > 0 and line[at - 1] in "<>") or line.startswith("&>", at)
    if is_redirection and not top.is_comment:
        return at + 1
    yield from _said(line, top.start, at)
    top.start = at + 1
    top.is_comment = top.is_comment and char != "\n"
    return at + 1


def _said(line: str, start: int, end: int) -> Iterator[str]:
    if piece := line[start:end].strip():
        yield piece


def _after_single(line: str, at: int) -> int:
    if at and line[at - 1] == "$" and (match := _ANSI_C.match(line, at + 1)):
        return match.end() + 1
    end = line.find("'", at + 1)
    return end + 1 if end >= 0 else len(line)


def bare(piece: str) -> str:
    """A command without what only stands before it; empty when nothing else is there."""
    valued: str | None = None
    is_value = False
    start = head.end() if (head := _FUNCTION.match(piece)) else 0
    for match in _WORD.finditer(piece, start):
        word = unquoted(match[0])
        if is_value:
            is_value = False
        elif valued is not None and word.startswith("-") and len(word) > 1:
            is_value = word in _LONG_VALUES if word[1] == "-" else _takes_next(word[1:], valued)
        elif _ASSIGNMENT.match(word) or word in _RESERVED:
            continue
        elif (name := word.rsplit("/", 1)[-1]) in _PREFIXES:
            valued = _PREFIXES[name]
        else:
            return piece[match.start() :]
    return ""


def _takes_next(letters: str, valued: str) -> bool:
    """Whether the first of these options that takes a value has it in the next word."""
    first = next((at for at, letter in enumerate(letters) if letter in valued), None)
    return first == len(letters) - 1


def unquoted(text: str) -> str:
    return _QUOTING.sub(lambda match: match[1] or "", text)


def _scripts(command: str) -> list[str]:
    """What `sh -c '…'` and `eval …` run."""
    words = [unquoted(match[0]) for match in _WORD.finditer(command)] if _RUNS.match(command) else []
    name = words[0].rsplit("/", 1)[-1] if words else ""
    if name == "eval":
        return [" ".join(words[1:])]
    if name in _SHELLS:
        return [words[at + 1] for at, word in enumerate(words[:-1]) if re.fullmatch(r"-[a-z]*c", word)][:1]
    return []
