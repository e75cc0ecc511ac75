"""Log-ins as servers write them down: read, laid beside sessions and the platform's own work, and what remains told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.hardening import logins, matching
from bastion.hardening.logins import Login, Read, address
from bastion.hardening.matching import Known, Use, Verdict

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


def said(
    *, clock: datetime = NOW, zone: str = "+0800", name: str = "/usr/share/zoneinfo/Asia/Shanghai", **bodies: str
) -> str:
    lines = ["#begin clock", f" {int(clock.timestamp())}", f" {zone}", f" {name}", "", "#end clock 0"]
    for section, body in bodies.items():
        lines += [f"#begin {section}", *(f" {line}" for line in body.strip("\n").split("\n")), "", f"#end {section} 0"]
    return "\n".join([*lines, "#over"])


def read(**said_: str | datetime) -> Read:
    found = logins.read(said(**said_), now=NOW)  # type: ignore[arg-type]
    assert found is not None
    return found


def us(at: datetime) -> str:
    return str(int(at.timestamp() * 1_000_000))


def test_the_journal_is_read_to_the_microsecond() -> None:
    at = NOW - timedelta(minutes=5, microseconds=123_456)
    body = f"""
{us(at)} 4711 Accepted publickey for trops from 10.8.0.4 port 50022 ssh2: ED25519 SHA256:Ab+c/d
{us(at)} 4712 Failed password for root from 10.8.0.4 port 1 ssh2
{us(at + timedelta(seconds=9))} 4713 Accepted keyboard-interactive/pam for xxadmin from 2001:db8::7 port 40000 ssh2
"""
    one, two = read(journal=body).logins
    assert one == Login(at, "trops", "10.8.0.4", 50022, "publickey", "ED25519 SHA256:Ab+c/d", "journal")
    assert (two.account, two.source, two.method) == ("xxadmin", "2001:db8::7", "keyboard-interactive/pam")


def test_files_are_read_in_the_servers_own_zone_and_year() -> None:
    body = """
@/var/log/secure 1772416800
Mar  2 09:30:00 db-01 sshd[991]: Accepted password for root from 203.0.113.9 port 40111 ssh2
Dec 31 23:59:59 db-01 sshd[992]: Accepted password for root from 203.0.113.9 port 40112 ssh2
Mar  2 09:31:00 db-01 sshd[993]: pam_unix(sshd:session): session opened for user Accepted by (uid=0)
@/var/log/auth.log.1 1772416800
2026-03-02T09:40:00.123456+08:00 web-1 sshd-session[99]: Accepted publickey for trops from ::ffff:10.8.0.4 port 9 ssh2
"""
    found = read(files=body).logins
    assert [one.at for one in found] == [
        datetime(2025, 12, 31, 15, 59, 59, tzinfo=UTC),
        datetime(2026, 3, 2, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 2, 1, 40, 0, 123_456, tzinfo=UTC),
    ]
    assert found[2].source == "10.8.0.4"


def test_summer_time_is_the_servers_own() -> None:
    body = (
        "@/var/log/auth.log 1783000000\nJul  1 12:00:00 x sshd[1]: Accepted password for a from 192.0.2.1 port 1 ssh2"
    )
    late = datetime(2026, 7, 2, tzinfo=UTC)
    text = said(clock=late, zone="+0200", name="/usr/share/zoneinfo/Europe/Berlin", files=body)
    found = logins.read(text, now=late)
    assert found is not None
    assert found.logins[0].at == datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_without_a_name_of_the_zone_its_difference_is_taken() -> None:
    body = (
        "@/var/log/auth.log 1772416800\nMar  2 04:00:00 x sshd[1]: Accepted password for a from 192.0.2.1 port 1 ssh2"
    )
    found = logins.read(said(zone="+0530", name="/etc/localtime", files=body), now=NOW)
    assert found is not None
    assert found.logins[0].at == datetime(2026, 3, 1, 22, 30, tzinfo=UTC)


LAST = """
@/var/log/wtmp
trops    pts/0        10.8.0.4         Mon Mar  2 09:00:01 2026 - Mon Mar  2 09:20:00 2026  (00:19)
root     pts/1        203.0.113.9      Mon Mar  2 09:30:02 2026   still logged in
root     tty1         0.0.0.0          Mon Mar  2 08:00:00 2026 - Mon Mar  2 08:10:00 2026  (00:10)
bob      pts/3        0.0.0.0          Mon Mar  2 08:30:00 2026 - Mon Mar  2 08:40:00 2026  (00:10)
reboot   system boot  0.0.0.0          Mon Mar  2 07:00:00 2026   still running

wtmp begins Mon Mar  2 07:00:00 2026
"""


def test_records_of_terminals_say_what_logs_do_not() -> None:
    """A console, and a log-in whose line in the log is gone; a terminal within a session is no log-in."""
    journal = f"{us(datetime(2026, 3, 2, 1, 0, tzinfo=UTC))} 1 Accepted publickey for trops from 10.8.0.4 port 5 ssh2"
    console, trops, root = read(journal=journal, wtmp=LAST).logins
    assert (console.account, console.source, console.found_in) == ("root", "", "wtmp")
    assert (trops.found_in, trops.port, trops.ended_at) == ("journal", 5, datetime(2026, 3, 2, 1, 20, tzinfo=UTC))
    assert (root.found_in, root.source, root.ended_at) == ("wtmp", "203.0.113.9", None)


def test_journal_and_file_say_the_same_log_in_once() -> None:
    at = datetime(2026, 3, 2, 1, 30, 0, 400_000, tzinfo=UTC)
    journal = f"{us(at)} 7 Accepted password for root from 203.0.113.9 port 40111 ssh2"
    words = "Accepted password for root from 203.0.113.9 port 40111 ssh2"
    file = f"@/var/log/secure 1772416800\nMar  2 09:30:00 x sshd[7]: {words}"
    assert len(read(journal=journal, files=file).logins) == 1
    later = file.replace("09:30:00", "09:40:00")
    assert len(read(journal=journal, files=later).logins) == 2


@pytest.mark.parametrize("ahead_s", [-7200, -90, 0, 90, 86_400 * 3])
def test_a_clock_that_is_wrong_is_set_right(ahead_s: int) -> None:
    theirs = NOW + timedelta(seconds=ahead_s)
    at = theirs - timedelta(minutes=5)
    body = f"{us(at)} 1 Accepted password for root from 192.0.2.1 port 1 ssh2"
    found = read(clock=theirs, journal=body, oldest=us(theirs - timedelta(days=3)))
    assert found.skew_s == ahead_s
    assert found.logins[0].at == NOW - timedelta(minutes=5)
    assert found.since == NOW - timedelta(days=3)


def test_who_may_read_nothing_is_blind_and_not_innocent() -> None:
    text = said() + "\n#begin journal\n\n#end journal 77\n#begin files\n\n#end files 77\n#begin wtmp\n\n#end wtmp 78\n"
    found = logins.read(text, now=NOW)
    assert found is not None
    assert found.is_blind
    assert not read(journal=f"{us(NOW)} 1 Accepted password for a from 192.0.2.1 port 1 ssh2").is_blind


@pytest.mark.parametrize("text", ["", "garbage", "#begin clock\n never\n\n#end clock 0\n", "#begin journal\n x\n"])
def test_what_the_script_would_not_say_is_nothing(text: str) -> None:
    assert logins.read(text, now=NOW) is None


@given(st.text(max_size=400), st.text(max_size=400), st.text(max_size=400))
def test_any_log_is_read_without_an_error(journal: str, files: str, wtmp: str) -> None:
    for one in read(journal=journal, files=f"@/var/log/auth.log 1\n{files}", wtmp=wtmp).logins:
        assert address(one.source) == one.source


@given(
    st.integers(0, 333 * 86_400).map(lambda ago: NOW - timedelta(seconds=ago)),
    st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True),
    st.ip_addresses().map(str),
    st.integers(1, 65_535),
)
def test_a_line_of_a_log_gives_back_what_was_written(at: datetime, account: str, source: str, port: int) -> None:
    local = at.astimezone(ZoneInfo("Asia/Shanghai"))
    words = f"Accepted password for {account} from {source} port {port} ssh2"
    line = f"{local:%b} {local.day:2d} {local:%H:%M:%S} h sshd[7]: {words}"
    found = read(files=f"@/var/log/auth.log {int(NOW.timestamp())}\n{line}").logins
    expected = address(source)
    assert [(one.at, one.account, one.source, one.port) for one in found] == (
        [(at, account, expected, port)] if expected else []
    )


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def login(seconds: float = 0, account: str = "trops", source: str = "10.8.0.4") -> Login:
    return Login(at(seconds), account, source, 50_000)


def session(key: int = 1, seconds: float = 0, account: str = "trops", *addresses: str) -> Known:
    return Known(key, account, at(seconds), at(seconds + 2), addresses or ("10.8.0.4",))


def verdicts(
    logins_: list[Login], sessions: list[Known] | None = None, uses: list[Use] | None = None
) -> list[tuple[Verdict, int | None]]:
    judged = matching.judge(logins_, sessions or [], uses or [], ["10.8.0.1", "2001:db8::1"])
    return [(one.verdict, one.session) for one in judged]


def test_a_session_explains_one_log_in() -> None:
    assert verdicts([login(1)], [session(7)]) == [(Verdict.BASTION, 7)]
    assert verdicts([login(1), login(3)], [session(7)]) == [(Verdict.BASTION, 7), (Verdict.DIRECT, None)]
    assert verdicts([login(1), login(3)], [session(7), session(8, 2)]) == [(Verdict.BASTION, 7), (Verdict.BASTION, 8)]


@pytest.mark.parametrize(
    "other",
    [
        login(1, account="root"),
        login(1, source="203.0.113.9"),
        login(-60),
        login(400),
    ],
)
def test_another_account_source_or_time_is_not_that_session(other: Login) -> None:
    assert verdicts([other], [session(7)]) == [(Verdict.DIRECT, None)]


def test_a_node_of_which_nobody_said_where_it_comes_from_explains_by_account_and_time() -> None:
    nowhere = Known(7, "trops", at(0), at(2))
    assert verdicts([login(1, source="203.0.113.9")], [nowhere]) == [(Verdict.BASTION, 7)]


def test_the_platforms_own_work_is_known_by_the_use_of_a_secret() -> None:
    used = [Use("trops", at(0))]
    assert verdicts([login(2, source="10.8.0.1")], uses=used) == [(Verdict.PLATFORM, None)]
    assert verdicts([login(2, source="2001:db8::1")], uses=used) == [(Verdict.PLATFORM, None)]
    assert verdicts([login(2, source="10.8.0.9")], uses=used) == [(Verdict.DIRECT, None)]
    assert verdicts([login(2, account="root", source="10.8.0.1")], uses=used) == [(Verdict.DIRECT, None)]
    assert verdicts([login(900, source="10.8.0.1")], uses=used) == [(Verdict.DIRECT, None)]


def test_a_network_may_be_the_bastions() -> None:
    assert verdicts([login(1)], [session(7, 0, "trops", "10.8.0.0/24")]) == [(Verdict.BASTION, 7)]
    assert verdicts([login(1, source="2001:db8::9")], [session(7, 0, "trops", "2001:db8::/64")]) == [
        (Verdict.BASTION, 7)
    ]


def test_the_console_is_nobodys_address() -> None:
    assert verdicts([login(1, source="")], [session(7)], [Use("trops", at(0))]) == [(Verdict.DIRECT, None)]
