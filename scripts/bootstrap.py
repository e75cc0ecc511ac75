"""Makes a checkout ready to run: .venv, pinned packages, front-end packages, message catalogues, system packages.

Runs with the machine's own Python and its standard library only. Every step leaves a stamp with the hash of what it
was made from, so that a second run does nothing and takes no time.

    python3.11 scripts/bootstrap.py            what `make run` needs
    python3.11 scripts/bootstrap.py --test     also the system packages that the tests use
    python scripts/bootstrap.py --image DIR    what the Dockerfile needs: npm's packages from DIR, and the catalogues
"""

# ruff: noqa: S603 - fixed programs, never a shell

import argparse
import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import packages
import system
from failure import Failure, say

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENDOR = ROOT / "static" / "vendor"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--test", action="store_true", help="also install what the tests need")
    parser.add_argument("--image", type=Path, metavar="NODE_MODULES", help="only what an image needs, into this tree")
    options = parser.parse_args(arguments)
    try:
        if options.image:
            packages.copy_vendor(ROOT, options.image, VENDOR)
            compile_messages(sys.executable)
            return 0
        require_python()
        require_space()
        with lock():
            prepare(test=options.test)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as problem:
        print(Failure(f"准备环境时出错：{problem}", f"Set-up failed: {problem}"), file=sys.stderr)
        return 1
    return 0


def prepare(*, test: bool) -> None:
    system.provide(system.FOR_TESTS if test else system.FOR_RUNNING, insist=test)
    once(VENV / ".installed", packages.python_sources(ROOT), lambda: packages.install_python(ROOT, VENV))
    once(VENDOR / ".installed", packages.vendor_sources(ROOT), lambda: packages.install_vendor(ROOT, VENV, VENDOR))
    compile_messages(VENV / "bin" / "python")


def once(stamp: Path, sources: Sequence[bytes], step: Callable[[], None]) -> None:
    """Run `step` unless its stamp says that it has already run with exactly these sources."""
    digest = hashlib.sha256(b"\0".join(sources)).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    stamp.unlink(missing_ok=True)
    step()
    stamp.write_text(digest)


def require_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever calls this with an older one shall read a sentence
        found = ".".join(map(str, sys.version_info[:2]))
        raise Failure(
            f"需要 Python 3.11 或更高版本，当前为 {found}；可用 make run PYTHON=/路径/python3.11 指定。",
            f"Python 3.11 or newer is needed, this is {found}: choose one with make run PYTHON=/path/to/python3.11.",
        )
    if not sys.platform.startswith("linux"):
        raise Failure("本平台只能在 Linux 上运行。", "The platform runs on Linux only.")


def require_space() -> None:
    needed = 300 if (VENV / ".installed").exists() else 2000
    free = shutil.disk_usage(ROOT).free // 2**20
    if free < needed:
        raise Failure(
            f"磁盘空间不足：{ROOT} 仅剩 {free} MB，至少需要 {needed} MB。",
            f"The disk is full: {free} MB left at {ROOT}, at least {needed} MB are needed.",
        )


@contextmanager
def lock() -> Iterator[None]:
    """One set-up at a time in a checkout: a second one waits, then finds everything done."""
    with Path(__file__).open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("另一个准备过程正在进行，等待其完成…", "Another set-up is under way, waiting for it…")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def compile_messages(python: str | Path) -> None:
    """Every .po newer than its .mo, by polib: gettext's own programs are not on a bare machine."""
    catalogues = [po for po in ROOT.glob("locale/*/LC_MESSAGES/*.po") if is_older(po.with_suffix(".mo"), po)]
    if catalogues:
        program = "import sys, polib\nfor name in sys.argv[1:]: polib.pofile(name).save_as_mofile(name[:-2] + 'mo')"
        subprocess.run([python, "-c", program, *catalogues], check=True)


def is_older(made: Path, source: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
