"""What ends and when: cloud resources, everything prepaid, certificates and domains; and the notices before (R41).

The sweep may run as often as it likes: each rung of each end is an event with a key of its own. From a week before
the end a resource that is not renewed by itself is an alert and so an incident; until then one message a day names
what has reached a rung.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Assignment, BusinessCalendar, Customer, Severity, User
from accounts.permissions import is_provider
from assets import expiry as ladder
from assets.models import Asset, Kind, Subscription
from monitoring import storage
from monitoring.models import Alert, CollectorKind, Event, ExpiryLadder, Series, Target
from monitoring.models.cloud import default_rungs
from monitoring.services import alerts, events
from notify import services as notify

RULE: Final = "expiry"
ALARMS_FROM: Final = 7
"""Days before the end from which a notice is an alert too."""
FIGURES: Final[Mapping[str, Promise]] = {
    "probe.tls.days_left": gettext_lazy("Certificate"),
    "url.cert_days_left": gettext_lazy("Certificate"),
    "probe.domain.days_left": gettext_lazy("Domain"),
}
PRODUCTS: Final[Mapping[str, Promise]] = {"domain": gettext_lazy("Domain"), "cas": gettext_lazy("Certificate")}
"""Billing's codes that say little to people."""
LINES: Final = 30


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends. `key` names it within the customer; `renewal` is one of Subscription.Renewal."""

    key: str
    customer: Customer
    name: str
    what: str | Promise
    ends_at: datetime
    renewal: str
    asset: Asset | None = None
    instance_id: str = ""
    known_since: datetime | None = None
    is_figure: bool = False

    @property
    def renews_itself(self) -> bool:
        return self.renewal == Subscription.Renewal.AUTO

    def days_left(self, now: datetime) -> int:
        return ladder.days_left(self.ends_at, now, ZoneInfo(settings.TIME_ZONE))


@dataclass(frozen=True, slots=True)
class Wish:
    """How a customer wants to hear of ends."""

    rungs: Sequence[int]
    clock: ladder.Clock


def wish_of(customer: Customer) -> Wish:
    kept = ExpiryLadder.objects.filter(customer=customer).first()
    calendar = BusinessCalendar.objects.filter(customer=customer).order_by("pk").first()
    zone = ZoneInfo(calendar.timezone if calendar else settings.TIME_ZONE)
    return Wish(kept.rungs if kept else default_rungs(), ladder.Clock(zone, kept.hour if kept else 9))


@transaction.atomic
def set_ladder(*, customer: Customer, rungs: Iterable[int], hour: int, actor: User, now: datetime) -> ExpiryLadder:
    """Keep other rungs for a customer. What was told stays told."""
    if not is_provider(actor):
        raise DomainError(_("Only the service team can change when notices are given."), code="not_allowed")
    try:
        checked = ladder.checked_rungs(rungs)
    except ValueError:
        raise DomainError(_("Enter one to twelve numbers of days between 1 and 365."), code="rungs") from None
    if not 0 <= hour <= 23:
        raise DomainError(_("Enter an hour between 0 and 23."), code="hour")
    kept, _made = ExpiryLadder.objects.update_or_create(
        customer=customer, defaults={"rungs": checked, "hour": hour, "changed_at": now, "changed_by": actor}
    )
    detail = {"rungs": checked, "hour": hour}
    audit.record(action="expiry.ladder", actor=actor, customer=customer, obj=kept, detail=detail, now=now)
    return kept


# --- what ends -------------------------------------------------------------------------------------------------------


def listed() -> list[Ending]:
    """Everything in scope that ends, the nearest first. Pay-as-you-go has no end and is not here."""
    found = [*_resources(), *_others(), *_figures()]
    return sorted(found, key=lambda one: (one.ends_at, one.key))


def _resources() -> Iterable[Ending]:
    """Assets: the billing's word counts where it was heard, the product's own otherwise, people's for what they
    wrote down."""
    paid = {
        row.asset_id: row for row in Subscription.objects.filter(gone_at=None, asset__isnull=False).order_by("seen_at")
    }
    for asset in Asset.objects.active().exclude(customer__status=Customer.Status.LEFT).select_related("customer"):
        row = paid.get(asset.pk)
        ends_at = max(filter(None, (row.ends_at if row else None, asset.expires_at)), default=None)
        if ends_at is None:
            continue
        yield Ending(
            key=f"asset:{asset.pk}",
            customer=asset.customer,
            name=asset.name,
            what=Kind(asset.kind).label,
            ends_at=ends_at,
            renewal=row.renewal if row else Subscription.Renewal.UNKNOWN,
            asset=asset,
            instance_id=asset.provider_id,
            known_since=asset.created_at,
        )


def _others() -> Iterable[Ending]:
    """Subscriptions of products that are not among the assets."""
    rows = Subscription.objects.filter(gone_at=None, asset=None, cloud_account__retired_at=None)
    for row in rows.exclude(customer__status=Customer.Status.LEFT).select_related("customer"):
        yield Ending(
            key=f"subscription:{row.pk}",
            customer=row.customer,
            name=row.instance_id,
            what=PRODUCTS.get(row.product.lower(), row.product),
            ends_at=row.ends_at,
            renewal=row.renewal,
            instance_id=row.instance_id,
        )


def _figures() -> Iterable[Ending]:
    """Certificates and domains: their checks bring the days that are left. They give their own notices
    (`services.probe_events`)."""
    rows = Series.objects.filter(metric__in=FIGURES, asset__retired_at=None).select_related("asset__customer")
    series = {row.pk: row for row in rows}
    heads = storage.heads(sorted({row.asset_id for row in series.values()})) if series else {}
    for points in heads.values():
        for point in points:
            row = series.get(int(point["series"]))
            if row is not None:
                seen = datetime.fromtimestamp(int(point["ts"]) / 1000, tz=UTC)
                yield Ending(
                    key=f"series:{row.pk}",
                    customer=row.asset.customer,
                    name=row.asset.name,
                    what=FIGURES[row.metric],
                    ends_at=seen + timedelta(days=float(point["value"])),
                    renewal=Subscription.Renewal.UNKNOWN,
                    asset=row.asset,
                    is_figure=True,
                )


def by_week(endings: Iterable[Ending], now: datetime, *, weeks: int = 13) -> list[tuple[datetime, int, int]]:
    """How much ends in each of the coming weeks: its beginning, what renews itself, what does not."""
    counts: Counter[tuple[int, bool]] = Counter()
    for ending in endings:
        week = (ending.ends_at - now) // timedelta(weeks=1)
        if 0 <= week < weeks:
            counts[week, ending.renews_itself] += 1
    return [(now + timedelta(weeks=week), counts[week, True], counts[week, False]) for week in range(weeks)]


# --- the ladder ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """A notice that was given now."""

    ending: Ending
    notice: ladder.Notice


def sweep(*, customer: Customer, now: datetime) -> list[Told]:
    """Give the notices that are due and take back the alerts of what was renewed. Needs the customer's scope."""
    wish = wish_of(customer)
    endings = [one for one in listed() if not one.is_figure and one.customer.pk == customer.pk]
    endings = _untold_by_probes(endings)
    told_before = _told_before(customer, endings)
    told: list[Told] = []
    with transaction.atomic():
        for ending in endings:
            found = ladder.notice(
                ends_at=ending.ends_at,
                now=now,
                clock=wish.clock,
                rungs=wish.rungs,
                told=told_before.get(_end_key(ending), ()),
                known_since=ending.known_since,
            )
            if found is not None and _tell(ending, found, now):
                told.append(Told(ending, found))
        _take_back(customer, endings, wish, now)
        if told:
            _digest(customer, told, now)
    return told


def _untold_by_probes(endings: Iterable[Ending]) -> list[Ending]:
    """Without the domains that a check watches: it gives the notices, and knows of a renewal first."""
    watched = Target.objects.enabled().filter(kind=CollectorKind.DOMAIN)
    names = {str(name).lower().rstrip(".") for name in watched.values_list("config__domain", flat=True)}
    return [one for one in endings if one.asset is not None or one.instance_id.lower().rstrip(".") not in names]


def _end_key(ending: Ending) -> str:
    """Names one end of one thing: renewed, it has another."""
    return f"expiry:{ending.key}:{ending.ends_at:%Y%m%d}"


def _told_before(customer: Customer, endings: Iterable[Ending]) -> Mapping[str, Collection[int]]:
    wanted = {_end_key(ending) for ending in endings}
    found: dict[str, list[int]] = {}
    rows = Event.objects.filter(customer=customer, source=Event.Source.EXPIRY, key__startswith="expiry:")
    for key in rows.values_list("key", flat=True):
        of, _colon, rung = key.rpartition(":")
        if of in wanted and rung.isdigit():
            found.setdefault(of, []).append(int(rung))
    return found


def _tell(ending: Ending, notice: ladder.Notice, now: datetime) -> bool:
    titles = {language: _title(ending, notice, language) for language in ("zh", "en")}
    severity = _severity(ending, notice)
    event = events.record(
        customer=ending.customer,
        key=f"{_end_key(ending)}:{notice.rung}",
        source=Event.Source.EXPIRY,
        kind="expired" if notice.rung == ladder.EXPIRED else f"expiry-{notice.rung}",
        title_zh=titles["zh"],
        title_en=titles["en"],
        severity=severity,
        opens_alert=False,
        asset=ending.asset,
        detail={
            "ends_at": ending.ends_at.isoformat(),
            "days_left": notice.days_left,
            "rung": notice.rung,
            "due_on": notice.due_on.isoformat(),
            "late": notice.is_late,
            "renewal": ending.renewal,
            "instance": ending.instance_id,
        },
        occurred_at=now,
        ends_at=now,
        now=now,
    )
    if event is None:
        return False
    if severity is not None and ending.asset is not None:
        # One alert per resource, in the words of the rung it stands on.
        alerts.close_event(customer=ending.customer, key=ending.key, now=now)
        alerts.open_event(
            customer=ending.customer,
            asset=ending.asset,
            rule_id=RULE,
            severity=severity,
            title=titles["zh" if ending.customer.language.startswith("zh") else "en"],
            titles=titles,
            text=_line(ending, notice),
            key=ending.key,
            occurred_at=now,
            now=now,
        )
    return True


def _severity(ending: Ending, notice: ladder.Notice) -> Severity | None:
    if ending.renews_itself or (notice.rung > ALARMS_FROM):
        return None
    return Severity.HIGH if notice.days_left <= 1 else Severity.AVERAGE if notice.days_left <= 3 else Severity.WARNING


def _take_back(customer: Customer, endings: Iterable[Ending], wish: Wish, now: datetime) -> None:
    """End the alerts of what was renewed, is paid as one goes now, or is gone."""
    mine = {alerts.event_key(customer.pk, one.key): one for one in endings}
    for alert in Alert.objects.open().filter(customer=customer, rule_id=RULE):
        ending = mine.get(alert.open_key)
        near = ending is not None and ladder.days_left(ending.ends_at, now, wish.clock.zone) <= ALARMS_FROM
        if not near or (ending is not None and ending.renews_itself):
            key = alert.open_key.removeprefix(alerts.event_key(customer.pk, ""))
            alerts.close_event(customer=customer, key=key, now=now, ending=Alert.Ending.RECOVERED)


def _title(ending: Ending, notice: ladder.Notice, language: str) -> str:
    with translation.override("zh-hans" if language == "zh" else "en"):
        values = {"what": ending.what, "name": ending.name, "days": notice.days_left}
        if notice.rung == ladder.EXPIRED:
            return _("%(what)s %(name)s has expired") % values
        if notice.days_left == 0:
            return _("%(what)s %(name)s expires today") % values
        text = ngettext(
            "%(what)s %(name)s expires in %(days)d day", "%(what)s %(name)s expires in %(days)d days", notice.days_left
        )
        return text % values


def _line(ending: Ending, notice: ladder.Notice) -> str:
    """One resource in a message, in the active language."""
    local = ending.ends_at.astimezone(ZoneInfo(settings.TIME_ZONE))
    parts = [f"{ending.what} {ending.name}", f"{local:%Y-%m-%d %H:%M}"]
    if notice.rung == ladder.EXPIRED:
        parts.append(_("expired"))
    else:
        parts.append(ngettext("%(days)d day left", "%(days)d days left", notice.days_left) % {"days": notice.days_left})
    if ending.renews_itself:
        parts.append(_("is renewed automatically"))
    if notice.is_late and notice.rung != ladder.EXPIRED:
        parts.append(_("this notice was due on %(day)s") % {"day": notice.due_on.isoformat()})
    return " · ".join(parts)


def _digest(customer: Customer, told: Sequence[Told], now: datetime) -> None:
    """One message for all that reached a rung at once: to the groups that listen and to the customer's engineers."""
    key = f"expiry:{customer.pk}:{now:%Y%m%d%H%M}"
    with translation.override(customer.language):
        notify.broadcast(customer=customer, key=key, message=_message(customer, told), now=now)
    for assignment in Assignment.objects.filter(customer=customer).select_related("user"):
        with translation.override(assignment.user.language):
            message = _message(customer, told)
        notify.tell(user=assignment.user, key=key, message=message, now=now, customer=customer)


def _message(customer: Customer, told: Sequence[Told]) -> notify.Message:
    ordered = sorted(told, key=lambda one: one.ending.ends_at)
    lines = [f"- {_line(one.ending, one.notice)}" for one in ordered[:LINES]]
    if len(ordered) > LINES:
        lines.append(_("- and %(count)d more") % {"count": len(ordered) - LINES})
    subject = ngettext(
        "%(customer)s: %(count)d resource is about to expire",
        "%(customer)s: %(count)d resources are about to expire",
        len(ordered),
    )
    return notify.Message(
        topic="alert",
        subject=subject % {"customer": customer.short_name, "count": len(ordered)},
        text="\n".join(lines),
        url=reverse("monitoring:expiry"),
        severity=min((one for each in ordered if (one := _severity(each.ending, each.notice))), default=None),
    )
