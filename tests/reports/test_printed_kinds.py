"""Every kind of service report on paper: contents, heads, page numbers, bookmarks, fonts, in both languages."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pypdf
import pytest
from django.conf import LazySettings
from django.utils import translation

from accounts import scope
from accounts.models import Contract, Customer, Severity, User
from assets.models import Asset
from bastion.models import Node
from reports import pdf, service_document
from reports.kinds.registry import KINDS
from reports.models import ReportKind, ServicePart
from reports.services import writing
from tests.bastion.conftest import node  # noqa: F401 - fixture
from tests.conftest import ClientFor
from tests.incidents.conftest import alarm
from tests.reports import paper
from tests.reports.golden import MARCH, asset_of, day, write
from tests.reports.test_golden_security import session
from tests.reports.test_kinds import asked

LANGUAGES = ("zh-hans", "en")
CHINESE = re.compile(r"[\u3400-\u9fff]")
PROVIDERS = {"zh-hans": "乙方云服务有限公司", "en": "Provider Cloud Services Ltd."}
NAMES = {"zh-hans": "甲方制造有限公司", "en": "Jia Works Ltd."}


@pytest.fixture
def lived(jia: Customer, chen: User, node: Node) -> Asset:  # noqa: F811
    """A host and a database with a month of figures, an incident, sessions."""
    with scope.platform("test"):
        Contract.objects.update(starts_on="2026-01-01", ends_on="2026-12-31")
        Customer.objects.filter(pk=jia.pk).update(created_at=day(-60))
    database = asset_of(jia, "orders-db", "rds", engine="MySQL 8.0", provider_id="rm-1")
    write(database, "rds.cpu.util", 40)
    host = asset_of(jia, "web-01")
    write(host, "host.cpu.util", lambda at: np.where(at % 7 < 3, 40.0, 60.0))
    write(host, "host.fs.used_pct", lambda at: np.linspace(50.0, 80.0, len(at)), mountpoint="/data", device="vdb1")
    for number in range(1, 20):
        with scope.customer(jia):
            session(host, node, chen, day(number))
    return database


def printed(
    client_for: ClientFor, chen: User, jia: Customer, kind: ReportKind, language: str, **more: str
) -> tuple[bytes, list[str]]:
    """The document of a draft, and what its parts are called."""
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(language=language, name=NAMES[language])
    report = asked(client_for, chen, jia, kind, **more)
    with scope.platform("test"):
        by_hand = {part.name for part in KINDS[kind] if part.is_by_hand}
        for part in ServicePart.objects.filter(report=report, name__in=by_hand).select_related("report"):
            writing.edit(part=part, text="**1.** " + "x = 1; " * 40, revision=None, actor=chen, now=MARCH.ends_at)
        titles = [part.title for part in ServicePart.objects.filter(report=report)]
        return pdf.make(service_document.preview(writing.content_of(report, 1))), titles


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(ReportKind))
def test_each_kind_on_paper(
    lived: Asset,
    jia: Customer,
    chen: User,
    client_for: ClientFor,
    settings: LazySettings,
    kind: ReportKind,
    language: str,
) -> None:
    settings.PROVIDER_NAME, settings.PROVIDER_NAME_EN = PROVIDERS["zh-hans"], PROVIDERS["en"]
    more = {}
    if kind == ReportKind.DATABASE_FAULT:
        more["incident"] = alarm(lived, severity=Severity.HIGH, title="Replication", now=day(9)).number
    document, titles = printed(client_for, chen, jia, kind, language, **more)
    reader = pypdf.PdfReader(io.BytesIO(document))
    pages = paper.texts(document)
    with translation.override(language):
        contents, title = translation.gettext("Contents"), str(kind.label)
    whole = paper.packed("".join(pages))
    for wanted in (NAMES[language], title, "2026-03", contents, *titles):
        assert paper.packed(wanted) in whole, wanted
    # The contents lead to the parts, and the bookmarks are they.
    annotations: Any = reader.pages[1].get("/Annots", [])
    assert len(annotations) >= len(titles)
    assert set(reader.named_destinations) >= {f"part-{number}" for number in range(1, len(titles) + 1)}
    bookmarks = [str(entry["/Title"]) for entry in reader.outline if isinstance(entry, dict)]
    assert bookmarks == [f"{number} {name}" for number, name in enumerate(titles, 1)]
    # Head, foot and number on every page but the cover.
    for number, text in enumerate(pages[1:], 2):
        assert paper.packed(NAMES[language]) in paper.packed(text)
        assert paper.packed(PROVIDERS[language]) in paper.packed(text)
        assert f"{number} / {len(pages)}" in text
    root: Any = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == language
    assert "/StructTreeRoot" in root
    fonts = paper.fonts(document)
    assert all(fonts.values())
    assert any("Noto" in name and "CJK" in name for name in fonts)
    assert paper.boxes(document) == []
    for number, page in enumerate(paper.pictures(document)[1:], 2):
        assert not paper.is_blank(paper.body(page)), number
        assert all(map(paper.is_blank, paper.margins(page))), number
    if language == "en":
        assert CHINESE.findall("".join(pages)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_kind_says_stands_on_its_pages(
    lived: Asset, jia: Customer, chen: User, client_for: ClientFor, language: str
) -> None:
    sessions, _titles = printed(client_for, chen, jia, ReportKind.SESSIONS, language)
    text = paper.packed("".join(paper.texts(sessions)))
    assert text.count("web-01") >= 19
    for number in range(1, 20):
        assert f"{day(number):%m-%d}" in text
    inventory, _titles = printed(client_for, chen, jia, ReportKind.INVENTORY, language)
    text = paper.packed("".join(paper.texts(inventory)))
    assert {name for name in ("orders-db", "web-01", "rm-1") if name not in text} == set()
