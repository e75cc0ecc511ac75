"""What `make run` says when it cannot start, and that nothing outlives the supervisor, however it ends."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rdmp import installation, launch
from rdmp.embedded import lodging
from rdmp.embedded.errors import StartError
from rdmp.embedded.ports import free_port
from tests.rdmp.processes import is_alive, wait_until, working_in

ROOT = installation.ROOT
SUPERVISE = """
import sys
from rdmp import supervisor as module
module.PATIENCE_SECONDS = float(sys.argv[1])
supervisor = module.Supervisor(when_started=lambda: print("started", flush=True))
for number, command in enumerate(sys.argv[2:]):
    supervisor.add_process(f"process{number}", command)
supervisor.loop()
print("ended first:", supervisor.ended_first, flush=True)
sys.exit(supervisor.returncode)
"""
FOR_EVER = "while :; do sleep 0.1; done"
STUBBORN = f"trap '' TERM INT; {FOR_EVER}"


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with lodging.scratch_state_dir() as directory:
        yield directory


def launched(state_dir: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    environment = {**kept, "RDMP_STATE_DIR": str(state_dir), "RDMP_PORT": str(free_port()), **variables}
    return subprocess.run(
        [sys.executable, "-m", "rdmp.launch"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_one_sentence(done: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    """Chinese, then English, exit code 1, and no trace."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert len(lines) == 2, done.stderr
    assert all(part in done.stderr for part in parts), done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_taken_port_is_said_in_one_sentence_with_the_way_out(state_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_sentence(launched(state_dir, RDMP_PORT=str(port)), f"Port {port} is taken", f"端口 {port} 已被占用")


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1"])
def test_a_port_that_is_none_is_said_in_one_sentence(state_dir: Path, port: str) -> None:
    assert_one_sentence(launched(state_dir, RDMP_PORT=port), f"RDMP_PORT={port} is not a port")


def test_a_taken_ssh_port_that_somebody_named_is_said_and_the_usual_one_gives_way(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_sentence(launched(state_dir, RDMP_SSH_PORT=str(port)), f"Port {port} is taken", "RDMP_SSH_PORT=")
        monkeypatch.delenv("RDMP_SSH_PORT", raising=False)
        monkeypatch.setattr(installation, "SSH_PORT", port)
        chosen = installation.environment(state_dir, {})["RDMP_SSH_PORT"]
        assert chosen != str(port)
        assert installation.environment(state_dir, {})["RDMP_SSH_PORT"] == chosen


def test_of_two_copies_that_start_together_one_has_the_usual_ssh_port(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RDMP_SSH_PORT", raising=False)
    monkeypatch.setattr(installation, "SSH_PORT", free_port())
    program = f"from rdmp.embedded.ports import claim; print(claim({installation.SSH_PORT}), flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "True\n"
    assert installation.environment(state_dir, {})["RDMP_SSH_PORT"] != str(installation.SSH_PORT)
    other.communicate("\n")
    assert installation.environment(state_dir, {})["RDMP_SSH_PORT"] == str(installation.SSH_PORT)


def test_a_database_that_does_not_answer_is_said_in_one_sentence(state_dir: Path) -> None:
    done = launched(state_dir, DATABASE_URL=f"postgresql://rdmp:secret@127.0.0.1:{free_port()}/rdmp")
    assert_one_sentence(done, "manage.py migrate failed", "Connection refused", "migrate.log")
    assert "secret" not in done.stderr


def test_a_state_directory_that_cannot_be_made_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_one_sentence(launched(tmp_path / "file" / "state"), "Cannot start")


def test_a_second_start_in_the_same_place_is_refused_in_one_sentence(state_dir: Path) -> None:
    with installation.lock(state_dir):
        assert_one_sentence(launched(state_dir), "An RDMP already runs in", "RDMP_STATE_DIR and RDMP_PORT")


def test_a_full_disk_is_said_in_one_sentence(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lodging, "NEEDED_MB", 10**9)
    monkeypatch.setenv("RDMP_STATE_DIR", str(state_dir))
    with pytest.raises(StartError, match="The disk is full"):
        launch.run()


def supervised(*commands: str, patience_s: float = 1) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(patience_s), *commands],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    while "started" not in process.stdout.readline():
        pass
    return process


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found |= {int(child), *descendants(int(child))}
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_asked_for_end_leaves_no_process_behind(number: signal.Signals) -> None:
    supervisor = supervised("exec sleep 600", "sleep 600")
    wait_until(lambda: len(descendants(supervisor.pid)) >= 4, 10, "both processes run")
    family = descendants(supervisor.pid)
    os.killpg(supervisor.pid, number)  # as a terminal does: to everybody in the foreground
    supervisor.wait(20)
    wait_until(lambda: not any(map(is_alive, family)), 5, "all are gone")


def test_kill_9_of_the_supervisor_takes_its_processes_with_it() -> None:
    supervisor = supervised("exec sleep 600", "exec sleep 601")
    wait_until(lambda: len(descendants(supervisor.pid)) >= 4, 10, "both processes run")
    family = descendants(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: not any(map(is_alive, family)), 5, "all are gone")


def test_what_hangs_when_the_supervisor_was_killed_is_killed_too_after_it_was_asked(tmp_path: Path) -> None:
    """A Celery worker whose broker and database are gone may wait for its own processes for ever."""
    hanging = f"trap 'echo asked > {tmp_path}/asked' TERM; ({STUBBORN}) & {FOR_EVER}"
    supervisor = supervised(hanging)
    wait_until(lambda: len(descendants(supervisor.pid)) >= 4, 10, "it runs")
    family = descendants(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: not any(map(is_alive, family)), 10, "all are gone")
    assert (tmp_path / "asked").exists()


def test_a_process_that_does_not_want_to_end_is_ended() -> None:
    supervisor = supervised(STUBBORN)
    wait_until(lambda: len(descendants(supervisor.pid)) >= 2, 10, "it runs")
    family = descendants(supervisor.pid)
    supervisor.terminate()
    supervisor.wait(30)
    wait_until(lambda: not any(map(is_alive, family)), 5, "all are gone")


def test_a_command_may_let_its_own_processes_finish_and_what_it_leaves_is_ended(tmp_path: Path) -> None:
    finishing = f"trap 'wait; exit 0' TERM; (sleep 1; echo done > {tmp_path}/done) & wait; wait"
    leaving = "trap 'exit 0' TERM; sleep 600 & wait"
    supervisor = supervised(finishing, leaving, patience_s=30)
    wait_until(lambda: len(descendants(supervisor.pid)) >= 6, 10, "all run")
    family = descendants(supervisor.pid)
    supervisor.terminate()
    supervisor.wait(40)
    assert (tmp_path / "done").exists()
    wait_until(lambda: not any(map(is_alive, family)), 5, "all are gone")


def test_every_command_replaces_its_shell() -> None:
    """So that the process asked to end is the command itself."""
    procfile = (ROOT / "Procfile").read_text()
    assert all(line.split(": ", 1)[1].startswith("exec ") for line in procfile.splitlines())


def test_when_one_process_ends_by_itself_all_are_stopped() -> None:
    supervisor = supervised("exec sleep 600", "sleep 0.5; exit 3")
    said, _ = supervisor.communicate(timeout=20)
    assert supervisor.returncode == 3
    assert "ended first: process1" in said


def test_ctrl_c_while_it_starts_is_no_error_and_leaves_nothing(state_dir: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    started = subprocess.Popen(
        [sys.executable, "-m", "rdmp.launch"],
        cwd=ROOT,
        env={**kept, "RDMP_STATE_DIR": str(state_dir), "RDMP_PORT": str(free_port())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: bool(working_in(state_dir)), 60, "the database runs")
    os.killpg(started.pid, signal.SIGINT)
    said, _ = started.communicate(timeout=60)
    assert "Traceback" not in said
    wait_until(lambda: not working_in(state_dir), 10, "nothing is left")


def test_secrets_are_made_once_for_the_owner_only_and_handed_over_as_files(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in installation.SECRETS:
        monkeypatch.delenv(name, raising=False)
    first = installation.environment(state_dir, {})
    files = {name: Path(first[f"{name}_FILE"]) for name in installation.SECRETS}
    values = {name: path.read_text() for name, path in files.items()}
    assert all(len(value) >= 32 for value in values.values())
    assert not set(values.values()) & set(first.values())
    for path in files.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = installation.environment(state_dir, {})
    assert {name: Path(again[f"{name}_FILE"]).read_text() for name in values} == values


def test_what_the_person_has_set_wins(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDMP_SECRET_KEY", "mine" * 10)
    monkeypatch.setenv("RDMP_AGENT_PORT", "19999")
    monkeypatch.setenv("RDMP_PUBLIC_URL", "https://rdmp.example.com")
    settings = installation.environment(state_dir, {})
    assert "RDMP_SECRET_KEY_FILE" not in settings
    assert settings["RDMP_AGENT_PORT"] == "19999"
    assert "RDMP_DEMO" not in settings or settings["RDMP_DEMO"] == os.environ.get("RDMP_DEMO")


def test_ports_that_the_database_remembers_stay_from_start_to_start(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in installation.KEPT_PORTS:
        monkeypatch.delenv(name, raising=False)
    first = installation.environment(state_dir, {})
    second = installation.environment(state_dir, {})
    assert [first[name] for name in installation.KEPT_PORTS] == [second[name] for name in installation.KEPT_PORTS]


def test_a_running_platform_is_found_by_other_commands_and_a_dead_one_is_not(state_dir: Path) -> None:
    installation.record_running(state_dir, "http://127.0.0.1:1", {"REDIS_URL": "redis://somewhere"})
    found = installation.running(state_dir)
    assert found
    assert found.environment["REDIS_URL"] == "redis://somewhere"
    assert stat.S_IMODE((state_dir / "running.json").stat().st_mode) == 0o600
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    record: Mapping[str, object] = json.loads((state_dir / "running.json").read_text())
    (state_dir / "running.json").write_text(json.dumps({**record, "pid": ended.pid}))
    assert installation.running(state_dir) is None


def test_settings_of_the_checkout_fill_in_what_the_environment_leaves_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RDMP_PORT", "8123")
    monkeypatch.delenv("RDMP_WORKERS", raising=False)
    (tmp_path / ".env").write_text("# a comment\nRDMP_PORT=9000\nRDMP_WORKERS=3  # three\n")
    launch.read_dotenv(tmp_path / ".env")
    try:
        assert os.environ["RDMP_PORT"] == "8123"
        assert os.environ["RDMP_WORKERS"] == "3"
    finally:
        del os.environ["RDMP_WORKERS"]


def test_the_welcome_names_the_address_and_everybody_who_may_sign_in() -> None:
    facts = json.dumps({"people": [{"role": "admin", "email": "a@rdmp.example", "password": "p w"}]})
    text = "\n".join(launch.welcome("http://127.0.0.1:8000", facts, "2222"))
    assert "http://127.0.0.1:8000" in text
    assert "a@rdmp.example" in text
    assert "ssh -p 2222 you@example.com@127.0.0.1" in text
    assert "p w" in text
    assert "Ctrl-C" in text
