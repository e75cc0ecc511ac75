"""Lists driven by the address: order, filters, pages, and a CSV that no spreadsheet takes for formulas."""

import csv
import io
from datetime import UTC, datetime

import pytest
from django.test import RequestFactory

from accounts import scope, tables
from accounts.models import Customer
from incidents.models import Incident
from tests.conftest import make_customer

pytestmark = pytest.mark.django_db
SORT: dict[str, tables.SortBy] = {"name": "name", "status": ("status", "-created_at")}


def page(address: str, *, size: int = 50) -> tables.Page[Customer]:
    request = RequestFactory().get(f"/list/{address}")
    status = tables.Choice("Status", Customer.Status.choices, "status")
    with scope.platform("test"):
        return tables.page(
            request,
            Customer.objects.all(),
            sort=SORT,
            default="-name",
            search=["name", "code"],
            filters={"status": status, "id": "pk"},
            size=size,
        )


@pytest.fixture
def seven() -> list[Customer]:
    return [make_customer(f"c{number}", f"Company {number}") for number in range(7)]


def names(found: tables.Page[Customer]) -> list[str]:
    return [row.code for row in found.rows]


def test_the_default_order_holds_until_another_is_chosen(seven: list[Customer]) -> None:
    assert names(page("")) == ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]
    assert names(page("?sort=name"))[0] == "c0"
    assert page("").sort_text == ""
    assert page("?sort=-name").sort_text == "-name"


def test_rows_that_are_equal_keep_one_order_over_all_pages(seven: list[Customer]) -> None:
    seen = [code for number in (1, 2, 3) for code in names(page(f"?sort=status&page={number}", size=3))]
    assert sorted(seen) == [f"c{number}" for number in range(7)]


def test_every_word_of_a_search_must_be_found(seven: list[Customer]) -> None:
    assert names(page("?q=company+3")) == ["c3"]
    assert names(page("?q=company+nowhere")) == []


def test_filters_obey_only_what_they_offer(seven: list[Customer]) -> None:
    assert len(page("?status=in_service").rows) == 7
    assert page("?status=left").rows == []
    assert len(page("?status=nonsense").rows) == 7


@pytest.mark.parametrize(
    "address",
    [
        "?sort=password",
        "?sort=-",
        "?page=99999999999999999999",
        "?page=-3",
        "?page=x",
        "?id=abc",
        "?q=%00",
        "?status=%00in_service",
        "?q=" + "%25_" * 100,
        "?export=xml",
    ],
)
def test_nonsense_in_the_address_is_harmless(seven: list[Customer], address: str) -> None:
    assert page(address).number >= 1


def test_a_number_too_large_for_the_database_finds_nothing(seven: list[Customer]) -> None:
    assert page("?id=99999999999999999999999").rows == []


def test_a_page_past_the_end_is_the_last_page(seven: list[Customer]) -> None:
    found = page("?page=9", size=3)
    assert (found.number, found.pages, found.first, found.last) == (3, 3, 7, 7)


def test_an_empty_list_has_one_page_and_no_first_row() -> None:
    found = page("")
    assert (found.total, found.pages, found.first, found.last) == (0, 1, 0, 0)


def test_links_keep_the_filters_and_forget_the_export(seven: list[Customer]) -> None:
    found = page("?q=company&export=csv", size=3)
    assert found.url(page=2) == "/list/?q=company&page=2"
    assert found.url(q=None) == "/list/"


def test_long_lists_offer_the_ends_and_the_neighbours(seven: list[Customer]) -> None:
    assert page("?page=4", size=1).shown_numbers == [1, 2, 3, 4, 5, 6, 7]
    assert page("?page=1", size=1).shown_numbers == [1, 2, 3, None, 7]


@pytest.mark.parametrize("text", ["=1+1", "+86", "-2", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_text_that_begins_like_a_formula_is_quoted(text: str) -> None:
    assert tables.cell(text) == f"'{text}"


def test_numbers_and_times_stay_what_they_are() -> None:
    assert tables.cell(-5) == -5
    assert tables.cell(None) == ""
    assert tables.cell(datetime(2026, 3, 1, 20, 0, tzinfo=UTC)) == "2026-03-02 04:00:00"


def test_an_export_holds_every_row_and_opens_in_chinese(seven: list[Customer]) -> None:
    found = page("?q=company", size=2)
    with scope.platform("test"):
        response = tables.export_csv(found.all(), {"名称": lambda row: "=" + row.name}, "list")
    text = response.content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert response.content.startswith(b"\xef\xbb\xbf")
    assert rows[0] == ["名称"]
    assert len(rows) == 8
    assert all(row[0].startswith("'=") for row in rows[1:])


def test_very_many_rows_are_counted_to_a_limit_and_the_list_says_so(
    seven: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "COUNTED", 5)
    many = page("", size=2)
    assert (many.total, many.has_more, many.total_text, many.pages) == (5, True, "5+", 3)
    monkeypatch.setattr(tables, "COUNTED", 7)
    all_of_them = page("")
    assert (all_of_them.total, all_of_them.has_more, all_of_them.total_text) == (7, False, "7")


def test_only_what_may_be_empty_is_sorted_to_the_end() -> None:
    """An index on a column that is never empty serves the order only without that wish."""
    orders = tables._order_by(Incident, ("opened_at", "next_due_at", "customer__name", "assignee__name"), True)
    assert [order.nulls_last for order in orders] == [None, True, None, True, None]
