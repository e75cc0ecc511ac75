"""What was done for a customer in the month: numbers beside those of the month before, and the sentences of them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from accounts.models import RosterShift
from changes.models import BackupRecord, Change, ChangeState, DutyKind, DutyOccurrence
from incidents.models import Incident, IncidentKind
from reports import figures
from reports.blocks import Figure, Figures, Finding, Source
from reports.kinds.asking import Asked
from reports.kinds.monthly import security_access, security_hosts
from reports.kinds.words import page
from reports.models import AccidentFile, ServiceFile

HOUR: Final = 3600.0


def summary(asked: Asked) -> Figures:
    changes = Change.objects.filter(customer=asked.customer, state=ChangeState.CLOSED, **_within(asked, "ended_at"))
    backups = BackupRecord.objects.filter(customer=asked.customer, **_within(asked, "taken_at"))
    drills = DutyOccurrence.objects.filter(
        customer=asked.customer, duty__kind=DutyKind.RESTORE_DRILL, **_within(asked, "done_at")
    )
    sent = ServiceFile.objects.filter(customer=asked.customer, **_within(asked, "sent_at")).count()
    sent += AccidentFile.objects.filter(customer=asked.customer, **_within(asked, "sent_at")).count()
    hours = _hours(asked)
    closed = page(asked, _("Changes that were closed in the month."), "changes.change, ended_at", "changes:list")
    return Figures(
        (
            Figure("done_incidents", _("Incidents solved"), _solved(asked, IncidentKind.INCIDENT),
                   page(asked, _("Solved in the month, whenever they were opened; without grouped and duplicate ones."),
                        "incidents.incident, resolved_at", "incidents:list")),
            Figure("done_requests", _("Service requests finished"), _solved(asked, IncidentKind.REQUEST),
                   page(asked, _("Requests that were finished in the month."), "incidents.incident, resolved_at",
                        "incidents:requests")),
            Figure("changes", _("Changes closed"), changes.count(), closed),
            Figure("done_patches", _("Of these patches"), len(security_hosts.patches(asked).done), closed),
            Figure("done_backups", _("Backups taken before changes"), backups.count(),
                   page(asked, _("Backups of single assets that were recorded with changes, by when they were taken."),
                        "changes.backuprecord, taken_at", "changes:list")),
            Figure("done_drills", _("Restore drills"), drills.count(),
                   Source(_("Drills that were done in the month."), "changes.dutyoccurrence, done_at",
                          f"{reverse('changes:duties')}?customer={asked.customer.pk}&kind={DutyKind.RESTORE_DRILL}")),
            Figure("done_reports", _("Reports sent"), sent,
                   page(asked, _("Issues of service and accident reports that were sent for the first time."),
                        "reports.servicefile, reports.accidentfile, sent_at", "reports:service")),
            Figure("done_duty", _("On call"), hours,
                   Source(_("Hours of the month in which a first responder was on the roster."),
                          "accounts.rostershift, duty, starts_at, ends_at", reverse("accounts:roster")),
                   unit=pgettext("unit", "h"), note=_("No roster was kept.") if hours is None else ""),
            Figure("done_sessions", _("Sessions through the bastion"), security_access.sessions(asked).count(),
                   security_access.session_source(asked)),
        ),
        pgettext("report", "What was done"),
    )  # fmt: skip


def _within(asked: Asked, field: str) -> dict[str, datetime]:
    return {f"{field}__gte": asked.start, f"{field}__lt": asked.until}


def _solved(asked: Asked, kind: str) -> int:
    rows = Incident.objects.filter(customer=asked.customer, kind=kind, parent=None, duplicate_of=None)
    return rows.filter(resolved_at__gte=asked.start, resolved_at__lt=asked.until).count()


def _hours(asked: Asked) -> float | None:
    """Those who have left since were on duty then. None without any shift: nobody kept a roster."""
    shifts = RosterShift.objects.serving(asked.customer.pk).filter(
        duty=RosterShift.Duty.FIRST, starts_at__lt=asked.until, ends_at__gt=asked.start
    )
    spans = list(shifts.values_list("starts_at", "ends_at"))
    return round(figures.down(spans, asked.start, asked.until).total_seconds() / HOUR, 1) if spans else None


def findings(done: Figures) -> list[Finding]:
    counts = {one.key: one.value for one in done.figures if isinstance(one.value, int)}
    said = [
        text % {"n": counts[key]}
        for key, text in (
            ("done_incidents", ngettext("%(n)d incident was solved.", "%(n)d incidents were solved.",
                                        counts["done_incidents"])),
            ("done_requests", ngettext("%(n)d service request was finished.", "%(n)d service requests were finished.",
                                       counts["done_requests"])),
            ("changes", ngettext("%(n)d change was carried out and closed.",
                                 "%(n)d changes were carried out and closed.", counts["changes"])),
            ("done_patches", ngettext("%(n)d patch was brought in.", "%(n)d patches were brought in.",
                                      counts["done_patches"])),
            ("done_backups", ngettext("%(n)d backup was taken before a change.",
                                      "%(n)d backups were taken before changes.", counts["done_backups"])),
            ("done_drills", ngettext("%(n)d restore drill was done.", "%(n)d restore drills were done.",
                                     counts["done_drills"])),
            ("done_reports", ngettext("%(n)d report was sent.", "%(n)d reports were sent.", counts["done_reports"])),
            ("done_sessions", ngettext("Servers were entered through the bastion %(n)d time.",
                                       "Servers were entered through the bastion %(n)d times.",
                                       counts["done_sessions"])),
        )
        if counts[key]
    ]  # fmt: skip
    return [Finding("done", text) for text in said]
