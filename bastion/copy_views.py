"""Copies of files: parts as nodes send them, and the whole file for whoever may have it."""

from __future__ import annotations

from pathlib import PurePosixPath

from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.permissions import person_of
from bastion.gateway import wire
from bastion.models import Node
from bastion.node_views import answered
from bastion.services import copies
from bastion.views.sessions import get_session


@answered
def take(node: Node, body: bytes) -> int:
    head, data = wire.link_of(body)
    return copies.take(node=node, said=wire.decode(wire.CopyPart, head), data=data, now=timezone.now()).number


@require_safe
def fetch(request: HttpRequest, pk: int, number: int) -> StreamingHttpResponse:
    session, person = get_session(request, pk), person_of(request)
    if not copies.may_fetch(person, session):
        raise Http404
    transfer = get_object_or_404(session.filetransfers.select_related("session__customer"), number=number)
    if not transfer.kept_as:
        raise Http404
    content = copies.fetch(transfer=transfer, actor=person, now=timezone.now())
    response = StreamingHttpResponse(content, content_type="application/octet-stream")
    name = PurePosixPath(transfer.path).name or "file"
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Content-Length"] = str(transfer.size)
    response["Cache-Control"] = "no-store"
    return response
