"""The five parts of an accident report (SOW 附件 7, R116), and when one of them is filled. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Part(StrEnum):
    FAULT = "fault"
    SYSTEM = "system"
    ANALYSIS = "analysis"
    PROCESS = "process"
    ADVICE = "advice"


ORDER: Final = tuple(Part)
HEADING: Final = "#"


def is_filled(text: str) -> bool:
    """Somebody wrote something: headings and marks alone say nothing."""
    lines = (line.strip() for line in text.splitlines())
    return any(any(char.isalnum() for char in line) for line in lines if not line.startswith(HEADING))


def missing(texts: Mapping[Part, str]) -> list[Part]:
    """The parts without which the report cannot be issued, in their order."""
    return [part for part in ORDER if not is_filled(texts.get(part, ""))]
