"""Where an embedded server lives and as whom it runs.

Started by an ordinary person, both servers run as that person inside the state directory. Started by root they run as
somebody else (PostgreSQL insists), who must be able to reach the data and the program. No existing directory is ever
opened wider for that: when the state directory or the virtual environment is out of reach, the data or a copy of the
program moves to a place of its own, and a link in the state directory tells where.
"""

# ruff: noqa: S603 - fixed programs, never a shell

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rdmp.embedded.errors import StartError

PLACES = (Path("/var/lib/rdmp"), Path("/var/tmp/rdmp"))  # noqa: S108  the second checked for ownership before use
SYSTEM_USER = "rdmp-db"
NEEDED_MB = 512


@dataclass(frozen=True)
class Owner:
    """The unprivileged account that a server started by root runs as."""

    name: str
    uid: int
    gid: int


def server_owner(directory: Path | None = None) -> Owner | None:
    """Whom to run as: None is ourselves. Data that exists keeps the account it was made with."""
    if os.geteuid() != 0:
        return None
    if directory is not None and directory.exists() and (uid := directory.stat().st_uid) != 0:
        return _account(pwd.getpwuid(uid).pw_name)
    wanted = os.environ.get("RDMP_DB_USER")
    names = (wanted,) if wanted else (SYSTEM_USER, "postgres")
    for name in names:
        if owner := _account(name):
            return owner
    if wanted:
        raise StartError(
            f"RDMP_DB_USER 指定的系统用户 {wanted} 不存在。",
            f"The system user {wanted} named by RDMP_DB_USER is missing.",
        )
    return _new_account() or _account("nobody") or _no_account()


def _account(name: str) -> Owner | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Owner(name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def _new_account() -> Owner | None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return None
    command = [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    subprocess.run(command, check=False, capture_output=True)  # failed or made by another start meanwhile: look it up
    return _account(SYSTEM_USER)


def _no_account() -> Owner:
    raise StartError(
        f"PostgreSQL 不能以 root 运行，也无法创建系统用户；请执行 useradd --system {SYSTEM_USER}，或用普通用户运行。",
        f"PostgreSQL cannot run as root and no system user could be made: run 'useradd --system {SYSTEM_USER}' first, "
        "or start as an ordinary user.",
    )


def reaches(owner: Owner | None, path: Path, test: str) -> bool:
    """Asks as the account itself (`test -x`, `-r` …): mode bits alone would not know of ACLs or mount options."""
    if owner is None:
        return True
    command = ["/bin/sh", "-c", f'test {test} "$0"', str(path)]
    asked = subprocess.run(
        command, check=False, capture_output=True, cwd="/", user=owner.uid, group=owner.gid, extra_groups=[owner.gid]
    )
    return asked.returncode == 0


def make_state_dir(state_dir: Path) -> None:
    """The state directory: ours alone. Root lets others pass through (not look), for the database's account."""
    if not state_dir.is_dir():
        state_dir.parent.mkdir(parents=True, exist_ok=True)
        state_dir.mkdir(exist_ok=True)
        state_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)


def data_dir(state_dir: Path, name: str) -> tuple[Path, Owner | None]:
    """The private directory of the server `name`, made when missing, with the account that owns it."""
    make_state_dir(state_dir)
    usual = state_dir / name
    directory = usual.resolve()
    owner = server_owner(directory)
    if not directory.is_dir():
        if usual.is_symlink():
            usual.unlink()  # led to a place that is gone
        directory = usual if reaches(owner, state_dir, "-x") else _elsewhere(state_dir, name)
        directory.mkdir(mode=0o700, exist_ok=True)
        if owner:
            os.chown(directory, owner.uid, owner.gid)
        if directory != usual:
            usual.symlink_to(directory)
    if not reaches(owner, directory, "-x"):
        name_of = owner.name if owner else "?"
        raise StartError(
            f"系统用户 {name_of} 无法进入 {directory}；请用 RDMP_STATE_DIR 指定其可到达的目录。",
            f"The system user {name_of} cannot enter {directory}: set RDMP_STATE_DIR to a directory it can reach.",
        )
    return directory.resolve(), owner


def _elsewhere(state_dir: Path, name: str) -> Path:
    digest = hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:8]
    return Path(tempfile.mkdtemp(prefix=f"{name}-{digest}-", dir=_public_place()))


def _public_place() -> Path:
    """A directory of root's that everybody may pass through; refuses one that somebody else put there."""
    for place in PLACES:
        try:
            place.mkdir(mode=0o755)
            place.chmod(0o755)
        except FileExistsError:
            pass
        except OSError:
            continue
        found = place.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022 and found.st_mode & 0o001:
            return place
    raise StartError(
        f"{PLACES[0]} 与 {PLACES[1]} 都无法使用；请用 RDMP_STATE_DIR 指定其他用户可进入的目录。",
        f"Neither {PLACES[0]} nor {PLACES[1]} can be used: set RDMP_STATE_DIR to a place that others can enter.",
    )


def program(owner: Owner | None, tree: Path, executable: str, package: str) -> Path:
    """`tree/executable`, or the same in a copy of `tree` when the account cannot reach the virtual environment."""
    if reaches(owner, tree / executable, "-x"):
        return tree / executable
    place = _public_place() / f"{package}-{version(package)}"
    if not (place / executable).exists():
        fresh = Path(tempfile.mkdtemp(prefix=f"{package}-", dir=place.parent))
        shutil.copytree(tree, fresh, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        fresh.chmod(0o755)
        try:
            fresh.rename(place)
        except OSError:  # another start was first
            shutil.rmtree(fresh)
    return place / executable


@contextmanager
def scratch_state_dir() -> Iterator[Path]:
    """A throw-away state directory that the servers' account can reach even when root makes it; gone afterwards."""
    top = Path(tempfile.mkdtemp(prefix="rdmp-scratch-"))
    try:
        top.chmod(0o711 if os.geteuid() == 0 else 0o700)
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


def require_space(directory: Path) -> None:
    free = shutil.disk_usage(directory).free // 2**20
    if free < NEEDED_MB:
        raise StartError(
            f"磁盘空间不足：{directory} 仅剩 {free} MB，至少需要 {NEEDED_MB} MB。",
            f"The disk is full: {free} MB left at {directory}, at least {NEEDED_MB} MB are needed.",
        )


def read_or_make_secret(path: Path, value: str) -> tuple[str, bool]:
    """The secret kept in `path`, or `value` written there for us alone. Tells whether it is new."""
    try:
        return path.read_text().strip(), False
    except FileNotFoundError:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(value)
        return value, True
