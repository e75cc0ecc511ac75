"""The five parts: saved while somebody types, new facts taken over, comments of reviewers."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.fragments import is_fragment
from accounts.permissions import is_provider, person_of, require
from reports import parts
from reports.forms import PartForm
from reports.models import AccidentComment, AccidentPart
from reports.services import accidents


@require_POST
@require(is_provider)
def save(request: HttpRequest, pk: int, part_id: int) -> HttpResponse:
    """Every second or two while somebody types; without JavaScript by the button."""
    part = _part(pk, part_id)
    form = PartForm(request.POST)
    if not form.is_valid():
        return _status(request, part, error=" ".join(map(str, form.errors.get("text", []))), status=422)
    said = form.cleaned_data
    revision = None if request.POST.get("overwrite") == "1" else said["revision"]
    try:
        part = accidents.edit(
            part=part, text=said["text"], revision=revision, actor=person_of(request), now=timezone.now()
        )
    except accidents.ConflictError as conflict:
        return _status(request, conflict.part, revision=said["revision"], conflict=conflict.message, status=422)
    return _status(request, part, saved=True) if is_fragment(request) else redirect("reports:accident", pk)


@require_POST
@require(is_provider)
def take_facts(request: HttpRequest, pk: int, part_id: int) -> HttpResponse:
    replace = request.POST.get("replace") == "1"
    accidents.take_facts(part=_part(pk, part_id), replace=replace, actor=person_of(request), now=timezone.now())
    return redirect("reports:accident", pk)


@require_POST
@require(is_provider)
def comment(request: HttpRequest, pk: int, part_id: int) -> HttpResponse:
    body = request.POST.get("body", "").replace("\x00", "")[:4000]
    accidents.comment(part=_part(pk, part_id), body=body, actor=person_of(request), now=timezone.now())
    return redirect(f"/reports/accidents/{pk}/#part-{part_id}")


@require_POST
@require(is_provider)
def settle(request: HttpRequest, pk: int, comment_id: int) -> HttpResponse:
    made = get_object_or_404(
        AccidentComment.objects.select_related("part", "part__report"), pk=comment_id, part__report_id=pk
    )
    accidents.settle(comment=made, actor=person_of(request), now=timezone.now())
    return redirect(f"/reports/accidents/{pk}/#part-{made.part_id}")


def _part(pk: int, part_id: int) -> AccidentPart:
    rows = AccidentPart.objects.select_related("report", "edited_by")
    return get_object_or_404(rows, pk=part_id, report_id=pk)


def _status(
    request: HttpRequest,
    part: AccidentPart,
    *,
    revision: int | None = None,
    saved: bool = False,
    conflict: str = "",
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """What stands below the text: saved, too long, or somebody else was there; with the revision to go on from."""
    all_parts = AccidentPart.objects.filter(report=part.report)
    context = {
        "part": part,
        "report": part.report,
        "revision": part.revision if revision is None else revision,
        "saved": saved,
        "conflict": conflict,
        "error": error,
        "filled": {one.name for one in all_parts if parts.is_filled(one.text)},
        "parts": sorted(all_parts, key=lambda one: parts.ORDER.index(one.part)),
        "swaps_list": True,
    }
    return render(request, "reports/_part_status.html", context, status=status)
