"""Calls of DingTalk and WeCom at the door: verified, opened, stored, and answered as each protocol wants it."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, HttpResponse, JsonResponse

from incidents.models import InboundSource
from incidents.services import inbound, sources
from incidents.services.inbound import Received
from incidents.views.machine_answers import said
from notify.inbound import dingtalk, wecom
from notify.inbound.dingtalk import ChatMessage
from notify.inbound.reading import BadInputError

FORGED = "the signature is wrong or too old; nothing was stored"


def dingtalk_call(request: HttpRequest, source: InboundSource, raw: bytes, now: datetime) -> HttpResponse:
    """Stored and thanked for at once; a worker reads it and answers in the conversation."""
    if request.method != "POST":
        return said(405, "DingTalk calls by POST")
    secret = sources.secret_of(source, "app_secret", now=now)
    stamp, signature = request.headers.get("timestamp", ""), request.headers.get("sign", "")
    if not dingtalk.is_signed(secret, stamp, signature, now=now):
        return said(401, FORGED)
    try:
        chat = dingtalk.read(raw, now=now)
    except BadInputError as problem:
        return said(400, f"nothing was stored: {problem}")
    message, is_new = inbound.store(source=source, received=_received(chat, raw, "application/json"), now=now)
    if is_new:
        inbound.read_later(message)
    return JsonResponse({"id": message.pk})


def wecom_call(request: HttpRequest, source: InboundSource, raw: bytes, now: datetime) -> HttpResponse:
    """The check of the address by GET, a message by POST; the answer is in the response, encrypted."""
    token = sources.secret_of(source, "token", now=now)
    receiver = str(source.config.get("corp_id", ""))
    asked = {name: request.GET.get(name, "") for name in ("msg_signature", "timestamp", "nonce", "echostr")}
    try:
        key = wecom.key_of(sources.secret_of(source, "aes_key", now=now))
        sealed = asked["echostr"] if request.method == "GET" else wecom.encrypted_in(raw)
        if not wecom.is_signed(token, asked["msg_signature"], asked["timestamp"], asked["nonce"], sealed):
            return said(401, FORGED)
        plain = wecom.decrypt(key, sealed, receiver)
        if request.method == "GET":
            return HttpResponse(plain, content_type="text/plain; charset=utf-8")
        chat = wecom.read(plain, now=now)
    except BadInputError as problem:
        return said(400, f"nothing was stored: {problem}")
    reply = _taken_in(source, chat, plain, now)
    if not reply:
        return HttpResponse(b"success", content_type="text/plain")
    answer = wecom.answer(key, token, receiver, chat.sender_id, reply, nonce=asked["nonce"], now=now)
    return HttpResponse(answer, content_type="application/xml; charset=utf-8")


def _taken_in(source: InboundSource, chat: ChatMessage, plain: bytes, now: datetime) -> str:
    """What to answer; nothing to an event. WeCom asks again up to three times: the answer is then the same."""
    if not chat.text:
        return ""
    message, is_new = inbound.store(source=source, received=_received(chat, plain, "application/xml"), now=now)
    if is_new:
        message = inbound.read(message_id=message.pk, now=now)
        inbound.note_answered(message, now=now)
    return message.reply


def _received(chat: ChatMessage, raw: bytes, content_type: str) -> Received:
    return Received(
        key=chat.message_id,
        raw=raw,
        content_type=content_type,
        sender=chat.sender_name or chat.sender_id,
        sender_id=chat.sender_id,
        conversation=chat.conversation,
        subject=" ".join(chat.text.split())[:100],
        text=chat.text,
        data={"is_group": chat.is_group, "reply_url": chat.reply_url},
        reply_until=chat.reply_until,
    )
