"""Assets as people keep them: writing down, editing, naming owners, managing, retiring."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_admin
from assets.facts import Checked, Facts, check
from assets.models import MANUAL_KINDS, Asset, Environment, Kind
from assets.permissions import can_edit_assets, can_edit_owner
from assets.words import PROBLEMS
from notify import live


class InvalidFacts(ValidationError):
    """The facts do not make an asset; messages by field."""


@dataclass(frozen=True)
class Ownership:
    """What the customer knows about a resource (R16). None leaves the field as it is."""

    owner_name: str | None = None
    owner_contact: str | None = None
    role_text: str | None = None
    environment: str | None = None
    notes: str | None = None

    def given(self) -> dict[str, str]:
        return {name: value.strip() for name, value in asdict(self).items() if value is not None}


def checked(facts: Facts, actor: User | None) -> Checked:
    """Tidy facts, or problems. Only an administrator, or the set-up itself, may name the platform's own machine."""
    return check(facts, may_name_own_machine=actor is None or is_admin(actor))


@transaction.atomic
def create_manual(*, customer: Customer, facts: Facts, actor: User | None, now: datetime) -> Asset:
    """Write an asset down. Raises InvalidFacts."""
    _may_edit(actor)
    asset = Asset(customer=customer, created_at=now, changed_at=now)
    _fill(asset, facts, actor)
    audit.record(action="asset.create", actor=actor, customer=customer, obj=asset, detail={"kind": asset.kind}, now=now)
    live.publish(customer_id=customer.pk, topic="assets", object_id=asset.pk)
    return asset


@transaction.atomic
def update_manual(*, asset: Asset, facts: Facts, actor: User | None, now: datetime) -> Asset:
    """Change an asset that people keep; its kind stays. Raises InvalidFacts."""
    _may_edit(actor)
    asset = Asset.objects.select_for_update().get(pk=asset.pk)
    if not asset.is_manual:
        raise DomainError(_("Alibaba Cloud describes this asset: only owner, role and notes can be edited."))
    if facts.kind != asset.kind:
        raise DomainError(_("The kind of an asset cannot be changed. Retire it and add another."))
    before = _snapshot(asset)
    asset.changed_at = now
    _fill(asset, facts, actor)
    _record_change(asset, before, actor, now)
    return asset


@transaction.atomic
def set_owner(*, assets: Iterable[Asset], ownership: Ownership, actor: User, now: datetime) -> int:
    """Give several assets the same owner, role, environment or notes; returns how many changed."""
    if not can_edit_owner(actor):
        raise PermissionDenied
    values = ownership.given()
    if values.get("environment", Environment.UNKNOWN) not in Environment.values:
        raise DomainError(_("There is no such environment."))
    changed = 0
    for asset in Asset.objects.select_for_update().filter(pk__in=[asset.pk for asset in assets]).order_by("pk"):
        before = _snapshot(asset)
        for name, value in values.items():
            setattr(asset, name, value)
        if _snapshot(asset) != before:
            asset.changed_at = now
            asset.save(update_fields=[*values, "changed_at"])
            _record_change(asset, before, actor, now)
            changed += 1
    return changed


@transaction.atomic
def set_care(*, asset: Asset, hardened: bool, monitored: bool, actor: User, now: datetime) -> Asset:
    """Note that an asset is hardened or its monitoring deployed; with both it becomes managed (R20)."""
    _may_edit(actor)
    asset = Asset.objects.select_for_update().get(pk=asset.pk)
    asset.hardened_at = (asset.hardened_at or now) if hardened else None
    asset.monitored_at = (asset.monitored_at or now) if monitored else None
    asset.managed_at = (asset.managed_at or now) if hardened and monitored else None
    asset.save(update_fields=["hardened_at", "monitored_at", "managed_at"])
    detail = {"hardened": hardened, "monitored": monitored, "managed": asset.managed_at is not None}
    audit.record(action="asset.care", actor=actor, customer=asset.customer, obj=asset, detail=detail, now=now)
    live.publish(customer_id=asset.customer_id, topic="assets", object_id=asset.pk)
    return asset


@transaction.atomic
def retire_manual(*, asset: Asset, actor: User, now: datetime) -> Asset:
    """Take an asset out of the lists; what is known about it stays."""
    _may_edit(actor)
    asset = Asset.objects.select_for_update().get(pk=asset.pk)
    if not asset.is_manual:
        raise DomainError(_("This asset is retired by itself when it is gone from Alibaba Cloud."))
    if asset.retired_at is None:
        asset.retired_at = asset.changed_at = now
        asset.save(update_fields=["retired_at", "changed_at"])
        audit.record(action="asset.retire", actor=actor, customer=asset.customer, obj=asset, now=now)
        live.publish(customer_id=asset.customer_id, topic="assets", object_id=asset.pk)
    return asset


@transaction.atomic
def restore_manual(*, asset: Asset, actor: User, now: datetime) -> Asset:
    """Bring a retired asset back, unless its name was given away meanwhile."""
    _may_edit(actor)
    asset = Asset.objects.select_for_update().get(pk=asset.pk)
    if not asset.is_manual or asset.retired_at is None:
        return asset
    asset.retired_at, asset.changed_at = None, now
    try:
        with transaction.atomic():
            asset.save(update_fields=["retired_at", "changed_at"])
    except IntegrityError:
        raise DomainError(str(PROBLEMS["taken"]), code="taken") from None
    audit.record(action="asset.restore", actor=actor, customer=asset.customer, obj=asset, now=now)
    return asset


def facts_of(asset: Asset) -> Facts:
    return Facts(**{name: getattr(asset, name) for name in FACT_FIELDS})


FACT_FIELDS: Sequence[str] = tuple(Facts.__dataclass_fields__)


def _may_edit(actor: User | None) -> None:
    """The services hold this as well as the views: an import and the API come here too."""
    if actor is not None and not can_edit_assets(actor):
        raise PermissionDenied


def _fill(asset: Asset, facts: Facts, actor: User | None) -> None:
    if facts.kind not in MANUAL_KINDS:
        raise InvalidFacts({"kind": _("Resources of this kind are found in a cloud account, not written down.")})
    result = checked(facts, actor)
    if result.problems:
        raise InvalidFacts({name: str(PROBLEMS[code]) for name, code in result.problems.items()})
    for name in FACT_FIELDS:
        setattr(asset, name, getattr(result.facts, name))
    asset.kind, asset.tags = Kind(result.facts.kind), dict(result.facts.tags)
    asset.clean_fields(exclude=["customer", "cloud_account"])
    try:
        with transaction.atomic():
            asset.save()
    except IntegrityError:
        raise InvalidFacts({"name": str(PROBLEMS["taken"])}) from None


def _snapshot(asset: Asset) -> dict[str, object]:
    return {name: getattr(asset, name) for name in FACT_FIELDS}


def _record_change(asset: Asset, before: Mapping[str, object], actor: User | None, now: datetime) -> None:
    after = _snapshot(asset)
    changed = {name: [before[name], after[name]] for name in FACT_FIELDS if before[name] != after[name]}
    if changed:
        detail = {"changed": changed}
        audit.record(action="asset.change", actor=actor, customer=asset.customer, obj=asset, detail=detail, now=now)
        live.publish(customer_id=asset.customer_id, topic="assets", object_id=asset.pk)
