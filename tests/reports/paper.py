"""What a printed report looks like: its pages as pictures, measured."""

from __future__ import annotations

import io
import re
from typing import Any, Final

import numpy as np
import pypdf
import pypdfium2
from numpy.typing import NDArray

DPI: Final = 60
INK: Final = 200
"""Grey below which a point is printed on."""
SIDE_MM, TOP_MM, BOTTOM_MM = 20, 26, 22
"""Margins of every page but the cover (`pdf/accident.css`)."""
Grey = NDArray[np.uint8]


def pictures(document: bytes, dpi: int = DPI) -> list[Grey]:
    """Each page in grey, as a black and white print has it."""
    opened = pypdfium2.PdfDocument(document)
    return [np.asarray(page.render(scale=dpi / 72, grayscale=True).to_numpy()).squeeze() for page in opened]


def points(millimetres: float, dpi: int = DPI) -> int:
    return round(millimetres / 25.4 * dpi)


def body(page: Grey) -> Grey:
    """What lies within the margins."""
    side, top, bottom = (points(margin) for margin in (SIDE_MM, TOP_MM, BOTTOM_MM))
    return page[top : page.shape[0] - bottom, side : page.shape[1] - side]


def margins(page: Grey) -> list[Grey]:
    """The strips at both sides, with a point's grace, and those above the head and below the foot."""
    side, edge = points(SIDE_MM) - 1, points(8)
    return [page[:, :side], page[:, page.shape[1] - side :], page[:edge], page[page.shape[0] - edge :]]


def is_blank(part: Grey) -> bool:
    return not bool((part < INK).any())


def texts(document: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(document)).pages]


def packed(text: str) -> str:
    """Without white space, where a line may have been broken."""
    return re.sub(r"\s+", "", text)


def fonts(document: bytes) -> dict[str, bool]:
    """Name of each font, and whether (a part of) it is embedded."""
    found: dict[str, bool] = {}
    for page in pypdf.PdfReader(io.BytesIO(document)).pages:
        resources: Any = page["/Resources"].get_object()
        for reference in resources.get("/Font", {}).values():
            font: Any = reference.get_object()
            inner: Any = font["/DescendantFonts"][0].get_object()
            descriptor: Any = inner["/FontDescriptor"].get_object()
            found[str(font["/BaseFont"])] = any(key in descriptor for key in ("/FontFile2", "/FontFile3", "/FontFile"))
    return found


def boxes(document: bytes) -> list[str]:
    """Characters for which no font has a glyph, as the fonts' maps name them: WeasyPrint writes glyph FFFF."""
    found: list[str] = []
    for page in pypdf.PdfReader(io.BytesIO(document)).pages:
        resources: Any = page["/Resources"]
        for reference in resources.get("/Font", {}).values():
            mapped = reference.get_object()["/ToUnicode"].get_object().get_data().decode()
            found += re.findall(r"<ffff> <([0-9a-fA-F]+)>", mapped)
    return found
