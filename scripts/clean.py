"""`make clean`: removes everything that set-up and runs have made in this checkout, the data in .rdmp included."""

import fcntl
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE = (
    ".venv",
    "static/vendor",
    "staticfiles",
    "node_modules",
    "artifacts",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".import_linter_cache",
)


def main() -> int:
    state = ROOT / ".rdmp"
    if (state / "lock").exists():
        with (state / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print("RDMP 正在运行，请先停止它。\nRDMP is running: stop it first.", file=sys.stderr)
                return 1
    for link in (
        state / "postgres",
        state / "redis",
    ):  # data that the database's account could not reach lies elsewhere
        if link.is_symlink():
            shutil.rmtree(link.resolve(), ignore_errors=True)
    for name in (".rdmp", *MADE):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    for cache in ROOT.rglob("__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)
    for compiled in ROOT.glob("locale/*/LC_MESSAGES/*.mo"):
        compiled.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
