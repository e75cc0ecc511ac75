"""Rows of a recording as asciicast v2, and the header that stands before them.

Codes: o output, i input, r resize ("80x24"), m marker; and two of our own, which players ignore: e the standard error
of a command, k a keyframe ("80x24 " and what redraws that screen from nothing). So pieces set one after another play
exactly what was shown; who begins in the middle turns the piece's first k into r and o (`redrawn`).
"""

import codecs
import json
from dataclasses import asdict, dataclass
from json.encoder import encode_basestring
from typing import Literal, NamedTuple

import numpy as np

_LONG = 1024
_ESCAPES = (
    (b"\\", b"\\\\"),
    (b'"', b'\\"'),
    (b"\r\n", b"\\r\\n"),
    (b"\n", b"\\n"),
    (b"\r", b"\\r"),
    (b"\t", b"\\t"),
    (b"\x1b", b"\\u001b"),
)
"""What terminals send often; with any other control character in it, text is left to json."""

Code = Literal["o", "i", "r", "m", "e", "k"]


class Row(NamedTuple):
    at_s: float
    code: str
    text: str


@dataclass(frozen=True)
class Header:
    """`timestamp`: seconds since the epoch at which row times are zero."""

    cols: int
    rows: int
    timestamp: float
    session_id: str
    resource: str = ""
    account: str = ""
    person: str = ""
    work: str = ""

    def line(self) -> bytes:
        about = asdict(self)
        size = {"version": 2, "width": about.pop("cols"), "height": about.pop("rows")}
        head = {**size, "timestamp": int(about.pop("timestamp")), "rdmp": {**about, "timestamp": self.timestamp}}
        return json.dumps(head, ensure_ascii=False).encode() + b"\n"


def read_header(line: bytes) -> Header:
    """Raises ValueError when this is no header of ours."""
    try:
        head = json.loads(line)
        return Header(cols=head["width"], rows=head["height"], **head["rdmp"])
    except (KeyError, TypeError, UnicodeDecodeError) as problem:
        raise ValueError("not the header of a recording") from problem


def line(at_s: float, code: Code, text: str) -> bytes:
    return b'[%.6f, "%s", %s]\n' % (at_s, code.encode(), _quoted(text))


def _quoted(text: str) -> bytes:
    """As a JSON string. The search for each byte is four times as fast as json's loop, on text that is long enough."""
    if len(text) >= _LONG:
        data = text.encode()
        for raw, escaped in _ESCAPES:
            data = data.replace(raw, escaped)
        if np.frombuffer(data, np.uint8).min() >= 0x20:
            return b'"%s"' % data
    return encode_basestring(text).encode()


def parse(row: bytes) -> Row:
    """Raises ValueError when this is no row."""
    match json.loads(row):
        case [int() | float() as at_s, str() as code, str() as text]:
            return Row(float(at_s), code, text)
    raise ValueError("not a row of a recording")


def redrawn(keyframe: Row) -> tuple[Row, Row]:
    size, _, drawing = keyframe.text.partition(" ")
    return Row(keyframe.at_s, "r", size), Row(keyframe.at_s, "o", drawing)


class Decoder:
    """UTF-8 in any cuts; what is not UTF-8 becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> str:
        return self._decoder.decode(data)

    def close(self) -> str:
        """What was left of a character that never became whole."""
        return self._decoder.decode(b"", final=True)
