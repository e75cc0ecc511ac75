"""What `make run` runs: the whole platform on one machine, from a bare checkout to a page that answers.

python -m rdmp.launch                 start everything, stop with Ctrl-C
python -m rdmp.launch manage ARGS     a management command inside this installation, running or not
"""

# ruff: noqa: S603 - fixed programs, never a shell

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from honcho.environ import parse, parse_procfile

from rdmp import installation
from rdmp.embedded import lodging
from rdmp.embedded.child import die_with_parent
from rdmp.embedded.errors import StartError
from rdmp.embedded.ports import is_free
from rdmp.installation import Servers
from rdmp.preparation import prepare
from rdmp.supervisor import Supervisor

ROOT = installation.ROOT
ANSWER_SECONDS = 120
STOPPED_BY_PERSON = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def main(arguments: Sequence[str]) -> int:
    read_dotenv(ROOT / ".env")
    multiprocessing.set_start_method("fork")
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        if arguments[:1] == ["manage"]:
            return manage(arguments[1:])
        return run()
    except StartError as error:
        print(error, file=sys.stderr)
    except OSError as problem:  # a full disk, a directory that may not be written …
        print(StartError(f"无法启动：{problem}", f"Cannot start: {problem}"), file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def read_dotenv(path: Path) -> None:
    """Settings of the checkout; what is already in the environment wins."""
    if path.exists():
        for name, value in parse(path.read_text(encoding="utf-8")).items():
            os.environ.setdefault(name, value)


def run() -> int:
    directory = installation.state_dir()
    leave_with_make()
    with installation.lock(directory):
        lodging.require_space(directory)
        require_ports()
        with installation.servers(directory) as servers:
            environment = installation.environment(directory, servers.urls)
            facts = prepare(directory, environment)
            return supervise(directory, environment, facts, servers)


def manage(arguments: Sequence[str]) -> int:
    """Uses the services of the running platform; starts them for as long as the command takes when nothing runs."""
    directory = installation.state_dir()
    if platform := installation.running(directory):
        return run_command(arguments, {**os.environ, **platform.environment})
    with installation.lock(directory), installation.servers(directory) as servers:
        return run_command(arguments, installation.environment(directory, servers.urls))


def run_command(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, check=False, env=environment, preexec_fn=die_with_parent(signal.SIGTERM)).returncode


def require_ports() -> None:
    """That of the portal, and the SSH port if somebody has named one: the usual one gives way by itself."""
    require_port("RDMP_PORT", os.environ.get("RDMP_PORT") or "8000")
    if named := os.environ.get("RDMP_SSH_PORT"):
        require_port("RDMP_SSH_PORT", named)


def require_port(name: str, text: str) -> None:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StartError(f"{name}={text} 不是有效端口。", f"{name}={text} is not a port.")
    if not is_free(int(text), os.environ.get("RDMP_BIND") or "127.0.0.1"):
        raise StartError(
            f"端口 {text} 已被占用；请换一个，例如：{name}={int(text) % 65535 + 1} make run",
            f"Port {text} is taken: choose another, for example {name}={int(text) % 65535 + 1} make run",
        )


def supervise(directory: Path, environment: dict[str, str], facts: str, servers: Servers) -> int:
    over = threading.Event()

    def begin() -> None:
        for task, given in ((announce, (directory, environment, facts)), (watch, (servers, over))):
            threading.Thread(target=task, args=given, daemon=True).start()

    supervisor = Supervisor(when_started=begin)
    for name, command in parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8")).processes.items():
        if name != "demo" or environment.get("RDMP_DEMO") == "1":
            supervisor.add_process(name, command, env=environment, cwd=str(ROOT))
    try:
        supervisor.loop()
    finally:
        over.set()
        installation.forget_running(directory)
    if ended := servers.ended():
        raise ended.why_it_ended()
    if supervisor.returncode in STOPPED_BY_PERSON:
        return 0
    name = supervisor.ended_first
    raise StartError(
        f"进程 {name} 意外退出，其余进程已停止；原因见上面的输出。",
        f"The process {name} ended unexpectedly and everything was stopped: the output above tells why.",
    )


def watch(servers: Servers, over: threading.Event) -> None:
    """Stop everything when an embedded server is gone: no process can do anything without it."""
    while not over.wait(0.5):
        if servers.ended():
            os.kill(os.getpid(), signal.SIGTERM)
            return


def announce(directory: Path, environment: Mapping[str, str], facts: str) -> None:
    """Waits until web, workers and beat have all answered, then tells the person where to go and how to sign in."""
    while not all_answer(environment):
        say(
            f"{ANSWER_SECONDS} 秒内未全部就绪，继续等待；原因可能在上面的输出中。",
            f"Not everything answered in {ANSWER_SECONDS} s, waiting on: the output above may tell why.",
        )
    reached = installation.reachable(environment["RDMP_BIND"], environment["RDMP_PORT"])
    url = environment.get("RDMP_PUBLIC_URL") or f"http://{reached}"
    installation.record_running(directory, url, environment)
    say(*welcome(url, facts, environment["RDMP_SSH_PORT"]))


def all_answer(environment: Mapping[str, str]) -> bool:
    asked = subprocess.run(
        [sys.executable, "-m", "rdmp.probe", "all", "--wait", str(ANSWER_SECONDS)],
        check=False,
        env=environment,
        cwd=ROOT,
        start_new_session=True,  # Ctrl-C is for us
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    return asked.returncode == 0


def welcome(url: str, facts: str, ssh_port: str) -> list[str]:
    lines = ["", f"  RDMP 已就绪 · RDMP is ready:  {url}"]
    people = json.loads(facts or "{}").get("people", [])
    lines += [f"    {each['role']:<16} {each['email']:<28} {each['password']}" for each in people]
    login = next((each["email"] for each in people if each["role"] == "engineer"), "you@example.com")
    lines.append(f"  堡垒机 · bastion:  ssh -p {ssh_port} {login}@{urlsplit(url).hostname}")
    return [*lines, "  按 Ctrl-C 停止 · Ctrl-C stops everything", ""]


def say(*lines: str) -> None:
    print("\n".join(lines), flush=True)


def leave_with_make() -> None:
    """Started by make, stop when make is killed: nobody would be left to stop us."""
    if Path(f"/proc/{os.getppid()}/comm").read_text().strip() in {"make", "gmake"}:
        die_with_parent(signal.SIGTERM, parent=os.getppid())()


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
