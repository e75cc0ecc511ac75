"""What a look at a server came to: its results, its figures, and what an accepted exception changes in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from django.db import transaction

from assets.models import Asset
from bastion.hardening import checks
from bastion.hardening.findings import Finding, Outcome, Standard
from bastion.hardening.output import harmless
from bastion.models import HardenedServer, HardeningCheck, HardeningException, HardeningResult
from bastion.services.hardening.asking import Answer

MOST_ADDRESSES: Final = 8
State = HardeningCheck.State


@transaction.atomic
def keep(*, check: HardeningCheck, answer: Answer, standard: Standard, now: datetime) -> HardeningCheck:
    """Write down what a server said; a server that did not answer keeps what it was last found to be."""
    check = HardeningCheck.objects.select_for_update(of=("self",)).select_related("asset").get(pk=check.pk)
    if check.state != State.RUNNING:
        return check
    server = _server(check.asset)
    server.tried_at, server.problem_code = now, answer.problem[:40]
    check.ended_at, check.problem_code = now, answer.problem[:40]
    if answer.problem:
        check.state = State.FAILED
    else:
        _fill(check, server, answer.text, standard, now)
    check.save()
    server.save()
    return check


def _fill(check: HardeningCheck, server: HardenedServer, text: str, standard: Standard, now: datetime) -> None:
    findings = checks.judge(text, standard)
    excepted = excepted_items(check.asset_id, now=now)
    HardeningResult.objects.bulk_create(_row(check, item, finding, excepted) for item, finding in findings.items())
    check.state, check.system = State.DONE, harmless(checks.system_name(text), 120)
    check.is_root = checks.had_root(text)
    outcomes = {item: finding.outcome for item, finding in findings.items()}
    _count(check, outcomes, excepted)
    server.latest, server.checked_at = check, now
    _show(server, check, outcomes, excepted)


def _row(check: HardeningCheck, item: str, finding: Finding, excepted: frozenset[str]) -> HardeningResult:
    return HardeningResult(
        customer_id=check.customer_id,
        check_of=check,
        item=item,
        outcome=finding.outcome.value,
        reason=finding.code,
        names=list(finding.names),
        evidence=finding.evidence,
        is_excepted=item in excepted and finding.outcome is not Outcome.PASSED,
    )


@transaction.atomic
def count_again(*, asset: Asset, now: datetime) -> None:
    """An exception began or ended: the server's figures follow; the look itself stays as it was."""
    server = HardenedServer.objects.select_for_update(of=("self",)).filter(asset=asset).select_related("latest").first()
    if server is None or server.latest is None:
        return
    rows = server.latest.results.values_list("item", "outcome")
    outcomes = {item: Outcome(outcome) for item, outcome in rows}
    excepted = excepted_items(asset.pk, now=now)
    shown = HardeningCheck()
    _count(shown, outcomes, excepted)
    _show(server, shown, outcomes, excepted)
    server.save()


def _count(check: HardeningCheck, outcomes: Mapping[str, Outcome], excepted: frozenset[str]) -> None:
    counted = {item: outcome for item, outcome in outcomes.items() if item not in excepted or outcome is Outcome.PASSED}
    check.passed = _how_many(counted.values(), Outcome.PASSED)
    check.failed = _how_many(counted.values(), Outcome.FAILED)
    check.unknown = _how_many(counted.values(), Outcome.NOT_CHECKED)
    check.excepted = len(outcomes) - len(counted)
    check.score = checks.score(counted)


def _how_many(outcomes: Iterable[Outcome], which: Outcome) -> int:
    return sum(outcome is which for outcome in outcomes)


def _show(
    server: HardenedServer, check: HardeningCheck, outcomes: Mapping[str, Outcome], excepted: frozenset[str]
) -> None:
    server.score, server.failed, server.unknown = check.score, check.failed, check.unknown
    server.excepted = check.excepted
    server.failing = [item for item, one in outcomes.items() if one is Outcome.FAILED and item not in excepted]


def excepted_items(asset_id: int, *, now: datetime) -> frozenset[str]:
    rows = HardeningException.objects.in_force(now).filter(asset=asset_id)
    return frozenset(rows.values_list("item", flat=True))


@transaction.atomic
def note_address(asset: Asset, seen_as: str) -> None:
    """The server sees the platform come from here; the last ones are kept, since a way may change."""
    if not seen_as:
        return
    server = _server(asset)
    if seen_as not in server.platform[-1:]:
        known = [one for one in server.platform if one != seen_as]
        server.platform = [*known, seen_as][-MOST_ADDRESSES:]
        server.save(update_fields=["platform"])


def _server(asset: Asset) -> HardenedServer:
    """Held until the transaction ends."""
    HardenedServer.objects.get_or_create(asset=asset, defaults={"customer_id": asset.customer_id})
    return HardenedServer.objects.select_for_update(of=("self",)).get(asset=asset)
