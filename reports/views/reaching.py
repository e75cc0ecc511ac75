"""How views come to a report, and what the workshop of any family shows of one."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch
from django.shortcuts import get_object_or_404

from accounts.models import User
from reports import parts, states
from reports.models import WrittenIssue, WrittenPart, WrittenRecipient, WrittenReport
from reports.permissions import rank_of
from reports.services import families
from reports.services.families import FAMILIES
from reports.states import Verb


def get_report(family: str, pk: int) -> Any:
    """Unknown or foreign is 404; so is, for the customer, what has not been sent."""
    return get_object_or_404(FAMILIES[family].report.objects.for_lists(), pk=pk)


def get_part(family: str, pk: int, part_id: int) -> WrittenPart:
    rows = FAMILIES[family].part.objects.select_related("report", "edited_by")
    part: WrittenPart = get_object_or_404(rows, pk=part_id, report_id=pk)
    return part


def get_issue(family: str, pk: int, issue_id: int) -> WrittenIssue:
    """Unknown, foreign, or for the customer not sent: 404."""
    joined = [f"report__{name}" for name in FAMILIES[family].joined]
    rows = FAMILIES[family].issue.objects.select_related("report", *joined, "file", "signed_by")
    issue: WrittenIssue = get_object_or_404(rows, pk=issue_id, report_id=pk)
    return issue


def recipient_of(issue: WrittenIssue, person: User) -> WrittenRecipient | None:
    found: WrittenRecipient | None = families.of(issue).recipient.objects.filter(issue=issue, user=person).first()
    return found


def about(report: WrittenReport, person: User) -> dict[str, object]:
    """What the workshop shows of a report."""
    family = families.of(report)
    comments = family.comment.objects.select_related("author")
    own = report.parts.select_related("edited_by").prefetch_related(Prefetch("comments", comments))
    ordered = family.order(list(own))
    filled = {part.name for part in ordered if parts.is_filled(part.text)}
    possible = states.verbs(report.stage, rank_of(person))
    return {
        "report": report,
        "parts": ordered,
        "filled": filled,
        "verbs": [verb.value for verb in possible],
        "edits": Verb.EDIT in possible,
        "comments": Verb.COMMENT in possible,
    }
