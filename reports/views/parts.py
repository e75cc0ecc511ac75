"""The parts of a report: saved while somebody types, new facts taken over, comments of reviewers."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.fragments import is_fragment
from accounts.permissions import is_provider, person_of, require
from reports import parts
from reports.forms import PartForm
from reports.models import WrittenPart
from reports.services import families, writing
from reports.services.families import FAMILIES
from reports.views.reaching import get_part


@require_POST
@require(is_provider)
def save(request: HttpRequest, family: str, pk: int, part_id: int) -> HttpResponse:
    """Every second or two while somebody types; without JavaScript by the button."""
    part = get_part(family, pk, part_id)
    form = PartForm(request.POST)
    if not form.is_valid():
        return _status(request, part, error=" ".join(map(str, form.errors.get("text", []))), status=422)
    said = form.cleaned_data
    revision = None if request.POST.get("overwrite") == "1" else said["revision"]
    try:
        part = writing.edit(
            part=part, text=said["text"], revision=revision, actor=person_of(request), now=timezone.now()
        )
    except writing.ConflictError as conflict:
        return _status(request, conflict.part, revision=said["revision"], conflict=conflict.message, status=422)
    return _status(request, part, saved=True) if is_fragment(request) else redirect("reports:detail", family, pk)


@require_POST
@require(is_provider)
def take_facts(request: HttpRequest, family: str, pk: int, part_id: int) -> HttpResponse:
    """Instead of the text or below it; or the text stays."""
    part, actor, now = get_part(family, pk, part_id), person_of(request), timezone.now()
    how = request.POST.get("replace")
    if how == "no":
        writing.keep_text(part=part, actor=actor, now=now)
    else:
        writing.take_facts(part=part, replace=how == "1", actor=actor, now=now)
    return redirect("reports:detail", family, pk)


@require_POST
@require(is_provider)
def comment(request: HttpRequest, family: str, pk: int, part_id: int) -> HttpResponse:
    body = request.POST.get("body", "").replace("\x00", "")[:4000]
    writing.comment(part=get_part(family, pk, part_id), body=body, actor=person_of(request), now=timezone.now())
    return _to_part(family, pk, part_id)


@require_POST
@require(is_provider)
def settle(request: HttpRequest, family: str, pk: int, comment_id: int) -> HttpResponse:
    rows = FAMILIES[family].comment.objects.select_related("part", "part__report")
    made = get_object_or_404(rows, pk=comment_id, part__report_id=pk)
    writing.settle(comment=made, actor=person_of(request), now=timezone.now())
    return _to_part(family, pk, made.part_id)


def _to_part(family: str, pk: int, part_id: int) -> HttpResponse:
    return redirect(f"{reverse('reports:detail', args=[family, pk])}#part-{part_id}")


def _status(
    request: HttpRequest,
    part: WrittenPart,
    *,
    revision: int | None = None,
    saved: bool = False,
    conflict: str = "",
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """What stands below the text: saved, too long, or somebody else was there; with the revision to go on from."""
    family = families.of(part)
    all_parts = list(family.part.objects.filter(report=part.report))
    context = {
        "part": part,
        "report": part.report,
        "revision": part.revision if revision is None else revision,
        "saved": saved,
        "conflict": conflict,
        "error": error,
        "filled": {one.name for one in all_parts if parts.is_filled(one.text)},
        "parts": family.order(all_parts),
        "swaps_list": True,
    }
    return render(request, "reports/_part_status.html", context, status=status)
