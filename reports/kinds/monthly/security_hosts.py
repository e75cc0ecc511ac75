"""Hardening scores and their change, what is lacking and accepted; patches done and due with the quarterly review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from assets.hosting import HOSTS
from assets.models import Asset
from bastion.hardening.catalogue import items
from bastion.models import HardeningCheck, HardeningException, HardeningResult
from changes.models import Change, ChangeState, DutyKind, DutyOccurrence
from changes.words import said
from incidents.models import AttestationAnswer
from reports import figures
from reports.blocks import Block, Cell, Chart, Column, Curve, Figure, Figures, Finding, Remark, Source, Table
from reports.kinds import earlier
from reports.kinds.asking import MOST_ROWS, Asked
from reports.kinds.readings import iso, names_of
from reports.kinds.words import day, page, rounded


@dataclass(frozen=True, slots=True)
class Hardening:
    """The last look at each server before the end, and the last before the beginning."""

    servers: tuple[Asset, ...]
    now: Mapping[int, HardeningCheck]
    before: Mapping[int, HardeningCheck]
    lacking: tuple[HardeningResult, ...]
    excepted: tuple[HardeningException, ...]

    @property
    def score(self) -> float | None:
        return figures.mean(check.score for check in self.now.values())

    @property
    def compared(self) -> tuple[float | None, float | None]:
        """The score now and before of the servers that were looked at both times."""
        both = [key for key in self.now if key in self.before]
        now, before = (figures.mean(looks[key].score for key in both) for looks in (self.now, self.before))
        return now, before

    @property
    def unseen(self) -> list[Asset]:
        return [asset for asset in self.servers if asset.pk not in self.now]


def hardening(asked: Asked) -> Hardening:
    servers = tuple(asset for asset in asked.assets if asset.kind in HOSTS)
    now, before = looks(servers, asked.until), looks(servers, asked.start)
    lacking = HardeningResult.objects.filter(
        check_of__in=[check.pk for check in now.values()], outcome=HardeningResult.Outcome.FAILED, is_excepted=False
    )
    signed = Q(attestation__answer__outcome=AttestationAnswer.Outcome.SIGNED, attestation__answer__at__lt=asked.until)
    still = Q(ended_at=None) | Q(ended_at__gte=asked.until)
    excepted = HardeningException.objects.filter(signed, still, customer=asked.customer, until__gt=asked.until)
    return Hardening(
        servers, now, before,
        tuple(lacking.select_related("check_of__asset").order_by("item", "check_of__asset__name")),
        tuple(excepted.select_related("asset").order_by("asset__name", "item")),
    )  # fmt: skip


def looks(servers: Sequence[Asset], at: datetime) -> dict[int, HardeningCheck]:
    """The newest look before a moment, by server."""
    done = HardeningCheck.objects.filter(
        asset__in=[asset.pk for asset in servers], state=HardeningCheck.State.DONE, ended_at__lt=at
    )
    return {check.asset_id: check for check in done.order_by("asset_id", "-ended_at").distinct("asset_id")}


def hardening_blocks(asked: Asked, found: Hardening) -> list[Block]:
    source = page(
        asked, _("The last look at each server before the end of the month."),
        "bastion.hardeningcheck, ended_at", "bastion:hardening",
    )  # fmt: skip
    note = "" if found.now else _("No server was looked at.")
    known = bool(found.now)
    names = items()
    numbers = Figures(
        (
            Figure("hardening", _("Hardening score, mean of the servers"), rounded(found.score), source, better="up",
                   note=note),
            Figure("lacking", _("Items not fulfilled"), len(found.lacking) if known else None, source, better="down",
                   note=note),
            Figure("excepted", _("Exceptions in force"), len(found.excepted), _exception_source(asked), better="down"),
            Figure("unseen", _("Servers never looked at"), len(found.unseen), source, better="down"),
        ),
        _("Hardening"),
    )  # fmt: skip
    columns = (
        Column(_("Server")), Column(_("Score"), "number"), Column(_("Score before"), "number"),
        Column(pgettext("score", "Change"), "number"), Column(_("Not fulfilled"), "number"),
        Column(_("Accepted"), "number"), Column(pgettext("moment", "Looked at"), "time"),
    )  # fmt: skip
    rows = [_server_row(asset, found.now.get(asset.pk), found.before.get(asset.pk)) for asset in found.servers]
    scores = Table(
        "hardening", _("Hardening by server"), columns, tuple(rows), source, empty=_("No server."),
    )  # fmt: skip
    failing: dict[str, list[str]] = {}
    for result in found.lacking:
        failing.setdefault(result.item, []).append(result.check_of.asset.name)
    lacking = Table(
        "lacking", _("Items not fulfilled"),
        (Column(_("Item")), Column(_("Servers"), "number"), Column(_("Which"))),
        tuple(
            (said(names[item].name) if item in names else item, len(where), ", ".join(where[:10]))
            for item, where in sorted(failing.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        ),
        source, empty=_("Every item that was looked at is fulfilled or accepted.") if known else note,
    )  # fmt: skip
    excepted = Table(
        "exceptions", _("Exceptions that the customer accepted"),
        (Column(_("Server")), Column(_("Item")), Column(_("Reason")), Column(pgettext("day", "Until"), "day")),
        tuple(
            (one.asset.name, said(names[one.item].name) if one.item in names else one.item, one.reason, day(one.until))
            for one in found.excepted[:MOST_ROWS]
        ),
        _exception_source(asked), left_out=max(len(found.excepted) - MOST_ROWS, 0), empty=_("None in force."),
    )  # fmt: skip
    unseen = names_of([asset.name for asset in found.unseen])
    missing = [Remark(_("Never looked at: %(names)s") % {"names": unseen}, is_warning=True)] if unseen else []
    return [numbers, *missing, _over_months(asked, found), scores, lacking, excepted]


def _over_months(asked: Asked, found: Hardening) -> Chart:
    values = earlier.by_month(asked, "security", {"hardening": rounded(found.score)})["hardening"]
    labels = tuple(str(month) for month in earlier.months(asked))
    curves = (Curve(_("Mean score"), values),)
    return Chart("hardening_by_month", _("Hardening score over the months"), labels, curves, earlier.source(asked),
                 lowest=0, highest=100)  # fmt: skip


def _server_row(asset: Asset, now: HardeningCheck | None, before: HardeningCheck | None) -> tuple[Cell, ...]:
    if now is None:
        return (asset.name, None, None, None, None, None, None)
    score_before = None if before is None else before.score
    moved = None if now.score is None or score_before is None else now.score - score_before
    return (asset.name, now.score, score_before, moved, now.failed, now.excepted, iso(now.ended_at))


def hardening_findings(found: Hardening) -> list[Finding]:
    told = []
    now, before = found.compared
    if now is not None and before is not None and now != before:
        numbers = {"before": round(before), "now": round(now)}
        if now > before:
            told.append(Finding("good", _("The hardening score rose from %(before)d to %(now)d.") % numbers))
        else:
            told.append(Finding("bad", _("The hardening score fell from %(before)d to %(now)d.") % numbers))
    if found.lacking:
        text = ngettext(
            "Make %(count)d hardening item right or have it accepted.",
            "Make %(count)d hardening items right or have them accepted.",
            len(found.lacking),
        )
        told.append(Finding("next", text % {"count": len(found.lacking)}))
    if found.unseen:
        text = ngettext(
            "Look at %(count)d server that was never checked.", "Look at %(count)d servers that were never checked.",
            len(found.unseen),
        )  # fmt: skip
        told.append(Finding("next", text % {"count": len(found.unseen)}))
    return told


def _exception_source(asked: Asked) -> Source:
    return page(asked, _("Signed by the customer and in force at the end of the month."),
                "bastion.hardeningexception, until", "bastion:hardening-exceptions")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patches:
    """Changes that bring patches, and the quarterly reviews that are owed by the end or were held in the month."""

    done: tuple[Change, ...]
    failed: tuple[Change, ...]
    waiting: tuple[Change, ...]
    reviews: tuple[DutyOccurrence, ...]
    late: tuple[DutyOccurrence, ...]


def patches(asked: Asked) -> Patches:
    rows = Change.objects.may_bring_patches().filter(customer=asked.customer)
    rows = rows.select_related("template").prefetch_related("assets")
    over = rows.filter(ended_at__gte=asked.start, ended_at__lt=asked.until).order_by("ended_at", "pk")
    taken_back = Q(state=ChangeState.ROLLED_BACK, ended_at__gte=asked.start, ended_at__lt=asked.until)
    failed_in = Q(state=ChangeState.FAILED, finished_at__gte=asked.start, finished_at__lt=asked.until)
    waiting = rows.filter(Q(ended_at=None) | Q(ended_at__gte=asked.until), created_at__lt=asked.until)
    # What failed has no end until it is taken back, and is no longer to come.
    waiting = waiting.exclude(Q(state=ChangeState.FAILED) & ~Q(finished_at__gte=asked.until))
    waiting = waiting.exclude(state=ChangeState.CANCELLED).order_by("created_at", "pk")
    reviews = DutyOccurrence.objects.filter(customer=asked.customer, duty__kind=DutyKind.PATCH_REVIEW, dropped_at=None)
    reviews = reviews.filter(opened_at__lt=asked.until).filter(Q(done_at=None) | Q(done_at__gte=asked.start))
    owed = tuple(reviews.select_related("duty").order_by("due_on", "pk"))
    last_day = timezone.localdate(asked.until)
    return Patches(
        done=_patches_of(over.filter(state=ChangeState.CLOSED)),
        failed=_patches_of(rows.filter(taken_back | failed_in).order_by("finished_at", "pk")),
        waiting=_patches_of(waiting),
        reviews=owed,
        late=tuple(one for one in owed if one.due_on < last_day and not _was_done(one, asked.until)),
    )


def _patches_of(rows: QuerySet[Change]) -> tuple[Change, ...]:
    """Not every script that is run brings one."""
    return tuple(one for one in rows if one.is_patch)


def _was_done(one: DutyOccurrence, at: datetime) -> bool:
    return one.done_at is not None and one.done_at < at


def patch_blocks(asked: Asked, found: Patches) -> list[Block]:
    source = page(
        asked,
        _("Changes of the catalogue's patch operations, by the moment at which they ended; those that failed, by when "
          "they did."),
        "changes.change, ended_at, finished_at", "changes:list",
    )  # fmt: skip
    reviews = page(asked, _("Quarterly patch reviews among the recurring duties."), "changes.dutyoccurrence, due_on",
                   "changes:duties")  # fmt: skip
    numbers = Figures(
        (
            Figure("patches", _("Patches done"), len(found.done), source),
            Figure("patches_failed", _("Failed or taken back"), len(found.failed), source, better="down"),
            Figure("patches_due", _("Patches still to come"), len(found.waiting), source, better="down"),
            Figure("reviews_late", _("Patch reviews overdue"), len(found.late), reviews, better="down"),
        ),
        _("Patches"),
    )
    columns = (
        Column(_("Number")), Column(_("Title")), Column(_("Patch")), Column(pgettext("names", "Resources")),
        Column(_("State")), Column(_("Ended"), "time"),
    )  # fmt: skip
    shown = [*found.failed, *found.done, *found.waiting]
    rows = tuple(
        (
            one.number, one.title, one.patch, names_of([asset.name for asset in one.assets.all()]),
            pgettext("patch", "to come") if one in found.waiting else str(one.get_state_display()),
            None if one in found.waiting else iso(one.ended_at or one.finished_at),
        )
        for one in shown[:MOST_ROWS]
    )  # fmt: skip
    table = Table(
        "patches", _("Patches done and due"), columns, rows, source, left_out=max(len(shown) - MOST_ROWS, 0),
        empty=_("No patch was asked for."),
    )  # fmt: skip
    held = Table(
        "patch_reviews", _("Quarterly patch review"),
        (
            Column(_("Due"), "day"), Column(_("Customer told"), "time"), Column(pgettext("review", "Held"), "time"),
            Column(_("Minutes")),
        ),
        tuple(
            (one.due_on.isoformat(), iso(one.told_at),
             iso(one.done_at) if _was_done(one, asked.until) else None, one.minutes[:300])
            for one in found.reviews
        ),
        reviews, empty=_("No patch review is due in this month."),
    )  # fmt: skip
    return [numbers, table, held]


def patch_findings(found: Patches) -> list[Finding]:
    told = []
    if found.done and not found.failed:
        told.append(Finding("good", _("Every patch of the month went through.")))
    if found.failed:
        told.append(Finding("bad", _("Patches failed or were taken back: %(count)d.") % {"count": len(found.failed)}))
    if found.late:
        told.append(Finding("bad", _("The quarterly patch review is overdue.")))
        told.append(Finding("next", _("Hold the quarterly patch review.")))
    return told
