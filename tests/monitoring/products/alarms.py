"""What real outcomes do to the rules: each look is put at a minute of its own and goes through the pipeline."""

from __future__ import annotations

from dataclasses import replace

from assets.models import Asset
from monitoring import pipeline
from monitoring.collectors import Outcome, batch_of
from monitoring.models import Alert
from tests.monitoring.samples import alerts, minute


def store(asset: Asset, outcome: Outcome, at: float) -> None:
    """The figures of a look as those of ``asset`` at a minute."""
    moment = minute(at)
    moved = replace(
        outcome,
        keys=[(asset.customer_id, asset.pk, metric, labels) for _, _, metric, labels in outcome.keys],
        ts=[round(moment.timestamp() * 1000)] * len(outcome.keys),
    )
    pipeline.ingest(batch_of(asset.customer_id, [moved]), now=moment)


def states(asset: Asset) -> dict[str, bool]:
    """Rule ids of the asset's alerts, and whether each is over."""
    return {alert.rule_id: is_over(alert) for alert in alerts(asset.customer) if alert.asset_id == asset.pk}


def is_over(alert: Alert) -> bool:
    return alert.recovered_at is not None
