"""How a customer wants its monthly report (R11): kept, with its logo."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from reports.models import ReportPlan

PNG: Final = b"\x89PNG"


@transaction.atomic
def change(
    *,
    customer: Customer,
    values: dict[str, Any],
    logo: UploadedFile[Any] | None,
    drops_logo: bool,
    actor: User,
    now: datetime,
) -> ReportPlan:
    """Reports that were opened before keep the format that they were opened with."""
    if not actor.is_provider:
        raise PermissionDenied
    theirs = set(User.objects.filter(customer=customer, is_active=True).values_list("pk", flat=True))
    if set(values["recipients"]) - theirs:
        raise DomainError(_("Please choose people of the customer."), code="foreign_recipient")
    audit.hold(customer.pk)
    plan, _made = ReportPlan.objects.select_for_update().get_or_create(customer=customer, defaults={"changed_at": now})
    for name, value in values.items():
        setattr(plan, name, value)
    if drops_logo:
        plan.logo = ""
    if logo is not None:
        plan.logo = _keep(customer, logo)
    plan.changed_by, plan.changed_at = actor, now
    plan.save()
    audit.record(action="report_plan.change", actor=actor, customer=customer, obj=plan, detail=values, now=now)
    return plan


def _keep(customer: Customer, logo: UploadedFile[Any]) -> str:
    """Under a name of our own; a former one stays, since issued reports show it."""
    content = logo.read()
    logo.seek(0)
    ending = ".png" if content.startswith(PNG) else ".jpg"
    return default_storage.save(f"reports/{customer.pk}/logo-{secrets.token_hex(8)}{ending}", logo)
