"""The monthly report: exactly six parts (SOW 附件 6, R110, R111)."""

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext_lazy as _

from reports.kinds.asking import PartOf
from reports.kinds.monthly import databases, hosts, incidents, overview, security, web

MONTHLY: Final[Sequence[PartOf]] = (
    PartOf("overview", _("Overview"), overview.read),
    PartOf("incidents", _("Incident report"), incidents.read),
    PartOf("security", _("Security report"), security.read),
    PartOf("web", _("Web report"), web.read),
    PartOf("hosts", _("Host report"), hosts.read),
    PartOf("databases", _("Database report"), databases.read),
)
