"""Asset lists as CSV files: their columns, and reading what Excel, WPS or a script made of them. Pure."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

LARGEST = 1_000_000  # bytes
MOST_LINES = 2000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class SheetError(ValueError):
    """The file as a whole cannot be read: too_large, too_long, encoding, empty, header, duplicate."""

    def __init__(self, code: str, what: str = "") -> None:
        super().__init__(f"{code} {what}".strip())
        self.code = code
        self.what = what


@dataclass(frozen=True)
class Column:
    """`name` is the field; files may call it by any of the three."""

    name: str
    english: str
    chinese: str
    is_read: bool = True  # the others are exported for people and ignored when they come back

    def header(self, language: str) -> str:
        return self.chinese if language.startswith("zh") else self.english


COLUMNS = (
    Column("id", "ID", "编号"),
    Column("kind", "Kind", "类型"),
    Column("name", "Name", "名称"),
    Column("provider_id", "Instance ID", "实例 ID"),
    Column("host", "Host", "主机"),
    Column("port", "Port", "端口"),
    Column("url", "URL", "网址"),
    Column("private_ip", "Private address", "内网地址"),
    Column("public_ip", "Public address", "公网地址"),
    Column("os", "Operating system", "操作系统"),
    Column("product", "Product", "产品"),
    Column("engine", "Engine and version", "引擎与版本"),
    Column("spec", "Specification", "规格"),
    Column("region", "Region", "地域"),
    Column("expires_at", "Expires at", "到期时间"),
    Column("environment", "Environment", "环境"),
    Column("owner_name", "Owner", "负责人"),
    Column("owner_contact", "Owner's phone or e-mail", "负责人联系方式"),
    Column("role_text", "Business role", "业务角色"),
    Column("notes", "Notes", "备注"),
    Column("hardware_by_customer", "Hardware by customer", "硬件由甲方负责"),
    Column("tags", "Tags", "标签"),
    Column("status", "Status", "状态", is_read=False),
    Column("cloud_account", "Cloud account", "云账号", is_read=False),
    Column("managed_at", "Managed since", "纳管时间", is_read=False),
    Column("retired_at", "Retired at", "下线时间", is_read=False),
)
_BY_HEADER = {
    spelling.casefold(): column for column in COLUMNS for spelling in (column.name, column.english, column.chinese)
}


@dataclass(frozen=True)
class Line:
    """`number` is the line's number as a spreadsheet shows it, the header being 1."""

    number: int
    values: Mapping[str, str]


@dataclass(frozen=True)
class Sheet:
    lines: tuple[Line, ...]
    columns: frozenset[str]  # fields that the file speaks of
    unknown: tuple[str, ...]  # headers that nobody understood


def decode(content: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with its mark, or GB18030 as Excel on Chinese Windows saves CSV."""
    if len(content) > LARGEST:
        raise SheetError("too_large")
    encodings = ["utf-16"] if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" in text:
            break
        return text
    raise SheetError("encoding")


def read(text: str) -> Sheet:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False))
    except csv.Error as error:
        raise SheetError("encoding") from error
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise SheetError("empty")
    headers = [cell.strip() for cell in rows[0]]
    columns = [_BY_HEADER.get(header.casefold()) for header in headers]
    names = [column.name for column in columns if column]
    if "id" not in names and not {"kind", "name"} <= set(names):
        raise SheetError("header")
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled:
        raise SheetError("duplicate", doubled)
    filled = [(number, row) for number, row in enumerate(rows[1:], 2) if any(cell.strip() for cell in row)]
    if len(filled) > MOST_LINES:
        raise SheetError("too_long")
    lines = tuple(
        Line(
            number,
            {column.name: _cell(cell) for column, cell in zip(columns, row, strict=False) if column and column.is_read},
        )
        for number, row in filled
    )
    unknown = tuple(header for header, column in zip(headers, columns, strict=True) if header and column is None)
    return Sheet(lines, frozenset(name for name in names), unknown)


def _cell(text: str) -> str:
    """Without the apostrophe that an export puts before what a spreadsheet would take for a formula."""
    text = text.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_STARTS) else text


def tags_text(tags: Mapping[str, str]) -> str:
    return "; ".join(f"{key}={value}" for key, value in sorted(tags.items()))


def parse_tags(text: str) -> dict[str, str]:
    """``key=value; key=value``. Raises ValueError for a part without a key."""
    tags = {}
    for part in filter(None, (part.strip() for part in text.replace("；", ";").split(";"))):
        key, _, value = part.partition("=")
        if not key.strip():
            raise ValueError(part)
        tags[key.strip()] = value.strip()
    return tags
