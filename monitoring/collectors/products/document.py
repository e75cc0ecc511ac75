"""The document of all products (``docs/products.md``), made from what the products say of themselves."""

from __future__ import annotations

from collections.abc import Iterable

from monitoring.collectors.products.frame import Product

HEAD = """\
# Products

What the platform reads from a product's own status, and what has to be prepared before. The same text, in Chinese or
English, stands beside the form when a target is made (an asset → Add check → the product), with a test that says what
is wrong before anything is saved. This page is made from the products' modules in `monitoring/collectors/products/`; a
test keeps the two together. The contract's items are in [monitoring-items.md](monitoring-items.md).

Passwords are kept in the vault, are never shown again, and go only to the address they were entered for. Names are
resolved once per look and connected to only where the guard of `monitoring/collectors/network.py` allows. A figure that
counts becomes a rate across restarts and 32- and 64-bit wraps (`monitoring/collectors/counters.py`).

To add a product: one module with an async `collect(visit)` and a `Product`, one line in `products/__init__.py`, its
figures in `monitoring/data/metrics.csv` and their graphs in `panels.csv`.
"""


def as_markdown(products: Iterable[Product]) -> str:
    found = list(products)
    lines = [HEAD, "| product | works with | port | asks for | options |", "|---|---|---|---|---|"]
    for one in found:
        asks = ", ".join(sorted(one.asks)) or "–"
        options = ", ".join(f"`{option.name}`" for option in one.options) or "–"
        lines.append(f"| [{one.name_en}](#{one.slug}) | {one.needs} | {one.port} | {asks} | {options} |")
    for one in found:
        lines += ["", f'<a id="{one.slug}"></a>', f"## {one.name_en}"]
        for step in one.prerequisites:
            lines += ["", step.zh, "", step.en]
            if step.code:
                lines += ["", "```", step.code, "```"]
    return "\n".join(lines) + "\n"
