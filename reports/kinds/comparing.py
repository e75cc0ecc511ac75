"""What a part says of its head figures beside those of the month before, and where it has nothing else to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from django.utils.translation import gettext as _

from reports import cells
from reports.blocks import Figure, Finding, Part, Remark

ZONE: Final = ZoneInfo(settings.TIME_ZONE)
HEADS: Final[Mapping[str, tuple[str, ...]]] = {
    "overview": ("health", "incidents"),
    "incidents": ("count", "response"),
    "security": ("vulnerabilities", "hardening", "unexplained"),
    "web": ("available", "outages"),
    "hosts": ("short", "fullest"),
    "databases": ("short", "slow"),
}
"""By part: the figures that stand for it."""


def told(parts: Sequence[Part]) -> list[Part]:
    """The parts with these sentences; their figures know what they were the month before."""
    return [msgspec.structs.replace(part, findings=(*part.findings, *_notes(part))) for part in parts]


def _notes(part: Part) -> list[Finding]:
    found = {one.key: one for one in part.figures()}
    heads = [found[key] for key in HEADS.get(part.name, ()) if key in found]
    said = [sentence for one in heads if (sentence := _beside(one))]
    if heads and not part.findings:
        said.append(_quiet(part, heads))
    return [Finding("note", sentence) for sentence in said]


def _quiet(part: Part, heads: Sequence[Figure]) -> str:
    """That there is nothing to say, and whether that is because nobody knows."""
    if all(one.value is None for one in heads):
        return _("Nothing is known of this part.")
    if any(isinstance(block, Remark) and block.is_warning for block in part.blocks):
        return _("Nothing stood out in what was measured.")
    return _("Nothing stood out.")


def _beside(one: Figure) -> str:
    """A figure beside the one before; nothing where either is not known."""
    now, before = one.value, one.before
    if not isinstance(now, int | float) or not isinstance(before, int | float):
        return ""
    words = {"label": one.label, "now": cells.figure(one, ZONE), "before": cells.written(before, one.kind, ZONE)}
    if words["now"] == cells.figure(msgspec.structs.replace(one, value=before), ZONE):
        return _("%(label)s: %(now)s, as the month before.") % words
    if not one.better:
        return _("%(label)s: %(now)s, against %(before)s the month before.") % words
    if (now > before) == (one.better == "up"):
        return _("%(label)s: %(now)s, better than the month before (%(before)s).") % words
    return _("%(label)s: %(now)s, worse than the month before (%(before)s).") % words
