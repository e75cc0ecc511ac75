"""What was issued: read, taken as PDF, received; and the link of a mail, which needs no sign-in."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import scope
from accounts.downloads import make_harmless
from accounts.permissions import can_write, is_provider, person_of, require
from reports.models import WrittenIssue, WrittenRecipient
from reports.services import documents, families, sending, writing
from reports.services.families import FAMILIES
from reports.views.reaching import get_issue, recipient_of


@require_safe
def detail(request: HttpRequest, family: str, pk: int, issue_id: int) -> HttpResponse:
    """The signed content as a page, in the language in which it was signed."""
    issue, person = get_issue(family, pk, issue_id), person_of(request)
    sending.note_reading(issue=issue, person=person, now=timezone.now())
    found = FAMILIES[family]
    context = {
        **found.shown(issue),
        "issue": issue,
        "report": issue.report,
        "issues": found.issue.objects.filter(report=issue.report).select_related("file"),
        "recipient": recipient_of(issue, person),
        "is_intact": writing.is_intact(issue),
    }
    return render(request, found.page, context)


@require_safe
def download(request: HttpRequest, family: str, pk: int, issue_id: int) -> HttpResponse:
    issue = get_issue(family, pk, issue_id)
    response = _as_file(issue)
    sending.note_reading(issue=issue, person=person_of(request), now=timezone.now())
    return response


@require_POST
@require(can_write)
def receipt(request: HttpRequest, family: str, pk: int, issue_id: int) -> HttpResponse:
    """A recipient confirms that they have it."""
    issue = get_issue(family, pk, issue_id)
    address = request.META.get("REMOTE_ADDR") or None
    sending.confirm(issue=issue, actor=person_of(request), now=timezone.now(), address=address)
    messages.success(request, _("Thank you: your receipt is recorded."))
    return redirect("reports:issue", family, pk, issue_id)


@require_POST
@require(is_provider)
def try_again(request: HttpRequest, family: str, pk: int, issue_id: int) -> HttpResponse:
    file = get_object_or_404(FAMILIES[family].file.objects, issue=get_issue(family, pk, issue_id))
    documents.try_again(file=file, actor=person_of(request), now=timezone.now())
    return redirect("reports:detail", family, pk)


@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def open_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows whose report it is, POST hands it out and records the receipt: a mail scanner receives nothing."""
    now = timezone.now()
    recipient = sending.by_token(token, now=now)
    if recipient is None:
        return render(request, "reports/link_shut.html", status=404)
    with scope.customer(recipient.customer_id), translation.override(recipient.user.language):
        if request.method == "POST":
            address, handed_out = request.META.get("REMOTE_ADDR") or None, _as_file(recipient.issue)
            sending.take_receipt(recipient=recipient, way=WrittenRecipient.Way.LINK, now=now, address=address)
            return handed_out
        return render(request, "reports/link.html", {"recipient": recipient, "issue": recipient.issue})


def _as_file(issue: WrittenIssue) -> HttpResponse:
    file = families.of(issue).file.objects.filter(issue=issue).first()
    if file is None or not file.is_ready:
        raise Http404
    response = HttpResponse(documents.read(file), content_type="application/pdf")
    name = f"{issue.report.number}-v{issue.number}.pdf"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    make_harmless(response)
    return response
