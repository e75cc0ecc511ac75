"""Playing recordings back. Each address asks again whether this person may; pieces also want the viewing's token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import wraps
from typing import Any, Final

from asgiref.sync import sync_to_async
from csp.decorators import csp_update
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.downloads import make_harmless
from accounts.fragments import is_fragment
from accounts.numbers import row_number
from accounts.permissions import administers, person_of
from bastion.models import BastionSession, RecordingPiece
from bastion.services import authorising, exporting, keeping, replaying, watching
from bastion.views.sessions import ONLINE, get_session

RUNS_WASM: Final = {"script-src": ["'wasm-unsafe-eval'"]}
"""asciinema-player's terminal is WebAssembly; scripts made of text stay forbidden."""
SPEEDS: Final = ("0.5", "1", "2", "4", "8", "16")
NDJSON: Final = "application/x-ndjson; charset=utf-8"


def with_player(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The page may start the player's WebAssembly."""
    wrapped: Callable[..., HttpResponseBase] = csp_update(RUNS_WASM)(view)
    return wrapped


def viewed(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Of a session that may be watched, in a viewing that was written down."""

    @require_safe
    @wraps(view)
    def asked(request: HttpRequest, pk: int, **said: Any) -> HttpResponseBase:
        session = get_session(request, pk)
        if not replaying.is_viewing(request.headers.get("X-Viewing", ""), session=session, person=person_of(request)):
            raise PermissionDenied
        response = view(request, session, **said)
        response["Cache-Control"] = "private, no-store"
        return response

    return asked


@require_safe
@with_player
def play(request: HttpRequest, pk: int) -> HttpResponse:
    """The player. That it was opened is written down once; turning the list of commands is part of it."""
    session, person = get_session(request, pk), person_of(request)
    commands = tables.page(
        request,
        session.sessioncommands.select_related("person"),
        sort={"number": "number"},
        default="number",
        search=("text",),
        filters={},
    )
    if is_fragment(request):
        return render(request, "bastion/_recording_commands.html", {"session": session, "page": commands})
    duration_s = replaying.duration(session)
    is_purged = replaying.is_purged(session)
    token = ""
    if duration_s is not None and not is_purged:
        token = replaying.open_viewing(session=session, person=person, now=timezone.now())
    context = {
        "session": session,
        "token": token,
        "duration_s": duration_s or 0.0,
        "is_purged": is_purged,
        "is_online": session.state in ONLINE,
        "page": commands,
        "start": _seconds(request.GET.get("t", "")),
        "speeds": SPEEDS,
    }
    response = render(request, "bastion/recording.html", context)
    response["Cache-Control"] = "private, no-store"
    return response


def _seconds(text: str) -> float:
    try:
        at_s = float(text[:20])
    except ValueError:
        return 0.0
    return at_s if 0 <= at_s < 1e9 else 0.0


@viewed
def index(_request: HttpRequest, session: BastionSession) -> HttpResponseBase:
    return JsonResponse(replaying.index(session).as_dict())


@viewed
def piece(request: HttpRequest, session: BastionSession, number: int) -> HttpResponseBase:
    """The rows of one piece; as they lie to browsers that can unpack them."""
    found = replaying.piece(session, number)
    if found is None:
        raise Http404
    try:
        if "zstd" in request.headers.get("Accept-Encoding", "") and found.plain_bytes:
            response = HttpResponse(keeping.get(found), content_type=NDJSON)
            response["Content-Encoding"] = "zstd"
        else:
            response = HttpResponse(keeping.plain(found), content_type=NDJSON)
    except keeping.Gone:
        return HttpResponse(status=410)
    response["Vary"] = "Accept-Encoding"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@viewed
def search(request: HttpRequest, session: BastionSession) -> HttpResponseBase:
    start = row_number(request.GET.get("from", "")) or 1
    found = replaying.search(session, request.GET.get("q", ""), start=start)
    hits = [
        {"at": round(hit.at_s, 3), "before": hit.before, "found": hit.found, "after": hit.after} for hit in found.hits
    ]
    return JsonResponse({"hits": hits, "next": found.next})


@require_safe
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The whole as asciicast v2, piece by piece; written down apart from being looked at."""
    session, person = get_session(request, pk), person_of(request)
    replaying.write_download(session=session, person=person, now=timezone.now())
    response = StreamingHttpResponse(
        _pieces(session, replaying.numbers(session)), content_type="application/x-asciicast"
    )
    response["Content-Disposition"] = f'attachment; filename="{session.uid}.cast"'
    make_harmless(response)
    return response


@require_safe
def evidence(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A ZIP that proves itself elsewhere; for whoever administers the customer's bastion, and written down."""
    session, person = get_session(request, pk), person_of(request)
    if not administers(person, session.customer_id):
        raise PermissionDenied
    exporting.write_export(session=session, person=person, now=timezone.now())
    response = StreamingHttpResponse(_parts(session), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="evidence-{session.uid}.zip"'
    make_harmless(response)
    return response


@require_safe
@with_player
def watch(request: HttpRequest, pk: int) -> HttpResponse:
    """The page of whoever looks on; that they do is written down when their WebSocket opens."""
    session, person = get_session(request, pk), person_of(request)
    if session.state not in ONLINE:
        return redirect("bastion:session", session.pk)
    found = replaying.size_of(session)
    context = {
        "session": session,
        "size": f"{found.cols}x{found.rows}",
        "has_terminal": found.has_terminal,
        "tells": watching.tells(session) and session.person_id != person.pk,
        "is_online": True,
        "may_end": authorising.may_end(person, session),
        "may_lock": authorising.may_lock(person, session),
    }
    return render(request, "bastion/watch.html", context)


async def _parts(session: BastionSession) -> AsyncIterator[bytes]:
    parts = exporting.bundle(session)
    while (part := await sync_to_async(lambda: next(parts, None))()) is not None:
        yield part


async def _pieces(session: BastionSession, numbers: Sequence[int]) -> AsyncIterator[bytes]:
    for number in numbers:
        yield await sync_to_async(_asciicast)(session, number)


def _asciicast(session: BastionSession, number: int) -> bytes:
    """Raises Gone in the middle of the answer: the browser says that the file is not whole."""
    return replaying.as_asciicast(RecordingPiece.objects.select_related("session").get(session=session, number=number))
