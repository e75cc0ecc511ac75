"""The one door for machines from outside: `/in/<token>/`. Its answers are short JSON for the sender's own log."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import uuid4

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone, translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts import scope
from incidents.models import InboundKind, InboundMessage, InboundSource
from incidents.services import inbound, sources
from incidents.services.inbound import Received, TooManyError
from incidents.views import inbound_chats
from incidents.views.machine_answers import said

LARGEST_ALARMS: Final = 2 * 1024 * 1024
LARGEST_CHAT: Final = 256 * 1024
WRONG_PER_MINUTE: Final = 60


@csrf_exempt
@login_not_required
@require_http_methods(["GET", "POST"])
def receive(request: HttpRequest, token: str) -> HttpResponseBase:
    """Nothing is answered with 2xx that is not stored. An unknown address is 404, whatever else is wrong."""
    now = timezone.now()
    with scope.platform("a way in is found by its address"), translation.override("en"):
        source = sources.find(token, now=now)
        if source is None:
            return _unknown(request, now)
        try:
            inbound.allow(source, now=now)
        except TooManyError as error:
            return said(429, str(error), retry_after=error.wait_s)
        return _receive(request, source, now)


def _receive(request: HttpRequest, source: InboundSource, now: datetime) -> HttpResponseBase:
    raw = _body(request, LARGEST_ALARMS if source.is_alarm else LARGEST_CHAT)
    if raw is None:
        return said(413, "the body is too large; nothing was stored")
    if source.kind == InboundKind.DINGTALK:
        return inbound_chats.dingtalk_call(request, source, raw, now)
    if source.kind == InboundKind.WECOM:
        return inbound_chats.wecom_call(request, source, raw, now)
    return _alarms(request, source, raw, now)


def _alarms(request: HttpRequest, source: InboundSource, raw: bytes, now: datetime) -> HttpResponse:
    if request.method != "POST":
        return said(405, "send alarms by POST")
    received = Received(key=uuid4().hex, raw=raw, content_type=request.headers.get("Content-Type", ""))
    message, _is_new = inbound.store(source=source, received=received, now=now)
    read = inbound.read(message_id=message.pk, now=now)
    if read.verdict == InboundMessage.Verdict.FAILED:
        return said(400, f"stored as {message.pk}, but it could not be read: {read.error}")
    return JsonResponse({"id": message.pk, "verdict": read.verdict, **read.data})


def _body(request: HttpRequest, most: int) -> bytes | None:
    """The body, or None when it is larger than that; a length that is claimed is believed only against the sender."""
    claimed = request.headers.get("Content-Length", "")
    if claimed.isdecimal() and int(claimed) > most:
        return None
    raw = request.read(most + 1)
    return None if len(raw) > most else raw


def _unknown(request: HttpRequest, now: datetime) -> JsonResponse:
    """404; somebody who tries many addresses is slowed down. Addresses are 256 random bits: none is ever guessed."""
    key = f"inbound-wrong:{request.META.get('REMOTE_ADDR', '')}:{int(now.timestamp()) // 60}"
    cache.add(key, 0, timeout=120)
    if cache.incr(key) > WRONG_PER_MINUTE:
        return said(429, "too many wrong addresses came from you", retry_after=60)
    return said(404, "nothing listens at this address: it may have been renewed or retired")
