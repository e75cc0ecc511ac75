"""The three request signatures of Alibaba Cloud, computed as the server side does. No I/O.

RPC (signature 1.0), ROA (signature 1.0) and OSS (V4), each from the request as it arrived on the wire.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit


def percent_encode(text: str) -> str:
    """RFC 3986: space is %20, ``*`` is %2A, ``~`` stays."""
    return quote(text, safe="~")


def _hmac_sha1(secret: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def rpc_string_to_sign(method: str, params: Mapping[str, str]) -> str:
    canonical = "&".join(
        f"{percent_encode(key)}={percent_encode(params[key])}" for key in sorted(params) if key != "Signature"
    )
    return f"{method}&%2F&{percent_encode(canonical)}"


def rpc_signature(secret: str, method: str, params: Mapping[str, str]) -> str:
    return _hmac_sha1(secret + "&", rpc_string_to_sign(method, params))


def roa_string_to_sign(method: str, target: str, headers: Mapping[str, str]) -> str:
    """``headers`` with lower-case names. The query is signed as sorted, decoded pairs."""
    split = urlsplit(target)
    acs = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-acs-"))
    resource = split.path
    pairs = sorted(parse_qsl(split.query, keep_blank_values=True))
    if pairs:
        resource += "?" + "&".join(f"{key}={value}" if value else key for key, value in pairs)
    head = [headers.get(name, "") for name in ("accept", "content-md5", "content-type", "date")]
    return "\n".join([method, *head, acs + resource])


def roa_signature(secret: str, method: str, target: str, headers: Mapping[str, str]) -> str:
    return _hmac_sha1(secret, roa_string_to_sign(method, target, headers))


def oss_v4_signature(
    secret: str, method: str, target: str, headers: Mapping[str, str], *, scope: str, additional: Iterable[str] = ()
) -> str:
    """``scope`` is ``YYYYMMDD/region/oss/aliyun_v4_request``. In path style the path is what is signed."""
    split = urlsplit(target)
    pairs = sorted(tuple(pair.partition("=")[::2]) for pair in split.query.split("&") if pair)
    query = "&".join(f"{key}={value}" if value else key for key, value in pairs)
    extra = sorted(additional)
    signed = sorted(
        name
        for name in headers
        if name.startswith("x-oss-") or name in ("content-type", "content-md5") or name in extra
    )
    canonical = "\n".join(
        [
            method,
            quote(unquote(split.path), safe="/"),
            query,
            "".join(f"{name}:{headers[name].strip()}\n" for name in signed),
            ";".join(extra),
            headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD"),
        ]
    )
    text = "\n".join(
        ["OSS4-HMAC-SHA256", headers.get("x-oss-date", ""), scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = ("aliyun_v4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
