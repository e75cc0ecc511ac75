"""The script that sets a node up, for one portal and one bundle, and the lines by which people start it. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bastion.installing.bundle import Bundle

HERE: Final = Path(__file__).parent
NEEDED: Final = {
    "debian": "apt-get update -q && apt-get install -qy curl python3 python3-venv",
    "rhel": "dnf install -qy curl python3.11",
}
"""Ubuntu 22.04's own python3 is too old: the script says what to install instead."""


def text(*, portal: str, address: str, bundle: Bundle) -> str:
    """`portal`: its public address; `address`: the bundle's below it."""
    unit = (HERE / "rdmp-node.service").read_text(encoding="utf-8").strip().replace("${PORTAL}", portal)
    script = (HERE / "node.sh").read_text(encoding="utf-8").replace("@UNIT@", unit)
    for name, value in (
        ("@PORTAL@", portal),
        ("@BUNDLE@", address),
        ("@SHA256@", bundle.sha256),
        ("@VERSION@", bundle.version),
    ):
        script = script.replace(name, _in_quotes(value))
    return script


def line(address: str, words: str = "", *, first: str = "") -> str:
    """One line for a terminal of root's. The script asks for the token, so that no line ever holds one."""
    fetch = f"curl -fsSL {address} | sh -s --{f' {words}' if words else ''}"
    return f"sudo sh -c '{first} && {fetch}'" if first else f"sudo sh -c '{fetch}'"


def _in_quotes(value: str) -> str:
    """For inside single quotes of a shell. Raises ValueError."""
    if "'" in value or "\n" in value:
        raise ValueError("no quote and no line end belongs into it")
    return value
