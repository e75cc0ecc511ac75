"""Session audit: who was on which server through the bastion, for what, and what went past it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from bastion.models import BastionSession, DirectLogin, SessionCommand
from reports import figures
from reports.blocks import Cell, Column, Figure, Figures, Finding, Part, Source, Table
from reports.kinds.asking import Asked, PartOf

MOST: Final = 2000
HELD: Final = ("deny", "review")


def read(asked: Asked) -> Part:
    path = f"{reverse('bastion:sessions')}?customer={asked.customer.pk}"
    source = Source(_("Sessions that began in the stretch."), "bastion.session, opened_at", path)
    rows = BastionSession.objects.filter(
        customer=asked.customer, opened_at__gte=asked.start, opened_at__lt=asked.end
    ).select_related("person", "asset", "incident", "change")
    sessions = list(rows.annotate(commands=Count("sessioncommands")).order_by("opened_at", "pk"))
    unmatched = [one for one in sessions if one.incident is None and one.change is None]
    direct = list(
        DirectLogin.objects.filter(customer=asked.customer, at__gte=asked.start, at__lt=asked.end).select_related(
            "asset"
        )
    )
    held = SessionCommand.objects.filter(
        Q(session__opened_at__gte=asked.start, session__opened_at__lt=asked.end),
        customer=asked.customer,
        verdict__in=HELD,
    ).count()
    numbers = Figures(
        (
            Figure("sessions", _("Sessions"), len(sessions), source),
            Figure("people", _("People"), len({one.person_id for one in sessions}), source),
            Figure("servers", _("Servers"), len({one.asset_id for one in sessions}), source),
            Figure("commands", _("Commands"), sum(getattr(one, "commands", 0) for one in sessions), source),
            Figure("held", _("Commands refused or held for review"), held, source),
            Figure("unmatched", _("Without incident or change"), figures.share(len(unmatched), len(sessions)), source,
                   kind="share", better="down", note="" if sessions else _("No session.")),
            Figure("direct", _("Log-ins past the bastion"), len(direct), _direct_source(asked), better="down"),
        )
    )  # fmt: skip
    return Part(
        "sessions",
        _("Session audit"),
        (numbers, _people(sessions, source), _list(sessions, source), _direct(direct, asked)),
        tuple(_findings(unmatched, direct)),
    )


def _people(sessions: Sequence[BastionSession], source: Source) -> Table:
    counts = Counter(one.person.name for one in sessions)
    servers: dict[str, set[int]] = {}
    for one in sessions:
        servers.setdefault(one.person.name, set()).add(one.asset_id)
    rows = tuple((name, count, len(servers[name])) for name, count in counts.most_common())
    columns = (Column(_("Person")), Column(_("Sessions"), "number"), Column(_("Servers"), "number"))
    return Table("people", _("People"), columns, rows, source, empty=_("No session."))


def _list(sessions: Sequence[BastionSession], source: Source) -> Table:
    columns = (
        Column(_("Began"), "time"), Column(_("Lasted"), "length"), Column(_("Person")), Column(_("Server")),
        Column(_("Account")), Column(_("From")), Column(_("For")), Column(_("Commands"), "number"),
    )  # fmt: skip
    rows = tuple(_row(one) for one in sessions[:MOST])
    return Table(
        "sessions", _("Sessions"), columns, rows, source, left_out=max(len(sessions) - MOST, 0), empty=_("No session.")
    )


def _row(one: BastionSession) -> tuple[Cell, ...]:
    assert one.opened_at is not None  # noqa: S101 - asked for by it
    lasted = None if one.ended_at is None else round((one.ended_at - one.opened_at).total_seconds())
    return (
        one.opened_at.isoformat(), lasted, one.person.name, one.asset.name, one.account, one.client_address, one.work,
        getattr(one, "commands", 0),
    )  # fmt: skip


def _direct(direct: Sequence[DirectLogin], asked: Asked) -> Table:
    columns = (Column(_("At"), "time"), Column(_("Server")), Column(_("Account")), Column(_("From")),
               Column(_("Explanation")))  # fmt: skip
    rows = tuple(
        (one.at.isoformat(), one.asset.name, one.account, one.source or _("the console"), one.explanation)
        for one in direct[:MOST]
    )
    return Table(
        "direct", _("Log-ins past the bastion"), columns, rows, _direct_source(asked), empty=_("None was found.")
    )


def _findings(unmatched: Sequence[BastionSession], direct: Sequence[DirectLogin]) -> list[Finding]:
    said = []
    if not direct:
        said.append(Finding("good", _("No log-in past the bastion was found.")))
    unexplained = sum(one.explained_at is None for one in direct)
    if unexplained:
        text = ngettext(
            "%(n)d log-in past the bastion is not explained.", "%(n)d log-ins past the bastion are not explained.",
            unexplained,
        )  # fmt: skip
        said.append(Finding("bad", text % {"n": unexplained}))
    if unmatched:
        text = ngettext(
            "%(n)d session belongs to no incident and no change.",
            "%(n)d sessions belong to no incident and no change.",
            len(unmatched),
        )  # fmt: skip
        said.append(Finding("bad", text % {"n": len(unmatched)}))
    return said


def _direct_source(asked: Asked) -> Source:
    return Source(
        _("Log-ins that servers recorded and no session explains."), "bastion.directlogin, at",
        f"{reverse('bastion:direct-logins')}?customer={asked.customer.pk}",
    )  # fmt: skip


SESSIONS: Final[Sequence[PartOf]] = (PartOf("sessions", gettext_lazy("Session audit"), read),)
