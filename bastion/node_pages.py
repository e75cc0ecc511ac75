"""What the page of a node shows besides the row itself: its load as plots, its keys, and the lines for its machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _

from bastion.installing import script
from bastion.models import Node
from bastion.plot import Plot, plot
from bastion.services.node_watch import EVERY

SHOWN: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Shown:
    name: str
    figure: str
    value: float | None
    plot: Plot


@dataclass(frozen=True, slots=True)
class Line:
    """Something to run on the node's machine."""

    label: str
    text: str


def plots(node: Node, *, now: datetime) -> list[Shown]:
    """The last day; nothing of a node that has told nothing yet."""
    if not node.load:
        return []
    start = now - SHOWN
    rows = list(node.loads.filter(at__gte=start).order_by("at"))
    found = []
    for name, figure, top in (
        (_("CPU"), "cpu", 100.0),
        (_("Memory"), "memory", 100.0),
        (_("Disk free"), "disk_free", None),
    ):
        samples = [(row.at.timestamp(), float(getattr(row, figure))) for row in rows]
        value = node.load.get(figure)
        if value is not None:
            samples.append((now.timestamp(), float(value)))
        drawn = plot(samples, start=start.timestamp(), end=now.timestamp(), every=EVERY.total_seconds(), top=top)
        found.append(Shown(name, figure, value, drawn))
    return found


def is_behind(node: Node, offered: str) -> bool:
    """The platform's own is started from the same sources."""
    return node.state == Node.State.ENROLLED and not node.is_own and bool(node.version) and node.version != offered


def lines(node: Node, *, portal: str, offered: str) -> list[Line]:
    """To install one that waits, to upgrade one that is behind, to take one away; nothing for the platform's own."""
    if node.is_own or node.state == Node.State.REVOKED:
        return []
    if node.state == Node.State.WAITING:
        return install_lines(portal)
    address = _address(portal)
    found = [Line(_("Take it off its machine"), script.line(address, "--remove"))]
    if is_behind(node, offered):
        found.insert(0, Line(_("Upgrade"), script.line(address, "--upgrade")))
    return found


def install_lines(portal: str) -> list[Line]:
    address = _address(portal)
    return [
        Line("Debian, Ubuntu", script.line(address, first=script.NEEDED["debian"])),
        Line("RHEL, Alibaba Cloud Linux, Rocky", script.line(address, first=script.NEEDED["rhel"])),
    ]


def _address(portal: str) -> str:
    return portal + reverse("bastion:install-script")
