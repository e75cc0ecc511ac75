"""Secrets do not leave the host: values that look like one are replaced before a text is kept, compared or sent."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "********"
_WORD: Final = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|auth|credential|requirepass|masterauth|community)"
)
_SETTING: Final = re.compile(
    rf"""(?ix)
    ^(?P<head>[^\#;\n]*?[\w.\-]*{_WORD}[\w.\-]*["']?\s*(?:[:=]\s*|\s+))   # name, then =, : or a space
    (?P<value>\S.*?)(?P<tail>\s*[;,]?\s*)$
    """
)
_PLAIN: Final = frozenset(
    {"yes", "no", "on", "off", "true", "false", "none", "0", "1", "required", "optional", "prohibit-password"}
)
"""Settings whose name speaks of a secret and whose value is none: PasswordAuthentication no."""
_URL: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]*):([^\s/@]+)@")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_INLINE: Final = re.compile(rf"(?i)([\w.\-]*{_WORD}[\w.\-]*[\"']?\s*[:=]\s*[\"']?)([^\s\"',;&]+)")
_KEY_BLOCK: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_CRYPT: Final = re.compile(r"\$(?:1|2[aby]?|5|6|y|gy|apr1|argon2\w*)\$[^\s:]+")


def masked(text: str) -> str:
    """A configuration with every value hidden whose name speaks of a secret. Comments are masked as well."""
    text = _KEY_BLOCK.sub(f"-----PRIVATE KEY {MASK}-----", text)
    return "\n".join(masked_line(line) for line in text.split("\n"))


def masked_line(line: str) -> str:
    """One line of a configuration or a log."""
    line = _CRYPT.sub(MASK, line)
    line = _URL.sub(rf"\1:{MASK}@", line)
    line = _BEARER.sub(rf"\1 {MASK}", line)
    if match := _SETTING.match(line):
        if match["value"].lower().strip("\"'") in _PLAIN:
            return line
        return f"{match['head']}{MASK}{match['tail']}"
    return _INLINE.sub(rf"\1{MASK}", line)
