"""The lock files pin every package by hash, name no address, and cover what pyproject.toml asks for."""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https?://|file://|--(extra-)?index-url|--find-links")


def main() -> int:
    problems = [*python_problems(), *node_problems()]
    print("\n".join(problems))
    return 1 if problems else 0


def python_problems() -> list[str]:
    problems = []
    for name in ("requirements.lock", "scripts/uv.lock", "scripts/node.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        if ADDRESS.search(text):
            problems.append(f"{name} names an address")
        blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n", "", text).strip())
        problems += [f"{name}: {block.split()[0]} has no hash" for block in blocks if "--hash=sha256:" not in block]
    pinned = set(re.findall(r"(?m)^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8")))
    return problems + [f"requirements.lock does not pin {name}" for name in sorted(wanted() - pinned)]


def wanted() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = (re.match(r"[A-Za-z0-9._-]+", each) for each in asked)
    return {re.sub(r"[-_.]+", "-", name.group()).lower() for name in names if name}


def node_problems() -> list[str]:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    problems = [
        f"package-lock.json: {name} has a download address" for name, entry in packages.items() if "resolved" in entry
    ]
    return problems + [
        f"package-lock.json: {name} has no hash" for name, entry in packages.items() if "integrity" not in entry
    ]


if __name__ == "__main__":
    sys.exit(main())
