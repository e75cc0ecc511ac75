"""Files are judged by their bytes, and offered again under a harmless name."""

import pytest

from incidents import uploads
from incidents.uploads import UnwelcomeFileError

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


@pytest.mark.parametrize(
    ("name", "head", "content_type"),
    [
        ("screen.png", PNG, "image/png"),
        ("renamed.txt", PNG, "image/png"),
        ("photo.jpg", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("report.pdf", b"%PDF-1.7", "application/pdf"),
        ("table.xlsx", b"PK\x03\x04", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("logs.zip", b"PK\x03\x04", "application/zip"),
        ("nginx.log", "2026-11-20 连接超时 upstream timed out".encode(), "text/plain"),
        ("old.log", "连接超时".encode("gb18030"), "text/plain"),
        ("cut.log", "超时".encode()[:-1], "text/plain"),
        ("app.conf", b"server {\n\tlisten 80;\n}\n", "text/plain"),
        ("colours.log", b"\x1b[31mERROR\x1b[0m", "text/plain"),
    ],
)
def test_the_bytes_say_what_a_file_is(name: str, head: bytes, content_type: str) -> None:
    assert uploads.judge(name, head).content_type == content_type


@pytest.mark.parametrize(
    ("name", "head", "reason"),
    [
        ("page.html", b"hello", "active"),
        ("picture.svg", b"hello", "active"),
        ("note.txt", b"<html><script>alert(1)</script>", "active"),
        ("note.txt", b"\n\n  <SVG onload=alert(1)>", "active"),
        ("note.txt", b'<?xml version="1.0"?><svg/>', "active"),
        ("update.exe", b"hello", "active"),
        ("photo.png", b"MZ\x90\x00", "program"),
        ("tool", b"\x7fELF\x02\x01", "program"),
        ("nothing.txt", b"", "empty"),
        ("blob.bin", b"\x00\x01\x02\x03", "unknown"),
        ("x.SVG.", b"hello", "active"),
    ],
)
def test_what_could_run_in_a_browser_or_on_a_desktop_is_refused(name: str, head: bytes, reason: str) -> None:
    with pytest.raises(UnwelcomeFileError) as refusal:
        uploads.judge(name, head)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("claimed", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\Users\\a\\报告.pdf", "报告.pdf"),
        ("...", "file"),
        ("", "file"),
        ("a\r\nSet-Cookie: x.txt", "aSet-Cookie_ x.txt"),
        ("invoice\u202efdp.txt", "invoicefdp.txt"),
        ('a"b<c>.txt', "a_b_c_.txt"),
        ("nul\x00l.txt", "null.txt"),
    ],
)
def test_a_name_loses_its_path_and_its_tricks(claimed: str, kept: str) -> None:
    assert uploads.safe_name(claimed) == kept


def test_a_long_name_keeps_its_ending() -> None:
    name = uploads.safe_name("很" * 400 + ".pdf")
    assert len(name) == uploads.NAME_LENGTH
    assert name.endswith(".pdf")
