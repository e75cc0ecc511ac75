"""Telephone numbers as people type them, and as they are dialled. Pure.

Only numbers of mainland China can be called and texted through Alibaba Cloud's domestic service: eleven digits of a
mobile phone, or area code and number of a landline. Others may be written down, with their country code.
"""

from __future__ import annotations

import re
import unicodedata

_MOBILE = re.compile(r"1[3-9]\d{9}")
_LANDLINE = re.compile(r"0(?:10|2\d|[3-9]\d{2})[2-8]\d{6,7}")
_SERVICE = re.compile(r"(?:400|800)\d{7}")
_ABROAD = re.compile(r"\+(?!86)[1-9]\d{6,14}")
_SEPARATORS = re.compile(r"[\s().\-–—/·]+")


def normal(text: str) -> str:
    """The number without decoration ("+86 138-0013-8000" → "13800138000"), or "" when it is none."""
    bare = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text))
    if bare.startswith("00"):
        bare = "+" + bare[2:]
    if bare.startswith("+86"):
        bare = bare[3:]
        if re.match(r"[1-9]", bare) and not _MOBILE.fullmatch(bare):
            bare = "0" + bare  # abroad one leaves the zero of the area code out
    known = (_MOBILE, _LANDLINE, _SERVICE, _ABROAD)
    return bare if any(pattern.fullmatch(bare) for pattern in known) else ""


def can_be_called(text: str) -> str:
    """The number as Alibaba Cloud's voice service dials it, or "" when it cannot."""
    number = normal(text)
    return number if _MOBILE.fullmatch(number) or _LANDLINE.fullmatch(number) else ""


def can_be_texted(text: str) -> str:
    """The number as Alibaba Cloud's SMS service takes it, or "" when it cannot: mobile phones alone."""
    number = normal(text)
    return number if _MOBILE.fullmatch(number) else ""


def masked(number: str) -> str:
    """Enough to recognise it, too little to dial it."""
    return f"{number[:3]}****{number[-4:]}" if len(number) >= 10 else "****"
