"""The models of reports, one file a noun."""

from reports.models.accident import AccidentComment, AccidentPart, AccidentReport, AccidentReportQuerySet, PartName
from reports.models.issue import AccidentFile, AccidentFileQuerySet, AccidentIssue, AccidentRecipient

__all__ = [
    "AccidentComment",
    "AccidentFile",
    "AccidentFileQuerySet",
    "AccidentIssue",
    "AccidentPart",
    "AccidentRecipient",
    "AccidentReport",
    "AccidentReportQuerySet",
    "PartName",
]
