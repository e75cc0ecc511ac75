"""A change is drafted, rewritten, handed in and given up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from changes import gates, messages
from changes.catalogue import Operation, Risk, operations
from changes.models import Change, ChangeAsset, ChangeEntry, ChangeKind, ChangeRisk, ChangeState, ChangeTemplate
from changes.permissions import may_overrule
from changes.services import facts, following
from changes.services.marks import Kind, allowed, finish, hold, required, same_version, write
from changes.states import Verb
from incidents.models import Incident
from incidents.services import attestations

SIGNED: Final = (
    "title", "operation", "fields", "risk", "reason", "plan", "rollback", "test_waiver", "backup_waiver", "lead",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be done, why, how, and how one gets back: all that the customer signs and people approve."""

    title: str
    operation: str
    fields: Mapping[str, object]
    assets: tuple[Asset, ...]
    risk: str
    reason: str = ""
    plan: str = ""
    rollback: str = ""
    test_waiver: str = ""
    backup_waiver: str = ""
    lead: str = Change.Lead.PROVIDER


@transaction.atomic
def draft(
    *,
    customer: Customer,
    content: Content,
    actor: User,
    now: datetime,
    kind: str = ChangeKind.NORMAL,
    origin: str = Change.Origin.CUSTOMER,
    vendor_notice: str = "",
    incident: Incident | None = None,
) -> Change:
    """Write a change down. It comes from an incident or request of the customer's, or from a vendor's notice."""
    _may_draft(actor, customer)
    if kind == ChangeKind.STANDARD:
        raise DomainError(_("A standard change is made from its template."), code="template_missing")
    if kind == ChangeKind.EMERGENCY and not may_overrule(actor):
        raise PermissionDenied
    change = Change(kind=ChangeKind(kind), origin=Change.Origin(origin), vendor_notice=vendor_notice.strip())
    return _create(change, customer, content, incident=incident, actor=actor, now=now)


@transaction.atomic
def draft_standard(
    *,
    template: ChangeTemplate,
    assets: Iterable[Asset],
    actor: User,
    now: datetime,
    incident: Incident | None = None,
) -> Change:
    """Use a standard change on some of the assets that it was approved for."""
    customer = template.customer
    _may_draft(actor, customer)
    chosen = tuple(assets)
    meant = set(template.assets.values_list("pk", flat=True))
    if not template.is_in_force(now):
        raise DomainError(_("This standard change is not in force. Nothing was made."), code="template_not_in_force")
    if not chosen or not {asset.pk for asset in chosen} <= meant:
        raise DomainError(_("The standard change is approved for other assets. Nothing was made."), code="other_assets")
    entry = _entry(template.operation)
    content = Content(
        title=template.name,
        operation=template.operation,
        fields=template.fields,
        assets=chosen,
        risk=_risk(entry),
        plan=template.plan,
        rollback=template.rollback,
    )
    origin = Change.Origin.CUSTOMER if incident is not None else Change.Origin.PROVIDER
    change = Change(kind=ChangeKind.STANDARD, origin=origin, template=template)
    change = _create(change, customer, content, incident=incident, actor=actor, now=now)
    signed = dict(template.touched.values_list("asset_id", "environment"))
    for touched in change.touched.all():
        touched.environment = signed[touched.asset_id]
        touched.save(update_fields=["environment"])
    return change


@transaction.atomic
def edit(*, change: Change, content: Content, actor: User, now: datetime, version: int | None = None) -> Change:
    """Rewrite it. Another revision begins: what was signed and approved was signed and approved of something else."""
    change = hold(change)
    allowed(Verb.EDIT, change, actor)
    same_version(change, version)
    if change.kind == ChangeKind.STANDARD:
        raise DomainError(_("A standard change is carried out as it was approved."), code="standard")
    _check(change.customer, content, actor)
    before = as_data(change)
    _fill(change, content)
    change.save()
    _touch(change, content.assets)
    after = as_data(change)
    differs = sorted(name for name in after if after[name] != before[name])
    if not differs:
        return change
    _forget_words(change, actor, now)
    change.writers = sorted({*change.writers, actor.pk})
    change.revision += 1
    change.approval_round += 1
    data = {"revision": change.revision, "fields": differs}
    finish(change, Kind.EDITED, actor=actor, now=now, data=data)
    following.go_on(change, now=now)
    return change


@transaction.atomic
def submit(*, change: Change, actor: User, now: datetime) -> Change:
    """The draft is complete: the gates begin."""
    change = hold(change)
    change.state = ChangeState(allowed(Verb.SUBMIT, change, actor).target or change.state)
    if change.kind != ChangeKind.STANDARD:
        required(change.plan, _("Please write the plan: what is done, step by step."))
        required(change.rollback, _("Please write the way back: what is done when it goes wrong."))
    finish(change, Kind.SUBMITTED, actor=actor, now=now)
    following.go_on(change, now=now)
    return change


@transaction.atomic
def cancel(*, change: Change, reason: str, actor: User, now: datetime) -> Change:
    """It will not be done. Nothing was touched."""
    change = hold(change)
    change.state = ChangeState(allowed(Verb.CANCEL, change, actor).target or change.state)
    reason = required(reason, _("Please say why."))
    passed = [step.gate.value for step in gates.path(facts.gather(change, now=now)) if step.is_passed]
    _forget_words(change, actor, now)
    change.gate, change.ended_at = "", now
    finish(change, Kind.CANCELLED, actor=actor, now=now, body=reason, data={"passed": passed})
    following.stop(change, now=now)
    messages.cancelled(change, actor, reason, now=now)
    return change


@transaction.atomic
def comment(*, change: Change, body: str, actor: User, now: datetime) -> ChangeEntry:
    """Say something that both sides read."""
    change = hold(change)
    allowed(Verb.COMMENT, change, actor)
    body = required(body, _("Please write something."))
    entry = write(change, Kind.COMMENT, actor=actor, now=now, body=body)
    messages.commented(change, entry, actor, now=now)
    return entry


@transaction.atomic
def take(
    *, change: Change, owner: User | None, actor: User, now: datetime, customer_owner: User | None = None
) -> Change:
    """Say whose work it is, and who of the customer's people tests it (R98)."""
    change = hold(change)
    allowed(Verb.TAKE, change, actor)
    if owner is not None and not owner.is_provider:
        raise DomainError(_("Only one of our own people carries out a change."), code="not_ours")
    if customer_owner is not None and customer_owner.customer_id != change.customer_id:
        raise DomainError(_("Only one of the customer's own people tests for it."), code="not_theirs")
    change.owner, change.customer_owner = owner, customer_owner
    tester = "" if customer_owner is None else customer_owner.name
    data = {"owner": None if owner is None else owner.name, "tester": tester}
    finish(change, Kind.EDITED, actor=actor, now=now, data=data)
    return change


@transaction.atomic
def make_emergency(*, change: Change, reason: str, actor: User, now: datetime) -> Change:
    """It cannot wait: a manager lets it take the short path, and it is reviewed afterwards."""
    change = hold(change)
    allowed(Verb.EDIT, change, actor)
    if not may_overrule(actor):
        raise PermissionDenied
    reason = required(reason, _("Please say why it cannot wait."))
    if change.kind == ChangeKind.EMERGENCY:
        return change
    change.kind, change.template = ChangeKind.EMERGENCY, None
    change.approval_round += 1
    finish(change, Kind.EDITED, actor=actor, now=now, body=reason, data={"emergency": True})
    following.go_on(change, now=now)
    return change


def as_data(change: Change) -> dict[str, object]:
    """All that a signature and an approval are about, by name."""
    said: dict[str, object] = {name: getattr(change, name) for name in SIGNED}
    return {**said, "assets": sorted(change.touched.values_list("asset_id", flat=True))}


def _create(
    change: Change, customer: Customer, content: Content, *, incident: Incident | None, actor: User, now: datetime
) -> Change:
    _check(customer, content, actor)
    if incident is not None and incident.customer_id != customer.pk:
        raise DomainError(_("The incident is another customer's. Nothing was made."), code="other_customer")
    audit.hold(customer.pk)
    change.customer, change.incident, change.owner = customer, incident, actor
    change.requester = incident.raised_by if incident is not None and incident.raised_by is not None else actor
    change.writers = [actor.pk]
    change.created_at = change.changed_at = now
    _fill(change, content)
    change.save(force_insert=True)
    _touch(change, content.assets)
    write(change, Kind.CREATED, actor=actor, now=now, data={"operation": change.operation, "kind": change.kind})
    return change


def _fill(change: Change, content: Content) -> None:
    said = {name: value for name, value in asdict(content).items() if name not in ("assets", "fields")}
    for name, value in said.items():
        setattr(change, name, value.strip() if isinstance(value, str) else value)
    change.fields = dict(content.fields)


def _touch(change: Change, assets: Iterable[Asset]) -> None:
    wanted = {asset.pk for asset in assets}
    known = set(change.touched.values_list("asset_id", flat=True))
    ChangeAsset.objects.filter(change=change, asset_id__in=known - wanted).delete()
    ChangeAsset.objects.bulk_create(
        ChangeAsset(customer_id=change.customer_id, change=change, asset_id=pk) for pk in sorted(wanted - known)
    )


def _check(customer: Customer, content: Content, actor: User) -> None:
    required(content.title, _("Please give it a title."))
    entry = _entry(content.operation)
    if not entry.changes_something:
        raise DomainError(_("This operation changes nothing: a service request is enough."), code="no_change")
    if content.risk not in ChangeRisk.values:
        raise DomainError(_("Please say how risky it is."), code="risk_missing")
    _check_risk(content, entry, actor)
    check_assets(customer, content.assets, entry)
    if (entry.kinds or entry.is_patch) and not content.assets:
        raise DomainError(_("Please choose what it is done to."), code="no_assets")


def _check_risk(content: Content, entry: Operation, actor: User) -> None:
    """Who approves it goes by the class: less than the operation's own is a manager's word, with a reason (R93)."""
    steps = list(Risk)
    if steps.index(Risk(content.risk)) >= steps.index(entry.risk):
        return
    if not may_overrule(actor) or not content.reason.strip():
        raise DomainError(
            _(
                "The catalogue puts this operation in the risk class “%(risk)s”. Only a service manager puts a change "
                "of it in a lower one, and says why under “Reason”. Nothing was saved."
            )
            % {"risk": ChangeRisk(entry.risk).label},
            code="risk_too_low",
        )


def check_assets(customer: Customer, assets: Iterable[Asset], entry: Operation) -> None:
    """Raises DomainError for what is another customer's, gone, or nothing that the operation is about."""
    for asset in assets:
        if asset.customer_id != customer.pk or asset.retired_at is not None:
            raise DomainError(_("One of the assets is not this customer's. Nothing was saved."), code="other_customer")
        if not entry.about(asset.kind):
            raise DomainError(
                _("“%(name)s” is no asset that this operation is about. Nothing was saved.") % {"name": asset.name},
                code="wrong_kind",
            )


def _entry(code: str) -> Operation:
    entry = operations().get(code)
    if entry is None:
        raise DomainError(_("There is no such operation in the catalogue. Nothing was saved."), code="no_operation")
    return entry


def _risk(entry: Operation) -> str:
    return (Risk.LOW if entry.risk is Risk.NONE else entry.risk).value


def _may_draft(actor: User, customer: Customer) -> None:
    if not actor.is_provider:
        raise PermissionDenied
    if customer.status != Customer.Status.IN_SERVICE:
        raise DomainError(_("%(name)s is not in service. Nothing was made.") % {"name": customer.name})


def _forget_words(change: Change, actor: User, now: datetime) -> None:
    """What was told, signed or heard no longer holds; a signature that is still awaited is taken back."""
    asked = change.confirmation
    if asked is not None and asked.given is None:
        attestations.lapse(attestation=asked, actor=actor, now=now)
    change.confirmation = None
    change.risk_told_at = change.heard_at = None
    change.heard_from = ""
    change.freeze_overruled_by, change.freeze_reason = None, ""
