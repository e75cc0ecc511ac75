"""What DingTalk and WeCom send to a robot that listens: signed and sealed as they do it, for the demo and for tests.

    python -m demo.callbacks dingtalk ADDRESS APP_SECRET "订单无法支付" [SENDER]
    python -m demo.callbacks wecom ADDRESS TOKEN,AES_KEY,CORP_ID "订单无法支付" [SENDER]

Independent of the platform's own reader, so that the two check each other.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import struct
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SESSION_S = 5400


@dataclass(frozen=True)
class Call:
    """One call to the platform's door."""

    body: bytes
    headers: Mapping[str, str]
    query: str = ""


def dingtalk(
    secret: str, text: str, *, sender: str = "王敏", conversation: str = "cid-demo", reply_to: str = "", at: float = 0
) -> Call:
    """A message that somebody wrote to the robot in a group."""
    now = at or time.time()
    stamp = str(int(now * 1000))
    signature = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    message = {
        "msgtype": "text",
        "text": {"content": f" {text}"},
        "msgId": f"msg{uuid4().hex}",
        "createAt": int(stamp),
        "conversationType": "2",
        "conversationId": conversation,
        "conversationTitle": "运维服务群",
        "senderId": f"$:LWCP_v1:${hashlib.sha256(sender.encode()).hexdigest()[:20]}",
        "senderNick": sender,
        "isInAtList": True,
        "robotCode": "demo-robot",
        "sessionWebhook": reply_to,
        "sessionWebhookExpiredTime": int((now + SESSION_S) * 1000),
    }
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "timestamp": stamp,
        "sign": base64.b64encode(signature).decode(),
    }
    return Call(json.dumps(message, ensure_ascii=False).encode(), headers)


def wecom(token: str, aes_key: str, corp_id: str, text: str, *, sender: str = "zhangsan", at: float = 0) -> Call:
    """A text message to the application, encrypted for its corp."""
    now = str(int(at or time.time()))
    inner = (
        f"<xml><ToUserName><![CDATA[{corp_id}]]></ToUserName><FromUserName><![CDATA[{sender}]]></FromUserName>"
        f"<CreateTime>{now}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>"
        f"<MsgId>{uuid4().int % 10**16}</MsgId><AgentID>1000002</AgentID></xml>"
    ).encode()
    key = base64.b64decode(aes_key + "=")
    plain = os.urandom(16) + struct.pack(">I", len(inner)) + inner + corp_id.encode()
    padder = padding.PKCS7(256).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    padded = padder.update(plain) + padder.finalize()
    sealed = base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()
    nonce = uuid4().hex[:10]
    signed = hashlib.sha1("".join(sorted((token, now, nonce, sealed))).encode()).hexdigest()  # noqa: S324 - prescribed
    body = f"<xml><ToUserName><![CDATA[{corp_id}]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    query = urlencode({"msg_signature": signed, "timestamp": now, "nonce": nonce})
    return Call(body.encode(), {"Content-Type": "text/xml"}, query)


def send(address: str, call: Call) -> tuple[int, bytes]:
    """Make the call; returns status and body."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise ValueError("not an http(s) address")
    url = f"{address}?{call.query}" if call.query else address
    request = urllib.request.Request(url, call.body, dict(call.headers), method="POST")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - checked above
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def main() -> int:
    parser = argparse.ArgumentParser(description="Send what DingTalk or WeCom sends to a robot that listens")
    parser.add_argument("maker", choices=("dingtalk", "wecom"))
    parser.add_argument("address")
    parser.add_argument("secret", help="the AppSecret, or TOKEN,AES_KEY,CORP_ID")
    parser.add_argument("text")
    parser.add_argument("sender", nargs="?", default="demo")
    said = parser.parse_args()
    if said.maker == "dingtalk":
        call = dingtalk(said.secret, said.text, sender=said.sender)
    else:
        token, aes_key, corp_id = said.secret.split(",")
        call = wecom(token, aes_key, corp_id, said.text, sender=said.sender)
    status, body = send(said.address, call)
    print(status, body.decode(errors="replace"))
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
