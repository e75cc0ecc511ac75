"""WeCom's callback of an application: signature, encryption, the XML inside, and the encrypted answer.

developer.work.weixin.qq.com 90930 and 91144: AES-256-CBC with PKCS#7 to blocks of 32 bytes; the plain text is 16 random
bytes, the length in four bytes, the message, and the receiver's id, which is checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from notify.inbound import reading
from notify.inbound.dingtalk import ChatMessage
from notify.inbound.reading import BadInputError

BLOCK: Final = 32
LARGEST: Final = 64 * 1024
REPLY_BYTES: Final = 2000
FIELDS: Final = 64


class ForgedError(BadInputError):
    """Not from WeCom, or not for us."""


def key_of(encoding_key: str) -> bytes:
    """The AES key out of the 43 characters that WeCom's console shows. Raises BadInputError."""
    try:
        key = base64.b64decode(encoding_key + "=", validate=True)
    except (binascii.Error, ValueError):
        raise BadInputError("not an EncodingAESKey") from None
    if len(key) != 32:
        raise BadInputError("not an EncodingAESKey")
    return key


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    joined = "".join(sorted((token, timestamp, nonce, encrypted)))
    return hashlib.sha1(joined.encode(errors="replace")).hexdigest()  # noqa: S324 - prescribed by the protocol


def is_signed(token: str, signed: str, timestamp: str, nonce: str, encrypted: str) -> bool:
    expected = signature(token, timestamp, nonce, encrypted)
    return bool(token) and hmac.compare_digest(expected.encode(), signed.encode(errors="replace"))


def decrypt(key: bytes, encrypted: str, receiver: str) -> bytes:
    """The message inside. Raises ForgedError when it is not what WeCom makes, or is for somebody else."""
    try:
        sealed = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError):
        raise ForgedError("not base64") from None
    if not sealed or len(sealed) % 16:
        raise ForgedError("not whole blocks")
    opened = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = opened.update(sealed) + opened.finalize()
    padding = plain[-1]
    if not 1 <= padding <= BLOCK or len(plain) < 20 + padding:
        raise ForgedError("wrong padding")
    plain = plain[16:-padding]
    (length,) = struct.unpack(">I", plain[:4])
    if length > len(plain) - 4:
        raise ForgedError("wrong length")
    if not hmac.compare_digest(plain[4 + length :], receiver.encode()):
        raise ForgedError("for another receiver")
    return plain[4 : 4 + length]


def encrypt(key: bytes, message: bytes, receiver: str, *, noise: bytes | None = None) -> str:
    plain = (noise or secrets.token_bytes(16)) + struct.pack(">I", len(message)) + message + receiver.encode()
    padding = BLOCK - len(plain) % BLOCK
    plain += bytes([padding]) * padding
    sealing = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(sealing.update(plain) + sealing.finalize()).decode()


def xml_fields(raw: bytes) -> dict[str, str]:
    """The texts of the elements under the root. A document type, and so any entity, is refused (XXE, floods)."""
    if len(raw) > LARGEST:
        raise BadInputError("the XML is too large")
    found: dict[str, str] = {}
    path: list[str] = []

    def start(name: str, _attributes: object) -> None:
        path.append(name)
        if len(path) > 8 or len(found) > FIELDS:
            raise BadInputError("the XML is too deep")

    def end(_name: str) -> None:
        path.pop()

    def words(text: str) -> None:
        if len(path) == 2:
            found[path[1]] = found.get(path[1], "") + text

    def refuse(*_: object) -> None:
        raise BadInputError("a document type is not accepted")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, words
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(raw, True)
    except expat.ExpatError:
        raise BadInputError("not XML") from None
    return found


def encrypted_in(raw: bytes) -> str:
    """The sealed part of a call's body. Raises BadInputError."""
    sealed = xml_fields(raw).get("Encrypt", "").strip()
    if not sealed:
        raise BadInputError("nothing encrypted inside")
    return sealed


def read(plain: bytes, *, now: datetime) -> ChatMessage:
    """The message in the decrypted XML; an event or a kind without text says which it is. Raises BadInputError."""
    fields: Mapping[str, str] = xml_fields(plain)
    sender, kind = reading.text(fields.get("FromUserName"), 190), reading.text(fields.get("MsgType"), 20)
    if not sender or not kind:
        raise BadInputError("FromUserName or MsgType is missing")
    one = reading.text(fields.get("MsgId"), 60) or f"{sender}:{reading.text(fields.get('CreateTime'), 20)}:{kind}"
    text = reading.block(fields.get("Content")) if kind == "text" else f"[{kind}]"
    return ChatMessage(
        message_id=one,
        sender_id=sender,
        sender_name=sender,
        conversation=reading.text(fields.get("ChatId"), 190) or sender,
        is_group=bool(fields.get("ChatId")),
        text="" if kind == "event" else text,
    )


def answer(key: bytes, token: str, receiver: str, to: str, text: str, *, nonce: str, now: datetime) -> bytes:
    """The passive answer: text to the sender, encrypted and signed like their message was."""
    shown = text.encode()[:REPLY_BYTES].decode(errors="ignore")
    stamp = str(int(now.timestamp()))
    inner = _xml(
        ("ToUserName", to), ("FromUserName", receiver), ("CreateTime", stamp), ("MsgType", "text"), ("Content", shown)
    )
    sealed = encrypt(key, inner, receiver)
    signed = signature(token, stamp, nonce, sealed)
    return _xml(("Encrypt", sealed), ("MsgSignature", signed), ("TimeStamp", stamp), ("Nonce", nonce))


def _xml(*fields: tuple[str, str]) -> bytes:
    return f"<xml>{''.join(_elements(fields))}</xml>".encode()


def _elements(fields: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (f"<{name}>{escape(value)}</{name}>" for name, value in fields)
