"""JSON paths and regular expressions that people enter: checked when saved, and never able to hang a collector.

Regular expressions are RE2's, which match in time linear in the text, also those within a JSON path (RFC 9535).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

import jsonpath
import re2
from jsonpath.function_extensions import ExpressionType, FilterFunction

LONGEST: Final = 500
_OPTIONS: Final = re2.Options()
_OPTIONS.max_mem = 1 << 20
_OPTIONS.log_errors = False


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The pattern; ValueError says why it is none."""
    if not pattern or len(pattern) > LONGEST:
        raise ValueError("empty or too long")
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        raise ValueError(str(error)) from None


def first_match(pattern: str, text: str) -> str | None:
    """What the pattern's first group holds where it first matches, or all of it without a group."""
    match = compiled(pattern).search(text)
    if match is None:
        return None
    return str(match.group(1) if compiled(pattern).groups else match.group(0)) if match.group(0) is not None else None


class _Matches(FilterFunction):
    """match() and search() of RFC 9535 by RE2."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012  # as the library declares it
    return_type = ExpressionType.LOGICAL

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def __call__(self, value: object, pattern: object) -> bool:
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        try:
            found = compiled(pattern)
        except ValueError:
            return False
        return bool(found.fullmatch(value) if self._whole else found.search(value))


_PATHS: Final = jsonpath.JSONPathEnvironment(strict=True)
_PATHS.function_extensions["match"] = _Matches(whole=True)
_PATHS.function_extensions["search"] = _Matches(whole=False)


@lru_cache(maxsize=512)
def _path(text: str) -> Any:
    return _PATHS.compile(text)


def is_json_path(text: str) -> bool:
    try:
        _path(text)
    except jsonpath.JSONPathError:
        return False
    return True


def json_values(path: str, text: str) -> list[str]:
    """What a path selects in a JSON text, each as text: strings as they are, the rest as JSON. ValueError: no JSON."""
    try:
        document = json.loads(text)
        return [value if isinstance(value, str) else json.dumps(value) for value in _path(path).findall(document)]
    except (RecursionError, jsonpath.JSONPathError) as error:
        raise ValueError(str(error)) from None
