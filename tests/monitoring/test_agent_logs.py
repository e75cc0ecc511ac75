"""Keywords in log files that grow, rotate, shrink and outlive the agent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitoring.agent import logs
from monitoring.agent.logs import Keyword, LogKeywords, LogWatch

ERROR = Keyword("ERROR", re.compile(rb"ERROR"))
TIMEOUT = Keyword("timeout", re.compile(rb"timed? ?out"))


def watching(pattern: Path | str, *keywords: Keyword, state_dir: Path | None = None) -> LogKeywords:
    return LogKeywords([LogWatch("app", str(pattern), keywords or (ERROR,))], state_dir=state_dir)


def counts(reader: LogKeywords) -> dict[tuple[str, str], int]:
    return {(Path(one["file"]).name, one["keyword"]): one["count"] for one in reader.read()}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("ERROR from before the agent came\n")
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_lines_written_from_now_on_are_counted(log: Path) -> None:
    reader = watching(log, ERROR, TIMEOUT)
    assert counts(reader) == {("app.log", "ERROR"): 0, ("app.log", "timeout"): 0}
    append(log, "ERROR one\nfine\nERROR upstream timed out\n")
    assert counts(reader) == {("app.log", "ERROR"): 2, ("app.log", "timeout"): 1}
    assert counts(reader) == {("app.log", "ERROR"): 2, ("app.log", "timeout"): 1}


def test_half_a_line_waits_for_its_other_half(log: Path) -> None:
    reader = watching(log)
    reader.read()
    append(log, "ERR")
    assert counts(reader) == {("app.log", "ERROR"): 0}
    append(log, "OR at last\n")
    assert counts(reader) == {("app.log", "ERROR"): 1}


def test_a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_beginning(log: Path) -> None:
    reader = watching(log)
    reader.read()
    append(log, "ERROR seen\n")
    reader.read()
    append(log, "ERROR written just before the rotation\nERROR without an end")
    log.rename(log.with_name("app.log.1"))
    log.write_text("ERROR first of the new file\n")
    assert counts(reader) == {("app.log", "ERROR"): 4}


def test_a_file_cut_in_place_begins_again(log: Path) -> None:
    reader = watching(log)
    reader.read()
    append(log, "ERROR one\n")
    reader.read()
    log.write_text("ERROR\n")
    assert counts(reader) == {("app.log", "ERROR"): 2}


def test_a_file_that_appears_later_is_counted_whole(tmp_path: Path, log: Path) -> None:
    reader = watching(tmp_path / "*.log")
    reader.read()
    (tmp_path / "new.log").write_text("ERROR a\nERROR b\n")
    assert counts(reader) == {("app.log", "ERROR"): 0, ("new.log", "ERROR"): 2}


def test_a_restart_neither_loses_nor_doubles(tmp_path: Path, log: Path) -> None:
    state = tmp_path / "state"
    first = watching(log, state_dir=state)
    first.read()
    append(log, "ERROR one\n")
    first.read()
    append(log, "ERROR while nobody watched\n")
    log.rename(log.with_name("app.log.1"))
    log.write_text("ERROR after a rotation while nobody watched\n")
    assert counts(watching(log, state_dir=state)) == {("app.log", "ERROR"): 3}
    assert counts(watching(log, state_dir=state)) == {("app.log", "ERROR"): 3}


def test_a_broken_memory_is_no_memory(tmp_path: Path, log: Path) -> None:
    (tmp_path / "logs.json").write_text('{"places": [1')
    assert counts(watching(log, state_dir=tmp_path)) == {("app.log", "ERROR"): 0}


def test_a_flood_is_read_in_portions_and_a_huge_backlog_is_skipped_and_told(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 1000)
    monkeypatch.setattr(logs, "MAX_BACKLOG", 5000)
    reader = watching(log)
    reader.read()
    append(log, "ERROR 789\n" * 150)  # 1500 bytes: two portions
    assert counts(reader) == {("app.log", "ERROR"): 100}
    assert counts(reader) == {("app.log", "ERROR"): 150}
    append(log, "ERROR 789\n" * 600)
    [entry] = reader.read()
    assert entry["count"] == 250
    assert entry["skipped_bytes"] == 5000


def test_an_endless_line_does_not_fill_the_memory(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LINE", 100)
    monkeypatch.setattr(logs, "CHUNK", 64)
    reader = watching(log)
    reader.read()
    append(log, "x" * 1000 + "ERROR")
    reader.read()
    append(log, "\n")
    assert counts(reader) == {("app.log", "ERROR"): 1}


def test_sample_lines_are_few_short_and_without_secrets(log: Path) -> None:
    reader = watching(log)
    reader.read()
    append(log, "".join(f"ERROR {n} login password=geheim{n} {'x' * 500}\n" for n in range(9)))
    [entry] = reader.read()
    assert len(entry["lines"]) == logs.KEPT_LINES
    assert all(len(line) <= logs.LINE_SHOWN for line in entry["lines"])
    assert not any("geheim" in line for line in entry["lines"])


def test_a_missing_file_says_so_and_is_not_a_zero(tmp_path: Path) -> None:
    [entry] = watching(tmp_path / "none.log").read()
    assert entry["problem"] == "missing"
    assert entry["keyword"] == ""


def test_two_groups_may_watch_one_file(log: Path) -> None:
    reader = LogKeywords([LogWatch("a", str(log), (ERROR,)), LogWatch("b", str(log), (TIMEOUT,))])
    reader.read()
    append(log, "ERROR timeout\n")
    assert [(one["log"], one["count"]) for one in reader.read()] == [("a", 1), ("b", 1)]
