"""Objects of the simulated cloud's OSS buckets: put, get, head, delete, and the deletion of many at once."""

import base64
import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from demo.aliyun.account import CloudUid, RamUser
from demo.aliyun.answers import ApiError
from demo.aliyun.estate import Estate

MOST_DELETED = 1000
LARGEST_PUT = 5 * 2**30
ACTIONS = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
RIGHTS = {"HeadObject": "oss:GetObject", "DeleteMultipleObjects": "oss:DeleteObject"}
"""Of what has no right by its own name."""


@dataclass(frozen=True)
class Wanted:
    """What one request is about; without key it is about the bucket."""

    action: str
    bucket: str
    key: str
    body: bytes
    md5: str
    """`Content-MD5` of the request, which OSS wants for the deletion of many."""
    encodes: bool
    """Keys of the answer as they stand in a URL."""

    @property
    def right(self) -> str:
        return RIGHTS.get(self.action, f"oss:{self.action}")


@dataclass(frozen=True)
class Answered:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/xml"
    headers: dict[str, str] = field(default_factory=dict)


def wanted(method: str, target: str, body: bytes, md5: str) -> Wanted | None:
    """None: it is about no object, as the list of buckets is. Path style, since the endpoint is an address."""
    split = urlsplit(target)
    bucket, _, key = split.path.removeprefix("/").partition("/")
    params = parse_qs(split.query, keep_blank_values=True)
    if not bucket:
        return None
    deletes_many = not key and method == "POST" and "delete" in params
    action = "DeleteMultipleObjects" if deletes_many else ACTIONS.get(method, "") if key else ""
    if not action:
        raise ApiError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    return Wanted(action, bucket, unquote(key), body, md5, params.get("encoding-type") == ["url"])


@dataclass
class Objects:
    """By bucket and key. Names of buckets are one space for all accounts."""

    kept: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def answer(self, asked: Wanted, uid: CloudUid, user: RamUser, owners: dict[str, str]) -> Answered:
        """`owners`: the account of each bucket there is."""
        if asked.bucket not in owners:
            raise ApiError(404, "NoSuchBucket", "The specified bucket does not exist.")
        if owners[asked.bucket] != uid.uid or not user.allows(asked.right):
            raise ApiError(403, "AccessDenied", "You have no right to access this object.")
        acts: dict[str, Callable[[Wanted], Answered]] = {
            "PutObject": self._put,
            "GetObject": self._get,
            "HeadObject": self._get,
            "DeleteObject": self._delete,
            "DeleteMultipleObjects": self._delete_many,
        }
        return acts[asked.action](asked)

    def _put(self, asked: Wanted) -> Answered:
        if len(asked.body) > LARGEST_PUT:
            raise ApiError(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
        self.kept[asked.bucket, asked.key] = asked.body
        return Answered(headers=_facts(asked.body))

    def _get(self, asked: Wanted) -> Answered:
        found = self.kept.get((asked.bucket, asked.key))
        if found is None:
            raise ApiError(404, "NoSuchKey", "The specified key does not exist.")
        return Answered(200, found, "application/octet-stream", _facts(found))

    def _delete(self, asked: Wanted) -> Answered:
        self.kept.pop((asked.bucket, asked.key), None)
        return Answered(204)

    def _delete_many(self, asked: Wanted) -> Answered:
        if asked.md5 != base64.b64encode(hashlib.md5(asked.body).digest()).decode():  # noqa: S324 - as OSS has it
            raise ApiError(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
        try:
            keys = [str(one.text or "") for one in ET.fromstring(asked.body).findall("./Object/Key")]  # noqa: S314 - ours
        except ET.ParseError:
            keys = []
        if not 1 <= len(keys) <= MOST_DELETED:
            raise ApiError(400, "MalformedXML", "The XML you provided was not well-formed.")
        for key in keys:
            self.kept.pop((asked.bucket, key), None)
        said = [quote(key, safe="") if asked.encodes else escape(key) for key in keys]
        kind = "<EncodingType>url</EncodingType>" if asked.encodes else ""
        rows = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in said)
        text = f'<?xml version="1.0" encoding="UTF-8"?><DeleteResult>{kind}{rows}</DeleteResult>'
        return Answered(body=text.encode())


def owners_of(accounts: dict[str, tuple[CloudUid, Estate]]) -> dict[str, str]:
    return {str(row["Name"]): uid for uid, (_account, estate) in accounts.items() for row in estate.rows["oss"]}


def _facts(data: bytes) -> dict[str, str]:
    return {
        "ETag": f'"{hashlib.md5(data).hexdigest().upper()}"',  # noqa: S324 - as OSS has it
        "x-oss-hash-crc64ecma": str(crc64(data)),
        "x-oss-object-type": "Normal",
    }


def _table() -> list[int]:
    polynomial, table = 0xC96C5795D7870F42, []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def crc64(data: bytes) -> int:
    """CRC-64/XZ (ECMA-182, reflected), which OSS sends with every object."""
    value = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        value = TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFFFFFFFFFF
