"""What was done on the cloud by whom, verdict by verdict, and how old the credentials are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from assets.models import CloudAccount, Credential, CredentialKind, RamFinding
from changes.models import TrailEvent, TrailReading, TrailVerdict
from changes.models.trail import TrailEventQuerySet
from reports import figures
from reports.blocks import Block, Chart, Column, Curve, Figure, Figures, Finding, Remark, Source, Table
from reports.kinds.asking import MOST_ROWS, Asked
from reports.kinds.readings import iso
from reports.kinds.words import day, minute, page

MOST_UNEXPLAINED: Final = 50
AGES: Final = (30, 90, 180, 365)
"""Days up to which credentials are counted together."""
DAY: Final = 86_400


def _events(asked: Asked) -> TrailEventQuerySet:
    rows: TrailEventQuerySet = TrailEvent.objects.filter(customer=asked.customer)
    return rows.filter(occurred_at__gte=asked.start, occurred_at__lt=asked.until)


def trail_blocks(asked: Asked) -> list[Block]:
    source = page(asked, _("Write events of the accounts' audit trails, each with its one verdict."),
                  "changes.trailevent, occurred_at", "changes:trail")  # fmt: skip
    read = TrailReading.objects.filter(customer=asked.customer).by_account()
    remarks: list[Block] = []
    is_known = False
    for account in CloudAccount.objects.existing().filter(customer=asked.customer).order_by("name", "pk"):
        reach = read.get(account.pk)
        names = {"name": account.name}
        if reach is None or max(reach.since, asked.start) >= min(reach.until, asked.until):
            text = _("The audit trail of %(name)s was not read in all its regions.")
            remarks.append(Remark(text % names, is_warning=True))
            continue
        is_known = True
        if reach.since > asked.start or reach.until < asked.until:
            span = names | {"from": minute(max(reach.since, asked.start)),
                            "until": minute(min(reach.until, asked.until))}  # fmt: skip
            text = _("The audit trail of %(name)s was read in all its regions from %(from)s to %(until)s only.")
            remarks.append(Remark(text % span, is_warning=True))
    counts = Counter(dict(_events(asked).order_by().values_list("verdict").annotate(Count("pk"))))
    total = sum(counts.values())
    is_known = is_known or total > 0
    note = "" if is_known else _("No audit trail was read.")
    unexplained = counts[TrailVerdict.UNMATCHED]
    numbers = Figures(
        (
            Figure("trail", _("Events of the audit trail"), total if is_known else None, source, note=note),
            Figure("trail_unexplained", _("Nobody explained it"), unexplained if is_known else None, source,
                   better="down", note=note),
            Figure("trail_suspicious", _("Suspicious"), counts[TrailVerdict.SUSPICIOUS] if is_known else None, source,
                   better="down", note=note),
            Figure("trail_explained", _("Explained"), figures.share(total - unexplained, total), source, kind="share",
                   better="up", note=note or ("" if total else _("No event."))),
        ),
        _("Audit trail"),
    )  # fmt: skip
    if not is_known:
        return [numbers, *remarks]
    verdicts = Table(
        "trail", _("Events by verdict"),
        (Column(_("Verdict")), Column(_("Events"), "number"), Column(_("Share"), "share")),
        tuple((str(verdict.label), counts[verdict], figures.share(counts[verdict], total)) for verdict in TrailVerdict),
        source,
    )  # fmt: skip
    rows = _events(asked).unexplained().defer("raw").order_by("occurred_at", "pk")
    loose = Table(
        "trail_unexplained", _("Events that nobody explained"),
        (Column(_("Time"), "time"), Column(_("Who")), Column(_("Service")), Column(_("Action")), Column(_("From"))),
        tuple(
            (iso(one.occurred_at), one.who, one.service, one.action, one.source_ip)
            for one in rows[:MOST_UNEXPLAINED]
        ),
        source, left_out=max(unexplained - MOST_UNEXPLAINED, 0), empty=_("None."),
    )  # fmt: skip
    return [numbers, *remarks, verdicts, loose]


def _credentials(asked: Asked) -> QuerySet[Credential]:
    """Those in use at the end, as they are when the figures are read."""
    rows: QuerySet[Credential] = Credential.objects.filter(customer=asked.customer, created_at__lt=asked.until)
    return rows.filter(Q(retired_at=None) | Q(retired_at__gte=asked.until))


def credential_blocks(asked: Asked) -> list[Block]:
    source = page(asked, _("Credentials in use at the end of the month, with the age of the secret they have now."),
                  "assets.credential, secret_set_at, rotation_due_at", "assets:credentials")  # fmt: skip
    ram = page(asked, _("Findings about RAM users that stood at the end of the month."), "assets.ramfinding, found_at",
               "assets:cloud_accounts")  # fmt: skip
    rows = list(_credentials(asked).select_related("asset", "cloud_account"))
    due = sorted(
        (one for one in rows if one.rotation_due_at is not None and one.rotation_due_at < asked.until),
        key=lambda one: (one.rotation_due_at or asked.until, one.pk),
    )
    findings = RamFinding.objects.filter(customer=asked.customer, found_at__lt=asked.until)
    findings = findings.filter(Q(gone_at=None) | Q(gone_at__gte=asked.until))
    flaws = Counter(findings.values_list("flaw", flat=True))
    is_seen = CloudAccount.objects.existing().filter(customer=asked.customer).exclude(synced_at=None).exists()
    note = "" if is_seen or flaws else _("No cloud account's users were read.")
    keys = [one for one in rows if one.kind in (CredentialKind.ACCESS_KEY, CredentialKind.KEY_PAIR)]
    numbers = Figures(
        (
            Figure("credentials", _("Credentials in use"), len(rows), source),
            Figure("rotation_due", pgettext("count", "Rotation due"), len(due), source, better="down"),
            Figure("ageless", _("Age not known"), sum(one.secret_set_at is None for one in rows), source,
                   better="down"),
            Figure("keys_unused", _("Keys never used by the platform"), sum(one.last_used_at is None for one in keys),
                   source, better="down"),
            Figure("ram_unused", _("AccessKeys of RAM users not used for 90 days"),
                   None if note else flaws[RamFinding.Flaw.UNUSED_KEY], ram, better="down", note=note),
            Figure("ram_old", _("AccessKeys of RAM users older than 90 days"),
                   None if note else flaws[RamFinding.Flaw.OLD_KEY], ram, better="down", note=note),
        ),
        _("Credentials"),
    )  # fmt: skip
    table = Table(
        "rotation_due", _("Credentials whose rotation is due"),
        (Column(_("Account")), Column(_("Kind")), Column(_("Of")), Column(_("Age"), "length"),
         Column(_("Due since"), "day")),
        tuple(
            (
                one.username, str(one.get_kind_display()), str(one.where), _age(one, asked.until),
                day(one.rotation_due_at),
            )
            for one in due[:MOST_ROWS]
        ),
        source, left_out=max(len(due) - MOST_ROWS, 0), empty=_("None is due."),
    )  # fmt: skip
    kinds = Table(
        "credentials", _("Credentials by kind"),
        (Column(_("Kind")), Column(_("Count"), "number"), Column(_("Mean age"), "length"),
         Column(_("Replaced after, days"), "number"), Column(pgettext("count", "Rotation due"), "number")),
        tuple(
            (
                str(kind.label), len(mine), _whole(figures.mean(_age(one, asked.until) for one in mine)),
                settings.CREDENTIAL_DAYS[kind] or None, sum(one in due for one in mine),
            )
            for kind in CredentialKind
            if (mine := [one for one in rows if one.kind == kind])
        ),
        source, empty=_("No credential is kept."),
    )  # fmt: skip
    return [numbers, *_ages(rows, asked.until, source), kinds, table]


def _ages(rows: Sequence[Credential], at: datetime, source: Source) -> list[Chart]:
    """How many are how old, by kind; those of which nobody knows stand apart."""
    if not rows:
        return []
    counts = Counter((one.kind, _age_class(_age(one, at))) for one in rows)
    labels = (
        *(_("≤ %(count)d d") % {"count": days} for days in AGES),
        _("> %(count)d d") % {"count": AGES[-1]},
        pgettext("age", "not known"),
    )
    curves = tuple(
        Curve(str(kind.label), tuple(float(counts[kind, place]) for place in range(len(labels))))
        for kind in CredentialKind
        if any(one.kind == kind for one in rows)
    )
    return [Chart("credential_ages", _("Age of the credentials"), labels, curves, source, shape="stack", lowest=0)]


def _age_class(seconds: int | None) -> int:
    if seconds is None:
        return len(AGES) + 1
    return sum(seconds > days * DAY for days in AGES)


def _age(one: Credential, at: datetime) -> int | None:
    if one.secret_set_at is None:
        return None
    return max(round((at - one.secret_set_at).total_seconds()), 0)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def findings(asked: Asked) -> list[Finding]:
    told = []
    unexplained = _events(asked).unexplained().count()
    if unexplained:
        text = _("Explain the events of the audit trail that nobody knows: %(count)d.")
        told.append(Finding("next", text % {"count": unexplained}))
    elif _events(asked).exists():
        told.append(Finding("good", _("Every event of the audit trail is explained.")))
    due = _credentials(asked).filter(rotation_due_at__lt=asked.until).count()
    if due:
        told.append(Finding("next", _("Replace the credentials whose rotation is due: %(count)d.") % {"count": due}))
    return told
