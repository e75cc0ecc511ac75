"""`make check`: every check that needs no running tests. Runs them all and tells at the end which ones failed."""

# ruff: noqa: S603 - fixed programs, never a shell

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def checks() -> dict[str, list[str]]:
    templates = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("templates/**/*.html"))
    python = sys.executable
    return {
        "lint": [str(BIN / "ruff"), "check", "--quiet", "."],
        "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
        "types": [python, "-m", "mypy", "."],
        "layers": [str(BIN / "lint-imports")],
        "templates": [str(BIN / "djade"), "--check", *templates],
        "system check": [python, "manage.py", "check", "--fail-level", "WARNING"],
        "migrations": [python, "manage.py", "makemigrations", "--check", "--dry-run"],
        "catalogues": [python, "scripts/check_messages.py"],
        "lock files": [python, "scripts/check_locks.py"],
    }


def main() -> int:
    failed = []
    for name, command in checks().items():
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        print(f"{name:<14} {'failed' if done.returncode else 'ok':<7} {time.monotonic() - began:5.1f} s", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout + done.stderr, flush=True)
    print(f"make check: {', '.join(failed)} failed" if failed else "make check: all is well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
