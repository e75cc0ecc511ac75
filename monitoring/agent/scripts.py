"""Runs the custom scripts of a host and reads their figures (R33). The contract stands in docs/agent.md.

A script runs only when the configuration lists it, and only from the scripts' directory, and only when root alone
could have written it. It gets no input, a time limit, an output limit and a lower priority; what it leaves running is
ended with it. What a script says wrongly is told beside what it said rightly.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import psutil

from monitoring.agent.masking import masked_line

MAX_SCRIPTS: Final = 20
MAX_SERIES: Final = 200
MAX_OUTPUT: Final = 64 * 1024
MAX_ERRORS: Final = 2000
MAX_LABELS: Final = 8
MAX_LABEL: Final = 100
MAX_NAME: Final = 60
NICE: Final = 10
AT_ONCE: Final = 4
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LINE: Final = re.compile(
    r"(?P<name>[A-Za-z_:][\w:.-]*)(?:\{(?P<labels>[^}]*)\})?\s*[\s=:]\s*(?P<value>\S+)(?:\s+\d+)?"
)
_LABEL: Final = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    file: str
    interval_s: int = 60
    timeout_s: int = 10
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One figure of a script."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """One run: when, how it ended, its figures, and what is wrong with it."""

    script: str
    at: float
    seconds: float
    exit_code: int | None
    items: tuple[Item, ...]
    problem: str = ""
    detail: str = ""


class Runner:
    """Runs each script at its own interval in a thread of its own, at most four at once."""

    def __init__(self, scripts: Sequence[Script], directory: Path | None) -> None:
        self._scripts = scripts
        self._directory = directory
        self._results: dict[str, Result] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def start(self) -> None:
        for script in self._scripts:
            threading.Thread(target=self._repeat, args=(script,), name=f"script-{script.name}", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def results(self) -> list[dict[str, Any]]:
        """The last run of each script, as JSON."""
        with self._lock:
            done = dict(self._results)
        return [_as_json(script, done.get(script.name)) for script in self._scripts]

    def run_once(self, script: Script) -> Result:
        """Run it now and remember the result."""
        with self._places:
            result = run(script, self._directory)
        with self._lock:
            self._results[script.name] = result
        return result

    def _repeat(self, script: Script) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            self.run_once(script)
            self._stopping.wait(max(1.0, script.interval_s - (time.monotonic() - began)))


def _as_json(script: Script, result: Result | None) -> dict[str, Any]:
    found: dict[str, Any] = {"script": script.name, "interval_s": script.interval_s}
    if result is None:
        return {**found, "problem": "waiting"}
    items = [{"name": item.name, "value": item.value, "labels": dict(item.labels)} for item in result.items]
    return {
        **found,
        "at": result.at,
        "seconds": result.seconds,
        "exit_code": result.exit_code,
        "items": items,
        "problem": result.problem,
        "detail": result.detail,
    }


def run(script: Script, directory: Path | None) -> Result:
    """One run of one script."""
    at, began = time.time(), time.monotonic()
    path, why = checked(script, directory)
    if path is None:
        return Result(script.name, at, 0.0, None, (), "refused", why)
    try:
        code, output, errors, was_late, was_large = _execute([str(path), *script.arguments], script.timeout_s)
    except OSError as error:
        return Result(script.name, at, 0.0, None, (), "not_started", str(error.strerror or error))
    seconds = round(time.monotonic() - began, 3)
    items, wrong = parse(output)
    detail = "; ".join(filter(None, [wrong, masked_line(errors.strip().replace("\n", " | "))[:400]]))
    if was_late:
        problem = "timeout"
    elif was_large:
        problem = "too_large"
    elif code:
        problem = "failed"
    elif wrong:
        problem = "not_understood"
    else:
        problem = ""
    return Result(script.name, at, seconds, code, items, problem, detail)


def checked(script: Script, directory: Path | None) -> tuple[Path | None, str]:
    """The file to run, or why it is not run: it must lie in the directory, and nobody but root (or the agent's own
    user, who could do as much without it) may be able to write it."""
    if directory is None:
        return None, "scripts_dir is not set"
    if Path(script.file).name != script.file or script.file in ("", ".", ".."):
        return None, "file must be a plain name inside scripts_dir"
    try:
        path = (directory / script.file).resolve(strict=True)
        if path.parent != directory.resolve(strict=True):
            return None, "the file is a link that leads out of scripts_dir"
        why = _writable(path) if os.name == "posix" else ""
        if not why and not os.access(path, os.X_OK):
            why = f"{path} is not executable"
    except OSError as error:
        return None, f"{script.file}: {error.strerror}"
    return (None, why) if why else (path, "")


def _writable(path: Path) -> str:
    for one in (path.parent, path):
        facts = one.stat()
        if facts.st_uid not in (0, os.geteuid()):
            return f"{one} does not belong to root"
        if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"{one} can be written by others than root"
    return ""


def _execute(command: Sequence[str], timeout_s: float) -> tuple[int | None, str, str, bool, bool]:
    """Exit code, output, errors, whether it took too long, whether it said too much."""
    environ = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"}
    if os.name != "posix":
        environ = dict(os.environ)
    process = subprocess.Popen(  # noqa: S603 - allow-listed, root's own, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=environ,
        cwd=str(Path(command[0]).parent),
    )
    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process(process.pid).nice(
            NICE if os.name == "posix" else getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", 0)
        )
    parts: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
    large = threading.Event()
    readers = [
        threading.Thread(target=_drain, args=(process.stdout, parts["out"], MAX_OUTPUT, large, process), daemon=True),
        threading.Thread(target=_drain, args=(process.stderr, parts["err"], MAX_ERRORS, None, process), daemon=True),
    ]
    for reader in readers:
        reader.start()
    was_late = False
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        was_late = True
    _end(process)
    for reader in readers:
        reader.join(2.0)
    output = bytes(parts["out"]).decode("utf-8", "replace")
    return process.returncode, output, bytes(parts["err"]).decode("utf-8", "replace"), was_late, large.is_set()


def _drain(
    pipe: IO[bytes], into: bytearray, limit: int, large: threading.Event | None, process: subprocess.Popen[bytes]
) -> None:
    """Read a pipe to its end, keep at most `limit`; output beyond it ends the script, errors beyond it are dropped."""
    with pipe:
        while chunk := os.read(pipe.fileno(), 8192):
            into.extend(chunk[: limit - len(into)])
            if large is not None and len(into) >= limit:
                large.set()
                _end(process)
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the script and whatever it started in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2.0)


# --- what a script may say -------------------------------------------------------------------------------------------


def parse(output: str) -> tuple[tuple[Item, ...], str]:
    """The figures, and the first thing that was not understood. JSON, `name value` or Prometheus lines."""
    text = output.strip()
    if text[:1] in ("{", "["):
        try:
            found, wrong = _from_json(json.loads(text))
        except ValueError as error:
            return (), f"not JSON: {error}"
    else:
        found, wrong = _from_lines(text.splitlines())
    if len(found) > MAX_SERIES:
        wrong = wrong or f"{len(found)} figures, of which the first {MAX_SERIES} are kept"
    unique = {(item.name, tuple(sorted(item.labels.items()))): item for item in found[:MAX_SERIES]}
    return tuple(unique.values()), wrong


def _from_lines(lines: Iterable[str]) -> tuple[list[Item], str]:
    found: list[Item] = []
    wrong = ""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        item = _item(match["name"], match["value"], dict(_LABEL.findall(match["labels"] or ""))) if match else None
        if item is None:
            wrong = wrong or f"line {number} is no figure: {masked_line(text)[:80]}"
        else:
            found.append(item)
    return found, wrong


def _from_json(value: object) -> tuple[list[Item], str]:
    entries: list[Mapping[str, Any]] = []
    if isinstance(value, dict):
        for name, inner in value.items():
            entries.append({"name": name, **inner} if isinstance(inner, dict) else {"name": name, "value": inner})
    elif isinstance(value, list):
        entries = [entry if isinstance(entry, dict) else {} for entry in value]
    found: list[Item] = []
    wrong = ""
    for entry in entries:
        labels = entry.get("labels", {})
        item = _item(entry.get("name"), entry.get("value"), labels if isinstance(labels, dict) else {})
        if item is None:
            wrong = wrong or f"no figure: {json.dumps(entry)[:80]}"
        else:
            found.append(item)
    return found, wrong


def _item(name: object, value: object, labels: Mapping[str, object]) -> Item | None:
    """A figure with a name as the platform writes names: small letters, digits and underscores."""
    plain = re.sub(r"[^a-z0-9_]+", "_", str(name or "").lower()).strip("_")[:MAX_NAME]
    if not plain or len(labels) > MAX_LABELS:
        return None
    try:
        figure = float(value)  # type: ignore[arg-type]  # whatever it is not, float says so
    except (TypeError, ValueError):
        return None
    if not math.isfinite(figure):
        return None
    kept = {str(key)[:40]: str(text)[:MAX_LABEL] for key, text in labels.items() if re.fullmatch(r"\w+", str(key))}
    return Item(plain, figure, kept)
