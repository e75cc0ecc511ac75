"""Readers of SFTP and scp on their way: any cuts, any garbage, and what they note."""

import itertools
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gateway.contract import LONGEST_PATH, Action
from bastion.gateway.ssh import rsync, sftp
from bastion.gateway.ssh.files import Ledger, Transfer, moves_files
from bastion.gateway.ssh.rsync import Sync
from bastion.gateway.ssh.scp import BadRecord, Copy, Watch, read_command
from bastion.gateway.ssh.sftp import BadPacket, Packets, framed


class Noted:
    """A ledger that only remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, bool]] = []
        self.folders: list[tuple[str, str]] = []

    def begin(self, path: str, direction: str) -> Transfer:
        return Transfer(path, direction)

    def passed(self, transfer: Transfer, offset: int, data: bytes) -> None:
        transfer.passed(offset, data)

    def finish(self, transfer: Transfer) -> None:
        self.told.append((transfer.path, transfer.size, not transfer.is_failed))

    def changed(self, action: str, path: str, *, result: str) -> None:
        self.folders.append((path, result))


def watch(noted: Noted, path: str = "/to") -> Watch:
    return Watch(noted, Copy(is_upload=True, path=path))  # type: ignore[arg-type]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    marks = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.lists(st.integers(0, 300), max_size=8))
def test_packets_come_out_whole_however_they_were_cut(packets: list[bytes], places: list[int]) -> None:
    reader = Packets()
    read = [packet for part in cut(b"".join(map(framed, packets)), places) for packet in reader.feed(part)]
    assert read == packets


@pytest.mark.parametrize("length", [0, sftp.LONGEST_PACKET + 1, 1 << 31])
def test_a_packet_of_no_sense_is_refused_before_it_is_kept(length: int) -> None:
    with pytest.raises(BadPacket):
        Packets().feed(struct.pack(">I", length))


def test_a_transfer_out_of_order_has_no_hash() -> None:
    in_order, jumps = Transfer("a", "up"), Transfer("b", "up")
    for transfer, offsets in ((in_order, (0, 3)), (jumps, (3, 0))):
        for offset in offsets:
            transfer.passed(offset, b"abc")
    assert in_order.sha256 is not None
    assert jumps.sha256 is None
    assert (in_order.size, jumps.size) == (6, 6)


class Told:
    """A session that only remembers."""

    def __init__(self) -> None:
        self.told: list[dict[str, object]] = []

    def tell(self, kind: str, **data: object) -> None:
        self.told.append(data)


def test_transfers_that_look_alike_are_told_apart() -> None:
    one, two = Transfer("a", "up"), Transfer("a", "up")
    for transfer in (one, two):
        transfer.passed(5, b"x")  # out of order: there is no hash, which would differ
    assert [one, two].index(two) == 1


def test_a_path_is_told_as_long_as_it_is_kept() -> None:
    session = Told()
    Ledger(session, "sftp").changed("remove", b"x" * 250_000, result="done")  # type: ignore[arg-type]
    assert len(str(session.told[0]["path"])) == LONGEST_PATH


UPLOAD = b"T1 0 2 0\nD0755 0 sub\nC0644 5 a b\nhello\0C0600 0 empty\n\0E\n"
ANSWERED_AT = [9, 21, 33, 39, 53, 54, 56]


@given(st.lists(st.integers(0, len(UPLOAD)), max_size=8))
def test_scp_is_read_however_it_was_cut(places: list[int]) -> None:
    noted = Noted()
    watching = watch(noted)
    watching.sink(b"\0")
    at = 0
    for part in cut(UPLOAD, [*places, *ANSWERED_AT]):
        watching.source(part)
        at += len(part)
        if at in ANSWERED_AT:
            watching.sink(b"\0")
    assert noted.told == [("/to/sub/a b", 5, True), ("/to/sub/empty", 0, True)]
    assert noted.folders == [("/to/sub", "done")]


def test_a_file_that_the_sink_refuses_has_no_data() -> None:
    noted = Noted()
    watching = watch(noted)
    watching.sink(b"\0")
    watching.source(b"C0644 5 secret\n")
    watching.sink(b"\x01scp: /to/secret: Permission denied\n")
    watching.source(b"C0644 2 ok\n")
    watching.sink(b"\0")
    watching.source(b"ok\0")
    watching.sink(b"\0")
    assert noted.told == [("/to/secret", 0, False), ("/to/ok", 2, True)]


def test_a_folder_is_told_with_what_the_sink_answered() -> None:
    noted = Noted()
    watching = watch(noted)
    watching.sink(b"\0")
    watching.source(b"D0755 0 no\n")
    assert noted.folders == []
    watching.sink(b"\x01scp: /to/no: Permission denied\n")
    watching.source(b"D0755 0 yes\n")
    watching.sink(b"\0")
    assert noted.folders == [("/to/no", "failed"), ("/to/yes", "done")]


@pytest.mark.parametrize(("record", "most"), [(b"E\n", 64), (b"D0755 0 a\n", 64), (b"T1 0 2 0\n", 64)])
def test_records_ahead_of_their_answers_are_few(record: bytes, most: int) -> None:
    watching = watch(Noted())
    with pytest.raises(BadRecord):
        watching.source(record * (most + 1))


def test_folders_lie_in_one_another_so_deep_only() -> None:
    watching = watch(Noted())
    watching.sink(b"\0")
    with pytest.raises(BadRecord):
        for _ in range(200):
            watching.source(b"D0755 0 a\n")
            watching.sink(b"\0")


@pytest.mark.parametrize(
    ("path", "record", "told"),
    [
        ("/etc/passwd", b"C0644 0 passwd\n", "/etc/passwd"),
        ("passwd", b"C0644 0 passwd\n", "passwd"),
        ("/etc/*.conf", b"C0644 0 a.conf\n", "/etc/a.conf"),
        ("/etc/", b"D0755 0 etc\n", "/etc/passwd"),
    ],
)
def test_what_is_fetched_is_told_where_it_lies(path: str, record: bytes, told: str) -> None:
    noted = Noted()
    watching = Watch(noted, Copy(is_upload=False, path=path))  # type: ignore[arg-type]
    watching.sink(b"\0")
    watching.source(record)
    watching.sink(b"\0")
    if record.startswith(b"D"):
        watching.source(b"C0644 0 passwd\n")
        watching.sink(b"\0")
    watching.source(b"\0")
    watching.sink(b"\0")
    assert [path for path, _, _ in noted.told] == [told]


def test_data_before_the_answer_is_refused() -> None:
    watching = watch(Noted())
    watching.source(b"C0644 5 a\n")
    with pytest.raises(BadRecord):
        watching.source(b"hello\0")


@pytest.mark.parametrize("record", [b"C0644 5 a/b\n", b"X\n", b"C0644 -1 a\n", b"D\n", b"a" * 9000])
def test_records_of_no_sense_are_refused(record: bytes) -> None:
    with pytest.raises(BadRecord):
        watch(Noted()).source(record)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=10))
def test_garbage_is_read_or_refused(parts: list[tuple[bool, bytes]]) -> None:
    watching = watch(Noted())
    try:
        for is_source, data in parts:
            (watching.source if is_source else watching.sink)(data)
    except BadRecord:
        return


@pytest.mark.parametrize(
    ("command", "means"),
    [
        ("scp -t /tmp/x", Copy(True, "/tmp/x")),
        ("scp -v -r -p -d -t -- -odd", Copy(True, "-odd")),
        ("/usr/bin/scp -rf '/a b'", Copy(False, "/a b")),
        (r"scp -f a\ \(1\)", Copy(False, "a (1)")),
        ("scp -f ~/*.log", Copy(False, "~/*.log")),
        ('scp -t "a b"', Copy(True, "a b")),
        ("scp -t x; true", None),
        ('scp -t "\'" ; id | cat ; : "\'"', None),
        ('scp -t "$(id)"', None),
        ("env scp -f x", Copy(False, "x")),
        ("sudo -n -u www nice -n 5 /usr/bin/scp -t x", Copy(True, "x")),
        ("PATH=/tmp scp -t x", None),
        ("env PATH=/tmp scp -t x", None),
        ("env -S 'sh x' scp -t y", None),
        ("timeout 5 scp -t x", None),
        ("/tmp/sudo scp -t x", None),
        ("/tmp/scp -t x", None),
        ("./scp -t x", None),
        ("scp -t $(id)", None),
        ('scp -t "`id`"', None),
        ("scp -t x > y", None),
        ("scp a b", None),
        ("scp -t -f x", None),
        ("scp -t", None),
        ("rscp -t x", None),
        ("scp -t 'x", None),
    ],
)
def test_only_what_is_plainly_scp_is_read_as_such(command: str, means: Copy | None) -> None:
    assert read_command(command) == means


@pytest.mark.parametrize(
    ("command", "is_plain"),
    [
        ("/usr/lib/openssh/sftp-server", True),
        ("sudo /usr/libexec/openssh/sftp-server -R", True),
        ("internal-sftp", True),
        ("/tmp/sftp-server", False),
        ("sftp-server; id", False),
        ("LD_PRELOAD=/tmp/x.so /usr/lib/openssh/sftp-server", False),
    ],
)
def test_only_what_is_plainly_a_server_of_sftp_is_read_as_such(command: str, is_plain: bool) -> None:
    assert sftp.is_server(command) == is_plain


@pytest.mark.parametrize(
    ("command", "moves"),
    [
        ("/tmp/sftp-server", True),
        ("cd /x && env A=b /usr/lib/openssh/sftp-server", True),
        ("sh -c 'exec sftp-server -R'", True),
        ("timeout 60 nice scp -rf /etc", True),
        ("cd /x; PATH=/tmp scp -t .", True),
        ("su - www -c 'scp -f x'", True),
        ("bash -c 'rsync --server . /x'", True),
        ("scp -P 2222 -oBatchMode=yes a host:b", False),
        ("rsync -a a b", False),
        ("ls -l /usr/lib/openssh/sftp-server", False),
        ("ps aux | grep sftp-server", False),
        ("tail -f /var/log/scp", False),
        ("", False),
    ],
)
def test_what_moves_files_is_seen_wherever_it_stands(command: str, moves: bool) -> None:
    assert moves_files(command) == moves


SECOND = ("--server", "--sender", ".", "/y")
UP, DOWN = frozenset({Action.UPLOAD}), frozenset({Action.DOWNLOAD})


@pytest.mark.parametrize(
    ("command", "means"),
    [
        ("rsync --server -logDtpre.iLsfxC . /x", Sync(True, ("/x",), UP)),
        ("/usr/bin/rsync --server --sender -vlogDtpre.iLsfxC . /x '/a b'", Sync(False, ("/x", "/a b"), DOWN)),
        ("sudo -n rsync --server -re.iLsfxC . x/.", Sync(True, ("x/.",), UP)),
        ("'rsync' --server --sender -e.L . /x", Sync(False, ("/x",), DOWN)),
        ("rsync --server --sender -e.L --remove-source-files . /x", Sync(False, ("/x",), UP | DOWN)),
        ("rsync --server --sender -e.L --log-file=/etc/cron.d/x . /x", Sync(False, ("/x",), UP | DOWN)),
        ("rsync --server -e.L . /x --sender", Sync(True, ("/x", "--sender"), UP | DOWN)),
        ("rsync --server -se.LsfxCIvu", Sync(True, (), UP | DOWN)),
        ("rsync --server --secluded-args -e.L . /x", Sync(True, ("/x",), UP | DOWN)),
        ("rsync --server --daemon .", Sync(True, (), UP | DOWN)),
        ("rsync --server . /x; rsync --server --sender . /y", Sync(True, ("/x;", "rsync", *SECOND), UP | DOWN)),
        ("rsync --server -e.L . '/x", Sync(True, ("'/x",), UP)),
        ("rsync -a a b", None),
        ("ls", None),
        ("", None),
    ],
)
def test_rsync_needs_the_rights_of_what_it_may_do(command: str, means: Sync | None) -> None:
    assert rsync.read_command(command) == means


@given(st.text(max_size=60))
def test_any_words_after_rsync_need_a_right(words: str) -> None:
    means = rsync.read_command(f"rsync --server {words}")
    assert means is not None
    assert means.rights
