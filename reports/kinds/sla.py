"""Service level report: the month's clocks against what was promised (R79), and the promises of the contract."""

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext_lazy as _

from reports.kinds.asking import PartOf
from reports.kinds.monthly import incidents

SLA: Final[Sequence[PartOf]] = (PartOf("incidents", _("Service levels"), incidents.read),)
