"""Prometheus remote write 1.0, both ways: Snappy-compressed protocol buffers and columns of samples.

https://prometheus.io/docs/specs/prw/remote_write_spec/. Only the fields that carry samples are read: labels and
float samples; exemplars, native histograms and metadata are passed over. Written by hand because the message is three
levels of four fields, and because a series is known by the bytes of its labels: those seen before are not taken apart.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cramjam
import numpy as np
from numpy.typing import NDArray

CONTENT_TYPE: Final = "application/x-protobuf"
ENCODING: Final = "snappy"
VERSION: Final = "0.1.0"
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of a request as it comes. Prometheus sends some hundred kilobytes."""
LARGEST_PLAIN: Final = 32 * 1024 * 1024
MOST_LABELS: Final = 64

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SERIES_TAG, LABEL_TAG, SAMPLE_TAG = 0x0A, 0x0A, 0x12
VALUE_TAG, TIME_TAG = 0x09, 0x10
DOUBLE: Final = struct.Struct("<d")
SIGN: Final = 1 << 63


class BadRequestError(ValueError):
    """These bytes are not a write request, and never will be."""


class TooLargeError(ValueError):
    """The request is larger than any sender's."""


@dataclass(frozen=True, slots=True)
class Written:
    """A write request as columns: `labels` are the encoded labels of each series, `index` points into them."""

    labels: list[bytes]
    index: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.index)


# --- in ------------------------------------------------------------------------------------------------------------


def decompress(body: bytes) -> bytes:
    """The plain message. A block says at its beginning how large it will be: a bomb is refused before it goes off."""
    if len(body) > LARGEST:
        raise TooLargeError(f"{len(body)} bytes")
    size, _at = _varint(body, 0)
    if size > LARGEST_PLAIN:
        raise TooLargeError(f"{size} bytes when decompressed")
    try:
        plain = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise BadRequestError(f"not a Snappy block: {error}") from error
    if len(plain) != size:
        raise BadRequestError("not a Snappy block of the size it says")
    return plain


def read(message: bytes) -> Written:
    """The samples of a WriteRequest."""
    labels: list[bytes] = []
    index: list[int] = []
    times: list[int] = []
    values: list[float] = []
    try:
        for tag, begin, end in _fields(message, 0, len(message)):
            if tag == SERIES_TAG:
                samples = _series(message, begin, end, labels)
                index += [len(labels) - 1] * len(samples)
                times += [at for at, _ in samples]
                values += [value for _, value in samples]
    except (IndexError, struct.error) as error:
        raise BadRequestError("the message ends in the middle of a field") from error
    return Written(
        labels,
        np.array(index, dtype=np.int32),
        np.array(times, dtype=np.int64),
        np.array(values, dtype=np.float64),
    )


def _series(message: bytes, begin: int, end: int, labels: list[bytes]) -> list[tuple[int, float]]:
    """Take one TimeSeries in: its labels stand together at its beginning, as every sender writes them."""
    named = begin
    samples: list[tuple[int, float]] = []
    for tag, low, high in _fields(message, begin, end):
        if tag == LABEL_TAG:
            if samples:
                raise BadRequestError("labels after samples")
            named = high
        elif tag == SAMPLE_TAG:
            samples.append(_sample(message, low, high))
    labels.append(message[begin:named])
    return samples


def _sample(message: bytes, begin: int, end: int) -> tuple[int, float]:
    at, value = 0, 0.0
    place = begin
    while place < end:
        tag = message[place]
        if tag == VALUE_TAG:
            (value,) = DOUBLE.unpack_from(message, place + 1)
            place += 9
        elif tag == TIME_TAG:
            at, place = _varint(message, place + 1)
        else:
            raise BadRequestError("a sample has fields of no known kind")
    if place != end:
        raise BadRequestError("a sample is longer than it says")
    return (at - (1 << 64) if at & SIGN else at), value


def _fields(message: bytes, begin: int, end: int) -> Iterable[tuple[int, int, int]]:
    """Tag, beginning and end of each length-delimited field; the others are passed over."""
    place = begin
    while place < end:
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == BYTES:
            size, place = _varint(message, place)
            if place + size > end:
                raise BadRequestError("a field is longer than what holds it")
            yield tag, place, place + size
            place += size
        elif kind == VARINT:
            _value, place = _varint(message, place)
        elif kind in (FIXED64, FIXED32):
            place += 8 if kind == FIXED64 else 4
        else:
            raise BadRequestError(f"wire type {kind}")
    if place != end:
        raise BadRequestError("a field is longer than what holds it")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        try:
            byte = message[place]
        except IndexError:
            raise BadRequestError("the message ends in the middle of a number") from None
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise BadRequestError("a number of more than 64 bits")


def labels_of(encoded: bytes) -> dict[str, str]:
    """The labels of a series, checked: a name each, once, and the metric's among them."""
    found: dict[str, str] = {}
    for _tag, begin, end in _fields(encoded, 0, len(encoded)):
        parts = {tag: encoded[low:high] for tag, low, high in _fields(encoded, begin, end)}
        try:
            name, value = parts.get(0x0A, b"").decode(), parts.get(0x12, b"").decode()
        except UnicodeDecodeError as error:
            raise BadRequestError("a label is not UTF-8") from error
        if not name or name in found:
            raise BadRequestError(f"label {name!r} is empty or there twice")
        found[name] = value
    if not found.get("__name__"):
        raise BadRequestError("a series without a name")
    if len(found) > MOST_LABELS:
        raise BadRequestError(f"{len(found)} labels on one series")
    return found


# --- out -----------------------------------------------------------------------------------------------------------


def encode_labels(labels: Mapping[str, str]) -> bytes:
    """Labels as the bytes that stand before the samples of a series, in the order that the specification asks for."""
    parts = []
    for name in sorted(labels):
        label = _bytes_field(0x0A, name.encode()) + _bytes_field(0x12, labels[name].encode())
        parts.append(_bytes_field(LABEL_TAG, label))
    return b"".join(parts)


def write(series: Iterable[tuple[bytes, Sequence[int], Sequence[float]]]) -> bytes:
    """A compressed WriteRequest of series: encoded labels, times in Unix ms, values."""
    parts = []
    for labels, times, values in series:
        samples = [
            _bytes_field(SAMPLE_TAG, b"\x09" + DOUBLE.pack(value) + b"\x10" + _number(at))
            for at, value in zip(times, values, strict=True)
        ]
        parts.append(_bytes_field(SERIES_TAG, labels + b"".join(samples)))
    return bytes(cramjam.snappy.compress_raw(b"".join(parts)))


def _bytes_field(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _number(len(content)) + content


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
