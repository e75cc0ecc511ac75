"""Standard changes: described once, signed by the customer, approved by a manager, retired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_manager
from assets.models import Asset
from changes import letters
from changes.catalogue import Risk, operations
from changes.models import PORT_CLOSING, ChangeTemplate, TemplateAsset
from changes.services.drafting import check_assets
from changes.services.marks import required
from incidents.models import Purpose
from incidents.services import attestations
from incidents.services.attestations import Subject
from notify import live


@dataclass(frozen=True, slots=True)
class Described:
    name: str
    operation: str
    fields: Mapping[str, object]
    assets: tuple[Asset, ...]
    plan: str
    rollback: str
    risk_text: str
    valid_until: date


@transaction.atomic
def create(*, customer: Customer, said: Described, actor: User, now: datetime) -> ChangeTemplate:
    """Put a standard change before the customer's contacts; it is in force once signed and approved."""
    if not actor.is_provider:
        raise PermissionDenied
    entry = operations().get(said.operation)
    if entry is None or not entry.changes_something:
        raise DomainError(_("There is no such operation in the catalogue. Nothing was saved."), code="no_operation")
    if entry.risk is Risk.DANGEROUS:
        raise DomainError(_("What is dangerous is never a standard change. Nothing was saved."), code="dangerous")
    if entry.code == PORT_CLOSING:
        raise DomainError(_("Closing ports is confirmed each time: never a standard change."), code="must_sign")
    if said.valid_until <= timezone.localdate(now):
        raise DomainError(_("All of it lies in the past. Nothing was saved."), code="in_the_past")
    check_assets(customer, said.assets, entry)
    if not said.assets:
        raise DomainError(_("Please choose what it is done to."), code="no_assets")
    audit.hold(customer.pk)
    template = ChangeTemplate.objects.create(
        customer=customer,
        name=required(said.name, _("Please give it a name."))[:200],
        operation=said.operation,
        fields=dict(said.fields),
        plan=required(said.plan, _("Please write the plan: what is done, step by step.")),
        rollback=required(said.rollback, _("Please write the way back: what is done when it goes wrong.")),
        risk_text=required(said.risk_text, _("Please write what may happen.")),
        valid_until=said.valid_until,
        created_by=actor,
        created_at=now,
    )
    TemplateAsset.objects.bulk_create(
        TemplateAsset(customer=customer, template=template, asset=asset, environment=asset.environment)
        for asset in said.assets
    )
    template.attestation = attestations.ask(
        customer=customer,
        purpose=Purpose.CHANGE,
        subject=Subject(f"change_template:{template.pk}", template.name[:250], f"/changes/standard/{template.pk}/"),
        text=letters.template_text(template),
        actor=actor,
        now=now,
    )
    template.save(update_fields=["attestation"])
    _write(template, "change_template.create", actor, now)
    return template


@transaction.atomic
def approve(*, template: ChangeTemplate, actor: User, now: datetime) -> ChangeTemplate:
    """A manager who did not describe it lets it be used."""
    if not is_manager(actor) or actor.pk == template.created_by_id:
        raise PermissionDenied
    template = _hold(template)
    if template.retired_at is not None or template.approved_at is not None:
        return template
    template.approved_by, template.approved_at = actor, now
    template.save(update_fields=["approved_by", "approved_at"])
    _write(template, "change_template.approve", actor, now)
    return template


@transaction.atomic
def retire(*, template: ChangeTemplate, actor: User, now: datetime) -> ChangeTemplate:
    """It is used no more; changes made from it go on to their gates, which it no longer opens."""
    if not actor.is_provider:
        raise PermissionDenied
    template = _hold(template)
    if template.retired_at is None:
        template.retired_at = now
        template.save(update_fields=["retired_at"])
        asked = template.attestation
        if asked is not None and asked.given is None:
            attestations.lapse(attestation=asked, actor=actor, now=now)
        _write(template, "change_template.retire", actor, now)
    return template


def _hold(template: ChangeTemplate) -> ChangeTemplate:
    audit.hold(template.customer_id)
    rows = ChangeTemplate.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("customer", "attestation__answer").get(pk=template.pk)


def _write(template: ChangeTemplate, action: str, actor: User, now: datetime) -> None:
    detail = {"name": template.name, "operation": template.operation}
    audit.record(action=action, actor=actor, customer=template.customer, obj=template, detail=detail, now=now)
    live.publish(customer_id=template.customer_id, topic="changes", object_id=0)
