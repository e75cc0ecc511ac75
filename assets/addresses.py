"""Hosts and URLs that people type in. Pure: text in, a tidy form or an `AddressError` out.

What is stored here is later connected to by monitoring, which guards again at the socket; this refuses early what no
customer's asset can be, so that the person who typed it learns of it.
"""

import ipaddress
import re
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# Never an asset: this network, link-local with the clouds' metadata services, multicast, reserved.
_NEVER = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "169.254.0.0/16", "100.100.100.200/32", "224.0.0.0/4", "240.0.0.0/4",
        "::/128", "fe80::/10", "ff00::/8", "fd00:ec2::254/128",
    )
]  # fmt: skip
_METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data")


class AddressError(ValueError):
    """`code` is one of: empty, malformed, number, forbidden, scheme, userinfo."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def clean_host(text: str) -> str:
    """A host name or IP address in lower case. International names become their ASCII form."""
    host = text.strip().strip("[]").rstrip(".").lower()
    if not host:
        raise AddressError("empty")
    ip = _ip(host)
    if ip is not None:
        if any(ip in network for network in _NEVER if network.version == ip.version):
            raise AddressError("forbidden")
        return str(ip)
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        raise AddressError("malformed") from None
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressError("malformed")
    if re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):  # 2130706433 and 0x7f.1 are addresses to many resolvers
        raise AddressError("number")
    if host in _METADATA_NAMES:
        raise AddressError("forbidden")
    return host


def clean_url(text: str) -> str:
    """An http or https URL with a usable host and without credentials in it."""
    url = text.strip()
    if not url:
        raise AddressError("empty")
    if re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise AddressError("malformed")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressError("malformed") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise AddressError("scheme")
    if "@" in parts.netloc:
        raise AddressError("userinfo")
    host = clean_host(parts.hostname or "")
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port is None else f"{shown}:{port}"
    return parts._replace(scheme=parts.scheme.lower(), netloc=netloc, path=parts.path or "/").geturl()


def host_of(url: str) -> str:
    return clean_host(urlsplit(url).hostname or "")


def is_own_machine(host: str) -> bool:
    """Loopback: the machine that the platform itself runs on, which only an administrator may name."""
    ip = _ip(host)
    return ip.is_loopback if ip is not None else host == "localhost" or host.endswith(".localhost")


def _ip(host: str) -> Address | None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip
