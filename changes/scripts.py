"""What a script for hosts consists of, and the command line by which it reaches one. Pure.

No value is ever put into a shell's text: parameters travel as quoted environment variables (`PARAM_NAME`), the body
on the standard input. The host runs it only when all of the body has arrived, and ends it by itself after its time.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from changes.catalogue import Field, Type, Words, field_of

DATA: Final = Path(__file__).parent / "data" / "scripts"
CODE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PARAMETER: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
TYPES: Final = frozenset(
    {Type.NAME, Type.TEXT, Type.INTEGER, Type.BOOLEAN, Type.CHOICE, Type.IP, Type.CIDR, Type.DOMAIN, Type.PATH}
)
LONGEST_BODY: Final = 64_000
"""Of one argument Linux takes 128 KiB (MAX_ARG_STRLEN)."""
MOST_PARAMETERS: Final = 12
LONGEST_PATCH: Final = 120
MOST_OUTPUT: Final = 1_048_576
LONGEST_S: Final = 900
TIMED_OUT: Final = 124
"""What coreutils' `timeout` ends with."""
KILLED: Final = 137
"""The same when the script took no notice and was killed after `KILLED_AFTER_S` (128 + SIGKILL)."""
INCOMPLETE: Final = 125
"""What the wrapper ends with when not all of the body arrived; nothing was run."""
KILLED_AFTER_S: Final = 5
_WRAPPER: Final = (
    'mark=$1; limit=$2; shift 2; body=$(cat); case $body in *"$mark") ;; *) exit 125;; esac; '
    "if command -v timeout >/dev/null 2>&1; "
    f'then exec timeout -k {KILLED_AFTER_S} "$limit" "$@" "$body" </dev/null; fi; exec "$@" "$body" </dev/null'
)


class Interpreter(StrEnum):
    SH = "sh"
    BASH = "bash"
    PYTHON = "python3"


@dataclass(frozen=True, slots=True)
class Script:
    """All of a version that decides what happens on a host. `accounts`: purposes of the accounts that it may use."""

    interpreter: Interpreter
    body: str
    parameters: tuple[Mapping[str, Any], ...]
    accounts: frozenset[str]
    as_root: bool
    only_reads: bool
    timeout_s: int
    output_limit: int
    patch: str = ""
    """The patch that it brings, by KB, CVE or a name of one's own; empty: none. The gate of patches goes by it."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A script that comes with the platform. It runs nowhere before somebody has taken it over and another approved."""

    code: str
    words: Words
    script: Script


class BadScript(ValueError):
    """`code` is one of `changes.script_words.FAULTS`; `detail` names what is meant."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code} {detail}".strip())
        self.code, self.detail = code, detail


def digest(script: Script) -> str:
    """Over everything that decides what happens: two people talk about the same when it is the same."""
    said: dict[str, object] = {
        "interpreter": script.interpreter.value,
        "body": script.body,
        "parameters": list(script.parameters),
        "accounts": sorted(script.accounts),
        "as_root": script.as_root,
        "only_reads": script.only_reads,
        "timeout_s": script.timeout_s,
        "output_limit": script.output_limit,
    }
    if script.patch:
        said["patch"] = script.patch
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def check(script: Script) -> None:
    """Raises BadScript."""
    if not script.body.strip():
        raise BadScript("no_body")
    if len(script.body.encode()) > LONGEST_BODY or "\0" in script.body:
        raise BadScript("body_too_long")
    if not script.accounts:
        raise BadScript("no_accounts")
    if not 1 <= script.timeout_s <= LONGEST_S:
        raise BadScript("timeout")
    if not 1 <= script.output_limit <= MOST_OUTPUT:
        raise BadScript("output_limit")
    if script.patch and (script.only_reads or not script.patch.isprintable() or len(script.patch) > LONGEST_PATCH):
        raise BadScript("bad_patch")
    fields_of(script.parameters)


def fields_of(parameters: Sequence[Mapping[str, Any]]) -> tuple[Field, ...]:
    """Raises BadScript when one cannot be used."""
    if len(parameters) > MOST_PARAMETERS:
        raise BadScript("too_many_parameters")
    found: dict[str, Field] = {}
    for said in parameters:
        try:
            field = field_of(said)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadScript("bad_parameter", str(said)[:80]) from None
        if not isinstance(field.name, str) or not PARAMETER.fullmatch(field.name) or field.name in found:
            raise BadScript("bad_name", str(field.name)[:80])
        if field.type not in TYPES:
            raise BadScript("bad_type", field.type.value)
        if not _is_plain(field):
            raise BadScript("bad_parameter", field.name)
        found[field.name] = field
    return tuple(found.values())


def _is_plain(field: Field) -> bool:
    """Each attribute is of the sort that forms and commands take: the data may say anything."""
    words = [field.words, *(one.words for one in field.options)]
    texts = [text for pair in words for text in (pair.en, pair.zh)] + [one.value for one in field.options]
    bounds = [bound for bound in (field.least, field.most) if bound is not None]
    return (
        all(isinstance(text, str) and text.strip() and text.isprintable() for text in texts)
        and all(isinstance(text, str) for text in (field.unit, field.placeholder))
        and isinstance(field.required, bool)
        and all(type(bound) is int for bound in bounds)
        and bounds == sorted(bounds)
        and field.offers == ""
    )


def as_text(value: object) -> str:
    """A checked value as the script gets it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def command(script: Script, values: Mapping[str, str]) -> str:
    """What the host's shell is told; the body goes on the standard input, see `given`."""
    setting = [f"PARAM_{name.upper()}={value}" for name, value in sorted(values.items())]
    start = ["env", *setting, "sh", "-c", _WRAPPER, "rdmp", _mark(script), str(script.timeout_s)]
    return shlex.join([*start, script.interpreter.value, "-c"])


def given(script: Script) -> str:
    """The body with the mark by which the host sees that it is whole: a comment in all three languages."""
    return f"{script.body}\n{_mark(script)}\n"


def _mark(script: Script) -> str:
    return f"# {hashlib.sha256(script.body.encode()).hexdigest()[:16]}"


def parse(text: str) -> tuple[str, int | None]:
    """A script as a change names it: `service-restart` or `service-restart@2`. Raises BadScript."""
    code, _at, number = text.strip().partition("@")
    if not CODE.fullmatch(code) or (_at and not (number.isascii() and number.isdecimal() and len(number) < 8)):
        raise BadScript("not_named", text[:80])
    return code, int(number) if number else None


def parse_values(text: str) -> dict[str, str]:
    """Parameters as a change has them: a line `name=value` each. Raises BadScript."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        name, there, value = line.partition("=")
        name = name.strip()
        if not there or not PARAMETER.fullmatch(name) or name in found:
            raise BadScript("bad_line", line[:80])
        found[name] = value.strip()
    return found


def as_lines(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(values.items()))


@cache
def shipped() -> Mapping[str, Shipped]:
    """By their code. Raises ValueError on data that cannot be used."""
    found = {}
    for code, said in json.loads((DATA / "scripts.json").read_text(encoding="utf-8")).items():
        script = Script(
            interpreter=Interpreter(said["interpreter"]),
            body=(DATA / said["file"]).read_text(encoding="utf-8"),
            parameters=tuple(said.get("parameters", ())),
            accounts=frozenset(said["accounts"]),
            as_root=said["as_root"],
            only_reads=said["only_reads"],
            timeout_s=said["timeout_s"],
            output_limit=said["output_limit"],
            patch=said.get("patch", ""),
        )
        check(script)
        if not CODE.fullmatch(code):
            raise ValueError(f"scripts.json: {code} is no code")
        found[code] = Shipped(code, Words(said["en"], said["zh"]), script)
    return found
