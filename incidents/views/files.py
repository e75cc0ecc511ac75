"""Attachments are handed out as downloads, to whoever may read the entry they hang on."""

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from accounts.permissions import person_of
from incidents.models import Attachment
from incidents.permissions import sees_internal


@require_safe
def download(request: HttpRequest, pk: int, attachment_id: int) -> FileResponse:
    """The bytes under their harmless name; never shown by the browser as a page of this site."""
    attachment = get_object_or_404(Attachment.objects, pk=attachment_id, incident_id=pk)
    if attachment.is_internal and not sees_internal(person_of(request)):
        raise Http404
    if not default_storage.exists(attachment.stored_name):
        raise Http404
    response = FileResponse(
        default_storage.open(attachment.stored_name),
        as_attachment=True,
        filename=attachment.name,
        content_type=attachment.content_type,
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "private, no-store"
    return response
