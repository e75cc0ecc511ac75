"""What Security Center says of a customer's accounts: read when the figures are, with each account's read-only key.

An account that could not be read is named, and what is not known stays unknown: it never reads as "none found".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from assets.aliyun import AliyunError
from assets.aliyun.security import KINDS, Suspicion, Vulnerability, suspicions, vulnerabilities
from assets.models import CloudAccount
from assets.services import client_for
from assets.words import say, security_level
from costs.services.reading import Pace
from reports import figures
from reports.blocks import Block, Cell, Chart, Column, Curve, Figure, Figures, Finding, Remark, Source, Table
from reports.kinds import earlier
from reports.kinds.asking import MOST_ROWS, Asked

PURPOSE: Final = "security report"
NEEDS: Final = ("asap", "later", "nntf")
LEVELS: Final = ("serious", "suspicious", "remind")


@dataclass(frozen=True, slots=True)
class Center:
    """`unread`: the accounts that could not be read, with the reason in words."""

    accounts: int
    found: tuple[Vulnerability, ...]
    events: tuple[Suspicion, ...]
    unread: tuple[tuple[str, str], ...]

    @property
    def is_known(self) -> bool:
        return self.accounts > len(self.unread)

    def open_at(self, at: datetime) -> list[Vulnerability]:
        """Found and not yet fixed; what was set aside without a fix is never among them."""
        return [one for one in self.found if figures.standing(_spans(one), at)]

    def fixed(self) -> list[datetime | None]:
        return [one.fixed_at for one in self.found if not one.is_open]


def _spans(one: Vulnerability) -> list[figures.Span]:
    if one.found_at is None or not (one.is_open or one.fixed_at):
        return []
    return [(one.found_at, None if one.is_open else one.fixed_at)]


def read(asked: Asked) -> Center:
    found: list[Vulnerability] = []
    events: list[Suspicion] = []
    unread: list[tuple[str, str]] = []
    language = "zh" if (get_language() or "").startswith("zh") else "en"
    accounts = list(CloudAccount.objects.existing().filter(customer=asked.customer).order_by("name", "pk"))
    for account in accounts:
        try:
            client = client_for(account, purpose=PURPOSE, now=asked.now).watched(Pace(account.account_uid))
            listed = vulnerabilities(client, language=language)
            events += suspicions(client, asked.start, asked.until, language=language)
            found += listed
        except (AliyunError, DomainError) as error:
            unread.append((account.name, say(error.code, error.message)))
    return Center(len(accounts), tuple(found), tuple(events), tuple(unread))


def blocks(asked: Asked, center: Center) -> list[Block]:
    remarks = [
        Remark(_("Security Center of %(name)s was not read: %(why)s") % {"name": name, "why": why}, is_warning=True)
        for name, why in center.unread
    ]
    if not center.accounts:
        remarks.append(Remark(_("No cloud account is registered, so nothing is known from Security Center.")))
    numbers = _numbers(asked, center)
    over_months = _over_months(asked, numbers)
    if not center.is_known:
        return [numbers, *remarks, over_months]
    return [
        numbers,
        *remarks,
        over_months,
        _by_priority(asked, center),
        _by_kind(asked, center),
        _list(asked, center),
        _events(asked, center),
    ]


def findings(asked: Asked, center: Center) -> list[Finding]:
    if not center.accounts:
        return []
    if not center.is_known:
        return [Finding("next", _("Make Security Center readable: its figures are missing from this report."))]
    said = []
    urgent = sum(one.need == "asap" for one in center.open_at(asked.until))
    if urgent:
        said.append(Finding("bad", _("Vulnerabilities to be fixed soon are open: %(count)d.") % {"count": urgent}))
        said.append(Finding("next", _("Plan the patches for the vulnerabilities that Security Center calls urgent.")))
    elif not center.unread:
        said.append(Finding("good", _("No urgent vulnerability is open.")))
    unsettled = sum(not one.is_settled for one in center.events)
    if unsettled:
        said.append(
            Finding("next", _("Settle the events of Security Center that are open: %(count)d.") % {"count": unsettled})
        )
    return said


def _numbers(asked: Asked, center: Center) -> Figures:
    source, events = _source(), _event_source()
    note = ""
    if not center.is_known:
        note = _("Security Center was not read.")
    elif center.unread:
        note = _("Without the accounts that could not be read.")

    def known(value: int) -> int | None:
        return value if center.is_known else None

    still = center.open_at(asked.until)
    urgent = [one for one in still if one.need == "asap"]
    found_in = figures.within((one.found_at for one in center.found), asked.start, asked.until)
    fixed_in = figures.within(center.fixed(), asked.start, asked.until)
    serious = sum(one.level == "serious" for one in center.events)
    unsettled = sum(not one.is_settled for one in center.events)
    return Figures(
        (
            Figure("vulnerabilities", _("Open vulnerabilities"), known(len(still)), source, better="down", note=note),
            Figure("urgent", _("Of these to be fixed soon"), known(len(urgent)), source, better="down", note=note),
            Figure("found", _("Found in the month"), known(found_in), source, better="down", note=note),
            Figure("fixed", _("Fixed in the month"), known(fixed_in), source, note=note),
            Figure("events", _("Security events"), known(len(center.events)), events, better="down", note=note),
            Figure("serious", _("Of these serious"), known(serious), events, better="down", note=note),
            Figure("unsettled", _("Not settled yet"), known(unsettled), events, better="down", note=note),
        ),
        _("Security Center"),
    )  # fmt: skip


def _over_months(asked: Asked, numbers: Figures) -> Chart:
    """What was found, what was fixed, and what was open at the end."""
    names = {
        "found": pgettext("vulnerabilities", "Found"),
        "fixed": _("Fixed"),
        "vulnerabilities": _("Open at the end"),
    }
    now = {one.key: one.value for one in numbers.figures if one.key in names and not isinstance(one.value, str)}
    values = earlier.by_month(asked, "security", now)
    curves = tuple(Curve(name, values[key]) for key, name in names.items())
    labels = tuple(str(month) for month in earlier.months(asked))
    return Chart("vulnerabilities_by_month", _("Vulnerabilities over the months"), labels, curves,
                 earlier.source(asked), lowest=0)  # fmt: skip


def _by_priority(asked: Asked, center: Center) -> Chart:
    counts = Counter((one.kind, one.need) for one in center.open_at(asked.until))
    curves = tuple(Curve(_need(need), tuple(float(counts[kind, need]) for kind in KINDS)) for need in NEEDS)
    labels = tuple(_kind(kind) for kind in KINDS)
    return Chart("vulnerabilities_by_priority", _("Open vulnerabilities by kind and priority"), labels, curves,
                 _source(), shape="stack", lowest=0)  # fmt: skip


def _by_kind(asked: Asked, center: Center) -> Table:
    counts = Counter((one.kind, one.need) for one in center.open_at(asked.until))
    columns = (
        Column(_("Kind")), Column(_("Fix soon"), "number"), Column(_("Fix later"), "number"),
        Column(_("Can wait"), "number"),
    )  # fmt: skip
    rows: tuple[tuple[Cell, ...], ...] = tuple((_kind(kind), *(counts[kind, need] for need in NEEDS)) for kind in KINDS)
    return Table("vulnerabilities_by_kind", _("Open vulnerabilities by kind"), columns, rows, _source())


def _list(asked: Asked, center: Center) -> Table:
    servers: dict[tuple[str, str, str], set[str]] = {}
    for one in center.open_at(asked.until):
        servers.setdefault((one.need, one.kind, one.title), set()).add(one.instance_name or one.instance_id)
    order = {need: place for place, need in enumerate(NEEDS)}
    named = sorted(servers.items(), key=lambda item: (order.get(item[0][0], len(NEEDS)), -len(item[1]), item[0][2]))
    columns = (
        Column(_("Vulnerability")), Column(_("Kind")), Column(_("Priority")), Column(_("Servers"), "number"),
        Column(_("Which")),
    )  # fmt: skip
    rows = tuple(
        (title, _kind(kind), _need(need), len(names), ", ".join(sorted(names)[:10]))
        for (need, kind, title), names in named[:MOST_ROWS]
    )
    return Table(
        "vulnerabilities", _("Open vulnerabilities"), columns, rows, _source(),
        left_out=max(len(named) - MOST_ROWS, 0), empty=_("None in the accounts that were read."),
    )  # fmt: skip


def _events(asked: Asked, center: Center) -> Table:
    order = {level: place for place, level in enumerate(LEVELS)}
    events = sorted(center.events, key=lambda one: (order.get(one.level, len(LEVELS)), one.occurred_at))
    columns = (
        Column(_("Time"), "time"), Column(_("Event")), Column(_("Kind")), Column(_("Level")), Column(_("Server")),
        Column(_("State")),
    )  # fmt: skip
    rows = tuple(
        (
            one.occurred_at.isoformat(), one.name, one.kind, security_level(one.level),
            one.instance_name or one.instance_id,
            pgettext("security event", "settled") if one.is_settled else pgettext("security event", "open"),
        )
        for one in events[:MOST_ROWS]
    )  # fmt: skip
    return Table(
        "security_events", _("Security events"), columns, rows, _event_source(),
        left_out=max(len(events) - MOST_ROWS, 0), empty=_("None in the accounts that were read."),
    )  # fmt: skip


def _kind(kind: str) -> str:
    names = {
        "cve": _("Linux software"),
        "sys": _("Windows updates"),
        "cms": _("Web content systems"),
        "app": _("Applications"),
        "emg": _("Emergencies"),
    }
    return names.get(kind, kind)


def _need(need: str) -> str:
    return {"asap": _("Fix soon"), "later": _("Fix later"), "nntf": _("Can wait")}.get(need, need)


def _source() -> Source:
    how = _(
        "As Security Center lists them when the figures are read; open from the first find to the fix. "
        "What was set aside there is not counted."
    )
    return Source(how, "Sas DescribeVulList, Type, Dealed")


def _event_source() -> Source:
    return Source(_("Events that occurred in the month, Shanghai time."), "Sas DescribeSuspEvents, TimeStart, TimeEnd")
