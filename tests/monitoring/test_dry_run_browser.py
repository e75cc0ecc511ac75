"""A rule tried on stored figures, in a real browser: what it would have done is drawn on the graph."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Customer, User
from assets.models import Asset
from monitoring import pipeline
from tests.monitoring.samples import Sample, batch, server
from tests.portal import Visit

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

HOURS = 12
WEEK_H = 7 * 24
BANDS = """() => {
  const c = document.querySelector("[data-dry-run] canvas");
  const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  const tall = new Array(c.width).fill(0);
  let blue = 0, dashed = 0;
  for (let i = 0; i < d.length; i += 4) {
    const [r, g, b, a] = [d[i], d[i + 1], d[i + 2], d[i + 3]];
    if (r > 110 && r - b > 70 && a > 30 && a < 200) tall[(i / 4) % c.width] += 1;
    if (r > 190 && r - b > 150 && a > 230) dashed += 1;
    if (b > 150 && b - r > 100 && a > 120) blue += 1;
  }
  const columns = tall.map((n, x) => [n, x]).filter(([n]) => n > c.height / 3).map(([, x]) => x);
  return { width: c.width, columns, dashed, blue };
}"""
"""The columns that a band fills, and the pixels of the threshold's line and of the curve."""


@pytest.fixture
def busy(jia: Customer) -> Asset:
    """A host that was busy for half a day, two days ago, and is not busy now."""
    asset = server(jia, "web-01")
    now = timezone.now().replace(second=0, microsecond=0)
    start = now - timedelta(hours=48)
    load = [30.0] * 60 + [96.0] * (60 * HOURS) + [30.0] * 60
    samples: list[Sample] = [
        (asset, "host.cpu.util", {}, start + timedelta(minutes=at), value) for at, value in enumerate(load)
    ]
    pipeline.ingest(batch(jia, samples), now=now)
    return asset


def tried(page: Page) -> None:
    page.get_by_role("button", name="Try on the last 7 days").click()
    expect(page.locator("#trial")).to_contain_text("would have fired")


def test_the_hours_in_which_it_would_have_fired_are_a_band_behind_the_curve(
    busy: Asset, chen: User, visit: Visit
) -> None:
    page = visit(chen, f"/monitoring/rules/host-cpu-util/?customer={busy.customer_id}")
    tried(page)
    expect(page.locator("#trial")).to_contain_text("would have fired 1 time in the last 7 days")
    graph = page.locator("[data-dry-run]")
    expect(graph.locator("canvas")).to_have_count(1)
    expect(graph).to_have_attribute("aria-label", "web-01")
    page.wait_for_timeout(300)
    drawn = page.evaluate(BANDS)
    columns = drawn["columns"]
    assert columns, "no band"
    assert columns[-1] - columns[0] + 1 == len(columns), "one band, without a gap"
    assert len(columns) / drawn["width"] == pytest.approx(HOURS / WEEK_H, rel=0.25)
    assert drawn["dashed"] > 100, "the threshold"
    assert drawn["blue"] > 50, "the curve"


def test_a_threshold_that_was_never_reached_has_no_band_and_the_next_trial_draws_anew(
    busy: Asset, chen: User, visit: Visit
) -> None:
    page = visit(chen, f"/monitoring/rules/host-cpu-util/?customer={busy.customer_id}")
    page.fill("input[name=threshold_0]", "99")
    tried(page)
    expect(page.locator("#trial")).to_contain_text("would have fired 0 times")
    expect(page.locator("[data-dry-run]")).to_have_count(0)
    page.fill("input[name=threshold_0]", "92")
    tried(page)
    expect(page.locator("#trial")).to_contain_text("would have fired 1 time in the last 7 days")
    expect(page.locator("[data-dry-run] canvas")).to_have_count(1)
    page.wait_for_timeout(300)
    light = page.evaluate(BANDS)
    assert light["columns"]
    page.evaluate(
        """() => { document.documentElement.dataset.bsTheme = "dark";
        document.dispatchEvent(new CustomEvent("rdmp:theme", { detail: { theme: "dark" } })); }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate(BANDS)["columns"] == light["columns"], "the other theme has the same band"
