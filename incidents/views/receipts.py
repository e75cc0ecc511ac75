"""Where Alibaba Cloud tells what became of calls and SMS. No signature comes with it: the address is the secret."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts import limiter
from incidents.services import answering
from notify import outlets
from notify.channels import sms, voice

READERS = {"voice": voice.read_reports, "sms": sms.read_reports}


@require_POST
@csrf_exempt
@login_not_required
def take(request: HttpRequest, kind: str, token: str) -> HttpResponse:
    """Answers as Alibaba Cloud wants it; anything but code 0 makes it come again after 1, 5 and 10 minutes."""
    read = READERS.get(kind)
    if read is None or not constant_time_compare(token, outlets.receipts_token(outlets.current())):
        return limiter.too_many(request) if limiter.failed(request, "receipts") else HttpResponse(status=404)
    try:
        reports = read(request.body)
    except (ValueError, RecursionError):
        return JsonResponse({"code": 1, "msg": "not a list of receipts"}, status=400)
    answering.take_reports(medium=kind, reports=reports, now=timezone.now())
    return JsonResponse({"code": 0, "msg": "ok"})
