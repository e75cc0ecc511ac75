"""How the data of databases was looked after: backups against what was agreed, restore drills, restores (R156-R159)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

from assets.models import Asset
from changes.backup_words import days_text, difference_text
from changes.models import BackupPolicy, DutyKind, DutyOccurrence, TemporaryInstance
from reports.blocks import Cell, Column, Source, Table
from reports.kinds.asking import Asked
from reports.kinds.readings import iso, listed, table


def policies(assets: Sequence[Asset]) -> dict[int, BackupPolicy]:
    """What was agreed, by asset."""
    rows = BackupPolicy.objects.filter(asset__in=[asset.pk for asset in assets]).select_related("asset")
    return {row.asset_id: row for row in rows}


def drills_of(asked: Asked) -> list[DutyOccurrence]:
    """Restore drills that were done in the stretch, or due in it."""
    first, last = (timezone.localdate(moment) for moment in (asked.start, asked.until))
    rows = DutyOccurrence.objects.filter(
        customer=asked.customer, duty__kind=DutyKind.RESTORE_DRILL, dropped_at=None, opened_at__lt=asked.until
    )
    done = Q(done_at__gte=asked.start, done_at__lt=asked.until)
    return list(rows.filter(done | Q(due_on__gte=first, due_on__lt=last)).select_related("duty").order_by("due_on"))


def is_done(asked: Asked, drill: DutyOccurrence) -> bool:
    return drill.done_at is not None and drill.done_at < asked.until


def backups(asked: Asked, assets: Sequence[Asset], agreed: Mapping[int, BackupPolicy]) -> Table:
    columns = (
        Column(_("Database")), Column(pgettext("policy", "Agreed")), Column(_("State")), Column(_("Differences")),
        Column(_("Compared at"), "time"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for asset in assets:
        row = agreed.get(asset.pk)
        if row is None:
            if asset.retired_at is None or asset.retired_at >= asked.end:
                rows.append((asset.name, _("Nothing was agreed."), "", "", None))
            continue
        said = " ".join(difference_text(code) for code in row.differences)
        rows.append((asset.name, _agreed(row), str(row.get_state_display()), said or row.problem, iso(row.checked_at)))
    return table("backups", _("Backups"), columns, rows, backup_source(), _("No database was looked after."))


def _agreed(row: BackupPolicy) -> str:
    words = {"days": days_text(row.days), "hour": f"{row.hour:02}:00", "count": row.keep_days}
    text = ngettext("%(days)s %(hour)s, kept %(count)d day", "%(days)s %(hour)s, kept %(count)d days", row.keep_days)
    return text % words


def drills(asked: Asked, found: Sequence[DutyOccurrence]) -> Table:
    columns = (
        Column(_("Drill")), Column(_("Due on"), "day"), Column(_("Done at"), "time"), Column(_("Result")),
        Column(_("Backup")), Column(_("Restored within"), "length"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        words = one.duty.words
        name = words.zh if (get_language() or "zh").startswith("zh") else words.en
        if is_done(asked, one):
            took = None if one.restore_minutes is None else 60 * one.restore_minutes
            result = str(one.get_result_display()) if one.result else ""
            rows.append((name, one.due_on.isoformat(), iso(one.done_at), result, one.backup, took))
        else:
            rows.append((name, one.due_on.isoformat(), None, _("not done"), "", None))
    source = Source(
        _("Drills that were done in the time or due in it."), "changes.dutyoccurrence, restore_drill",
        listed(asked, "changes:duties"),
    )  # fmt: skip
    return table("drills", _("Restore drills"), columns, rows, source, _("No restore drill was done or due."))


def restores(asked: Asked) -> Table:
    columns = (
        Column(_("Restored")), Column(_("Temporary instance")), Column(_("Ready at"), "time"),
        Column(_("Restored within"), "length"), Column(_("To go on"), "day"), Column(_("State")),
    )  # fmt: skip
    found = TemporaryInstance.objects.filter(
        customer=asked.customer, ready_at__gte=asked.start, ready_at__lt=asked.until
    )
    rows: list[tuple[Cell, ...]] = [
        (
            one.source.name, one.name, iso(one.ready_at),
            None if one.restore_minutes is None else 60 * one.restore_minutes,
            f"{timezone.localtime(one.expires_at):%Y-%m-%d}", str(one.get_state_display()),
        )
        for one in found.select_related("source").order_by("ready_at", "pk")
    ]  # fmt: skip
    source = Source(
        _("Temporary instances that restores brought up in the time."), "changes.temporaryinstance, ready_at",
        listed(asked, "changes:restores"),
    )  # fmt: skip
    return table("restores", _("Restores"), columns, rows, source, _("Nothing was restored."))


def backup_source() -> Source:
    return Source(
        _("What was agreed against what the cloud had when it was last compared."), "changes.backuppolicy",
        reverse("changes:backups"),
    )  # fmt: skip
