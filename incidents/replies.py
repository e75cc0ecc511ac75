"""Filling in a canned reply. Pure."""

from collections.abc import Mapping
from typing import Final

BLANKS: Final = ("number", "title", "customer", "asset", "name", "phone", "due")
"""What a reply may leave blank: of the incident, its first asset, whoever writes, and the next deadline."""


def fill(body: str, facts: Mapping[str, str]) -> str:
    """`body` with each `{blank}` that is known replaced; whatever else stands in braces stays as it is."""
    for name in BLANKS:
        body = body.replace(f"{{{name}}}", facts.get(name, ""))
    return body
