"""What a file really is and whether we keep it, judged by its bytes, and a name for it that harms nobody. Pure."""

import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

MAX_BYTES: Final = 25 * 1024 * 1024
MAX_FILES: Final = 10
HEAD_BYTES: Final = 4096
NAME_LENGTH: Final = 150

SIGNATURES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),  # .doc, .xls, .msg
    (0, b"\xd4\xc3\xb2\xa1", "application/vnd.tcpdump.pcap"),
    (0, b"\x0a\x0d\x0d\x0a", "application/vnd.tcpdump.pcap"),
)
OFFICE: Final = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

# What a browser or a desktop would run when somebody opens it.
PAGES: Final = {".html", ".htm", ".xhtml", ".shtml", ".mhtml", ".mht", ".svg", ".svgz", ".xml", ".xsl"}
SCRIPTS: Final = {
    ".js",
    ".mjs",
    ".vbs",
    ".vbe",
    ".wsf",
    ".wsh",
    ".hta",
    ".bat",
    ".cmd",
    ".ps1",
    ".psm1",
    ".scf",
    ".inf",
    ".reg",
}
PACKAGES: Final = {
    ".jar",
    ".jnlp",
    ".swf",
    ".exe",
    ".dll",
    ".com",
    ".scr",
    ".pif",
    ".msi",
    ".msp",
    ".cpl",
    ".lnk",
    ".url",
    ".iso",
    ".img",
    ".app",
    ".dmg",
    ".pkg",
    ".deb",
    ".rpm",
    ".apk",
}
ACTIVE_SUFFIXES: Final = frozenset(PAGES | SCRIPTS | PACKAGES)
ACTIVE_MARKS: Final = (
    b"<!doctype html", b"<html", b"<svg", b"<script", b"<?xml", b"<iframe", b"<body", b"<head", b"<!--", b"<?php",
)  # fmt: skip
PROGRAMS: Final = (b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\x00asm")


class UnwelcomeFileError(ValueError):
    """The file is not kept; `reason` is one of `empty`, `active`, `program`, `unknown`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """The type that the bytes prove, and the name under which the file is offered again."""

    content_type: str
    name: str


def judge(name: str, head: bytes) -> Verdict:
    """Judge a file by its first HEAD_BYTES and its claimed name. Raises UnwelcomeFileError."""
    safe = safe_name(name)
    if not head:
        raise UnwelcomeFileError("empty")
    if PurePosixPath(safe).suffix.lower() in ACTIVE_SUFFIXES:
        raise UnwelcomeFileError("active")
    if head.startswith(PROGRAMS):
        raise UnwelcomeFileError("program")
    for offset, mark, content_type in SIGNATURES:
        if head[offset : offset + len(mark)] == mark:
            return Verdict(_office(safe, content_type), safe)
    if _is_text(head):
        if any(mark in head.lower() for mark in ACTIVE_MARKS):
            raise UnwelcomeFileError("active")
        return Verdict("text/plain", safe)
    raise UnwelcomeFileError("unknown")


def safe_name(name: str) -> str:
    """The last part of a claimed path without control, direction-changing or reserved characters; never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    normal = unicodedata.normalize("NFC", last)
    kept = "".join(
        "_" if char in '<>:"|?*%' else char
        for char in normal
        if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    )
    kept = kept.strip().strip(".").strip()
    if not kept:
        return "file"
    if len(kept) <= NAME_LENGTH:
        return kept
    suffix = PurePosixPath(kept).suffix[:12]
    return kept[: NAME_LENGTH - len(suffix)] + suffix


def _office(name: str, content_type: str) -> str:
    if content_type != "application/zip":
        return content_type
    return OFFICE.get(PurePosixPath(name).suffix.lower(), content_type)


def _is_text(head: bytes) -> bool:
    """UTF-8, UTF-16 with a mark, or GB 18030 without control bytes; a character cut at the end is forgiven."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head):
        return False
    for encoding in ("utf-8", "gb18030"):
        for cut in range(4):
            try:
                head[: len(head) - cut].decode(encoding)
            except UnicodeDecodeError:
                continue
            return True
    return False
