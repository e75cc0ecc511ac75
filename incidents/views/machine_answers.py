"""What machines at the door are told: short JSON, in English, for the sender's own log."""

from django.http import JsonResponse


def said(status: int, text: str, *, retry_after: int | None = None) -> JsonResponse:
    answer = JsonResponse({"status": status, "detail": text}, status=status)
    if retry_after is not None:
        answer["Retry-After"] = str(retry_after)
    return answer
