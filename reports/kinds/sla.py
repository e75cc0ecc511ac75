"""Service level report: the month's clocks against what was promised (R79), and the promises of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from reports.blocks import Part
from reports.kinds import promises
from reports.kinds.asking import Asked, PartOf
from reports.kinds.monthly import incidents


def _promises(asked: Asked) -> Part:
    return Part("promises", _("Promises of the contract"), (promises.block(asked),))


SLA: Final[Sequence[PartOf]] = (
    PartOf("incidents", gettext_lazy("Service levels"), incidents.read),
    PartOf("promises", gettext_lazy("Promises of the contract"), _promises),
)
