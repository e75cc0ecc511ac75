"""Playing back: pieces on demand to whoever may have them, search that leads to the moment, download in one stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cramjam
import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.urls import reverse

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from bastion.gateway.recording.writer import Recorder
from bastion.models import BastionSession, Node, RecordingPurge
from bastion.services import groups, keeping, replaying
from tests.bastion import kept
from tests.bastion.recordings import Clock
from tests.conftest import NOW, ClientFor

PARTS = ("recording/", "recording/index/", "recording/1/", "recording/search/", "recording/download/",
         "recording/evidence/", "watch/")  # fmt: skip


@pytest.fixture
def session(node: Node, web: Asset, root: User, tmp_path: Path) -> BastionSession:
    made = kept.begin(node, web, root)
    kept.record(made, tmp_path, kept.lines("first line\r\n", "\x1b[31mred\x1b[0m herring\r\n", "the END of it\r\n"))
    kept.command(made, 5, "ls -l", 11.0)
    kept.end(made)
    return made


class Viewer:
    """Somebody's browser on the page of a recording."""

    def __init__(self, client: Client, session: BastionSession) -> None:
        self.client, self.base = client, reverse("bastion:recording", args=[session.pk])
        page = client.get(self.base).content.decode()
        self.token = page.partition('data-token="')[2].partition('"')[0]

    def get(self, what: str, **headers: str) -> object:
        return self.client.get(self.base + what, headers={"X-Viewing": self.token, **headers})


def body(response: object) -> bytes:
    async def read() -> bytes:
        return b"".join([part async for part in response])  # type: ignore[attr-defined]

    return async_to_sync(read)()


def acts(action: str) -> list[int | None]:
    with scope.platform("test"):
        return [entry.actor_id for entry in AuditEntry.objects.filter(action=action)]


def test_a_recording_is_fetched_in_pieces_and_the_view_is_written_down_once(
    session: BastionSession, alice: User, client_for: ClientFor
) -> None:
    viewer = Viewer(client_for(alice), session)
    index = json.loads(viewer.get("index/").content)  # type: ignore[attr-defined]
    assert [number for number, *_ in index["pieces"]] == list(range(1, len(index["pieces"]) + 1))
    assert index["markers"] == [[11.0, "ls -l"]]
    assert index["duration"] >= 22
    assert index["isOver"]
    rows = b""
    for number, _first, _last, has_keyframe in index["pieces"]:
        piece = viewer.get(f"{number}/").content  # type: ignore[attr-defined]
        rows += piece
        first = next((line for line in piece.splitlines() if line.startswith(b"[")), b"")
        assert (b'"k"' in first) == bool(has_keyframe)
    assert b"first line" in rows
    assert b"the END" in rows
    viewer.client.get(viewer.base, headers={"HX-Request": "true"})
    assert acts("bastion.recording.view") == [alice.pk]


def test_a_browser_that_can_unpack_gets_a_piece_as_it_lies(
    session: BastionSession, root: User, client_for: ClientFor
) -> None:
    viewer = Viewer(client_for(root), session)
    packed = viewer.get("2/", **{"Accept-Encoding": "gzip, br, zstd"})
    assert packed["Content-Encoding"] == "zstd"  # type: ignore[index]
    plain = viewer.get("2/").content  # type: ignore[attr-defined]
    assert bytes(cramjam.zstd.decompress(packed.content)) == plain  # type: ignore[attr-defined]


def test_without_a_viewing_that_was_written_down_there_is_no_piece(
    session: BastionSession, alice: User, root: User, client_for: ClientFor
) -> None:
    of_alice = Viewer(client_for(alice), session)
    as_root = client_for(root)
    for token in ("", "nonsense", of_alice.token):
        for what in ("index/", "1/", "search/?q=x"):
            answer = as_root.get(of_alice.base + what, headers={"X-Viewing": token})
            assert answer.status_code == 403, (token, what)


def test_strangers_find_nothing_at_any_address(
    jia: Customer,
    session: BastionSession,
    web: Asset,
    bob: User,
    eve: User,
    chen: User,
    vera: User,
    root: User,
    client_for: ClientFor,
) -> None:
    """Nobody signed in; another customer's manager; members and engineers without the group."""
    token = Viewer(client_for(root), session).token
    base = reverse("bastion:session", args=[session.pk])
    for part in PARTS:
        assert Client().get(base + part).status_code == 302
        for person in (bob, eve, chen, vera):
            answer = client_for(person).get(base + part, headers={"X-Viewing": token})
            assert answer.status_code == 404, (person, part)
    for person in (bob, eve, chen):
        for name in ("hold", "lift"):
            assert client_for(person).post(f"{base}{name}/", {"words": "x"}).status_code == 404
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
    assert b"first line" in Viewer(client_for(bob), session).get("1/").content  # type: ignore[attr-defined]
    assert client_for(bob).get(base + "recording/evidence/").status_code == 403
    assert client_for(bob).post(f"{base}hold/", {"words": "x"}).status_code == 403


def test_a_right_that_is_taken_back_ends_a_viewing(
    jia: Customer, session: BastionSession, web: Asset, bob: User, root: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
    viewer = Viewer(client_for(bob), session)
    assert viewer.get("1/").status_code == 200  # type: ignore[attr-defined]
    with scope.platform("test"):
        groups.dismiss_administrator(group=group, person=bob, actor=root, now=NOW)
    assert viewer.get("1/").status_code == 404  # type: ignore[attr-defined]


def test_a_download_is_one_asciicast_for_any_player(
    session: BastionSession, alice: User, client_for: ClientFor
) -> None:
    answer = client_for(alice).get(reverse("bastion:recording-download", args=[session.pk]))
    head, *rows = [json.loads(line) for line in body(answer).splitlines()]
    assert head["version"] == 2
    assert (head["width"], head["height"]) == (80, 24)
    assert {code for _, code, _ in rows} <= {"o", "i", "r", "m"}
    assert "".join(text for _, code, text in rows if code == "o").startswith("first line")
    assert [at for at, _, _ in rows] == sorted(at for at, _, _ in rows)
    assert "attachment" in answer["Content-Disposition"]
    assert acts("bastion.recording.download") == [alice.pk]
    assert acts("bastion.recording.view") == []


def test_evidence_is_for_those_who_administer(session: BastionSession, alice: User, client_for: ClientFor) -> None:
    answer = client_for(alice).get(reverse("bastion:recording-evidence", args=[session.pk]))
    assert body(answer).startswith(b"PK")
    assert acts("bastion.recording.export") == [alice.pk]


Search = Callable[[str], list[tuple[float, str]]]


def all_hits(session: BastionSession, query: str) -> list[tuple[float, str]]:
    with scope.platform("test"):
        start: int | None = 1
        hits: list[tuple[float, str]] = []
        while start is not None:
            found = replaying.search(session, query, start=start)
            hits += [(round(hit.at_s), hit.before + hit.found + hit.after) for hit in found.hits]
            start = found.next
        return hits


def test_words_are_found_through_colours_pieces_and_single_letters(
    node: Node, web: Asset, root: User, tmp_path: Path
) -> None:
    session = kept.begin(node, web, root)

    def work(recorder: Recorder, clock: Clock) -> None:
        recorder.output(b"one \x1b[1;31mneed")
        clock.now += 11
        recorder.output(b"le\x1b[0m in here\r\n")
        for letter in b"systemctl":
            clock.now += 0.1
            recorder.output(bytes([letter]))
        clock.now += 11
        recorder.output("\r\n\x1b]0;needle of the title\x07堆栈 needle\r\n".encode())

    kept.record(session, tmp_path, work)
    assert [at for at, _ in all_hits(session, "NEEDLE")] == [11, 23]  # when all of the word stood there
    assert [at for at, _ in all_hits(session, "systemctl")] == [12]
    assert all_hits(session, "堆栈")[0][0] == 23
    assert all_hits(session, "title") == []
    assert all_hits(session, ".*") == []
    assert all_hits(session, "") == []


def test_a_search_that_takes_long_goes_on_where_it_was(
    node: Node, web: Asset, root: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = kept.begin(node, web, root)
    kept.record(session, tmp_path, kept.lines(*(f"needle {number}\r\n" for number in range(12))))
    monkeypatch.setattr(replaying, "SEARCH_S", -1.0)
    hits = all_hits(session, "needle")
    assert [text.strip() for _, text in hits] == [f"needle {number}" for number in range(12)]


def test_what_is_no_number_in_an_address_is_harmless(
    session: BastionSession, root: User, client_for: ClientFor
) -> None:
    viewer = Viewer(client_for(root), session)
    for query in ("?q=first&from=-1", "?q=first&from=x", "?q=first&from=99999999", "?from=1", "?q=%00"):
        assert viewer.get(f"search/{query}").status_code == 200  # type: ignore[attr-defined]
    assert viewer.get("99999999/").status_code == 404  # type: ignore[attr-defined]
    for start in ("x", "nan", "inf", "-5", "1e308"):
        assert client_for(root).get(f"{viewer.base}?t={start}").status_code == 200


def test_a_piece_that_is_lost_is_said_to_be_gone(session: BastionSession, root: User, client_for: ClientFor) -> None:
    viewer = Viewer(client_for(root), session)
    with scope.platform("test"):
        keeping.remove_all(list(session.pieces.filter(number=2)))
    assert viewer.get("2/").status_code == 410  # type: ignore[attr-defined]
    assert viewer.get("search/?q=END").status_code == 200  # type: ignore[attr-defined]


def test_a_purged_recording_opens_to_a_page_that_says_so(
    session: BastionSession, root: User, client_for: ClientFor
) -> None:
    viewer = Viewer(client_for(root), session)
    with scope.platform("test"):
        RecordingPurge.objects.create(
            customer_id=session.customer_id, session=session, keep_days=365, pieces=3, size=1, purged_at=NOW
        )
    assert "data-token" not in client_for(root).get(viewer.base).content.decode()
    assert viewer.get("1/").status_code == 404  # type: ignore[attr-defined]
    assert client_for(root).get(f"{viewer.base}download/").status_code in (400, 404, 409, 302)


def test_the_players_pages_alone_may_run_webassembly(
    session: BastionSession, root: User, client_for: ClientFor
) -> None:
    client = client_for(root)
    policy = client.get(reverse("bastion:recording", args=[session.pk]))["Content-Security-Policy"]
    assert "'wasm-unsafe-eval'" in policy
    assert "'unsafe-eval'" not in policy.replace("'wasm-unsafe-eval'", "")
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "wasm" not in client.get(reverse("bastion:sessions"))["Content-Security-Policy"]


def test_a_session_without_terminal_says_so(node: Node, web: Asset, root: User, tmp_path: Path) -> None:
    session = kept.begin(node, web, root, cols=0)

    def work(recorder: Recorder, _clock: Clock) -> None:
        recorder.output(b"out\n")
        recorder.error(b"oops\n")

    kept.record(session, tmp_path, work, has_screen=False)
    with scope.platform("test"):
        assert not replaying.index(session).size.has_terminal
        assert replaying.as_asciicast(session.pieces.select_related("session").get(number=1)).count(b'"o"') == 2


def test_a_recording_of_eight_hours_opens_without_being_read(
    node: Node, web: Asset, root: User, tmp_path: Path, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something small every half minute; page, index and a jump to the middle read what is shown and no more."""
    hours, every_s = 8, 30

    def work(recorder: Recorder, clock: Clock) -> None:
        for number in range(hours * 3600 // every_s):
            recorder.input(b"x")
            recorder.output(b"line %d\r\n" % number)
            clock.now += every_s

    made = kept.begin(node, web, root)
    kept.record(made, tmp_path, work)
    kept.end(made)
    read: list[int] = []
    get = keeping.get

    def noted(one: keeping.Kept) -> bytes:
        read.append(one.number)
        return get(one)

    monkeypatch.setattr(keeping, "get", noted)
    viewer = Viewer(client_for(root), made)
    answer = viewer.get("index/")
    index = json.loads(answer.content)  # type: ignore[attr-defined]
    assert index["duration"] >= hours * 3600 - 2 * every_s
    assert len(index["pieces"]) > 900
    assert len(answer.content) < 100_000  # type: ignore[attr-defined]
    assert read == []
    assert b"line 0" in viewer.get("1/").content  # type: ignore[attr-defined]
    middle, *_ = next(one for one in index["pieces"] if one[1] <= hours * 1800 < one[2] + every_s)
    has_screen = index["pieces"][middle - 1][3]
    assert has_screen, "a jump begins at this piece, which has the whole screen"
    assert b"line 4" in viewer.get(f"{middle}/").content  # type: ignore[attr-defined]
    assert read == [1, middle]
