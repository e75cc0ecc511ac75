"""The agent's settings: a TOML file, overridden by the environment. Refuses what would be unsafe."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DEFAULT_BIND: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9101
MIN_TOKEN: Final = 16
FILE_KEYS: Final = frozenset({"bind", "port", "token", "token_file", "tls_cert", "tls_key", "watch", "skip_mounts"})


class ConfigError(ValueError):
    """A setting is missing or wrong; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A process group to count: by exact process name, or by a pattern over the whole command line."""

    name: str
    process: str = ""
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Config:
    token: str
    bind: str = DEFAULT_BIND
    port: int = DEFAULT_PORT
    tls_cert: str = ""
    tls_key: str = ""
    watch: tuple[Watch, ...] = ()
    skip_mounts: re.Pattern[str] | None = None


def load(environ: Mapping[str, str], *, path: str = "") -> Config:
    """Settings of this host. ``path`` or RDMP_AGENT_CONFIG names the file; without one the environment must do."""
    path = path or environ.get("RDMP_AGENT_CONFIG", "")
    settings = _read_file(Path(path)) if path else {}
    for key in ("bind", "port", "token", "token_file", "tls_cert", "tls_key"):
        if value := environ.get(f"RDMP_AGENT_{key.upper()}", ""):
            settings[key] = value
    config = Config(
        token=_token(settings),
        bind=str(settings.get("bind", DEFAULT_BIND)),
        port=_port(settings.get("port", DEFAULT_PORT)),
        tls_cert=str(settings.get("tls_cert", "")),
        tls_key=str(settings.get("tls_key", "")),
        watch=_watches(settings.get("watch", []), environ.get("RDMP_AGENT_WATCH", "")),
        skip_mounts=_pattern("skip_mounts", str(settings["skip_mounts"])) if settings.get("skip_mounts") else None,
    )
    if bool(config.tls_cert) != bool(config.tls_key):
        raise ConfigError("tls_cert and tls_key belong together: set both or neither.")
    return config


def _read_file(path: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the agent's configuration {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    if unknown := set(settings) - FILE_KEYS:
        raise ConfigError(f"{path} has settings the agent does not know: {', '.join(sorted(unknown))}.")
    return settings


def _token(settings: Mapping[str, Any]) -> str:
    token = str(settings.get("token", ""))
    if file := str(settings.get("token_file", "")):
        try:
            token = Path(file).read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"Cannot read the token file {file}: {error.strerror}.") from error
    if not token:
        raise ConfigError("The agent needs a token: set RDMP_AGENT_TOKEN or RDMP_AGENT_TOKEN_FILE.")
    if len(token) < MIN_TOKEN or not token.isascii() or any(c.isspace() for c in token):
        raise ConfigError(f"The agent's token must be at least {MIN_TOKEN} ASCII characters without spaces.")
    return token


def _port(value: object) -> int:
    try:
        port = int(str(value))
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise ConfigError(f"{value!r} is not a port.")
    return port


def _watches(entries: object, short: str) -> tuple[Watch, ...]:
    """``[[watch]]`` tables with name and process or pattern; RDMP_AGENT_WATCH is a comma list of process names."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError("watch must be a list of tables: [[watch]] name = …, process = … or pattern = ….")
    watches = [_watch(entry) for entry in entries]
    watches += [Watch(name=name, process=name) for name in (part.strip() for part in short.split(",")) if name]
    if len({watch.name for watch in watches}) != len(watches):
        raise ConfigError("Two watched process groups have the same name.")
    return tuple(watches)


def _watch(entry: Mapping[str, Any]) -> Watch:
    name, process, pattern = (str(entry.get(key, "")) for key in ("name", "process", "pattern"))
    if not name or bool(process) == bool(pattern):
        raise ConfigError("Each [[watch]] needs a name and either process or pattern.")
    return Watch(name=name, process=process, pattern=_pattern(name, pattern) if pattern else None)


def _pattern(name: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"{name}: {text!r} is not a regular expression: {error}.") from error
