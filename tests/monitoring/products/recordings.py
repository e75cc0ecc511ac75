"""Small real servers that give recorded answers: HTTP by path, Jolokia by MBean. Tests change the answers they need."""

from __future__ import annotations

import contextlib
import fnmatch
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

RECORDED = Path(__file__).parent / "recorded"
Answers = dict[str, Any]


def answers(name: str) -> Answers:
    """The answers of one product by path, fresh for each test."""
    found: Answers = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    return found


def page(name: str) -> str:
    return (RECORDED / f"{name}.prom").read_text("utf-8")


@contextlib.asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[int]:
    """A server on loopback with one answer to every method and path; its port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def serving(found: Mapping[str, Any], seen: list[web.Request] | None = None) -> AsyncIterator[int]:
    """A server that answers each path as recorded, 404 for the others; an int is a status, a text is sent as it is."""

    async def answer(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request)
        value = found.get(request.path)
        if callable(value):
            value = await value(request)
        if value is None or isinstance(value, int):
            return web.Response(status=value or 404, text="{}")
        return web.Response(text=value) if isinstance(value, str) else web.json_response(value)

    async with answering(answer) as port:
        yield port


def jolokia(mbeans: Mapping[str, Mapping[str, Any]]) -> Callable[[web.Request], Any]:
    """Answers bulk reads as Jolokia does: a bare value for one attribute of one MBean, maps for all else."""

    async def answer(request: web.Request) -> list[dict[str, Any]]:
        return [_read(mbeans, asked) for asked in await request.json()]

    return answer


def _read(mbeans: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Any]) -> dict[str, Any]:
    wanted = asked.get("attribute")
    names = [wanted] if isinstance(wanted, str) else wanted
    is_pattern = "*" in asked["mbean"]
    found = {name: _some(mbeans[name], names) for name in mbeans if _fits(name, asked["mbean"])}
    if not found:
        error = f"javax.management.InstanceNotFoundException : {asked['mbean']}"
        return {"request": asked, "status": 404, "error": error, "error_type": error.partition(" ")[0]}
    if is_pattern:
        return {"request": asked, "status": 200, "timestamp": 1772000000, "value": found}
    value = next(iter(found.values()))
    bare = value.get(wanted) if isinstance(wanted, str) else value
    return {"request": asked, "status": 200, "timestamp": 1772000000, "value": bare}


def _some(attributes: Mapping[str, Any], names: Iterable[str] | None) -> dict[str, Any]:
    return {name: attributes[name] for name in (attributes if names is None else names) if name in attributes}


def _fits(name: str, pattern: str) -> bool:
    """JMX patterns: properties in any order, more of them where the pattern ends in ,*."""
    domain, _, properties = name.partition(":")
    wanted_domain, _, wanted = pattern.partition(":")
    if not fnmatch.fnmatchcase(domain, wanted_domain):
        return False
    has, needs = set(properties.split(",")), set(wanted.split(","))
    is_open = "*" in needs
    return needs - {"*"} <= has if is_open else needs == has
