"""Attachments are handed out as downloads, to whoever may read the entry they hang on."""

from django.http import FileResponse, Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from accounts.downloads import download as download_of
from accounts.permissions import person_of
from incidents.models import Attachment
from incidents.permissions import sees_internal


@require_safe
def download(request: HttpRequest, pk: int, attachment_id: int) -> FileResponse:
    """The bytes under their harmless name; never shown by the browser as a page of this site."""
    attachment = get_object_or_404(Attachment.objects, pk=attachment_id, incident_id=pk)
    if attachment.is_internal and not sees_internal(person_of(request)):
        raise Http404
    return download_of(attachment.stored_name, name=attachment.name, content_type=attachment.content_type)
