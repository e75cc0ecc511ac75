"""Performance analysis: hosts and databases of a month, all of them or those that somebody named (R118)."""

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext_lazy as _

from reports.kinds.asking import PartOf
from reports.kinds.monthly import databases, hosts

PERFORMANCE: Final[Sequence[PartOf]] = (
    PartOf("hosts", _("Hosts"), hosts.read),
    PartOf("databases", _("Databases"), databases.read),
)
