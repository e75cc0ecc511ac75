"""HTML to PDF: the only module that knows WeasyPrint. Nothing is fetched from anywhere while it works.

The result is tagged (PDF/UA), has an outline, and embeds the part of its fonts that it uses.
"""

import functools
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

try:
    import weasyprint
    from weasyprint import HTML, document
    from weasyprint.document import Page as Leaf
    from weasyprint.pdf import fonts, stream
    from weasyprint.pdf.fonts import Font
    from weasyprint.text.fonts import get_hb_object_data
    from weasyprint.urls import URLFetcher
except OSError as problem:  # Pango is missing: the platform runs, only documents have to wait (scripts/system.py)
    _missing: OSError | None = problem
    HTML = Font = Leaf = URLFetcher = object
else:
    _missing = None

VARIANT: Final = "pdf/ua-1"
STEPS: Final = {"Step 1": 5, "Step 2": 10, "Step 3": 20, "Step 4": 30, "Step 5": 45, "Step 6": 80, "Step 7": 95}
"""What WeasyPrint logs on its way, as percent done."""

WITHIN: Final = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/svg+xml;base64,")

WHOLE: Final = 4 * 1024 * 1024
"""Bytes from which a font is a whole one, no part that was cut out for a document."""

Progress = Callable[[int], None]


class PdfError(RuntimeError):
    """No document came out, with the reason."""


class NothingOutside(URLFetcher):
    """Refuses every address: a document consists of what is in it, a picture with its bytes."""

    def fetch(self, url: str, headers: object = None) -> Any:
        if url.startswith(WITHIN):
            return super().fetch(url, headers)
        raise ValueError(f"a report fetches nothing: {url[:80]}")


class Page(HTML):
    """With a style sheet of its own beneath all others. WeasyPrint's gives each element six pseudo-elements for notes
    and list marks, which takes as long, and as much memory, as all other styles of a long report."""

    def _ua_stylesheets(self, forms: bool = False) -> list[Any]:
        beneath = _beneath()
        return [beneath] if beneath is not None else list(super()._ua_stylesheets(forms))


@functools.cache
def _beneath() -> Any:
    """None where WeasyPrint keeps its sheet elsewhere: documents then take longer."""
    try:
        usual = (Path(weasyprint.__file__).parent / "css" / "html5_ua.css").read_text()
    except OSError:
        return None
    without_notes = re.sub(r"^::(foot)?note-.*$", "", usual, flags=re.MULTILINE)
    return weasyprint.CSS(string=re.sub(r"^::marker", "li::marker", without_notes, flags=re.MULTILINE))


class LateFont(Font):
    """Reads its file only when its bytes are asked for: a Chinese one has 20 MB, and a document wants some glyphs."""

    _content = b""

    @property
    def file_content(self) -> bytes:
        if not self._content:
            self._content = get_hb_object_data(self.hb_face)
        return self._content

    @file_content.setter
    def file_content(self, content: bytes) -> None:
        self._content = content


def _small(hb_face: Any) -> bytes | None:
    """The bytes of a font: none of a whole file, which `LateFont` reads when somebody wants them."""
    blob = fonts.harfbuzz.hb_face_reference_blob(hb_face)
    try:
        length = fonts.harfbuzz.hb_blob_get_length(blob)
    finally:
        fonts.harfbuzz.hb_blob_destroy(blob)
    return b"" if length > WHOLE else get_hb_object_data(hb_face)


class TightLeaf(Leaf):
    """Once painted, its hundred thousand strokes are one string: as single ones they take ten times the room."""

    def paint(self, stream: Any, scale: float = 1) -> None:
        super().paint(stream, scale)
        stream.stream = [b"\n".join(map(fonts.pydyf._to_bytes, stream.stream))]


if _missing is None:
    fonts.get_hb_object_data, stream.Font, document.Page = _small, LateFont, TightLeaf


def make(html: str, *, on_progress: Progress | None = None) -> bytes:
    """The document. Raises PdfError."""
    if _missing is not None:
        raise PdfError(f"WeasyPrint cannot run, Pango is missing: {_missing}")
    steps = _Steps(on_progress or (lambda _percent: None))
    logger = logging.getLogger("weasyprint.progress")
    logger.addHandler(steps)
    try:
        page = Page(string=html, url_fetcher=NothingOutside(), media_type="print")
        made = page.write_pdf(pdf_variant=VARIANT)
    except Exception as problem:
        raise PdfError(f"{type(problem).__name__}: {problem}") from problem
    finally:
        logger.removeHandler(steps)
    if not isinstance(made, bytes) or not made.startswith(b"%PDF-"):
        raise PdfError("no document came out")
    return made


class _Steps(logging.Handler):
    """Listens to this thread's steps."""

    def __init__(self, on_progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._on_progress = on_progress
        self._thread = threading.get_ident()
        self._last = 0

    def emit(self, record: logging.LogRecord) -> None:
        percent = STEPS.get(record.getMessage()[:6], 0)
        if record.thread == self._thread and percent > self._last:
            self._last = percent
            self._on_progress(percent)
