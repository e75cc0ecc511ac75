"""What kind of host this is right now, in digests: whoever compares two readings sees what changed (R36).

Nothing here needs to be remembered between readings. Password hashes never leave the host: each user's line of the
shadow file is told as a keyed digest. Configuration texts leave it with their secrets masked, and only when asked for.
A section that may not be read says so, which is not the same as empty.
"""

from __future__ import annotations

import glob
import hashlib
import hmac
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from monitoring.agent import __version__
from monitoring.agent.config import Config
from monitoring.agent.figures import count
from monitoring.agent.logs import LogKeywords
from monitoring.agent.masking import masked
from monitoring.agent.scripts import Runner

MAX_FILES: Final = 300
MAX_TEXT: Final = 128 * 1024
MAX_HASHED: Final = 8 * 1024 * 1024
MAX_NAMES: Final = 400
MAX_RULES_TEXT: Final = 256 * 1024
SETTLED_S: Final = 600.0
"""A process that has lived so long belongs to the host's set; what comes and goes does not."""
EPHEMERAL: Final = 32768
COMMAND_S: Final = 8.0
FRESH_S: Final = 0.5
ADMIN_GROUPS: Final = ("sudo", "wheel", "admin", "root")
OK: Final = "ok"
NOT_PERMITTED: Final = "not_permitted"
ABSENT: Final = "absent"
_COUNTERS: Final = re.compile(r"\[\d+:\d+\]|\bcounter packets \d+ bytes \d+")


@dataclass(frozen=True, slots=True)
class _Cached:
    stamp: tuple[int, ...]
    digest: str
    text: str | None


class HostState:
    """Reads everything `/state` tells. `root` is / but in tests."""

    def __init__(self, config: Config, *, root: Path = Path("/")) -> None:
        self._config = config
        self._root = root
        self._key = hmac.new(config.token.encode(), b"rdmp host state", hashlib.sha256).digest()
        self._files: dict[str, _Cached] = {}
        self._logs = LogKeywords(config.logs, state_dir=config.state_dir)
        self._runner = Runner(config.scripts, config.scripts_dir)
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._last: dict[str, Any] = {}

    def start(self) -> None:
        """Begin running scripts; readings start by themselves when asked."""
        self._runner.start()

    def stop(self) -> None:
        self._runner.stop()

    def read(self) -> dict[str, Any]:
        """Everything, at most twice a second however many ask."""
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH_S:
                self._last = self._read()
                self._read_at = time.monotonic()
            return self._last

    def text(self, digest: str) -> str | None:
        """The masked text of a file of the last reading, by its digest."""
        with self._lock:
            return next((one.text for one in self._files.values() if one.digest == digest), None)

    def _read(self) -> dict[str, Any]:
        sections: dict[str, Callable[[], dict[str, Any]]] = {
            "processes": self._processes,
            "accounts": self._accounts,
            "sudo": self._sudo,
            "files": self._configuration,
            "firewall": self._firewall,
            "ports": ports,
        }
        found: dict[str, Any] = {
            "format": 1,
            "agent": __version__,
            "at": time.time(),
            "boot": psutil.boot_time(),
            "key": self.digest(b"which key"),
            "hostname": socket.gethostname(),
            "system": platform.system(),
        }
        for name, section in sections.items():
            if name in self._config.skip_state:
                found[name] = {"state": "skipped"}
                continue
            try:
                found[name] = section()
            except PermissionError:
                found[name] = {"state": NOT_PERMITTED}
            except (OSError, psutil.Error, ValueError, NotImplementedError) as error:
                found[name] = {"state": "failed", "why": str(error)[:200]}
        found["logs"] = self._logs.read()
        found["scripts"] = self._runner.results()
        return found

    def digest(self, data: bytes) -> str:
        """A keyed digest: tells that something changed, and nothing about what it is."""
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()[:24]

    # --- processes ---------------------------------------------------------------------------------------------------

    def _processes(self) -> dict[str, Any]:
        names: dict[str, int] = {}
        settled: dict[str, int] = {}
        now, total = time.time(), 0
        for process in psutil.process_iter(["name", "ppid", "create_time", "status", "pid"]):
            facts = process.info
            if facts["status"] == psutil.STATUS_ZOMBIE:
                continue
            total += 1
            if sys.platform == "linux" and (facts["pid"] == 2 or facts["ppid"] == 2):
                continue  # the kernel's own
            name = str(facts["name"] or "?")[:80]
            names[name] = names.get(name, 0) + 1
            if facts["create_time"] and now - facts["create_time"] >= SETTLED_S:
                settled[name] = settled.get(name, 0) + 1
        most = sorted(names.items(), key=lambda item: (-item[1], item[0]))[:MAX_NAMES]
        return {
            "state": OK,
            "total": total,
            "names": dict(sorted(most)),
            "settled": sorted(settled)[:MAX_NAMES],
            "watched": count(self._config.watch),
        }

    # --- users, passwords, sudo --------------------------------------------------------------------------------------

    def _accounts(self) -> dict[str, Any]:
        passwd = self._root / "etc/passwd"
        if not passwd.exists():
            return self._windows_accounts() if sys.platform == "win32" else {"state": ABSENT}
        users: dict[str, dict[str, Any]] = {}
        for line in passwd.read_text("utf-8", "replace").splitlines():
            fields = line.split(":")
            if len(fields) == 7:
                users[fields[0]] = {"uid": fields[2], "shell": fields[6], "record": self.digest(line.encode())}
        shadow = self._root / "etc/shadow"
        passwords = OK
        try:
            for line in shadow.read_text("utf-8", "replace").splitlines():
                name, _, rest = line.partition(":")
                if name in users:
                    secret = rest.split(":", 1)[0]
                    users[name]["password"] = self.digest(f"{name}:{secret}".encode())
                    users[name]["locked"] = secret[:1] in ("!", "*")
        except PermissionError:
            passwords = NOT_PERMITTED
        except FileNotFoundError:
            passwords = ABSENT
        found: dict[str, Any] = {"state": OK, "users": users, "passwords": passwords}
        if passwords == NOT_PERMITTED:
            found["changed_at"] = shadow.stat().st_mtime
        return found

    def _windows_accounts(self) -> dict[str, Any]:
        """Local users, and when each password was set, by PowerShell: hashes are never touched."""
        script = (
            "Get-LocalUser | ForEach-Object { $_.Name + '|' + $_.Enabled + '|' + "
            "($_.PasswordLastSet).Ticks + '|' + $_.SID }"
        )
        users = {}
        for line in _run(["powershell", "-NoProfile", "-Command", script]).splitlines():
            name, _, rest = line.strip().partition("|")
            enabled, _, rest = rest.partition("|")
            ticks, _, sid = rest.partition("|")
            if name:
                users[name] = {
                    "uid": sid,
                    "shell": "",
                    "record": self.digest(f"{name}|{enabled}|{sid}".encode()),
                    "password": self.digest(f"{name}|{ticks}".encode()),
                }
        return {"state": OK, "users": users, "passwords": OK}

    def _sudo(self) -> dict[str, Any]:
        if sys.platform == "win32":
            members = [line.strip() for line in _run(["net", "localgroup", "Administrators"]).splitlines()[6:-2]]
            return {"state": OK, "files": {}, "members": {"Administrators": sorted(filter(None, members))}}
        files: dict[str, dict[str, Any]] = {}
        state = OK
        sudoers, folder = self._root / "etc/sudoers", self._root / "etc/sudoers.d"
        for path in (sudoers, folder):
            try:
                found = sorted(folder.iterdir()) if path == folder else [path]
                for one in found:
                    if one.is_file():
                        files[self._name(one)] = self._file(one, hides=False)  # holds rights, no secrets
            except PermissionError:
                state = NOT_PERMITTED
                files[self._name(path)] = {"changed_at": path.stat().st_mtime}
            except FileNotFoundError:
                continue
        members = {}
        group = self._root / "etc/group"
        if group.exists():
            for line in group.read_text("utf-8", "replace").splitlines():
                fields = line.split(":")
                if len(fields) == 4 and fields[0] in ADMIN_GROUPS and fields[3]:
                    members[fields[0]] = sorted(fields[3].split(","))
        return {"state": state, "files": files, "members": members}

    # --- configuration files -----------------------------------------------------------------------------------------

    def _configuration(self) -> dict[str, Any]:
        items: dict[str, dict[str, Any]] = {}
        left_out = 0
        for path in self._paths(self._config.conf):
            if len(items) >= MAX_FILES:
                left_out += 1
                continue
            try:
                items[self._name(path)] = self._file(path)
            except PermissionError:
                items[self._name(path)] = {"changed_at": path.stat().st_mtime, "problem": NOT_PERMITTED}
            except OSError:
                continue  # gone between listing and reading: the next reading tells
        return {"state": OK, "items": items, "left_out": left_out}

    def _paths(self, patterns: Iterable[str]) -> Iterable[Path]:
        seen: set[str] = set()
        for pattern in patterns:
            rooted = str(self._root / pattern.lstrip("/")) if self._root != Path("/") else pattern
            for found in sorted(glob.glob(rooted, recursive=True)):  # noqa: PTH207 - absolute patterns
                if found not in seen and os.path.isfile(found):  # noqa: PTH113
                    seen.add(found)
                    yield Path(found)

    def _name(self, path: Path) -> str:
        return str(path) if self._root == Path("/") else f"/{path.relative_to(self._root)}"

    def _file(self, path: Path, *, hides: bool = True) -> dict[str, Any]:
        """Digest and, for a text that is not too large, the masked text; read again only when it was touched."""
        facts = path.stat()
        stamp = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        name = self._name(path)
        known = self._files.get(name)
        if known is None or known.stamp != stamp:
            with path.open("rb") as file:
                data = file.read(MAX_HASHED)
            text = None
            if len(data) <= MAX_TEXT and b"\x00" not in data:
                text = data.decode("utf-8", "replace")
                text = masked(text) if hides else text
            known = self._files[name] = _Cached(stamp, self.digest(name.encode() + b"\x00" + data), text)
        return {
            "digest": known.digest,
            "size": facts.st_size,
            "mode": f"{facts.st_mode & 0o7777:04o}",
            "owner": facts.st_uid,
            "changed_at": facts.st_mtime,
            "has_text": known.text is not None,
        }

    # --- firewall ----------------------------------------------------------------------------------------------------

    def _firewall(self) -> dict[str, Any]:
        """The rules without their counters. nft first: where both are there, it shows those of iptables as well."""
        if sys.platform == "win32":
            return self._rules("netsh", _run(["netsh", "advfirewall", "show", "allprofiles"]))
        refused = False
        for tool, command in (
            ("nft", ["nft", "--stateless", "list", "ruleset"]),
            ("iptables", ["iptables-save"]),
        ):
            if shutil.which(command[0], path=_PATH) is None:
                continue
            try:
                text = _run(command)
            except PermissionError:
                refused = True
                continue
            if tool == "iptables" and shutil.which("ip6tables-save", path=_PATH):
                text += _run(["ip6tables-save"])
            if text.strip() or tool == "iptables":
                return self._rules(tool, text)
        if refused:
            return {"state": NOT_PERMITTED}
        return {"state": ABSENT}

    def _rules(self, tool: str, text: str) -> dict[str, Any]:
        lines = [_COUNTERS.sub("", line).rstrip() for line in text.splitlines() if not line.startswith("#")]
        lines = [line for line in lines if line]
        if tool == "iptables":
            rules = sum(line.startswith("-A ") for line in lines)
        else:
            rules = sum(line.startswith("\t\t") and not line.strip().startswith("type ") for line in lines)
        kept = masked("\n".join(lines))[:MAX_RULES_TEXT]
        digest = self.digest("\n".join(lines).encode())
        self._files[f"firewall:{tool}"] = _Cached((), digest, kept)
        return {"state": OK, "tool": tool, "rules": rules, "digest": digest}


def ports() -> dict[str, Any]:
    """What listens: TCP, and UDP below the range from which clients take theirs."""
    found: dict[str, str] = {}
    for one in psutil.net_connections(kind="inet"):
        is_udp = one.type == socket.SOCK_DGRAM
        if not one.laddr or (is_udp and (one.raddr or one.laddr.port >= EPHEMERAL)):
            continue
        if not is_udp and one.status != psutil.CONN_LISTEN:
            continue
        found[f"{'udp' if is_udp else 'tcp'} {one.laddr.ip} {one.laddr.port}"] = _process_name(one.pid)
    listed = sorted(found.items(), key=lambda item: int(item[0].rsplit(" ", 1)[1]))[:MAX_NAMES]
    return {"state": OK, "items": dict(listed)}


def _process_name(pid: int | None) -> str:
    try:
        return psutil.Process(pid).name() if pid else ""
    except psutil.Error:
        return ""


_PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_REFUSALS: Final = ("permission denied", "operation not permitted", "must be root", "you must be", "access is denied")


def _run(command: list[str]) -> str:
    """The output of one of the system's tools. Raises PermissionError when it says that we may not."""
    environ = {**os.environ, "PATH": _PATH, "LC_ALL": "C"}
    done = subprocess.run(  # noqa: S603 - our own commands, no shell
        command, capture_output=True, timeout=COMMAND_S, check=False, stdin=subprocess.DEVNULL, env=environ
    )
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        if any(words in said.lower() for words in _REFUSALS):
            raise PermissionError(said.strip()[:200])
        raise OSError(said.strip()[:200] or f"{command[0]} ended with {done.returncode}")
    return done.stdout.decode("utf-8", "replace")
