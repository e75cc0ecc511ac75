"""What one run of a rotation came to, and what each kind of secret must know to be rotated."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from assets.models import Credential, Rotation


@dataclass(frozen=True)
class Outcome:
    """`next_at` says when a rotation that is still open goes on; `problem` is a code of `assets.words`."""

    state: Rotation.State
    works: str = ""
    problem: str = ""
    next_at: datetime | None = None


@dataclass(frozen=True)
class Kind:
    """`must_be_possible` raises DomainError; `advance` does its network first and keeps each step as a row."""

    must_be_possible: Callable[[Credential], None]
    advance: Callable[[Rotation, Callable[[], datetime]], Outcome]
