"""Who came in: sessions through the bastion, commands that were held or denied, log-ins past it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from assets.hosting import HOSTS
from assets.models import Asset
from bastion.gateway.contract import Verdict
from bastion.models import BastionSession, CommandReview, DirectLogin, HardenedServer, SessionCommand
from reports.blocks import Block, Column, Figure, Figures, Finding, Remark, Source, Table
from reports.kinds.asking import MOST_ROWS, Asked
from reports.kinds.readings import iso, names_of
from reports.kinds.words import page


def sessions(asked: Asked) -> QuerySet[BastionSession]:
    rows = asked.about(BastionSession.objects.filter(customer=asked.customer))
    return rows.filter(opened_at__gte=asked.start, opened_at__lt=asked.until)


def session_source(asked: Asked) -> Source:
    return page(asked, _("Sessions by the moment at which they began."), "bastion.bastionsession, opened_at",
                "bastion:sessions")  # fmt: skip


def _unmatched(asked: Asked) -> QuerySet[BastionSession]:
    return sessions(asked).filter(incident=None, change=None)


def by_person(asked: Asked) -> Table:
    people = (
        sessions(asked).order_by().values("person__name")
        .annotate(
            count=Count("pk"), hosts=Count("asset", distinct=True),
            loose=Count("pk", filter=Q(incident=None, change=None)),
        )
        .order_by("-count", "person__name")
    )  # fmt: skip
    return Table(
        "sessions_by_person", _("Sessions by person"),
        (Column(_("Person")), Column(_("Sessions"), "number"), Column(_("Resources"), "number"),
         Column(_("Without incident or change"), "number")),
        tuple((row["person__name"], row["count"], row["hosts"], row["loose"]) for row in people[:MOST_ROWS]),
        session_source(asked), left_out=max(people.count() - MOST_ROWS, 0), empty=_("Nobody connected in this month."),
    )  # fmt: skip


def session_blocks(asked: Asked) -> list[Block]:
    source = session_source(asked)
    reviews = page(asked, _("Commands that waited for somebody's word."), "bastion.commandreview, asked_at",
                   "bastion:reviews")  # fmt: skip
    commands = page(asked, _("Commands as they were entered."), "bastion.sessioncommand, at", "bastion:commands")
    counted = sessions(asked).aggregate(count=Count("pk"), people=Count("person", distinct=True))
    entered = SessionCommand.objects.filter(customer=asked.customer, at__gte=asked.start, at__lt=asked.until)
    asked_for = CommandReview.objects.filter(
        customer=asked.customer, asked_at__gte=asked.start, asked_at__lt=asked.until
    )
    answers = Counter(asked_for.values_list("state", flat=True))
    numbers = Figures(
        (
            Figure("sessions", _("Sessions"), counted["count"], source),
            Figure("people", _("People"), counted["people"], source),
            Figure("unmatched", _("Without incident or change"), _unmatched(asked).count(), source, better="down"),
            Figure("commands", _("Commands"), entered.count(), commands),
            Figure("denied", _("Commands denied by a rule"), entered.filter(verdict=Verdict.DENY).count(), commands),
            Figure("reviews", _("Commands held for review"), sum(answers.values()), reviews),
            Figure("reviews_allowed", _("Of these allowed"), answers[CommandReview.State.ALLOWED], reviews),
            Figure("reviews_denied", _("Of these denied or unanswered"),
                   answers[CommandReview.State.DENIED] + answers[CommandReview.State.LAPSED], reviews),
        ),
        _("Sessions through the bastion"),
    )  # fmt: skip
    loose = _unmatched(asked).select_related("person", "asset").order_by("opened_at", "pk")
    unmatched = Table(
        "sessions_unmatched", _("Sessions without incident or change"),
        (Column(pgettext("session", "Begun"), "time"), Column(_("Person")), Column(_("Resource")), Column(_("Account")),
         Column(_("Reason given"))),
        tuple(
            (iso(one.opened_at), one.person.name, one.asset.name, one.account, one.reason)
            for one in loose[:MOST_ROWS]
        ),
        source, left_out=max(loose.count() - MOST_ROWS, 0),
        empty=_("Every session belongs to an incident or a change.") if counted["count"] else _("No session."),
    )  # fmt: skip
    return [numbers, by_person(asked), unmatched]


@dataclass(frozen=True, slots=True)
class Logins:
    """Log-ins past the bastion. `unread`: servers that told nothing; `note`: why nothing at all is known."""

    rows: QuerySet[DirectLogin]
    unread: Sequence[Asset]
    note: str

    def known(self, count: int) -> int | None:
        return None if self.note else count


def logins(asked: Asked) -> Logins:
    rows = asked.about(DirectLogin.objects.filter(customer=asked.customer, at__gte=asked.start, at__lt=asked.until))
    servers = [asset for asset in asked.assets if asset.kind in HOSTS]
    readable = HardenedServer.objects.filter(asset__in=[asset.pk for asset in servers], logins_upto__gt=asked.start)
    read_ids = set(readable.values_list("asset_id", flat=True))
    unread = [asset for asset in servers if asset.pk not in read_ids]
    return Logins(rows, unread, _("No server's log-ins were read.") if servers and not read_ids else "")


def login_source(asked: Asked) -> Source:
    return page(asked, _("Log-ins that the servers recorded and that did not come through the bastion."),
                "bastion.directlogin, at", "bastion:direct-logins")  # fmt: skip


def login_tables(asked: Asked, found: Logins) -> list[Block]:
    """Each log-in, and before it which servers told nothing."""
    rows = found.rows.select_related("asset").order_by("-at", "-pk")
    table = Table(
        "direct_logins", _("Direct log-ins"),
        (Column(_("Time"), "time"), Column(_("Server")), Column(_("Account")), Column(_("From")),
         Column(_("Explanation"))),
        tuple(
            (iso(one.at), one.asset.name, one.account, one.source or pgettext("log-in", "console"),
             one.explanation or _("not explained"))
            for one in rows[:MOST_ROWS]
        ),
        login_source(asked), left_out=max(found.rows.count() - MOST_ROWS, 0),
        empty=found.note or _("Nobody logged in past the bastion."),
    )  # fmt: skip
    if not found.unread:
        return [table]
    names = names_of([asset.name for asset in found.unread])
    return [Remark(_("Log-ins were not read: %(names)s") % {"names": names}, is_warning=True), table]


def login_blocks(asked: Asked) -> list[Block]:
    source, found = login_source(asked), logins(asked)
    count, explained = found.rows.count(), found.rows.exclude(explained_at=None).count()
    numbers = Figures(
        (
            Figure("direct", _("Direct log-ins"), found.known(count), source, better="down", note=found.note),
            Figure("explained", _("Explained"), found.known(explained), source, note=found.note),
            Figure("unexplained", _("Not explained"), found.known(count - explained), source, better="down",
                   note=found.note),
        ),
        _("Log-ins past the bastion"),
    )  # fmt: skip
    return [numbers, *login_tables(asked, found)]


def findings(asked: Asked) -> list[Finding]:
    told = []
    unexplained = logins(asked).rows.filter(explained_at=None).count()
    if unexplained:
        text = _("Log-ins past the bastion are not explained: %(count)d.")
        told.append(Finding("bad", text % {"count": unexplained}))
        told.append(Finding("next", _("Explain the direct log-ins, or close the way past the bastion.")))
    loose = _unmatched(asked).count()
    if loose:
        told.append(Finding("bad", _("Sessions without incident or change: %(count)d.") % {"count": loose}))
    return told
