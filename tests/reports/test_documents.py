"""The document itself: real WeasyPrint, read back with pypdf."""

import io
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pypdf
import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from incidents.models import Incident
from reports import accident_document as document
from reports import pdf
from reports.models import AccidentFile, AccidentIssue, AccidentReport
from reports.services import documents, rendering, sweeping, writing
from tests.reports import paper, worker
from tests.reports.conftest import at, issue_of, made

HOSTILE = (
    "<script>alert(1)</script> <img src='http://127.0.0.1:1/x.png'> ![x](http://127.0.0.1:1/y.png) "
    "<style>@import url(http://127.0.0.1:1/z.css)</style> [file](file:///etc/passwd) [rel](/incidents/1/) "
    "</section></body> \x00\x08\x1b \u202etxt.exe {{ 7|add:7 }} {% now 'Y' %} " + "W" * 3000
)


def read(issue: AccidentIssue) -> pypdf.PdfReader:
    with scope.platform("test"):
        return pypdf.PdfReader(io.BytesIO(documents.read(issue.file)))


class Addresses(HTMLParser):
    """What the elements of a document point at."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pointing = ("href", "src", "data", "action", "style")
        self.found += [(tag, name, value or "") for name, value in attrs if name in pointing]


def text_of(reader: pypdf.PdfReader) -> str:
    return re.sub(r"\s+", "", "".join(page.extract_text() for page in reader.pages))


def test_a_chinese_report_is_whole_tagged_outlined_and_carries_its_fonts(
    report: AccidentReport, chen: User, lin: User, jia: Customer
) -> None:
    analysis = "连接池耗尽：200/200。\n\n" + "\n\n".join(f"第 {n} 步排查记录，逐项排除。" * 12 for n in range(12))
    issue = made(issue_of(report, chen, lin, now=at(61), analysis=analysis), now=at(62))
    reader = read(issue)
    text = text_of(reader)
    for wanted in ("甲方制造有限公司", "事故报告", report.number, "连接池耗尽", issue.sha256, "目录", "Lin"):
        assert wanted in text
    assert len(reader.pages) >= 4
    assert [str(item.title)[0] for item in reader.outline if not isinstance(item, list)][:5] == [
        "1",
        "2",
        "3",
        "4",
        "5",
    ]
    assert reader.metadata is not None
    assert report.number in str(reader.metadata.title)
    catalogue: Any = reader.trailer["/Root"]
    assert catalogue["/MarkInfo"]["/Marked"]
    assert catalogue["/Lang"] == "zh-hans"
    assert "/StructTreeRoot" in catalogue
    with scope.platform("test"):
        fonts = paper.fonts(documents.read(issue.file))
    assert all(fonts.values())
    assert any("Noto" in name and "CJK" in name for name in fonts)
    assert re.search(r"2/\d", re.sub(r"\s", "", reader.pages[1].extract_text()))
    assert "甲方制造有限公司" in reader.pages[2].extract_text()


def test_the_list_of_contents_leads_to_the_parts(report: AccidentReport, chen: User, lin: User) -> None:
    reader = read(made(issue_of(report, chen, lin, now=at(61)), now=at(62)))
    annotations: Any = reader.pages[1].get("/Annots", [])
    assert len(annotations) >= 6
    assert set(reader.named_destinations) >= {f"part-{number}" for number in range(1, 6)}


def test_an_english_report_is_english(outage: Incident, chen: User, lin: User) -> None:
    with scope.platform("test"):
        Customer.objects.filter(pk=outage.customer_id).update(language="en")
    sweeping.open_what_is_owed(now=at(60))
    with scope.platform("test"):
        report = AccidentReport.objects.select_related("customer", "incident").get()
    text = text_of(read(made(issue_of(report, chen, lin, now=at(61)), now=at(62))))
    with scope.platform("test"):
        told = [entry["text"] for entry in report.issues.get().content["timeline"]]
    assert any("Restarting *nginx*" in text for text in told), "what a person wrote"
    assert not any("secret" in text for text in told)
    for wanted in ("Accidentreport", "Faultdescription", "Advice", "Contents", "acknowledgedtheincident"):
        assert wanted in text
    assert "事故报告" not in text


def test_hostile_text_neither_breaks_nor_fetches_nor_leaks(
    report: AccidentReport, chen: User, lin: User, jia: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(name='"><style>*{display:none}</style>\x1b' + "长" * 150)
        Incident.objects.update(title="</title><script>x</script> url(file:///etc/passwd) " + "T" * 120)
    issue = made(issue_of(report, chen, lin, now=at(61), analysis=HOSTILE, advice=HOSTILE), now=at(62))
    reader = read(issue)
    text = text_of(reader)
    assert "<script>alert(1)</script>" in text
    assert "root:" not in text
    assert "\u202e" not in text
    assert "{{7|add:7}}" in text
    assert issue.file.sha256
    html = document.html(issue)
    assert "<script" not in html
    seen = Addresses()
    seen.feed(html)
    inside = {("a", "href", f"#part-{number}") for number in range(1, 6)} | {("a", "href", "#signature")}
    # The picture has become a link to where it was said to be: nothing fetches a link.
    assert set(seen.found) == inside | {("a", "href", "http://127.0.0.1:1/y.png")}


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/x.png", "file:///etc/passwd", "https://example.com/", "data:,x"]
)
def test_nothing_is_fetched_whatever_the_address(address: str) -> None:
    with pytest.raises(ValueError, match="fetches nothing"):
        pdf.NothingOutside().fetch(address)
    assert pdf.make(f'<img src="{address}"><link rel="stylesheet" href="{address}"><p>there').startswith(b"%PDF")


def test_a_very_long_text_becomes_many_pages(report: AccidentReport, chen: User, lin: User) -> None:
    text = "\n\n".join("数据库主从延迟导致读到旧数据。" * 20 for _ in range(100))[:39_000]
    reader = read(made(issue_of(report, chen, lin, now=at(61), analysis=text), now=at(62)))
    assert len(reader.pages) > 10


def test_an_old_issue_stays_byte_identical_when_a_new_one_is_made(
    report: AccidentReport, chen: User, lin: User
) -> None:
    first = made(issue_of(report, chen, lin, now=at(61)), now=at(62))
    with scope.platform("test"):
        before = documents.read(first.file)
    with scope.user(chen):
        writing.reissue(report=report, reason="Another cause", actor=chen, now=at(70))
    second = made(issue_of(report, chen, lin, now=at(71), analysis="The disk."), now=at(72))
    with scope.platform("test"):
        assert documents.read(first.file) == before
        assert not rendering.render(family="accidents", file_id=first.file.pk, clock=lambda: at(80))
        assert documents.read(first.file) == before
    assert first.file.stored_name != second.file.stored_name
    assert "Anothercause" in text_of(read(second))


def test_a_file_that_was_tampered_with_is_not_handed_out(report: AccidentReport, chen: User, lin: User) -> None:
    issue = made(issue_of(report, chen, lin, now=at(61)), now=at(62))
    place = Path(default_storage.path(issue.file.stored_name))
    place.write_bytes(place.read_bytes() + b" ")
    with scope.platform("test"), pytest.raises(DomainError) as refusal:
        documents.read(issue.file)
    assert refusal.value.code == "tampered"


def test_progress_is_shown_while_it_is_made(report: AccidentReport, chen: User, lin: User) -> None:
    issue = issue_of(report, chen, lin, now=at(61))
    seen: list[int] = []
    pdf.make(document.html(issue), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] >= 80
    assert len(seen) >= 4


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_writes_leaves_no_half_document_and_the_next_one_makes_it(
    report: AccidentReport, chen: User, lin: User
) -> None:
    issue = issue_of(report, chen, lin, now=at(61))
    assert worker.run(issue.file.pk, "die").returncode == -9
    with scope.platform("test"):
        file = AccidentFile.objects.get(pk=issue.file.pk)
        assert (file.state, file.stored_name) == ("rendering", "")
        assert sweeping.documents_waiting(now=timezone.now()) == []
        AccidentFile.objects.filter(pk=file.pk).update(leased_until=timezone.now() - timedelta(seconds=1))
        assert sweeping.documents_waiting(now=timezone.now()) == [("accidents", file.pk)]
    done = worker.run(issue.file.pk)
    assert done.returncode == 0, done.stderr
    with scope.platform("test"):
        file.refresh_from_db()
        assert documents.read(file).startswith(b"%PDF")
    folder = Path(default_storage.path(file.stored_name)).parent
    assert [path.name for path in folder.iterdir()] == [Path(file.stored_name).name]
