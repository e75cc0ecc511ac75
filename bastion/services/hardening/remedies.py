"""Making an item right: a change with the shipped script, by its own gates; then the server is looked at again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Severity, User
from assets.models import Asset, Credential, CredentialKind
from bastion.hardening.catalogue import Item, items
from bastion.models import HardenedServer, HardeningRemedy, HardeningResult, HardeningRun
from bastion.services.hardening import policies, runs
from bastion.services.hardening.rights import require
from changes.catalogue import operations
from changes.models import Change, ChangeState, HostState, ScriptHost, ScriptVersion
from changes.scripts import as_lines, shipped
from changes.services import drafting, script_library
from changes.services.drafting import Content
from changes.words import said
from incidents.models import UNSOLVED_STATES, Incident, IncidentKind
from incidents.services import opening

OVER: Final = (ChangeState.CANCELLED, ChangeState.CLOSED, ChangeState.ROLLED_BACK, ChangeState.FAILED)
PORTS: Final = "port-closing"
BY_KEY: Final = "ssh-authentication"
LONGEST_TITLE: Final = 200
log = logging.getLogger(__name__)


def values_for(entry: Item, asset: Asset, *, now: datetime) -> dict[str, str]:
    """The script's values as they are proposed; a person may change them in the draft."""
    values = dict(entry.remedy.parameters)
    if "addresses" in values:
        standard = policies.standards([asset], now=now)[asset.pk]
        values["addresses"] = " ".join(standard.bastions)
    return values


@transaction.atomic
def propose(*, asset: Asset, item: str, values: Mapping[str, str], actor: User, now: datetime) -> HardeningRemedy:
    """Draft the change. It goes its way like any other: risk told and signed, tried elsewhere, approved, dry run."""
    require(actor.is_provider)
    entry = items().get(item)
    if entry is None or not entry.remedy.operation:
        raise DomainError(_("Nothing can do this by itself: a person does."), code="by_hand")
    audit.hold(asset.customer_id)
    open_one = HardeningRemedy.objects.filter(asset=asset, item=item, settled_at=None).select_related("change").first()
    if open_one is not None:
        raise DomainError(
            _("%(number)s is to make it right already.") % {"number": open_one.change.number}, code="open_already"
        )
    if item == BY_KEY:
        _nobody_is_shut_out(asset)
    operation = operations()[entry.remedy.operation]
    change = drafting.draft(
        customer=asset.customer,
        content=Content(
            title=(_("%(item)s: %(server)s") % {"item": said(entry.name), "server": asset.name})[:LONGEST_TITLE],
            operation=operation.code,
            fields=_fields(entry, asset, values, actor, now),
            assets=(asset,),
            risk=operation.risk.value,
            reason=f"{said(entry.why)} ({entry.clause})",
            plan=said(entry.remedy.how),
            rollback=said(entry.remedy.undo),
        ),
        actor=actor,
        now=now,
        origin=Change.Origin.PROVIDER,
        incident=_incident(asset, now),
    )
    try:
        with transaction.atomic():
            remedy = HardeningRemedy.objects.create(
                customer=asset.customer, asset=asset, item=item, change=change, proposed_by=actor, proposed_at=now
            )
    except IntegrityError:
        raise DomainError(_("Somebody else proposed it at the same moment."), code="open_already") from None
    detail = {"asset": asset.name, "item": item, "change": change.number}
    audit.record(action="hardening.remedy", actor=actor, customer=asset.customer, obj=remedy, detail=detail, now=now)
    return remedy


def _nobody_is_shut_out(asset: Asset) -> None:
    """Whose password alone is in the vault could not log in any more, through the bastion as well."""
    rows = Credential.objects.in_use().filter(asset=asset).exclude(secret_set_at=None)
    keyed = set(rows.filter(kind=CredentialKind.KEY_PAIR).values_list("username", flat=True))
    by_password = set(rows.filter(kind=CredentialKind.HOST).values_list("username", flat=True)) - keyed
    if by_password:
        raise DomainError(
            _("These accounts have a password only: %(names)s. Write a key down for them first. Nothing was proposed.")
            % {"names": ", ".join(sorted(by_password))},
            code="by_password",
        )


def _incident(asset: Asset, now: datetime) -> Incident:
    """What the change is authorised by (R83): one incident gathers the remedies of a server while it is unsolved."""
    earlier = HardeningRemedy.objects.filter(asset=asset).values("change__incident")
    found = Incident.objects.filter(pk__in=earlier, state__in=UNSOLVED_STATES).order_by("pk").first()
    if found is not None:
        return found
    server = HardenedServer.objects.filter(asset=asset).first()
    names = [said(items()[code].name) for code in (server.failing if server else ()) if code in items()]
    with translation.override(asset.customer.language):
        title = _("Hardening of %(server)s: items are not fulfilled") % {"server": asset.name}
    return opening.open_by_platform(
        customer=asset.customer,
        kind=IncidentKind.INCIDENT,
        title=title,
        description="\n".join(names),
        severity=Severity.WARNING,
        detected_at=now,
        now=now,
        assets=(asset,),
        category=Incident.Category.SYSTEM,
    )


def _fields(entry: Item, asset: Asset, values: Mapping[str, str], actor: User, now: datetime) -> dict[str, object]:
    if entry.remedy.script:
        _adopt(entry.remedy.script, actor, now)
        return {"script": entry.remedy.script, "parameters": as_lines(values)}
    row = _last(asset, entry.code)
    names = ", ".join(map(str, row.names)) if row is not None else ""
    if entry.remedy.operation == PORTS:
        return {"ports": names or "—", "reason": said(entry.why)}
    return {"what": f"{said(entry.remedy.how)} {names}".strip(), "proof": said(entry.name)}


def _adopt(code: str, actor: User, now: datetime) -> None:
    """The script runs nowhere before a second person has approved it; the first remedy puts it before them."""
    newest = ScriptVersion.objects.filter(code=code, customer=None, retired_at=None).order_by("-number").first()
    if newest is None and code in shipped():
        script_library.adopt(code=code, actor=actor, now=now)


def is_approved(code: str) -> bool:
    return ScriptVersion.objects.approved().filter(code=code, customer=None).exists()


def _last(asset: Asset, item: str) -> HardeningResult | None:
    rows = HardeningResult.objects.filter(check_of__asset=asset, item=item, check_of__state="done")
    return rows.order_by("-check_of__ended_at", "-pk").first()


def follow(*, now: datetime) -> int:
    """Where a remedy's script has run, look again; what was given up is settled. How many moved."""
    moved = 0
    for remedy in HardeningRemedy.objects.filter(settled_at=None).select_related("change", "asset__customer"):
        try:
            moved += _follow(remedy, now)
        except Exception:  # whatever is wrong with one of them, the others go on
            log.exception("remedy %s", remedy.pk)
    return moved


@transaction.atomic
def _follow(remedy: HardeningRemedy, now: datetime) -> bool:
    audit.hold(remedy.customer_id)
    remedy = (
        HardeningRemedy.objects.select_for_update(of=("self",))
        .select_related("change", "asset__customer")
        .get(pk=remedy.pk)
    )
    if remedy.settled_at is not None:
        return False
    ran = ScriptHost.objects.filter(
        Q(ended_at__gte=remedy.proposed_at), run__change=remedy.change, asset=remedy.asset, state=HostState.DONE
    ).exists()
    is_over = remedy.change.state in OVER
    if not ran and not is_over:
        return False
    is_there = policies.held_to_it().filter(pk=remedy.asset_id).exists()
    if is_there and (ran or remedy.change.state == ChangeState.CLOSED):
        remedy.run = runs.begin(
            customer=remedy.asset.customer, assets=[remedy.asset], actor=None, now=now, why=HardeningRun.Why.REMEDY
        )
    remedy.settled_at = now
    remedy.save(update_fields=["run", "settled_at"])
    return True
