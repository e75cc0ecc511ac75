"""Telling somebody outside that the platform is alive: when the calls stop, they raise the alarm (N10)."""

from __future__ import annotations

import logging
import urllib.request
from typing import Final
from urllib.parse import urlsplit

log = logging.getLogger(__name__)
PATIENCE_S: Final = 5.0


def send(url: str, *, is_well: bool) -> bool:
    """Call the configured address; nothing is sent while something fails. True when somebody heard it."""
    if not url or not is_well or urlsplit(url).scheme not in ("http", "https"):
        return False
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:  # noqa: S310  # http or https, seen above
            return bool(response.status < 400)
    except (OSError, ValueError) as error:  # refused, timed out, an error page
        log.warning("the heartbeat reached nobody: %s", error)
        return False
