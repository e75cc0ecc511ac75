"""What was recorded is read back, whatever happens to the process, the disk and the reader's moment."""

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.gateway.recording import cast, chain, reader
from bastion.gateway.recording.recovery import recover
from bastion.gateway.recording.screen import Screen
from bastion.gateway.recording.writer import FLOOD_BYTES, PIECE_BYTES, PIECE_S, Recorder, RecordingFailed
from tests.bastion.recordings import KEY, PUBLIC, Clock, header, record

CHUNK = st.one_of(
    st.binary(max_size=40),
    st.text(st.sampled_from("a中é\x1b[]m;1?hHJ\r\n\t"), max_size=40).map(str.encode),
)
STEP = st.one_of(
    st.tuples(st.just("o"), CHUNK),
    st.tuples(st.just("e"), CHUNK),
    st.tuples(st.just("r"), st.tuples(st.integers(1, 300), st.integers(1, 100))),
    st.tuples(st.just("m"), st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=9)),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 3.0, 11.0])),
)


def opened(directory: Path, clock: Clock | None = None) -> Recorder:
    return Recorder.open(directory, header(), KEY, clock=clock or Clock())


def code_of(row: cast.Row) -> cast.Code:
    return next(code for code in get_args(cast.Code) if code == row.code)


def said(directory: Path, code: str) -> str:
    return "".join(row.text for row in reader.rows(directory) if row.code == code)


@settings(max_examples=60)
@given(st.lists(STEP, max_size=25))
def test_whatever_is_recorded_is_read_back(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        directory, clock = Path(place) / "r", Clock()
        recorder = opened(directory, clock)
        given_bytes = {"o": b"", "e": b""}
        others: list[tuple[str, str]] = []
        for kind, value in steps:
            if isinstance(value, bytes):
                given_bytes[kind] += value
                (recorder.output if kind == "o" else recorder.error)(value)
            elif isinstance(value, tuple):
                recorder.resize(*value)
                others.append(("r", f"{value[0]}x{value[1]}"))
            elif isinstance(value, str):
                recorder.mark(value)
                others.append(("m", value))
            elif isinstance(value, float):
                clock.now += value
        recorder.close()
        rows = list(reader.rows(directory))
        for code, data in given_bytes.items():
            assert "".join(row.text for row in rows if row.code == code) == data.decode("utf-8", "replace")
        assert [(row.code, row.text) for row in rows if row.code in "rm"] == others
        assert [row.at_s for row in rows] == sorted(row.at_s for row in rows)
        assert b"".join(reader.plain_from(directory, 0)) == header().line() + b"".join(
            cast.line(row.at_s, code_of(row), row.text) for row in rows
        )
        findings = chain.verify(directory, PUBLIC, "s-1")
        assert findings.is_intact
        assert findings.is_finished


def test_a_character_in_two_writes_is_one(tmp_path: Path) -> None:
    recorder = opened(tmp_path / "r")
    for byte in "中文".encode() + b"\xe4":
        recorder.output(bytes([byte]))
    recorder.close()
    assert [row.text for row in reader.rows(tmp_path / "r")] == ["中", "文", "\ufffd"]


def test_a_piece_closes_after_ten_seconds_and_at_its_size(tmp_path: Path) -> None:
    clock = Clock()
    recorder = opened(tmp_path / "r", clock)
    recorder.output(b"a")
    clock.now += PIECE_S
    recorder.tick()
    assert [entry.number for entry in reader.index(tmp_path / "r")] == [1]
    clock.now += 100 * PIECE_S
    recorder.tick()
    assert len(reader.index(tmp_path / "r")) == 1
    recorder.output(b"b" * PIECE_BYTES)
    clock.now += 1.0
    recorder.tick()
    assert [entry.number for entry in reader.index(tmp_path / "r")] == [1, 2]


def test_a_flood_closes_pieces_by_size_alone(tmp_path: Path) -> None:
    recorder = opened(tmp_path / "r")
    for _ in range(100):
        recorder.output(b"0123456789abcde\n" * 2048)
    recorder.close()
    index = reader.index(tmp_path / "r")
    assert len(index) == 4
    assert all(FLOOD_BYTES <= entry.plain_bytes < FLOOD_BYTES + 100_000 for entry in index[:-1])
    assert len(said(tmp_path / "r", "o")) == 100 * 32768


def test_typing_reaches_the_record_but_no_secret_reaches_the_disk(tmp_path: Path) -> None:
    recorder = opened(tmp_path / "r")
    for key in b"su\r":
        recorder.input(bytes([key]))
        recorder.output(bytes([key]).replace(b"\r", b"\r\n"))
    recorder.output(b"Password: ")
    recorder.input(b"hunter2")
    recorder.input(b"\r")
    recorder.output(b"\r\n# ")
    recorder.hidden_input()
    everything = b"".join(path.read_bytes() for path in (tmp_path / "r").iterdir())
    recorder.close()
    assert b"hunter2" not in everything
    assert said(tmp_path / "r", "i") == "su\r•\r•"


def test_what_waits_for_its_echo_is_settled_by_the_clock_and_at_the_end(tmp_path: Path) -> None:
    clock = Clock()
    recorder = opened(tmp_path / "r", clock)
    recorder.input(b"abc")
    recorder.tick()
    assert said(tmp_path / "r", "i") == ""
    clock.now += 10.0
    recorder.tick()
    assert said(tmp_path / "r", "i") == "•"
    recorder.input(b"\tx\x1b")
    recorder.close()
    assert said(tmp_path / "r", "i") == "•\t•\x1b"


def test_the_open_piece_can_be_read_at_once(tmp_path: Path) -> None:
    recorder = opened(tmp_path / "r")
    recorder.output(b"now")
    assert said(tmp_path / "r", "o") == "now"
    assert reader.header(tmp_path / "r") == header()
    assert oct((tmp_path / "r" / chain.open_name(1)).stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("looks_after", range(0, 40, 3))
def test_history_and_live_rows_meet_without_gap_or_duplicate(tmp_path: Path, looks_after: int) -> None:
    clock, live = Clock(), bytearray()
    begins = [-1]

    def on_rows(offset: int, data: bytes) -> None:
        if begins[0] >= 0:
            assert offset == begins[0] + len(live)
            live.extend(data)

    recorder = Recorder.open(tmp_path / "r", header(), KEY, None, on_rows, clock=clock)
    history = b""
    for number in range(40):
        if number == looks_after:
            begins[0] = recorder.offset
            history = b"".join(reader.plain_from(tmp_path / "r", 0))
        recorder.output(b"line %d\r\n" % number)
        clock.now += 3.0
    recorder.close()
    assert history + live == b"".join(reader.plain_from(tmp_path / "r", 0))
    for offset in range(0, len(history), 97):
        assert b"".join(reader.plain_from(tmp_path / "r", offset)) == (history + live)[offset:]


def test_a_reader_in_the_middle_while_pieces_close(tmp_path: Path) -> None:
    clock = Clock()
    recorder = opened(tmp_path / "r", clock)
    recorder.output(b"one")
    parts = reader.plain_from(tmp_path / "r", 0)
    first = next(parts)
    clock.now += 11
    recorder.output(b"two")
    clock.now += 11
    recorder.output(b"three")
    whole = b"".join(reader.plain_from(tmp_path / "r", 0))
    assert first + b"".join(parts) + b"".join(reader.plain_from(tmp_path / "r", len(first))) == whole


def test_a_jump_shows_the_screen_as_it_was(tmp_path: Path) -> None:
    clock = Clock()
    recorder = opened(tmp_path / "r", clock)
    screens = []
    whole = Screen(80, 24)
    steps = [
        b"\x1b[31;1mred\x1b[m\r\n",
        "中文\r\n".encode(),
        b"\x1b[?1049h\x1b[5;9Hedit",
        b"\x1b[2;4r",
        b"\x1b[?1049l$ ",
    ]
    for number in range(30):
        step = steps[number % len(steps)] + b"%d" % number
        recorder.output(step)
        whole.feed(step)
        screens.append(whole.keyframe())
        clock.now += 4.0
    recorder.close()
    for entry in reader.index(tmp_path / "r")[1:]:
        assert entry.has_keyframe
        jumped, played = Screen(80, 24), Screen(80, 24)
        rows = list(reader.seek(tmp_path / "r", entry.first_s))
        assert (rows[0].code, rows[0].text, rows[1].code) == ("r", "80x24", "o")
        jumped.feed(rows[1].text.encode())
        for row in reader.rows(tmp_path / "r"):
            if row.code == "k" and row.at_s == entry.first_s:
                break
            if row.code == "o":
                played.feed(row.text.encode())
        assert jumped.keyframe() == played.keyframe()
        for row in rows[2:]:
            if row.code == "o":
                jumped.feed(row.text.encode())
        assert jumped.keyframe() == screens[-1]


def test_each_closed_piece_is_told(tmp_path: Path) -> None:
    told: list[tuple[chain.Signed, Path]] = []
    clock = Clock()
    recorder = Recorder.open(tmp_path / "r", header(), KEY, lambda link, path: told.append((link, path)), clock=clock)
    recorder.output(b"a")
    clock.now += 11
    recorder.output(b"b")
    recorder.close()
    assert [(signed.link.number, signed.link.is_last) for signed, _ in told] == [(1, False), (2, True)]
    assert all(path.stat().st_size == signed.link.stored_bytes for signed, path in told)
    assert chain.read((tmp_path / "r" / chain.link_name(1)).read_bytes()) == told[0][0]


def test_a_killed_process_leaves_what_it_had_recorded(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.bastion.recordings", str(tmp_path / "r")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        recorded = 0
        while recorded < 3000:
            recorded = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        recorded = int((process.stdout.read().split() or [b"%d" % recorded])[-1])
    assert not chain.verify(tmp_path / "r", PUBLIC).is_finished
    with (tmp_path / "r" / max(path.name for path in (tmp_path / "r").glob("*.cast"))).open("ab") as file:
        file.write(b'[9.0, "o", "half a ro')
    signed = recover(tmp_path / "r", KEY)
    assert signed is not None
    assert signed.link.is_recovered
    findings = chain.verify(tmp_path / "r", PUBLIC, "s-1")
    assert (findings.is_intact, findings.is_finished, findings.is_recovered) == (True, False, True)
    lines = said(tmp_path / "r", "o").split("\r\n")
    assert len(lines) - 1 >= recorded > 2999
    assert [line.split()[1] for line in lines[:-1]] == [str(n) for n in range(1, len(lines))]
    assert recover(tmp_path / "r", KEY) is None
    assert not list((tmp_path / "r").glob("*.cast"))


@pytest.mark.parametrize("dies_before", ["link", "unlink"])
def test_a_process_that_dies_while_it_closes_a_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_before: str
) -> None:
    recorder = opened(tmp_path / "r")
    recorder.output(b"kept")

    def dies(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace" if dies_before == "link" else "unlink", dies)
        recorder.close()
    recover(tmp_path / "r", KEY)
    findings = chain.verify(tmp_path / "r", PUBLIC)
    assert findings.is_intact
    assert findings.is_finished is (dies_before == "unlink")
    assert said(tmp_path / "r", "o") == "kept"


def test_a_finished_recording_needs_no_recovery(tmp_path: Path) -> None:
    record(tmp_path / "r", [b"a", b"b"])
    assert recover(tmp_path / "r", KEY) is None


def test_a_full_disk_ends_the_recording(tmp_path: Path) -> None:
    """RLIMIT_FSIZE is a disk that takes so many bytes of a file and no more."""
    recorder = opened(tmp_path / "r")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        with pytest.raises(RecordingFailed) as caught:
            for _ in range(100):
                recorder.output(b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, kept)
    assert isinstance(caught.value.__cause__, OSError)
    for call in (recorder.tick, recorder.close, recorder.hidden_input, lambda: recorder.output(b"more")):
        with pytest.raises(RecordingFailed):
            call()
    recover(tmp_path / "r", KEY)
    assert set(said(tmp_path / "r", "o")) == {"x"}
    assert chain.verify(tmp_path / "r", PUBLIC).is_recovered


@pytest.mark.parametrize("call", ["open", "write", "replace"])
def test_each_way_in_which_the_disk_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    clock = Clock()
    recorder = opened(tmp_path / "r", clock)
    recorder.output(b"a")
    clock.now += 11

    def fails(*args: object, **kwargs: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path if call == "replace" else os, call, fails)
        with pytest.raises(RecordingFailed, match="No space left"):
            recorder.output(b"b")
    with pytest.raises(RecordingFailed):
        recorder.output(b"c")


def test_the_directory_goes_away(tmp_path: Path) -> None:
    clock = Clock()
    recorder = opened(tmp_path / "r", clock)
    (tmp_path / "r").rename(tmp_path / "gone")
    clock.now += 11
    with pytest.raises(RecordingFailed):
        recorder.output(b"b")


def test_a_directory_in_use_or_out_of_reach_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "r")
    with pytest.raises(RecordingFailed):
        opened(tmp_path / "r")
    (tmp_path / "file").touch()
    with pytest.raises(RecordingFailed):
        opened(tmp_path / "file" / "r")


def test_without_a_terminal_there_are_no_keyframes(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder.open(tmp_path / "r", header(), KEY, has_screen=False, clock=clock)
    recorder.output(b"out")
    clock.now += 11
    recorder.error(b"err")
    recorder.close()
    assert [(row.code, row.text) for row in reader.rows(tmp_path / "r")] == [("o", "out"), ("e", "err")]
