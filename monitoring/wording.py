"""Alerts in words, in the language that is active: titles, conditions, what happened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from monitoring.collectors.products import PRODUCTS
from monitoring.extra_rules import CLOUD_NO_DATA
from monitoring.levels import Effective
from monitoring.models.alert import NO_DATA, Alert
from monitoring.models.series import metric_name
from monitoring.rules import METRICS, RULES, Condition, Form, Rule, plain
from monitoring.units import shown, with_unit

SIGNS: Final = {">=": "≥", "<=": "≤", "!=": "≠", ">": ">", "<": "<", "=": "="}
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ECHOES: Final = {"device": "mountpoint", "vip": "port"}
"""Labels that say nothing beside another one."""


def language() -> str:
    return get_language() or "zh-hans"


def labels_shown(labels: str) -> str:
    """`device="sda1",mountpoint="/data"` as "/data": what tells this one from its siblings."""
    found = dict(_LABEL.findall(labels))
    kept = [
        value.replace('\\"', '"').replace("\\\\", "\\")
        for name, value in found.items()
        if ECHOES.get(name) not in found
    ]
    return ", ".join(kept)


def title(*, asset: str, rule: Rule, labels: str) -> str:
    """ "web-01: Host CPU utilization over 90% (/data)" """
    return _title(_("%(asset)s: %(rule)s"), _rule_name(rule), asset, labels)


def _rule_name(rule: Rule) -> str:
    name = rule.name(language())
    if METRICS[rule.metrics[0]].source == "cms" and not name.startswith((rule.product, "Cloud")):
        return f"{rule.product} {name}"
    return name


def _title(template: str, rule_name: str, asset: str, labels: str) -> str:
    detail = labels_shown(labels) if labels else ""
    text = template % {"asset": asset, "rule": rule_name}
    return f"{text} ({detail})" if detail and detail != asset else text


def alert_title(alert: Alert) -> str:
    """An alert's title in the language of whoever reads; the stored one is in the customer's."""
    said = alert.titles.get("zh" if language().startswith("zh") else "en")
    if said:
        return str(said)
    if alert.rule is not None:
        return title(asset=alert.asset.name, rule=alert.rule, labels=alert.labels)
    if alert.rule_id == NO_DATA:
        return no_data_title(alert.asset.name, labels_shown(alert.labels))
    if alert.rule_id == CLOUD_NO_DATA:
        return cloud_no_data_title(alert.asset.name)
    return alert.title


def cloud_no_data_title(asset: str) -> str:
    return _("%(asset)s: no data from CloudMonitor") % {"asset": asset}


def no_data_title(asset: str, source: str) -> str:
    """`source`: the family of a product's metrics; empty for the agent."""
    if not source:
        return _("%(asset)s: no data from the agent") % {"asset": asset}
    product = next((rule.product for rule in RULES.values() if rule.metrics[0].startswith(f"{source}.")), "")
    if not product and source in PRODUCTS:
        product = PRODUCTS[source].name(language())
    return _("%(asset)s: no data from %(product)s") % {"asset": asset, "product": product or source}


def subject(condition: Condition) -> str:
    names = [metric_name(metric) for metric in condition.metrics]
    if condition.form is Form.DIFFERENCE:
        return " - ".join(names)
    if condition.form is Form.CHANGE:
        return _("change of %(metric)s") % {"metric": names[0]}
    if condition.form is Form.INCREASE:
        return _("increase of %(metric)s") % {"metric": names[0]}
    return names[0]


def condition_text(condition: Condition) -> str:
    """ "CPU utilization ≥ 90 %" """
    sign = SIGNS[condition.comparator.value]
    threshold = with_unit(plain(condition.threshold), condition.unit)
    if condition.form is Form.VALUE:
        named = shown(condition.limit, metric=condition.metrics[0], language=language())
        if named != plain(condition.limit):
            threshold = named
    return f"{subject(condition)} {sign} {threshold}"


def conditions_text(conditions: Sequence[Condition], *, any_of: bool = False) -> str:
    joint = _(" or ") if any_of else _(" and ")
    return joint.join(condition_text(each) for each in conditions)


def how_often(effective: Effective) -> str:
    """ "3 times in a row, checked every 1 min" """
    period = duration(timedelta(seconds=effective.period_s))
    if effective.times == 1:
        return _("once, checked every %(period)s") % {"period": period}
    return _("%(times)s times in a row, checked every %(period)s") % {"times": effective.times, "period": period}


def value_text(value: float | None, effective: Effective) -> str:
    condition = effective.conditions[0]
    metric = METRICS[condition.metrics[0]]
    unit = "s" if condition.form is Form.CHANGE and metric.unit == "unix s" else metric.unit
    name = metric.name if condition.form is Form.VALUE else ""
    return shown(value, unit, metric=name, language=language())


class Phrases:
    """What the alerts of one rule say, in the language that is active when it is made: the common part once."""

    def __init__(self, effective: Effective) -> None:
        self._effective = effective
        self._title = _("%(asset)s: %(rule)s")
        self._name = _rule_name(effective.rule)
        self._opened = _("Now: %(value)s. Rule: %(condition)s, %(often)s.")
        self._said = {"condition": conditions_text(effective.conditions), "often": how_often(effective)}

    def title(self, *, asset: str, labels: str) -> str:
        return _title(self._title, self._name, asset, labels)

    def opened(self, value: float | None) -> str:
        return self._opened % {"value": value_text(value, self._effective), **self._said}


def recovered_text(value: float | None, effective: Effective | None, lasted: timedelta) -> str:
    said = {"lasted": duration(lasted)}
    if effective is None or value is None:
        return _("Lasted %(lasted)s.") % said
    return _("Now: %(value)s. Lasted %(lasted)s.") % {**said, "value": value_text(value, effective)}


def clock(at: datetime) -> str:
    """A moment as people of the platform read it."""
    return f"{timezone.localtime(at):%m-%d %H:%M:%S}"


def duration(length: timedelta) -> str:
    """Two units at most: "2 h 5 min", "45 s"."""
    seconds = max(0, round(length.total_seconds()))
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [
        ngettext("%(count)s day", "%(count)s days", days) % {"count": days} if days else "",
        _("%(count)s h") % {"count": hours} if hours else "",
        _("%(count)s min") % {"count": minutes} if minutes else "",
        _("%(count)s s") % {"count": seconds} if seconds else "",
    ]
    return " ".join([part for part in parts if part][:2]) or _("%(count)s s") % {"count": 0}
