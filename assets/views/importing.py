"""The import wizard: a file, a preview of what each line would do, and then all of it."""

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.errors import DomainError
from accounts.models import Customer
from accounts.permissions import person_of, require
from assets import sheets
from assets.forms import UploadForm
from assets.permissions import can_edit_assets
from assets.services import importing

SALT = "assets.import"
PREVIEW_LASTS_S = 3600


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_edit_assets)
def upload(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "assets/import.html", {"form": form, "columns": sheets.COLUMNS})
    customer, text = form.cleaned_data["customer"], form.cleaned_data["file"]
    plan = importing.plan(customer=customer, sheet=sheets.read(text), actor=person_of(request))
    context = {
        "plan": plan,
        "customer": customer,
        "payload": signing.dumps([customer.pk, text], salt=SALT, compress=True),
    }
    return render(request, "assets/import_preview.html", context)


@require_POST
@require(can_edit_assets)
def apply(request: HttpRequest) -> HttpResponse:
    """The previewed text comes back signed, so that it needs no place in between."""
    try:
        customer_id, text = signing.loads(request.POST.get("payload", ""), salt=SALT, max_age=PREVIEW_LASTS_S)
    except signing.BadSignature:
        raise DomainError(_("The preview is too old. Nothing was imported; please choose the file again.")) from None
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    sheet = sheets.read(text)
    done = importing.apply(customer=customer, sheet=sheet, actor=person_of(request), now=timezone.now())
    text = _("Imported: %(created)d new, %(updated)d changed.")
    messages.success(request, text % {"created": done.created, "updated": done.updated})
    return redirect("assets:list")
