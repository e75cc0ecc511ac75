"""Session audit: who was on which server through the bastion, for what, and what went past it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from bastion.models import BastionSession, SessionCommand
from reports import figures
from reports.blocks import Cell, Column, Figure, Figures, Finding, Part, Source, Table
from reports.kinds.asking import MOST_ROWS, Asked, PartOf
from reports.kinds.monthly import security_access as access
from reports.kinds.monthly.security_access import Logins

DRAWN: Final = 2000
HELD: Final = ("deny", "review")


def read(asked: Asked) -> Part:
    source = access.session_source(asked)
    rows = access.sessions(asked)
    told = rows.select_related("person", "asset", "incident", "change").annotate(commands=Count("sessioncommands"))
    sessions = list(told.order_by("opened_at", "pk"))
    unmatched = [one for one in sessions if one.incident is None and one.change is None]
    logins = access.logins(asked)
    held = SessionCommand.objects.filter(customer=asked.customer, session__in=rows.values("pk"), verdict__in=HELD)
    numbers = Figures(
        (
            Figure("sessions", _("Sessions"), len(sessions), source),
            Figure("people", _("People"), len({one.person_id for one in sessions}), source),
            Figure("servers", _("Servers"), len({one.asset_id for one in sessions}), source),
            Figure("commands", _("Commands"), sum(getattr(one, "commands", 0) for one in sessions), source),
            Figure("held", _("Commands refused or held for review"), held.count(), source),
            Figure("unmatched", _("Without incident or change"), figures.share(len(unmatched), len(sessions)), source,
                   kind="share", better="down", note="" if sessions else _("No session.")),
            Figure("direct", _("Log-ins past the bastion"), logins.known(logins.rows.count()),
                   access.login_source(asked), better="down", note=logins.note),
        )
    )  # fmt: skip
    return Part(
        "sessions",
        _("Session audit"),
        (numbers, access.by_person(asked), _list(sessions, source), *access.login_tables(asked, logins)),
        tuple(_findings(unmatched, logins)),
    )


def _list(sessions: Sequence[BastionSession], source: Source) -> Table:
    columns = (
        Column(_("Began"), "time"), Column(_("Lasted"), "length"), Column(_("Person")), Column(_("Server")),
        Column(_("Account")), Column(_("From")), Column(_("For")), Column(_("Commands"), "number"),
    )  # fmt: skip
    return Table(
        "sessions", _("Sessions"), columns, tuple(_row(one) for one in sessions[:MOST_ROWS]), source,
        left_out=max(len(sessions) - MOST_ROWS, 0), empty=_("No session."), drawn=DRAWN,
    )  # fmt: skip


def _row(one: BastionSession) -> tuple[Cell, ...]:
    assert one.opened_at is not None  # noqa: S101 - asked for by it
    lasted = None if one.ended_at is None else round((one.ended_at - one.opened_at).total_seconds())
    return (
        one.opened_at.isoformat(), lasted, one.person.name, one.asset.name, one.account, one.client_address, one.work,
        getattr(one, "commands", 0),
    )  # fmt: skip


def _findings(unmatched: Sequence[BastionSession], logins: Logins) -> list[Finding]:
    said = []
    if not logins.unread and not logins.rows.exists():
        said.append(Finding("good", _("No log-in past the bastion was found.")))
    unexplained = logins.rows.filter(explained_at=None).count()
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


SESSIONS: Final[Sequence[PartOf]] = (PartOf("sessions", gettext_lazy("Session audit"), read),)
