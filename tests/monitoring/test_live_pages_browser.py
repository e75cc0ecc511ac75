"""Pages that show at once what others do, in a real browser: what changed is there, what is being typed stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts import scope
from accounts.models import Customer, User
from accounts.windows import Once
from assets.models import Asset
from monitoring.collectors.config import Kind
from monitoring.matching import Scope
from monitoring.models import RuleOverride, Silence, Target
from monitoring.rules import RULES
from monitoring.services import overrides, silences, targets
from monitoring.services.overrides import Wish
from tests.monitoring.samples import server
from tests.portal import Visit, elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
CPU = RULES["host-cpu-util"]


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def quiet(customer: Customer, actor: User, reason: str) -> Silence:
    now = timezone.now()
    with scope.customer(customer):
        windows = [Once(now, now + timedelta(hours=1))]
        return silences.create(customer=customer, reason=reason, windows=windows, scope=Scope(), actor=actor, now=now)


def override(customer: Customer, actor: User, limit: float, asset: Asset | None = None) -> RuleOverride:
    with scope.customer(customer):
        return overrides.override(
            customer=customer, rule=CPU, wish=Wish(thresholds=(limit,)), reason=f"because {limit:g}", actor=actor,
            now=timezone.now(), asset=asset,
        )  # fmt: skip


def test_a_silence_that_somebody_ends_is_over_on_every_page(
    jia: Customer, web: Asset, chen: User, visit: Visit
) -> None:
    silence = elsewhere(lambda: quiet(jia, chen, "patching"))
    one, many = visit(chen, f"/monitoring/silences/{silence.pk}/"), visit(chen, "/monitoring/silences/")
    expect(one.get_by_role("button", name="End now")).to_be_visible()
    expect(many.locator("#silences tbody tr")).to_have_count(1)

    def end() -> None:
        with scope.customer(jia):
            silences.end(silence=silence, actor=chen, now=timezone.now())
        quiet(jia, chen, "moving")

    elsewhere(end)
    expect(one.get_by_role("button", name="Undo")).to_be_visible()
    expect(one.get_by_role("button", name="End now")).to_have_count(0)
    expect(one.locator("#silence")).to_contain_text("Ended early")
    expect(many.locator("#silences tbody tr")).to_have_count(2)
    expect(many.locator("#silence-days")).to_have_count(1)
    expect(many.locator("#silence-days rect.quiet-span title").first).to_contain_text("moving")


def test_a_rule_that_somebody_changes_shows_it_and_leaves_what_is_being_typed(
    jia: Customer, web: Asset, chen: User, visit: Visit
) -> None:
    row = elsewhere(lambda: override(jia, chen, 70, web))
    page = visit(chen, f"/monitoring/rules/{CPU.id}/?customer={jia.pk}")
    form = page.locator(f"#restore-{row.pk}")
    form.locator("input[name=reason]").fill("half a sentence")
    wide = elsewhere(lambda: override(jia, chen, 55))
    expect(page.locator("#rule-evaluated")).to_contain_text("55 %")
    expect(page.locator(f"#override-{wide.pk}")).to_contain_text("because 55")
    expect(form.locator("input[name=reason]")).to_have_value("half a sentence")
    for pk in (row.pk, wide.pk):
        inside = page.locator(f"#override-{pk} form")
        expect(inside).to_have_attribute("action", f"/monitoring/overrides/{pk}/restore/")


def test_a_target_that_somebody_switches_off_says_so(jia: Customer, web: Asset, root: User, visit: Visit) -> None:
    def made() -> Target:
        with scope.customer(jia):
            config = {"host": "203.0.113.7", "port": 80}
            return targets.create(asset=web, kind=Kind.TCP, config=config, actor=None, now=timezone.now())

    target = elsewhere(made)
    page = visit(root, f"/monitoring/targets/{target.pk}/")
    expect(page.locator("#target-health")).not_to_contain_text("Switched off")

    def off() -> None:
        with scope.customer(jia):
            targets.set_enabled(target=target, enabled=False, actor=root, now=timezone.now())

    elsewhere(off)
    expect(page.locator("#target-health")).to_contain_text("Switched off")
