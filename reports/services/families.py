"""What each family of reports adds to the life that all of them have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reports.models import (
    AccidentComment,
    AccidentFile,
    AccidentIssue,
    AccidentPart,
    AccidentRecipient,
    AccidentReport,
    ServiceComment,
    ServiceFile,
    ServiceIssue,
    ServicePart,
    ServiceRecipient,
    ServiceReport,
    WrittenIssue,
    WrittenPart,
    WrittenReport,
)
from reports.services import accident_content, accident_deadlines, service_content, service_deadlines


@dataclass(frozen=True, slots=True)
class Family:
    """`joined` is read together with a report."""

    report: Any
    part: Any
    comment: Any
    issue: Any
    file: Any
    recipient: Any
    joined: tuple[str, ...]
    texts: Callable[[Any, datetime], Mapping[str, str]]
    """What the platform says for each part, in the report's language."""
    check: Callable[[Any], None]
    """Raises DomainError for what cannot be issued."""
    content: Callable[[Any], dict[str, Any]]
    """What the document says, besides what every document says."""
    html: Callable[[Any], str]
    shown: Callable[[Any], dict[str, object]]
    """What the page of an issue shows."""
    page: str
    desk: str
    """The page on which it is written."""
    workshop: Callable[[Any], dict[str, object]]
    """What that shows besides the parts."""
    arm: Callable[[Any, datetime], None]
    """Set the timers of its deadline."""
    usual: Callable[[Any], set[int]]
    """Who gets it unless somebody chooses otherwise."""

    order: Callable[[Sequence[Any]], list[Any]] = list


FAMILIES: Final[Mapping[str, Family]] = {
    AccidentReport.FAMILY: Family(
        report=AccidentReport,
        part=AccidentPart,
        comment=AccidentComment,
        issue=AccidentIssue,
        file=AccidentFile,
        recipient=AccidentRecipient,
        joined=("customer", "incident", "author"),
        texts=accident_content.texts,
        check=accident_content.check,
        content=accident_content.content,
        html=accident_content.html,
        shown=accident_content.shown,
        page="reports/issue.html",
        desk="reports/accident.html",
        workshop=lambda _report: {},
        arm=accident_deadlines.arm,
        usual=accident_content.usual,
        order=accident_content.in_order,
    ),
    ServiceReport.FAMILY: Family(
        report=ServiceReport,
        part=ServicePart,
        comment=ServiceComment,
        issue=ServiceIssue,
        file=ServiceFile,
        recipient=ServiceRecipient,
        joined=("customer", "author"),
        texts=service_content.texts,
        check=service_content.check,
        content=service_content.content,
        html=service_content.html,
        shown=service_content.shown,
        page="reports/service_issue.html",
        desk="reports/service.html",
        workshop=service_content.workshop,
        arm=service_deadlines.arm,
        usual=service_content.usual,
    ),
}


def of(row: WrittenReport | WrittenPart | WrittenIssue) -> Family:
    """The family of a report, or of a part or issue of one."""
    report = row if isinstance(row, WrittenReport) else row.report
    return FAMILIES[report.FAMILY]
