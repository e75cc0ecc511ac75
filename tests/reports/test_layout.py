"""Printed tables of real reports with many and long names: no word, no day and no heading is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.utils import timezone, translation
from matplotlib.figure import Figure

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset
from bastion.models import Node
from incidents.months import ZONE
from reports import columns, pdf, plots, service_document
from reports.blocks import Chart, Column, Curve, Part, Source, Table
from reports.kinds.asking import Asked
from reports.kinds.registry import KINDS
from reports.models import ReportKind
from tests.bastion.conftest import node  # noqa: F401 - fixture
from tests.incidents.conftest import alarm
from tests.reports.golden import MARCH, asset_of, day, write
from tests.reports.test_golden_security import session
from tests.reports.test_service_document import content

ROLES = {"zh-hans": "电商平台订单结算与支付对账核心业务", "en": "Settlement of orders and reconciliation of payments"}
UNIT = "\N{SYMBOL FOR UNIT SEPARATOR}"
BEYOND = "\N{RIGHTWARDS ARROW TO BAR}"
Broken = tuple[str, str]


def cells(document: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Of each cell of a table of rows: its element's name, its text, and its lines as they were set, with a mark where
    one stands beyond its cell."""
    for page in document.pages:
        yield from _cells(page._page_box, is_rows=False)


def _cells(box: Any, *, is_rows: bool) -> Iterator[tuple[str, str, list[str]]]:
    element = getattr(box, "element", None)
    if is_rows and type(box).__name__ == "TableCellBox" and element is not None:
        units = {piece for small in element.iter("small") for piece in small.itertext()}
        text = " ".join("".join(f"{UNIT}{one}" if one in units else one for one in element.itertext()).split())
        yield box.element_tag, text, [line for line in _lines(box, _edges(box)) if line.strip()]
        return
    is_rows = is_rows or (element is not None and "rows" in element.get("class", "").split())
    for child in getattr(box, "children", ()):
        yield from _cells(child, is_rows=is_rows)


def _edges(cell: Any) -> tuple[float, float]:
    return cell.position_x - 1, cell.position_x + cell.border_width() + 1


def _lines(box: Any, edges: tuple[float, float]) -> Iterator[str]:
    if type(box).__name__ == "LineBox":
        is_beyond = any(low < edges[0] or high > edges[1] for low, high in _spans(box))
        yield f"{_text(box)}{BEYOND if is_beyond else ''}"
        return
    for child in getattr(box, "children", ()):
        yield from _lines(child, edges)


def _spans(box: Any) -> Iterator[tuple[float, float]]:
    if hasattr(box, "text"):
        yield box.position_x, box.position_x + box.width
    for child in getattr(box, "children", ()):
        yield from _spans(child)


def _text(box: Any) -> str:
    return box.text if hasattr(box, "text") else "".join(map(_text, getattr(box, "children", ())))


def broken(document: Any) -> list[Broken]:
    """Words that do not stand on one line, and headings and short texts that do not."""
    found: list[Broken] = []
    for tag, text, lines in cells(document):
        said = " ".join(lines)
        found += [(text, word) for word in columns.words(text) if said.count(word) < text.count(word)]
        found += [(text, line) for line in lines if BEYOND in line]
        label = text.partition(UNIT)[0].strip()
        is_whole = columns.is_whole_head(label) if tag == "th" else columns.is_short(label)
        if is_whole and not any(label in " ".join(line.split()) for line in lines):
            found.append((label, " / ".join(lines)))
    return found


def laid_out(parts: list[Part], language: str) -> Any:
    """The document as boxes, with everything but its charts."""
    slim = [Part(one.name, one.title, tuple(b for b in one.blocks if not isinstance(b, Chart))) for one in parts]
    return pdf.Page(string=service_document.preview(content(*slim, language=language)), media_type="print").render()


@pytest.fixture
def estate(jia: Customer, chen: User, node: Node) -> Customer:  # noqa: F811 - the fixture
    """Long names of every kind."""
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(created_at=day(-60))
    for number in range(1, 13):
        shared = {
            "region": "cn-zhangjiakou", "environment": "production", "owner_name": "Alexandra Montgomery",
            "spec": "ecs.g7ne.16xlarge", "private_ip": f"192.168.100.{100 + number}", "expires_at": day(270 + number),
        }  # fmt: skip
        host = asset_of(
            jia, f"mall-application-{number:02}", "ecs", provider_id=f"i-bp1abcdefghijk{number:06}", **shared
        )
        write(host, "host.cpu.util", lambda at: np.where(at % 7 < 3, 40.0, 99.97), last=day(3))
        write(host, "host.mem.util", 71.23, last=day(3))
        write(host, "host.load5", 12.34, last=day(3))
        write(host, "host.fs.used_pct", 50 + number, last=day(3), mountpoint="/var/lib/containers/storage")
        for metric in ("host.net.in_bytes_per_s", "host.net.out_bytes_per_s"):
            write(host, metric, 123456789.0, last=day(3), device="eth0")
        with scope.customer(jia):
            session(host, node, chen, day(number))
    for number in range(1, 5):
        database = asset_of(
            jia, f"orders-database-{number:02}", "rds", engine="MySQL 8.0", provider_id=f"rm-bp1abcdefghijk{number:05}",
            region="cn-hangzhou", environment="production",
        )  # fmt: skip
        write(database, "rds.cpu.util", 12.34, last=day(3))
        write(database, "rds.connection.util", 45.67, last=day(3))
        shop = asset_of(jia, f"checkout-service-{number}", "url")
        write(shop, "url.result_code", 0, last=day(3), url=f"https://{number}.shop.example/")
    alarm(host, severity=Severity.HIGH, title="Replication lag of orders-database-01", now=day(9))
    return jia


@pytest.mark.django_db
@pytest.mark.parametrize("language", sorted(ROLES))
@pytest.mark.parametrize("kind", [ReportKind.MONTHLY, ReportKind.INVENTORY, ReportKind.SESSIONS])
def test_no_word_no_day_and_no_heading_is_broken(estate: Customer, language: str, kind: ReportKind) -> None:
    with scope.platform("test"):
        Asset.objects.update(role_text=ROLES[language])
        estate.refresh_from_db()
    asked = Asked(estate, MARCH, MARCH.starts_at, MARCH.ends_at, day(34), {})
    with scope.customer(estate), translation.override(language), timezone.override(ZONE):
        parts = [one.read(asked) for one in KINDS[kind] if not one.is_by_hand]
    document = laid_out(parts, language)
    assert broken(document) == []
    if kind is ReportKind.INVENTORY:
        assert any(page.width > page.height for page in document.pages), "ten columns of long words lie on their side"
        assert document.pages[0].width < document.pages[0].height


def test_the_measure_sees_what_is_broken() -> None:
    columns_of = tuple(Column(f"Environment {number}") for number in range(12))
    table = Table("t", "T", columns_of, (("payment-gateway-node-01",) * 12,), Source("x"))
    assert broken(laid_out([Part("hosts", "H", (table,))], "en"))


def test_a_line_at_the_end_of_its_axis_is_drawn_whole() -> None:
    for highest in (100.0, 99.5):
        chart = Chart("k", "k", ("a", "b"), (Curve("x", (highest, highest)),), Source("x"), lowest=0, highest=highest)
        axes = Figure().add_subplot()
        plots._ticks(axes, chart)
        low, high = axes.get_ylim()
        assert low < 0 < highest < high
    bars = Chart("k", "k", ("a",), (Curve("x", (100.0,)),), Source("x"), lowest=0, highest=100, shape="bar")
    axes = Figure().add_subplot()
    plots._ticks(axes, bars)
    assert axes.get_ylim() == (0, 100)


def test_what_is_not_known_of_bars_is_named() -> None:
    def shown(*curves: Curve, shape: Any = "bar") -> str:
        chart = Chart("k", "k", ("High", "Low"), curves, Source("x"), shape=shape)
        return service_document.Shown("chart", chart, []).unknown

    with translation.override("en"):
        assert shown(Curve("2026-02", (None, None)), Curve("2026-03", (1.0, 2.0))) == "2026-02"
        assert shown(Curve("2026-02", (None, 2.0)), Curve("2026-03", (1.0, 2.0))) == "2026-02 (High)"
        assert shown(Curve("2026-02", (None, 2.0)), Curve("2026-03", (None, 2.0))) == "High"
        assert shown(Curve("web", (None, 2.0)), Curve("app", (1.0, 2.0)), shape="line") == "", "a gap shows itself"
        assert shown(Curve("web", (None, None)), Curve("app", (1.0, 2.0)), shape="line") == "web"


def test_words_are_whole_on_paper_and_hostile_text_stays_text() -> None:
    text = "mall-app-01 and mall-app-02 <b>x-y</b> & " + "x" * 30 + "-y"
    table = Table("t", "T", (Column("A"),), ((text,),), Source("x"))
    html = service_document.preview(content(Part("hosts", "H", (table,))))
    assert '<span class="word">mall-app-01</span>' in html
    assert '<span class="word">&lt;b&gt;x-y&lt;/b&gt;</span> &amp; ' in html
    assert re.search(r"(?<!>)x{30}-y", html)
