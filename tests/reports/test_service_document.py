"""The printed service report: nothing cut, nothing lost, no glyph missing, whatever stands in it."""

from __future__ import annotations

import base64
import html
import io
import re
from itertools import combinations, pairwise
from typing import Any, Literal

import numpy as np
import openpyxl
import pypdf
import pypdfium2
import pytest
from msgspec.structs import replace
from weasyprint.text.fonts import get_hb_object_data

from incidents import prose
from reports import blocks, pdf, plots, service_document, workbook
from reports.blocks import Chart, Column, Curve, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.service_document import ZONE
from reports.services import service_content
from tests.reports import paper
from tests.reports.paper import boxes

SOURCE = Source("Counted.")
ODD = "𠮷野家 ①②③ ≥ ≤ ± × ÷ → ★ ㎡ ℃ é ß Ω й"
LONG = "a-very-long-host-name-without-any-space-" * 4


def content(*parts: Part, language: str = "zh-hans") -> dict[str, Any]:
    return {
        "number": "REP-000001", "issue": 1, "language": language, "customer": "甲方制造有限公司", "provider": "乙方",
        "author": "", "reason": "", "kind": "monthly", "title": "月度报告 2026-03", "period": "2026-03",
        "starts_at": "2026-03-01T00:00:00+08:00", "ends_at": "2026-04-01T00:00:00+08:00",
        "figures_at": "2026-04-01T02:05:00+08:00", "layout": {"accent": "#0b5fa5", "logo": ""},
        "parts": [{**kept, "text": f"**好**\n\n- {ODD}"} for kept in blocks.written(parts)],
    }  # fmt: skip


def hosts(count: int, drawn: int = 500) -> Table:
    columns = (Column("主机"), *(Column(f"指标{number}", "share") for number in range(8)), Column("备注"))
    rows = tuple((f"host-{number:03}", *(number / 7,) * 8, LONG if number % 50 == 0 else "") for number in range(count))
    return Table("hosts", "主机", columns, rows, SOURCE, drawn=drawn)


@pytest.fixture(scope="module")
def printed() -> bytes:
    chart = Chart(
        "cpu", "CPU", tuple(f"03-{day:02}" for day in range(1, 32)),
        (Curve("web-01 使用率", tuple(float(day) for day in range(31))), Curve("缺数据", (None,) * 31)), SOURCE,
        unit="%",
    )  # fmt: skip
    figures = Figures(tuple(Figure(f"f{number}", f"数字 {number}", number, SOURCE) for number in range(30)))
    one = Part("hosts", "主机报告", (figures, Remark(ODD, is_warning=True), chart, hosts(500)))
    return pdf.make(service_document.preview(content(one, Part("web", "WEB 报告"))))


@pytest.fixture(scope="module")
def full() -> bytes:
    """A month of five hundred hosts and twenty-four charts of eight curves."""
    days = tuple(f"03-{day:02}" for day in range(1, 32))
    waves = tuple(
        Curve(f"host-{number:03}", tuple(float((day * 7 + number * 5) % 97) for day in range(31)))
        for number in range(8)
    )
    shapes: tuple[Literal["line", "bar", "stack"], ...] = ("line", "bar", "stack")
    charts = [
        Chart(f"c{number}", f"图 {number}", days, waves, SOURCE, shape=shapes[number % 3], unit="%")
        for number in range(24)
    ]
    return pdf.make(service_document.preview(content(Part("hosts", "主机报告", (*charts, hosts(500))))))


@pytest.mark.parametrize("name", ["printed", "full"])
def test_no_page_is_empty_and_nothing_stands_in_the_margins(request: pytest.FixtureRequest, name: str) -> None:
    cover, *pages = paper.pictures(request.getfixturevalue(name))
    assert not paper.is_blank(cover)
    assert [number for number, page in enumerate(pages, 2) if paper.is_blank(paper.body(page))] == []
    assert [number for number, page in enumerate(pages, 2) if not all(map(paper.is_blank, paper.margins(page)))] == []


def test_a_big_month_is_a_file_that_mails_take(printed: bytes, full: bytes) -> None:
    assert max(len(printed), len(full)) < 8 * 1024 * 1024


def test_no_font_is_read_whole_for_the_glyphs_of_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Chinese one has 20 MB, twice over where its file is mapped: a tenth of what a worker may hold."""
    taken: list[int] = []

    def counted(*said: Any) -> Any:
        data = get_hb_object_data(*said)
        taken.append(len(data or b""))
        return data

    monkeypatch.setattr(pdf, "get_hb_object_data", counted)
    printed = pdf.make(service_document.preview(content(Part("hosts", "主机报告", (hosts(9),)))))
    assert all(paper.fonts(printed).values())
    assert taken
    assert max(taken) < pdf.WHOLE


def test_a_font_of_which_no_part_can_be_cut_out_is_there_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf.LateFont, "subset", lambda *_said: None)
    printed = pdf.make('<html lang="zh"><body style="font-family: \'Noto Sans CJK SC\'">主机</body></html>')
    assert len(printed) > pdf.WHOLE
    assert all(paper.fonts(printed).values())


def test_no_row_of_a_table_is_cut_between_pages() -> None:
    columns = (Column("名称"), Column("说明"), Column("结尾"))
    rows = tuple((f"first-{number}", "一个要占几行的说明。" * 12, f"last-{number}") for number in range(60))
    printed = pdf.make(service_document.preview(content(Part("p", "P", (Table("t", "T", columns, rows, SOURCE),)))))
    pages = paper.texts(printed)
    assert len(pages) > 4
    for number in range(60):
        [page] = [text for text in pages if re.search(rf"first-{number}\b", text)]
        assert re.search(rf"last-{number}\b", page), f"row {number} is cut"
        rest = page[page.index(f"first-{number}") :]
        assert paper.packed(rest[: rest.index(f"last-{number}")]).count("一个要占几行的说明") == 12


def texture(band: paper.Grey) -> tuple[float, ...]:
    """What an eye without colours sees of a hatching: how dark it is, and how often it changes in each direction."""
    dark = (band < band.mean()).astype(int)
    ways = (
        dark[:, 1:] - dark[:, :-1],
        dark[1:] - dark[:-1],
        dark[1:, 1:] - dark[:-1, :-1],
        dark[1:, :-1] - dark[:-1, 1:],
    )
    return (float(band.mean()) / 255, *(float(np.abs(way).mean()) for way in ways))


@pytest.mark.parametrize(
    "labels",
    [
        tuple(f"2025-{month:02}" for month in range(1, 13)),
        tuple(f"03-{day:02}" for day in range(1, 32)),
        (
            "商城下单服务入口地址",
            "shop.example.com/checkout",
            "会员中心",
            "payments.example.com",
            "api",
            "报表",
            "库",
            "仓",
        ),
    ],
    ids=["months", "days", "names"],
)
def test_labels_under_a_chart_do_not_touch(labels: tuple[str, ...]) -> None:
    chart = Chart("k", "k", labels, (Curve("a", tuple(map(float, range(len(labels))))),), SOURCE, shape="bar")
    document = pdf.make(service_document.preview(content(Part("p", "P", (chart,)))))
    page = pypdfium2.PdfDocument(document)[2].get_textpage()
    drawn = [label.rstrip("…") for label in re.findall(r">([^<>]+)</text>", html.unescape(plots.svg(chart)))]
    ends: list[tuple[float, float]] = []
    for label in [
        label for label in drawn if any(full.startswith(label) for full in labels) and label not in "0123456789"
    ]:
        found = page.search(label).get_next()
        assert found is not None, label
        letters = [page.get_charbox(found[0] + number) for number in range(found[1])]
        ends.append((min(one[0] for one in letters), max(one[2] for one in letters)))
    assert len(ends) >= 6
    assert [pair for pair in pairwise(ends) if pair[1][0] - pair[0][1] < 3] == []


def test_bars_are_told_apart_in_black_and_white() -> None:
    count = len(plots.HATCHES)
    chart = Chart("k", "k", ("a",), tuple(Curve(str(n), (1.0,)) for n in range(count)), SOURCE, shape="stack")
    picture = base64.b64encode(plots.svg(chart).encode()).decode()
    document = pdf.make(f'<html lang="zh"><body><img src="data:image/svg+xml;base64,{picture}" style="width: 170mm">')
    [page] = paper.pictures(document, 200)
    wide = [row for row in range(page.shape[0]) if (page[row] < 250).mean() > 0.3]
    column = page[wide[0] : wide[-1], page.shape[1] * 45 // 100 : page.shape[1] * 55 // 100]
    height = column.shape[0] / count
    bands = [column[round(height * n) + 4 : round(height * (n + 1)) - 4] for n in range(count)]
    seen = [texture(band) for band in bands]
    for one, other in combinations(range(count), 2):
        apart = sum(abs(x - y) for x, y in zip(seen[one], seen[other], strict=True))
        assert apart > 0.04, f"{plots.HATCHES[one]!r} and {plots.HATCHES[other]!r} look alike"


def test_curves_are_told_apart_in_black_and_white() -> None:
    looks = list(zip(map(str, plots.DASHES), plots.MARKS, strict=True))
    assert len(set(plots.DASHES)) == len(set(plots.MARKS)) == len(looks) == len(plots.COLOURS)
    curves = tuple(Curve(str(number), (1.0 + number, 2.0)) for number in range(len(looks)))
    drawn = plots.svg(Chart("k", "k", ("a", "b"), curves, SOURCE))
    assert len(set(re.findall(r"stroke-dasharray: ([\d., ]+)", drawn))) == len(looks) - 1


def test_every_row_of_five_hundred_is_there_once(printed: bytes) -> None:
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(printed)).pages)
    assert sorted(re.findall(r"host-\d{3}", re.sub(r"\s", "", text))) == [f"host-{number:03}" for number in range(500)]


def test_what_is_more_than_is_drawn_is_told_and_stands_in_the_workbook() -> None:
    part = Part("hosts", "主机报告", (hosts(201, 200),))
    assert [len(one.rows) for one in service_document.sections([part])[0].blocks] == [200]
    told = service_document.preview(content(part, language="en"))
    assert "host-199" in told
    assert "host-200" not in told
    assert "1 more row is in the workbook." in told
    book = openpyxl.load_workbook(io.BytesIO(workbook.made("x", [part], service_document.ZONE)))
    assert "host-200" in [cell.value for cell in book.worksheets[1]["A"]]


def test_a_table_of_which_nothing_is_drawn_is_in_the_workbook_alone() -> None:
    part = Part("hosts", "主机报告", (hosts(2, 200), replace(hosts(3, 0), title="Further hosts")))
    assert [one.block.title for one in service_document.sections([part])[0].blocks if isinstance(one.block, Table)] == [
        "主机"
    ]
    assert "Further hosts" not in service_document.preview(content(part, language="en"))
    book = openpyxl.load_workbook(io.BytesIO(workbook.made("x", [part], service_document.ZONE)))
    assert "1 Further hosts" in book.sheetnames


def test_nothing_stands_outside_its_page(printed: bytes) -> None:
    for page in pypdfium2.PdfDocument(printed):
        width, height = page.get_size()
        text = page.get_textpage()
        for number in range(text.count_chars()):
            left, bottom, right, top = text.get_charbox(number)
            assert left >= -1
            assert right <= width + 1
            assert bottom >= -1
            assert top <= height + 1


def test_what_is_one_word_is_not_broken() -> None:
    words = ("INC-000002", "mall-order-ro", "严重", "03-28 13:58", "1,611,000,000", "100 %", "1 小时 1 分钟")
    kinds: tuple[blocks.Kind, ...] = ("text", "text", "text", "time", "number", "share", "length")
    columns = tuple(Column(f"第 {number} 列", kind) for number, kind in enumerate(kinds))
    row = (*words[:3], "2026-03-28T13:58:00+08:00", 1_611_000_000, 100, 3660)
    text = "select sku, sum(quantity) from order_lines where created_at between ? and ? group by sku " * 3
    table = Table("t", "T", (*columns, Column("语句"), Column("方案")), ((*row, text, text),), SOURCE)
    printed = pdf.make(service_document.preview(content(Part("hosts", "主机报告", (table,)))))
    lines = pypdfium2.PdfDocument(printed)[2].get_textpage().get_text_range().splitlines()
    assert [word for word in words if not any(word in line for line in lines)] == []


def test_a_short_table_stays_on_the_page_of_its_heading() -> None:
    short = Table("short", "短表", (Column("名称"),), tuple((f"row-{number}",) for number in range(9)), SOURCE)
    figures = Figures(tuple(Figure(f"f{number}", f"fig-{number}", number, SOURCE) for number in range(9)), "九个数")
    for before in (20, 24, 28, 32):
        part = Part("hosts", "主机报告", (hosts(before), short, figures))
        printed = pdf.make(service_document.preview(content(part)))
        pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(printed)).pages]
        for heading, rows in (("短表", "row-"), ("九个数", "fig-")):
            [page] = [text for text in pages if heading in text]
            assert [number for number in range(9) if f"{rows}{number}" not in page] == [], f"{heading} after {before}"


def test_a_table_of_few_rows_with_long_texts_may_be_divided() -> None:
    long = Table("t", "T", (Column("语句"),), (("select 1 " * 30,),) * 6, SOURCE)
    low = Table("t", "T", (Column("语句"),), (("select 1",),) * 6, SOURCE)
    shown = service_document.sections([Part("hosts", "主机报告", (long, low))])[0].blocks
    assert [one.is_short for one in shown] == [False, True]


def test_a_chart_of_which_nothing_is_known_says_so_instead_of_drawing_axes() -> None:
    unknown = Chart("c", "可用率", ("1", "2"), (Curve("a", (None, None)), Curve("b", (None, None))), SOURCE, unit="%")
    told = service_document.preview(content(Part("web", "WEB 报告", (unknown,))))
    assert "无数据。" in told
    assert "<svg" not in told
    known = Chart("c", "可用率", ("1", "2"), (Curve("a", (None, 0.0)),), SOURCE, unit="%")
    assert "data:image/svg+xml" in service_document.preview(content(Part("web", "WEB 报告", (known,))))


def test_no_character_is_without_a_glyph(printed: bytes) -> None:
    assert boxes(printed) == []
    font = f"font-family: '{plots.FONT}'"
    assert boxes(pdf.make(f'<html lang="zh"><body style="{font}">\U00013000</body></html>')) == ["d80cdc00"]


def test_it_is_tagged_has_bookmarks_and_page_numbers(printed: bytes) -> None:
    reader = pypdf.PdfReader(io.BytesIO(printed))
    root: Any = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    titles = [str(entry["/Title"]) for entry in reader.outline if isinstance(entry, dict)]
    assert titles[:2] == ["1 主机报告", "2 WEB 报告"]
    assert f"2 / {len(reader.pages)}" in reader.pages[1].extract_text()


def test_a_gap_is_no_zero_and_each_curve_has_a_look_of_its_own() -> None:
    chart = Chart("k", "k", ("a", "b", "c"), (Curve("x", (1.0, None, 3.0)), Curve("y", (2.0, 2.0, 2.0))), SOURCE)
    drawn = plots.svg(chart)
    assert "stroke-dasharray" in drawn
    assert drawn == plots.svg(chart)


@pytest.mark.parametrize(("shape", "marks"), [("stack", (0, 1)), ("bar", (1, 2))])
def test_a_bar_of_which_nothing_is_known_is_marked(shape: Literal["bar", "stack"], marks: tuple[int, int]) -> None:
    """Bars side by side each for itself; of a pile, the whole."""
    known = Chart("k", "k", ("a", "b"), (Curve("x", (1.0, 0.0)), Curve("y", (2.0, None))), SOURCE, shape=shape)
    unknown = Chart("k", "k", ("a", "b"), (Curve("x", (1.0, None)), Curve("y", (2.0, None))), SOURCE, shape=shape)
    found = [html.unescape(plots.svg(chart)).count(f">{plots.UNKNOWN}<") for chart in (known, unknown)]
    assert tuple(found) == marks


def test_hostile_text_stays_text() -> None:
    evil = "<script>alert(1)</script><img src=http://127.0.0.1:1/x>"
    table = Table("t", evil, (Column(evil),), ((evil,),), SOURCE)
    html = service_document.preview(content(Part("p", evil, (table, Remark(evil)))))
    assert "<script>" not in html
    assert "<img" not in html
    assert pdf.make(html).startswith(b"%PDF-")


@pytest.mark.parametrize("shape", ["line", "stack", "bar"])
def test_a_name_is_drawn_as_it_is(shape: Literal["line", "bar", "stack"]) -> None:
    names = ("D$ \\E$", "a$b$c", "_hidden", "<b>&")
    chart = Chart("disks", "Disks", ("1", "2"), tuple(Curve(name, (1.0, 2.0)) for name in names), SOURCE, shape=shape)
    drawn = html.unescape(plots.svg(chart))
    assert [name for name in names if f">{name}<" not in drawn] == []


def test_what_a_customer_is_called_is_no_formula() -> None:
    made = workbook.made("=1+1\x0b", [Part("hosts", "Hosts", ())], ZONE)
    assert openpyxl.load_workbook(io.BytesIO(made)).worksheets[0]["A1"].value == "'=1+1"


def test_marks_in_what_the_figures_say_are_no_markdown() -> None:
    said = service_content.sentences([Finding("bad", "select a*b, c*d from `t` [x](http://127.0.0.1:1)")])
    shown = prose.html(said)
    assert "<em>" not in shown
    assert "<a" not in shown
    assert "a*b, c*d from `t` [x](http://127.0.0.1:1)" in shown
