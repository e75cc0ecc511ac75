"""JMX over HTTP as Tomcat's own manager application speaks it: the same reads as Jolokia's, one request each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from monitoring.collectors.products.frame import CannotReadError, Http
from monitoring.collectors.products.jolokia import Read

PATH: Final = "/manager/jmxproxy"
COMPOSITE: Final = re.compile(r"(?:^|contents=)\{(.*)\}\)?$")
"""Tomcat 10.1 writes a composite plainly, older versions with its class around it."""
PAIR: Final = re.compile(r"(\w+)=([^,=]*)(?:, |$)")


async def ask(http: Http, path: str, reads: Sequence[Read]) -> list[Any]:
    """The value of each read as `jolokia.ask` gives it. The proxy answers with all attributes, asked or not."""
    found: list[Any] = []
    for read in reads:
        beans = parse(await http.get(f"{path.rstrip('/')}/?qry={quote(read.mbean, safe=':=,*')}"))
        found.append(beans if "*" in read.mbean else beans.get(read.mbean))
    return found


def parse(text: str) -> dict[str, Mapping[str, Any]]:
    """``OK - …``, then paragraphs of ``Name: …`` and ``attribute: value``. Raises CannotReadError for another page."""
    if not text.startswith("OK - "):
        raise CannotReadError("wrong_page", f"jmxproxy: {text[:80]!r}")
    found: dict[str, Mapping[str, Any]] = {}
    current: dict[str, Any] = {}
    is_first = False
    for line in text.splitlines()[1:]:
        name, colon, value = line.partition(": ")
        begins, is_first = is_first and name == "Name", not line.strip()  # some beans have an attribute Name as well
        if begins:
            found[value.strip()] = current = {}
        elif colon:
            current[name] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    composite = COMPOSITE.search(text)
    if composite is not None:
        return {name: _value(value) for name, value in PAIR.findall(composite[1])}
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
