"""One installation on one machine: its state directory, its secrets, and the environment of its processes."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rdmp.embedded import lodging, postgres, redis
from rdmp.embedded.errors import StartError
from rdmp.embedded.ports import claim, free_port, is_free

ROOT = Path(__file__).resolve().parent.parent
# Ports that the database remembers in the demo customer's assets: kept from start to start.
KEPT_PORTS = (
    "RDMP_AGENT_PORT",
    "RDMP_DEMO_PORT",
    "RDMP_DEMO_CLOUD_PORT",
    "RDMP_DEMO_ROBOTS_PORT",
    "RDMP_DEMO_SSH_PORT",
)
SSH_PORT = 2222
# How warnings begin that every start would print: static files come from their sources here, and whoever starts the
# platform as root has decided so.
EXPECTED_WARNINGS = ("No directory at", "You're running the worker with superuser privileges")


@dataclass(frozen=True)
class Running:
    """What `state_dir`/running.json tells of a platform that is up: for other commands, and for tests."""

    pid: int
    url: str
    environment: Mapping[str, str]


def state_dir() -> Path:
    return Path(os.environ.get("RDMP_STATE_DIR") or ROOT / ".rdmp").absolute()


def running(directory: Path) -> Running | None:
    """The platform that runs from this state directory and has answered, if one does."""
    try:
        record = json.loads((directory / "running.json").read_text(encoding="utf-8"))
        os.kill(record["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return Running(**record)


def record_running(directory: Path, url: str, environment: Mapping[str, str]) -> None:
    own = {name: value for name, value in environment.items() if os.environ.get(name) != value or _is_ours(name)}
    write_private(directory / "running.json", json.dumps(asdict(Running(os.getpid(), url, own))))


def _is_ours(name: str) -> bool:
    """What the person set for the platform: a command from another shell must know it too."""
    return name.startswith(("RDMP_", "NOTIFY_", "EMAIL_")) or name in ("DATABASE_URL", "REDIS_URL")


def forget_running(directory: Path) -> None:
    (directory / "running.json").unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, and for our eyes only."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """One platform per state directory."""
    lodging.make_state_dir(directory)
    with os.fdopen(os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(
                f"{directory} 已有一个 RDMP 在运行；请先停止它，或用 RDMP_STATE_DIR 和 RDMP_PORT 另起一份。",
                f"An RDMP already runs in {directory}: stop it, or start another with RDMP_STATE_DIR and RDMP_PORT.",
            ) from None
        yield


@dataclass(frozen=True)
class Servers:
    """The servers of an installation: where they are, and those of them that we run ourselves."""

    urls: Mapping[str, str]
    embedded: tuple[postgres.Server | redis.Server, ...]

    def ended(self) -> postgres.Server | redis.Server | None:
        """An embedded one that has ended although nobody stopped it: killed, or its disk is full."""
        return next((server for server in self.embedded if not server.is_running()), None)


@contextlib.contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    """PostgreSQL and Redis: those that the environment names, or embedded ones that run inside this context."""
    with contextlib.ExitStack() as stack:
        started: dict[str, postgres.Server | redis.Server] = {}
        if not given("DATABASE_URL"):
            started["DATABASE_URL"] = stack.enter_context(postgres.Server(directory))
        if not given("REDIS_URL"):
            started["REDIS_URL"] = stack.enter_context(redis.Server(directory))
        yield Servers({name: server.url for name, server in started.items()}, tuple(started.values()))


def given(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def environment(directory: Path, urls: Mapping[str, str]) -> dict[str, str]:
    """What every process of the platform is started with; whatever the person has set stays as it is."""
    defaults = {
        "RDMP_BIND": "127.0.0.1",
        "RDMP_PORT": "8000",
        "RDMP_WORKERS": "2",
        **_kept_ports(directory),
        "RDMP_SSH_PORT": str(_ssh_port(directory)),
    }
    bind, port = (os.environ.get(name) or defaults[name] for name in ("RDMP_BIND", "RDMP_PORT"))
    defaults["RDMP_NODE_PORTAL"] = os.environ.get("RDMP_PUBLIC_URL") or f"http://{reachable(bind, port)}"
    defaults["RDMP_NODE_PLAIN_HTTP"] = "1"  # on the same machine; outside a demo no portal serves plain http
    if not given("RDMP_PUBLIC_URL"):
        defaults["RDMP_DEMO"] = "1"  # no public address: a trial on this machine, plain http is fine
        robots = f"127.0.0.1:{os.environ.get('RDMP_DEMO_ROBOTS_PORT') or defaults['RDMP_DEMO_ROBOTS_PORT']}"
        base = f"http://{robots}"
        cloud = f"127.0.0.1:{os.environ.get('RDMP_DEMO_CLOUD_PORT') or defaults['RDMP_DEMO_CLOUD_PORT']}"
        defaults |= {"NOTIFY_DINGTALK_BASE": base, "NOTIFY_WECOM_BASE": base}
        defaults["NOTIFY_ALLOWED_HOSTS"] = f"{robots},{cloud}"
    chosen = {name: value for name, value in os.environ.items() if value}
    settings = {**defaults, **chosen, **urls, "RDMP_STATE_DIR": str(directory), "PYTHONUNBUFFERED": "1"}
    for name, make in SECRETS.items():
        if not given(name):
            settings[f"{name}_FILE"] = str(_secret_file(directory, name, make()))
    settings.setdefault("PYTHONWARNINGS", ",".join(f"ignore:{start}" for start in EXPECTED_WARNINGS))
    settings["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    return settings


def _master_key() -> str:
    return f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"


SECRETS: Mapping[str, Callable[[], str]] = {
    "RDMP_SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "RDMP_MASTER_KEYS": _master_key,
    "RDMP_AGENT_TOKEN": lambda: secrets.token_urlsafe(24),
    "RDMP_NODE_SECRET": lambda: secrets.token_urlsafe(32),
}


def _secret_file(directory: Path, name: str, value: str) -> Path:
    place = directory / "secrets"
    place.mkdir(mode=0o700, exist_ok=True)
    path = place / name.removeprefix("RDMP_").lower()
    lodging.read_or_make_secret(path, value)
    return path


def reachable(bind: str, port: str) -> str:
    """Host and port at which this machine itself reaches what listens there."""
    host = "127.0.0.1" if bind in {"0.0.0.0", "::"} else bind  # noqa: S104 - compared, not bound
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def _ssh_port(directory: Path) -> int:
    """The usual one, or where that is taken one of its own from start to start."""
    if claim(SSH_PORT, os.environ.get("RDMP_BIND") or "127.0.0.1"):
        return SSH_PORT
    kept = _read_ports(directory).get("RDMP_SSH_PORT")
    port = kept if isinstance(kept, int) and is_free(kept) else free_port()
    _write_ports(directory, {"RDMP_SSH_PORT": port})
    return port


def _kept_ports(directory: Path) -> dict[str, str]:
    kept = _read_ports(directory)
    ports = {}
    for name in KEPT_PORTS:
        if not given(name):
            before = kept.get(name)
            ports[name] = before if isinstance(before, int) and is_free(before) else free_port()
    _write_ports(directory, ports)
    return {name: str(port) for name, port in ports.items()}


def _read_ports(directory: Path) -> dict[str, Any]:
    try:
        kept = json.loads((directory / "ports.json").read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write_ports(directory: Path, ports: Mapping[str, int]) -> None:
    (directory / "ports.json").write_text(json.dumps({**_read_ports(directory), **ports}))
