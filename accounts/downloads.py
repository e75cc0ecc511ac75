"""Files that people sent are handed out as downloads: never shown by the browser as a page of this site."""

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpResponseBase


def download(stored_name: str, *, name: str, content_type: str) -> FileResponse:
    """The bytes under their harmless name. Raises Http404 when there are none."""
    if not stored_name or not default_storage.exists(stored_name):
        raise Http404
    stored = default_storage.open(stored_name)
    response = FileResponse(stored, as_attachment=True, filename=name, content_type=content_type)
    make_harmless(response)
    return response


def make_harmless(response: HttpResponseBase) -> None:
    """Whatever the bytes are, no browser guesses, runs or keeps them."""
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "private, no-store"
