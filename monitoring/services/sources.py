"""Where figures come from, and whether a source that is silent was asked in vain: otherwise the silence is ours.

A source is what answers in one go: the agent or exporter of a host, the status of one product on it, and for resources
of Alibaba Cloud what CloudMonitor says of them. Whose host figures came by remote write is not asked: it has fallen
silent when nothing came for longer than our own door is ever shut.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from assets.models import Asset
from monitoring.collectors.config.cloud import NAMESPACES
from monitoring.models import CollectorKind, RemoteSource, Target
from monitoring.models.target import TargetQuerySet
from monitoring.rules import Metric
from monitoring.services import cloud

TRIES: Final = 3
HOST: Final = "host"
CLOUD: Final = "cloudmonitor"
OF_HOSTS: Final = frozenset({"host", "process", "script"})
"""Families of metrics that the agent of a host brings; all others are read from the product itself."""
SLUGS: Final = {"php-fpm": "phpfpm", "elasticsearch": "es", "kubernetes": "k8s", "kafka-lag": "kafka", "windows": HOST}
"""Products whose metrics have another family name."""
ASKED: Final = (CollectorKind.PROMETHEUS, CollectorKind.PRODUCT)
UNANSWERED: Final = ("", "timeout", "refused", "reset", "unreachable")
"""Outcomes of asking that may be the host's own silence; all others are ours to mend."""
FAILED: Final = UNANSWERED[1:]
STEADY: Final = frozenset({"ecs", "rds", "slb", "redis", "memcache", "mongodb", "drds", "elasticsearch"})
"""Kinds of which CloudMonitor has figures all the time; of buckets and domains only while they are used."""
SENDERS_PAUSE: Final = timedelta(minutes=10)
"""So long a sender may be silent: a restart or upgrade of ours is over by then, and what was missed comes later."""
LONG_GONE: Final = timedelta(days=1)
"""Whoever stopped sending before that was given up long ago; it is no news."""
Source = tuple[int, str]
"""An asset, and what of it answers in one go."""


def source_of(metric: Metric) -> str:
    """What answers in one go with this metric, among the sources of one asset."""
    if metric.source == "cms":
        return CLOUD
    family = metric.name.split(".")[0]
    return HOST if family in OF_HOSTS else family


def asked(silent: Mapping[Source, int], *, now: datetime) -> set[Source]:
    """Which of these silent sources, with the moment of their last figure (Unix ms), were asked again and again in
    vain, or send no more. Resources of an account that lets nothing be read count as asked: their alerts are held back
    by that."""
    found = _asked_themselves({source: ts for source, ts in silent.items() if source[1] != CLOUD})
    found |= _sent_no_more({asset: ts for (asset, name), ts in silent.items() if name == HOST}, now)
    return found | _asked_of_the_cloud({asset: ts for (asset, name), ts in silent.items() if name == CLOUD})


def unheard(known: Iterable[Source]) -> dict[Source, Target]:
    """Sources that did not answer although they did before, and of whose figures no rule would tell: what a product
    without a rule is missed by. `known` are the sources that rules look at."""
    there = set(known)
    rows = Target.objects.enabled().filter(kind__in=ASKED, problem_code__in=FAILED, failures__gte=TRIES)
    found = {(target.asset_id or 0, brought_by(target)): target for target in rows.exclude(last_ok_at=None)}
    return {source: target for source, target in found.items() if source not in there}


def is_watched(asset: Asset, source: str) -> bool:
    """Whether anything is asked for this source."""
    if source == CLOUD:
        return asset.kind in STEADY and asset.cloud_account_id is not None and _spaces([asset]).exists()
    targets = Target.objects.enabled().filter(kind__in=ASKED, asset=asset)
    if any(_brings(target, source) for target in targets):
        return True
    return source == HOST and RemoteSource.objects.filter(asset=asset, state__has_key="read").exists()


def heard_at(asset_id: int, source: str) -> datetime | None:
    """When a source that no rule looks at answered last, if it answers at present."""
    for target in Target.objects.enabled().filter(kind__in=ASKED, asset_id=asset_id, problem_code=""):
        if brought_by(target) == source:
            return target.last_ok_at
    return None


def brought_by(target: Target) -> str:
    """The source that a target is asked for."""
    if target.kind == CollectorKind.PROMETHEUS:
        return HOST
    slug = str(target.config.get("product", ""))
    return SLUGS.get(slug, slug)


def _asked_themselves(silent: Mapping[Source, int]) -> set[Source]:
    assets = {asset for asset, _ in silent}
    targets = Target.objects.enabled().filter(kind__in=ASKED, asset_id__in=assets, problem_code__in=UNANSWERED)
    return {
        source
        for target in targets
        for source, ts in silent.items()
        if source[0] == target.asset_id and _brings(target, source[1]) and _in_vain(target, ts)
    }


def _sent_no_more(silent: Mapping[int, int], now: datetime) -> set[Source]:
    """Hosts that nobody asks and whose last figures came by remote write, page by page."""
    pages = RemoteSource.objects.filter(asset_id__in=silent, state__has_key="read")
    sent = {asset for asset, read in pages.values_list("asset_id", "state__read") if read >= silent[asset]}
    due = {asset for asset in sent if SENDERS_PAUSE <= now - _moment(silent[asset]) <= LONG_GONE}
    targets = Target.objects.enabled().filter(kind__in=ASKED, asset_id__in=due)
    asked_for = {target.asset_id for target in targets if _brings(target, HOST)}
    return {(asset, HOST) for asset in due - asked_for}


def _asked_of_the_cloud(silent: Mapping[int, int]) -> set[Source]:
    rows = Asset.objects.active().filter(pk__in=silent, kind__in=STEADY, cloud_account__retired_at=None)
    assets = list(rows.exclude(cloud_account=None).exclude(status__in=(Asset.Status.STOPPED, Asset.Status.LOCKED)))
    if not assets:
        return set()
    spaces: dict[tuple[int | None, str], Target] = {
        (target.cloud_account_id, str(target.config.get("namespace", ""))): target for target in _spaces(assets)
    }
    lost = cloud.unreadable()
    found = set()
    for asset in assets:
        target = spaces.get((asset.cloud_account_id, NAMESPACES[asset.kind]))
        answers = target is not None and not target.problem_code and _in_vain(target, silent[asset.pk])
        if answers or (target is not None and asset.cloud_account_id in lost):
            found.add((asset.pk, CLOUD))
    return found


def _spaces(assets: Collection[Asset]) -> TargetQuerySet:
    """The targets that ask CloudMonitor for these."""
    accounts = {asset.cloud_account_id for asset in assets}
    names = {NAMESPACES[asset.kind] for asset in assets}
    rows: TargetQuerySet = Target.objects.enabled().filter(kind=CollectorKind.CMS, cloud_account__in=accounts)
    return rows.filter(config__namespace__in=names)


def _brings(target: Target, source: str) -> bool:
    """Whether a target is asked for this source: an exporter for any, a product for its own."""
    return target.kind == CollectorKind.PROMETHEUS or brought_by(target) == source


def _in_vain(target: Target, last_ts: int) -> bool:
    """Three questions without an answer, or answers for three periods that hold none of the figures."""
    if target.problem_code:
        return target.failures >= TRIES
    return target.last_ok_at is not None and target.last_ok_at - _moment(last_ts) >= TRIES * target.interval


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)
