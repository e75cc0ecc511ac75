"""The health of a month: a score of five sides, each with the way to its rows, and its course over the months."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.models import Severity
from assets.hosting import HOSTS
from changes.models import DutyOccurrence
from incidents.months import ZONE
from incidents.results import Result
from monitoring.models import Alert
from reports import figures
from reports.blocks import Chart, Curve, Figure, Figures, Source
from reports.figures import WEIGHTS, Score
from reports.kinds import earlier
from reports.kinds.asking import Asked
from reports.kinds.monthly import security_hosts
from reports.kinds.words import page

KEY: Final = "health"


def score(asked: Asked, result: Result, shares: Sequence[float]) -> Score:
    """`shares`: how much of the time each business was available, in per cent, as far as it is known."""
    alerts = Alert.objects.filter(customer=asked.customer, opened_at__gte=asked.start, opened_at__lt=asked.end)
    severe = alerts.filter(severity__lte=Severity.HIGH).count()
    watched = sum(asked.is_there(one) for one in asked.assets)
    looks = security_hosts.looks([one for one in asked.assets if one.kind in HOSTS], asked.until)
    done = duties(asked)
    return figures.score(
        {
            "availability": figures.availability_score(min(shares) if shares else None),
            "service_levels": result.response.share,
            "alerts": figures.alerts_score(severe, watched),
            "hardening": figures.mean(look.score for look in looks.values()),
            "care": figures.share(sum(done), len(done)),
        }
    )


def duties(asked: Asked) -> list[bool]:
    """Of each duty that fell due, or was done before it did: was it done in time? In days of Shanghai."""
    rows = DutyOccurrence.objects.filter(customer=asked.customer, dropped_at=None)
    rows = rows.filter(due_on__gte=asked.start.astimezone(ZONE).date(), due_on__lt=asked.end.astimezone(ZONE).date())
    today = asked.until.astimezone(ZONE).date()
    return [
        one.done_at is not None and one.done_at.astimezone(ZONE).date() <= one.due_on
        for one in rows
        if one.done_at is not None or one.due_on < today
    ]


def figure(score: Score) -> Figure:
    note = ""
    if score.value is None:
        note = _("Too little of it is known.") if score.known else _("Nothing of it is known.")
    return Figure(KEY, _("Health, 0 to 100"), score.value, _source(), better="up", note=note)


def sides(asked: Asked, score: Score, availability: Source, service_levels: Source) -> Figures:
    """How the score came about."""
    sources = {
        "availability": availability,
        "service_levels": service_levels,
        "alerts": page(
            asked, _("Disaster and High alerts opened in the month against the resources at its end: none is 100 "
                     "points, one for each resource 0."),
            "monitoring.alert, opened_at, severity", "monitoring:alerts",
        ),
        "hardening": page(
            asked, _("Mean score of the last look at each server before the end of the month."),
            "bastion.hardeningcheck, ended_at, score", "bastion:hardening",
        ),
        "care": page(
            asked, _("Of the duties that fell due in the month, in days of Shanghai."),
            "changes.dutyoccurrence, due_on, done_at", "changes:duties",
        ),
    }  # fmt: skip
    names, shown = _names(), []
    for name, value in score.parts.items():
        source, label = sources[name], names[name]
        label = _("%(aspect)s, weight %(weight)d") % {"aspect": label, "weight": WEIGHTS[name]}
        note = _("not known: the others count more") if value is None else ""
        shown.append(Figure(f"{KEY}_{name}", label, value, source, better="up", note=note))
    return Figures(tuple(shown), _("How the health is reckoned, points of 100"))


def _names() -> dict[str, str]:
    return {
        "availability": _("Availability of the worst business"),
        "service_levels": _("Responses in time"),
        "alerts": _("Severe alerts for each resource"),
        "hardening": _("Hardening of the servers"),
        "care": _("Recurring duties done in time"),
    }


def sentence(score: Score) -> str:
    """The score, and what it rests on where that is not everything."""
    if len(score.known) == len(score.parts):
        return _("The health of the month is %(score).0f of 100.") % {"score": score.value}
    names = _names()
    words = {"score": score.value, "sides": (_(", ")).join(names[name] for name in score.known)}
    return _("The health of the month is %(score).0f of 100, as far as it is known: %(sides)s.") % words


def chart(asked: Asked, score: Score) -> Chart:
    values = earlier.by_month(asked, "overview", {KEY: score.value})[KEY]
    labels = tuple(str(month) for month in earlier.months(asked))
    curves = (Curve(pgettext("report", "Health"), values),)
    return Chart("health_by_month", _("Health over the months"), labels, curves,
                 earlier.source(asked), lowest=0, highest=100)  # fmt: skip


def _source() -> Source:
    weights = " + ".join(f"{weight} {name}" for name, weight in WEIGHTS.items())
    return Source(
        _(
            "Weighted mean of five sides, each 0 to 100: availability of the worst business (20 points for each per "
            "cent missing), responses in time, Disaster and High alerts for each resource, mean hardening score, "
            "recurring duties done in time. What is not known leaves its weight to the others; with less than half "
            "of the weight known there is no score."
        ),
        f"reports.figures.score = ({weights}) / {sum(WEIGHTS.values())}",
    )
