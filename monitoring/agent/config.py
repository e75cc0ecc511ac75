"""The agent's settings: a TOML file, overridden by the environment. Refuses what would be unsafe."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitoring.agent.logs import Keyword, LogWatch
from monitoring.agent.scripts import MAX_SCRIPTS, Script
from monitoring.agent.scripts import NAME as SCRIPT_NAME

DEFAULT_BIND: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9101
MIN_TOKEN: Final = 16
SCALARS: Final = ("bind", "port", "token", "token_file", "tls_cert", "tls_key", "scripts_dir", "state_dir")
FILE_KEYS: Final = frozenset({*SCALARS, "watch", "skip_mounts", "conf", "log", "script", "skip_state"})
UNIX_CONF: Final = (
    "/etc/*.conf",
    "/etc/nginx/**/*.conf",
    "/etc/httpd/**/*.conf",
    "/etc/apache2/**/*.conf",
    "/etc/my.cnf",
    "/etc/my.cnf.d/*.cnf",
    "/etc/mysql/**/*.cnf",
    "/etc/redis/*.conf",
    "/etc/security/*.conf",
    "/etc/sysctl.d/*.conf",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d/*.conf",
)
WINDOWS_CONF: Final = (
    "C:/Windows/System32/drivers/etc/hosts",
    "C:/Windows/System32/inetsrv/config/*.config",
)
DEFAULT_CONF: Final = WINDOWS_CONF if os.name == "nt" else UNIX_CONF
SECTIONS: Final = frozenset({"processes", "accounts", "sudo", "files", "firewall", "ports"})
MAX_KEYWORDS: Final = 20
MAX_LOGS: Final = 20


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
    conf: tuple[str, ...] = DEFAULT_CONF
    logs: tuple[LogWatch, ...] = ()
    scripts: tuple[Script, ...] = ()
    scripts_dir: Path | None = None
    state_dir: Path | None = None
    skip_state: frozenset[str] = frozenset()


def load(environ: Mapping[str, str], *, path: str = "") -> Config:
    """Settings of this host. ``path`` or RDMP_AGENT_CONFIG names the file; without one the environment must do."""
    path = path or environ.get("RDMP_AGENT_CONFIG", "")
    settings = _read_file(Path(path)) if path else {}
    for key in SCALARS:
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
        conf=_conf(settings.get("conf", list(DEFAULT_CONF))),
        logs=_logs(settings.get("log", [])),
        scripts=_scripts(settings.get("script", [])),
        scripts_dir=_folder("scripts_dir", settings.get("scripts_dir", "")),
        state_dir=_folder("state_dir", settings.get("state_dir", "") or environ.get("STATE_DIRECTORY", "")),
        skip_state=_skipped(settings.get("skip_state", [])),
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


def _folder(name: str, value: object) -> Path | None:
    path = Path(str(value)) if value else None
    if path is not None and not path.is_absolute():
        raise ConfigError(f"{name} must be an absolute path.")
    return path


def _conf(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and Path(one).is_absolute() for one in value):
        raise ConfigError("conf must be a list of absolute paths or patterns such as /etc/nginx/**/*.conf.")
    return tuple(value)


def _skipped(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not set(value) <= SECTIONS:
        raise ConfigError(f"skip_state may list {', '.join(sorted(SECTIONS))}.")
    return frozenset(value)


def _logs(entries: object) -> tuple[LogWatch, ...]:
    """``[[log]]`` tables: name, files (a path or pattern), keywords (texts, or tables of name and pattern)."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError("log must be a list of tables: [[log]] name = …, files = …, keywords = […].")
    if len(entries) > MAX_LOGS or len({entry.get("name") for entry in entries}) != len(entries):
        raise ConfigError(f"At most {MAX_LOGS} [[log]] tables, each with a name of its own.")
    return tuple(_log(entry) for entry in entries)


def _log(entry: Mapping[str, Any]) -> LogWatch:
    name, files, keywords = str(entry.get("name", "")), str(entry.get("files", "")), entry.get("keywords", [])
    if not name or not files or not Path(files).is_absolute():
        raise ConfigError("Each [[log]] needs a name and files with an absolute path.")
    if not isinstance(keywords, list) or not 1 <= len(keywords) <= MAX_KEYWORDS:
        raise ConfigError(f"{name}: keywords must be a list of 1 to {MAX_KEYWORDS}.")
    return LogWatch(name, files, tuple(_keyword(name, one) for one in keywords))


def _keyword(log: str, entry: object) -> Keyword:
    if isinstance(entry, str) and entry:
        return Keyword(entry[:100], re.compile(re.escape(entry.encode())))
    if isinstance(entry, dict) and entry.get("name") and entry.get("pattern"):
        text = str(entry["pattern"])
        _pattern(log, text)
        return Keyword(str(entry["name"])[:100], re.compile(text.encode()))
    raise ConfigError(f"{log}: a keyword is a text, or a table with name and pattern.")


def _scripts(entries: object) -> tuple[Script, ...]:
    """``[[script]]`` tables: name, file, interval_s, timeout_s, arguments."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError("script must be a list of tables: [[script]] name = …, file = ….")
    if len(entries) > MAX_SCRIPTS or len({entry.get("name") for entry in entries}) != len(entries):
        raise ConfigError(f"At most {MAX_SCRIPTS} [[script]] tables, each with a name of its own.")
    return tuple(_script(entry) for entry in entries)


def _script(entry: Mapping[str, Any]) -> Script:
    name, file, arguments = str(entry.get("name", "")), str(entry.get("file", "")), entry.get("arguments", [])
    if not SCRIPT_NAME.fullmatch(name):
        raise ConfigError(f"{name!r}: a script's name has small letters, digits and underscores, at most 40.")
    interval, timeout = entry.get("interval_s", 60), entry.get("timeout_s", 10)
    if not isinstance(interval, int) or not 10 <= interval <= 86400:
        raise ConfigError(f"{name}: interval_s must be between 10 and 86400.")
    if not isinstance(timeout, int) or not 1 <= timeout <= min(interval, 120):
        raise ConfigError(f"{name}: timeout_s must be between 1 and 120 and not more than interval_s.")
    if not file or Path(file).name != file:
        raise ConfigError(f"{name}: file must be a plain file name inside scripts_dir.")
    if not isinstance(arguments, list):
        raise ConfigError(f"{name}: arguments must be a list.")
    return Script(name, file, interval, timeout, tuple(str(one) for one in arguments))


def _pattern(name: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"{name}: {text!r} is not a regular expression: {error}.") from error
