"""The node's programs as one archive, made of the portal's own sources: what they import and their packages' pins.

Pure. The same sources make the same bytes, so that a digest names a version.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from bastion.gateway import VERSION
from bastion.gateway.errands import RUNNERS

ENTRIES: Final = ("bastion.gateway.__main__", *RUNNERS.values())
OURS: Final = "bastion"
BUILD: Final = "bastion/gateway/build"
REQUIREMENTS: Final = "requirements.txt"
DIGITS: Final = 8
PIN: Final = re.compile(r"^([a-z0-9._-]+)==")
VIA: Final = re.compile(r"^ {4}# {1,3}(?:via )?([a-z0-9._-]+)$")


@dataclass(frozen=True)
class Bundle:
    version: str
    sha256: str
    data: bytes


@lru_cache(maxsize=1)
def made(root: Path) -> Bundle:
    """Of the checkout or image at `root`; its sources do not change while the portal runs."""
    sources = {str(path.relative_to(root)): path.read_bytes() for path in sorted(modules(root))}
    packages = distributions(imports(sources.values()))
    sources[REQUIREMENTS] = pins((root / "requirements.lock").read_text(encoding="utf-8"), packages).encode()
    digest = hashlib.sha256(
        b"".join(name.encode() + b"\0" + data for name, data in sorted(sources.items()))
    ).hexdigest()
    sources[BUILD] = digest[:DIGITS].encode()
    data = archive(sources)
    return Bundle(f"{VERSION}+{digest[:DIGITS]}", hashlib.sha256(data).hexdigest(), data)


def modules(root: Path) -> set[Path]:
    """The files of ours that the node's programs import, packages' own files included."""
    found: set[Path] = set()
    wanted = list(ENTRIES)
    while wanted:
        name = wanted.pop()
        path = _file(root, name)
        if path is None or path in found:
            continue
        found.add(path)
        for imported in _imported(path.read_bytes()):
            parts = imported.split(".")
            wanted += [".".join(parts[: number + 1]) for number in range(len(parts)) if parts[0] in _ours(root)]
    return found


def imports(sources: Iterable[bytes]) -> set[str]:
    """The top-level names that are neither ours nor Python's."""
    named = {name.partition(".")[0] for source in sources for name in _imported(source)}
    return named - set(sys.stdlib_module_names) - {"__future__"}


def distributions(names: Iterable[str]) -> set[str]:
    """The packages that bring these modules; ours bring none."""
    known = packages_distributions()
    return {re.sub(r"[-_.]+", "-", package).lower() for name in names for package in known.get(name, [])}


def pins(lock: str, packages: Iterable[str]) -> str:
    """Those of the lock that these packages need: themselves and whatever came through them, with their hashes."""
    blocks: dict[str, str] = {}
    for name, block in _blocks(lock):  # a name comes twice where Python's version decides
        blocks[name] = blocks.get(name, "") + block
    wanted = set(packages) & blocks.keys()
    while more := {name for name, block in blocks.items() if _through(block) & wanted} - wanted:
        wanted |= more
    return "".join(_without_remarks(blocks[name]) for name in sorted(wanted))


def archive(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _ours(root: Path) -> set[str]:
    return {path.parent.name for path in root.glob("*/__init__.py")}


def _file(root: Path, name: str) -> Path | None:
    path = root.joinpath(*name.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


def _imported(source: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def _blocks(lock: str) -> Iterator[tuple[str, str]]:
    name, lines = "", list[str]()
    for line in lock.splitlines(keepends=True):
        if begins := PIN.match(line):
            if name:
                yield name, "".join(lines)
            name, lines = begins[1], []
        lines.append(line)
    if name:
        yield name, "".join(lines)


def _through(block: str) -> set[str]:
    return {found[1] for line in block.splitlines() if (found := VIA.match(line))}


def _without_remarks(block: str) -> str:
    return "".join(line for line in block.splitlines(keepends=True) if not line.lstrip().startswith("#"))
