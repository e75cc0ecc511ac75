"""Whatever is done to a finished recording is found, and said by its name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway.recording import chain
from bastion.gateway.recording.chain import Flaw
from tests.bastion.recordings import KEY, PUBLIC, record


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    record(tmp_path / "r", [b"one\r\n", b"two\r\n", b"three\r\n", b"four\r\n"])
    return tmp_path / "r"


def flaws(directory: Path, session_id: str = "") -> set[tuple[Flaw, int]]:
    return {(finding.flaw, finding.number) for finding in chain.verify(directory, PUBLIC, session_id).flaws}


def swap(directory: Path, one: str, other: str) -> None:
    a, b = directory / one, directory / other
    kept = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(kept)


def forge(directory: Path, piece: int, key: Ed25519PrivateKey | None = None, **changes: object) -> None:
    """Change a link; with `key`, sign it anew."""
    path = directory / chain.link_name(piece)
    raw = json.loads(path.read_bytes())
    raw["link"].update(changes)
    path.write_bytes(chain.sign(chain.Link(**raw["link"]), key).as_json() if key else json.dumps(raw).encode())


def test_a_recording_is_intact_and_finished(recording: Path) -> None:
    findings = chain.verify(recording, PUBLIC, "s-1")
    assert (findings.pieces, findings.is_intact, findings.is_finished, findings.is_recovered) == (4, True, True, False)


def test_each_byte_of_a_piece_counts(recording: Path) -> None:
    path = recording / chain.piece_name(2)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert flaws(recording) == {(Flaw.CHANGED, 2)}
    for changed in (whole[:-1], whole + b"\0", b""):
        path.write_bytes(changed)
        assert flaws(recording) == {(Flaw.CHANGED, 2)}


@pytest.mark.parametrize("field", list(chain.Link.__dataclass_fields__))
def test_each_field_of_a_link_counts(recording: Path, field: str) -> None:
    before = json.loads((recording / chain.link_name(2)).read_bytes())["link"][field]
    forge(recording, 2, None, **{field: (not before) if isinstance(before, bool) else before + type(before)("1")})
    assert (Flaw.CHANGED, 2) in flaws(recording)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"link": {}, "signature": ""}', "\0"])
def test_a_link_that_cannot_be_read(recording: Path, text: str) -> None:
    (recording / chain.link_name(2)).write_text(text)
    assert (Flaw.CHANGED, 2) in flaws(recording)


def test_somebody_elses_signature(recording: Path) -> None:
    forge(recording, 3, Ed25519PrivateKey.generate())
    assert (Flaw.CHANGED, 3) in flaws(recording)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda d: (d / chain.piece_name(2)).unlink(), {(Flaw.MISSING, 2)}),
        (lambda d: (d / chain.link_name(2)).unlink(), {(Flaw.MISSING, 2)}),
        (lambda d: [(d / name(1)).unlink() for name in (chain.link_name, chain.piece_name)], {(Flaw.MISSING, 1)}),
        (lambda d: [(d / name(3)).unlink() for name in (chain.link_name, chain.piece_name)], {(Flaw.MISSING, 3)}),
        (lambda d: swap(d, chain.piece_name(2), chain.piece_name(3)), {(Flaw.CHANGED, 2), (Flaw.CHANGED, 3)}),
    ],
)
def test_pieces_are_gone_or_swapped(recording: Path, damage: Callable[[Path], None], found: set[object]) -> None:
    damage(recording)
    assert flaws(recording) == found


def test_pieces_change_places_with_their_links(recording: Path) -> None:
    swap(recording, chain.piece_name(2), chain.piece_name(3))
    swap(recording, chain.link_name(2), chain.link_name(3))
    assert {(Flaw.REORDERED, 2), (Flaw.REORDERED, 3)} <= flaws(recording)


def test_a_piece_is_left_out_and_the_rest_moves_up(recording: Path) -> None:
    for number in (3, 4):
        for name in (chain.link_name, chain.piece_name):
            (recording / name(number)).rename(recording / name(number - 1))
    assert {(Flaw.REORDERED, 2), (Flaw.REORDERED, 3)} <= flaws(recording)


def test_even_the_node_cannot_replace_one_piece_without_the_next(recording: Path) -> None:
    forge(recording, 2, KEY, last_s=21.0)
    assert (Flaw.REORDERED, 3) in flaws(recording)


def test_a_piece_of_another_session(recording: Path, tmp_path: Path) -> None:
    record(tmp_path / "other", [b"one\r\n", b"two\r\n", b"three\r\n"], session_id="s-2")
    for name in (chain.link_name(2), chain.piece_name(2)):
        shutil.copy(tmp_path / "other" / name, recording / name)
    assert (Flaw.FOREIGN, 2) in flaws(recording)


def test_the_whole_recording_of_another_session(recording: Path) -> None:
    assert (Flaw.FOREIGN, 1) in flaws(recording, "s-9")


def test_a_cut_off_end_is_no_flaw_but_said(recording: Path) -> None:
    for name in (chain.link_name(4), chain.piece_name(4)):
        (recording / name).unlink()
    findings = chain.verify(recording, PUBLIC)
    assert (findings.is_intact, findings.is_finished, findings.is_recovered) == (True, False, False)


def test_something_after_the_end(recording: Path) -> None:
    last = chain.read((recording / chain.link_name(4)).read_bytes()).link
    (recording / chain.piece_name(5)).write_bytes((recording / chain.piece_name(4)).read_bytes())
    fields = {**vars(last), "number": 5, "file": chain.piece_name(5), "previous": last.hash}
    fields["offset"] = last.offset + last.plain_bytes
    (recording / chain.link_name(5)).write_bytes(chain.sign(chain.Link(**fields), KEY).as_json())
    assert flaws(recording) == {(Flaw.REORDERED, 5)}


def test_an_empty_directory_is_unfinished(tmp_path: Path) -> None:
    findings = chain.verify(tmp_path, PUBLIC)
    assert (findings.pieces, findings.is_intact, findings.is_finished) == (0, True, False)
