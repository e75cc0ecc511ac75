"""Custom scripts: who may be run, for how long, and what of their words becomes figures (R33)."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import psutil
import pytest

from monitoring.agent.config import ConfigError, load
from monitoring.agent.scripts import MAX_SERIES, Item, Runner, Script, parse, run

TOKEN = "a-token-of-good-length"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "scripts"
    path.mkdir(mode=0o755)
    return path


def script(folder: Path, text: str, *, name: str = "queue", mode: int = 0o755, timeout_s: int = 5) -> Script:
    file = folder / f"{name}.sh"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(mode)
    return Script(name, file.name, 60, timeout_s)


def has_ended(pid: int) -> bool:
    """Whether the process is gone. After SIGKILL that takes the kernel as long as it takes."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for _ in range(500):
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.01)
        return False
    return True


def test_a_script_brings_figures_with_labels(folder: Path) -> None:
    result = run(script(folder, "echo waiting 12; echo 'lag{topic=\"pay\"} 3.5'"), folder)
    assert result.problem == ""
    assert result.exit_code == 0
    assert result.items == (Item("waiting", 12.0), Item("lag", 3.5, {"topic": "pay"}))


@pytest.mark.parametrize(
    ("output", "items"),
    [
        ("depth 3", [("depth", 3.0, {})]),
        ("depth=3\ndepth_max: 9", [("depth", 3.0, {}), ("depth_max", 9.0, {})]),
        ("# HELP x y\nx_total 1e3 1700000000\n", [("x_total", 1000.0, {})]),
        ('{"Queue Depth": 5}', [("queue_depth", 5.0, {})]),
        ('{"lag": {"value": 2, "labels": {"q": "a"}}}', [("lag", 2.0, {"q": "a"})]),
        ('[{"name": "a", "value": "7"}]', [("a", 7.0, {})]),
        ('m{path="C:\\\\x",q="say \\"hi\\""} 1', [("m", 1.0, {"path": "C:\\\\x", "q": 'say \\"hi\\"'})]),
    ],
)
def test_three_ways_to_say_a_figure(output: str, items: list[tuple[str, float, dict[str, str]]]) -> None:
    found, wrong = parse(output)
    assert [(item.name, item.value, dict(item.labels)) for item in found] == items
    assert wrong == ""


@pytest.mark.parametrize("output", ["depth", "depth three", '{"a": [1]}', "[1]", "{", "x NaN", "x +Inf", "中文 1"])
def test_what_is_no_figure_is_told(output: str) -> None:
    found, wrong = parse(output)
    assert found == ()
    assert wrong != ""


def test_one_wrong_line_does_not_spoil_the_others() -> None:
    found, wrong = parse("a 1\nwhat?\nb 2")
    assert [item.name for item in found] == ["a", "b"]
    assert "line 2" in wrong


def test_more_series_than_allowed_are_cut_and_told() -> None:
    found, wrong = parse("\n".join(f'x{{n="{n}"}} 1' for n in range(MAX_SERIES + 50)))
    assert len(found) == MAX_SERIES
    assert str(MAX_SERIES) in wrong


def test_an_exit_code_and_what_was_said_about_it_come_along(folder: Path) -> None:
    result = run(script(folder, "echo depth 1; echo 'cannot reach db, password=geheim' >&2; exit 3"), folder)
    assert (result.problem, result.exit_code) == ("failed", 3)
    assert "cannot reach db" in result.detail
    assert "geheim" not in result.detail
    assert [item.name for item in result.items] == ["depth"]


def test_a_script_that_takes_too_long_is_ended_with_all_it_started(folder: Path) -> None:
    result = run(script(folder, f"sleep 300 & echo $! > {folder}/child; wait", timeout_s=1), folder)
    assert result.problem == "timeout"
    child = int((folder / "child").read_text())
    assert has_ended(child)


def test_a_flood_of_output_is_cut_off(folder: Path) -> None:
    result = run(script(folder, "yes depth 1"), folder)
    assert result.problem == "too_large"
    assert result.seconds < 5


def test_a_script_gets_no_secrets_and_no_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDMP_AGENT_TOKEN", TOKEN)
    result = run(script(folder, 'echo token ${#RDMP_AGENT_TOKEN}; cat | wc -c | sed "s/^/input /"'), folder)
    assert [(item.name, item.value) for item in result.items] == [("token", 0.0), ("input", 0.0)]


def test_a_script_runs_at_low_priority(folder: Path) -> None:
    result = run(script(folder, "sleep 0.3; echo nice $(nice)"), folder)
    assert [(item.name, item.value) for item in result.items] == [("nice", 10.0)]


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_script_that_others_could_write_is_not_run(folder: Path, mode: int) -> None:
    result = run(script(folder, f"touch {folder}/ran", mode=mode), folder)
    assert result.problem == "refused"
    assert not (folder / "ran").exists()


def test_a_directory_that_others_could_write_is_refused_whole(folder: Path) -> None:
    one = script(folder, "echo a 1")
    folder.chmod(0o777)
    assert run(one, folder).problem == "refused"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_script_of_another_user_is_not_run(folder: Path) -> None:
    one = script(folder, "echo a 1")
    os.chown(folder / one.file, 12345, 12345)
    assert run(one, folder).problem == "refused"


def test_a_link_out_of_the_directory_is_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = script(tmp_path, "echo a 1", name="outside")
    (folder / "link.sh").symlink_to(tmp_path / outside.file)
    assert run(Script("link", "link.sh"), folder).problem == "refused"
    assert run(Script("up", "../outside.sh"), folder).problem == "refused"


def test_a_script_that_is_not_executable_or_not_there_says_so(folder: Path) -> None:
    assert "not executable" in run(script(folder, "echo a 1", mode=0o644), folder).detail
    assert run(Script("none", "none.sh"), folder).problem == "refused"
    (folder / "bad.sh").write_text("#!/no/such/shell\n")
    (folder / "bad.sh").chmod(0o755)
    assert run(Script("bad", "bad.sh"), folder).problem == "not_started"


def test_results_wait_until_a_script_has_run(folder: Path) -> None:
    one = script(folder, "echo a 1")
    runner = Runner([one], folder)
    assert runner.results()[0]["problem"] == "waiting"
    runner.run_once(one)
    [result] = runner.results()
    assert result["items"] == [{"name": "a", "value": 1.0, "labels": {}}]


@pytest.mark.parametrize(
    "text",
    [
        '[[script]]\nname = "Big"\nfile = "a.sh"',
        '[[script]]\nname = "a"\nfile = "/bin/sh"',
        '[[script]]\nname = "a"\nfile = "a.sh"\ninterval_s = 1',
        '[[script]]\nname = "a"\nfile = "a.sh"\ntimeout_s = 600',
        '[[script]]\nname = "a"\nfile = "a.sh"\n[[script]]\nname = "a"\nfile = "b.sh"',
        'scripts_dir = "relative"',
        'conf = ["relative.conf"]',
        'skip_state = ["everything"]',
        '[[log]]\nname = "x"\nfiles = "/var/log/x"\nkeywords = []',
        '[[log]]\nname = "x"\nfiles = "/var/log/x"\nkeywords = [{name = "a", pattern = "("}]',
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load({"RDMP_AGENT_TOKEN": TOKEN}, path=str(file))
