"""Brings the database up to the code before a start: `migrate` and `bootstrap`, skipped when both have run already.

Each of the two takes Django some seconds to come up, which a start that follows another one need not spend: what they
were last run with, code and database, is remembered in the state directory.
"""

# ruff: noqa: S603 - our own management commands, never a shell

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg2

from rdmp.embedded.child import die_with_parent
from rdmp.embedded.errors import StartError
from rdmp.installation import ROOT, write_private

APPS = (
    "accounts",
    "assets",
    "bastion",
    "changes",
    "costs",
    "demo",
    "incidents",
    "monitoring",
    "notify",
    "rdmp",
    "reports",
    "timers",
)
UNKNOWN = "unknown"
# What the processes are started with, and no table depends on.
OF_PROCESSES = {
    "RDMP_WORKERS",
    "RDMP_LOG_LEVEL",
    "RDMP_BIND",
    "RDMP_SSH_PORT",
    "RDMP_NODE_PORTAL",
    "RDMP_NODE_PLAIN_HTTP",
    "RDMP_NODE_LEAST_FREE_GB",
}


def prepare(directory: Path, environment: Mapping[str, str]) -> str:
    """Tables, the first people and the demo customers. Returns what `bootstrap --json` prints."""
    remembered = directory / "prepared.json"
    try:
        before = json.loads(remembered.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    code = code_fingerprint(environment)
    if before.get("code") == code and before.get("database") == database_fingerprint(environment) != UNKNOWN:
        return str(before["facts"])
    print("正在准备数据库… Preparing the database…", flush=True)
    quietly(directory, environment, "migrate", "--no-input", "--verbosity", "0")
    facts = quietly(directory, environment, "bootstrap", "--json")
    made = {"code": code, "database": database_fingerprint(environment), "facts": facts}
    write_private(remembered, json.dumps(made))
    return facts


def code_fingerprint(environment: Mapping[str, str]) -> str:
    """Of everything that the two commands read: sources, data files, and the settings that they act upon."""
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes())
    digest.update(json.dumps({name: value for name, value in sorted(environment.items()) if is_ours(name)}).encode())
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*")):
            if path.suffix in {".py", ".csv", ".json", ".toml"}:
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()


def is_ours(name: str) -> bool:
    return name.startswith(("RDMP_", "NOTIFY_")) and name not in OF_PROCESSES


def database_fingerprint(environment: Mapping[str, str]) -> str:
    """Which database this is and how far it has been migrated; another one, or a restored one, gives another answer."""
    url = environment.get("DATABASE_URL", "")
    try:
        connection = psycopg2.connect(url, connect_timeout=10)
    except psycopg2.Error:  # the command that comes next says what is wrong
        return UNKNOWN
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT (SELECT system_identifier FROM pg_control_system()), current_database(), count(*), max(id) "
                "FROM django_migrations"
            )
            return str(cursor.fetchone())
    except psycopg2.Error:  # no table yet, or a server that does not tell
        return UNKNOWN
    finally:
        connection.close()


def quietly(directory: Path, environment: Mapping[str, str], *arguments: str) -> str:
    """A management command whose trace goes into a file; the person gets its last line."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    if done.returncode:
        log = directory / f"{arguments[0]}.log"
        write_private(log, done.stdout + done.stderr)
        lines = [line for line in done.stderr.splitlines() if line and not line[0].isspace()]  # indented: the trace
        reason = lines[-1] if lines else f"exit {done.returncode}"
        raise StartError(
            f"manage.py {arguments[0]} 失败：{reason}（完整输出：{log}）",
            f"manage.py {arguments[0]} failed: {reason} (full output: {log})",
        )
    return done.stdout
