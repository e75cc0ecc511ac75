"""Looking at a product in tests: one look, or two with counters in between."""

from __future__ import annotations

import socket
from typing import Any

from monitoring.collectors import Outcome, State, products
from monitoring.collectors.config.fields import LONGEST_WAIT_S
from monitoring.collectors.config.machines import ProductConfig
from monitoring.collectors.network import Guard
from monitoring.items import ITEMS
from tests.monitoring.probes import figures, job_for

__all__ = ["closed_port", "config_for", "earlier", "figures", "look", "names", "wanted"]


def config_for(product: str, port: int, **values: Any) -> ProductConfig:
    """What a target is told, as the form would check it."""
    usual: dict[str, Any] = {
        "product": product,
        "host": "127.0.0.1",
        "port": port,
        "path": products.PRODUCTS[product].path,
        "timeout_s": LONGEST_WAIT_S,  # a machine that is busy with other tests is slow, not broken
    }
    return products.checked(ProductConfig(**usual | values))


async def look(
    product: str, port: int, *, password: str = "", state: State | None = None, trusted: bool = True, **values: Any
) -> Outcome:
    """One run of the collector at a server of this machine."""
    config = config_for(product, port, **values)
    job = job_for(config, token=password, state=state, trusted=trusted)
    [outcome] = await products.collect([job], guard=Guard())
    return outcome


def earlier(outcome: Outcome, seconds: float = 60.0) -> State:
    """What an outcome left behind, as if it had been that long ago: rates need no waiting."""
    state: dict[str, Any] = {**(outcome.state or {})}
    state["counters"] = {**state["counters"], "at": state["counters"]["at"] - seconds}
    return state


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def wanted(product: str) -> set[str]:
    """The figures that the contract's items of a product ask for."""
    return {metric for item in ITEMS if item.product == product for metric in item.metrics}


def names(outcome: Outcome) -> set[str]:
    """The metrics of an outcome, whatever their labels."""
    return {metric for _, _, metric, _ in outcome.keys}
