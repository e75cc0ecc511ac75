"""How many processes of a name should run on an asset: the threshold of the process rule, for that name."""

from __future__ import annotations

import re
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import is_provider
from assets.models import Asset
from monitoring.models import ExpectedProcess
from monitoring.services import levels


@transaction.atomic
def expect(
    *,
    asset: Asset,
    name: str,
    pattern: str = "",
    minimum: int = 1,
    maximum: int | None = None,
    reason: str = "",
    actor: User,
    now: datetime,
) -> ExpectedProcess:
    """Say, or say anew, how many should run. It takes effect with the next figures of the agent."""
    _check(actor)
    if not name.strip() or re.search(r'["\\\n]', name):
        raise DomainError(_("A process name has no quotes or backslashes."), code="process_name")
    if maximum is not None and maximum < max(minimum, 1):
        raise DomainError(_("The maximum is below the minimum. Nothing was saved."), code="process_maximum")
    if minimum == 0 and maximum is None:
        raise DomainError(_("At least 0 without a maximum would never alarm. Nothing was saved."), code="process_none")
    try:
        re.compile(pattern)
    except re.error as problem:
        raise DomainError(
            _("This is not a regular expression: %(problem)s.") % {"problem": problem}, code="process_pattern"
        ) from None
    levels.replan(asset.customer)
    row = ExpectedProcess.objects.filter(asset=asset, name=name.strip()).first()
    row = row or ExpectedProcess(customer=asset.customer, asset=asset, name=name.strip())
    row.pattern, row.minimum, row.maximum, row.reason = pattern.strip(), minimum, maximum, reason.strip()[:300]
    row.changed_by, row.changed_at = actor, now
    row._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    row._change_reason = row.reason  # type: ignore[attr-defined]  # likewise
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise DomainError(_("This process is expected there already."), code="duplicate") from None
    detail = {"asset": asset.pk, "process": row.name, "minimum": minimum, "maximum": maximum}
    audit.record(action="process.expect", actor=actor, customer=asset.customer, obj=row, detail=detail, now=now)
    return row


@transaction.atomic
def forget(*, process: ExpectedProcess, actor: User, now: datetime) -> None:
    """Back to the rule as it holds: at least one."""
    _check(actor)
    levels.replan(process.customer)
    detail = {"asset": process.asset_id, "process": process.name}
    audit.record(action="process.forget", actor=actor, customer=process.customer, obj=process, detail=detail, now=now)
    process._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    process.delete()


def agent_watch(asset: Asset) -> str:
    """What the agent's configuration must say so that it counts these processes."""
    tables = []
    for row in ExpectedProcess.objects.filter(asset=asset):
        what = f"pattern = {_toml(row.pattern)}" if row.pattern else f"process = {_toml(row.name)}"
        tables.append(f"[[watch]]\nname = {_toml(row.name)}\n{what}\n")
    return "\n".join(tables)


def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _check(actor: User) -> None:
    if not is_provider(actor):
        raise PermissionDenied
