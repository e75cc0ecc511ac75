"""`POST /api/v1/write`: Prometheus remote write. The answers are the protocol's: 204, 400 (never), 429 (later)."""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import scope
from accounts.api_access import MayWriteSamples, SessionAuthentication, TokenAuthentication
from accounts.models import ApiToken
from monitoring import remote_write
from monitoring.services import remote

log = logging.getLogger(__name__)
PROBLEMS_TOLD = 5


class Raw(BaseParser):
    """The body as it is, whatever it calls itself."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read(remote_write.LARGEST + 1)


@extend_schema(exclude=True)  # binary, and described by its own specification: docs/remote-write.md
class WriteView(APIView):
    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = (MayWriteSamples,)
    parser_classes = (Raw,)
    throttle_classes = ()  # it has a limit of its own, in samples

    def post(self, request: Request) -> HttpResponse:
        token = request.auth
        if not isinstance(token, ApiToken) or token.customer_id is None:
            return _said(403, "The token belongs to no customer: it must be made by one of the customer's own people.")
        return _wrong_headers(request) or _take_in(request, token.pk, token.customer_id)


def _take_in(request: Request, token_id: int, customer_id: int) -> HttpResponse:
    now = timezone.now()
    try:
        body: Any = request.data  # the bytes that the parser has read
        written = remote_write.read(remote_write.decompress(body))
        remote.allow(token_id=token_id, samples=len(written), now=now)
        with scope.customer(customer_id):
            report = remote.take_in(customer_id=customer_id, written=written, now=now)
    except remote_write.TooLargeError as error:
        return _said(413, f"The request is too large: {error}.")
    except remote_write.BadRequestError as error:
        return _said(400, f"Not a write request: {error}.")
    except remote.TooManyError as error:
        answer = _said(429, f"{error}.")
        answer["Retry-After"] = str(error.wait_s)
        return answer
    if report.problems:
        told = sorted(set(report.problems))
        log.info("remote write of customer %s: %s", customer_id, told[:PROBLEMS_TOLD])
        return _said(400, "; ".join(told[:PROBLEMS_TOLD]))
    return HttpResponse(status=204)


def _wrong_headers(request: Request) -> HttpResponse | None:
    kind, _, parameters = request.headers.get("Content-Type", "").partition(";")
    if kind.strip() != remote_write.CONTENT_TYPE or "write.v2" in parameters:
        return _said(415, f"Content-Type must be {remote_write.CONTENT_TYPE}, of remote write 1.0.")
    if request.headers.get("Content-Encoding") != remote_write.ENCODING:
        return _said(415, f"Content-Encoding must be {remote_write.ENCODING}.")
    version = request.headers.get("X-Prometheus-Remote-Write-Version", remote_write.VERSION)
    if not version.startswith("0.1"):
        return _said(400, f"X-Prometheus-Remote-Write-Version must be {remote_write.VERSION}.")
    return None


def _said(status: int, text: str) -> HttpResponse:
    """Plain text: senders put it into their own log."""
    return HttpResponse(text + "\n", status=status, content_type="text/plain; charset=utf-8")
