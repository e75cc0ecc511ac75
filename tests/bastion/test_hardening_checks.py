"""The items of the checklist, judged by what four systems say of themselves, and by what no system should say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.hardening import checks, doors
from bastion.hardening.catalogue import items
from bastion.hardening.findings import Finding, Outcome, Password, Said, Standard
from bastion.hardening.output import CUT, harmless, parts, sections
from bastion.hardening.rules import Seen
from bastion.hardening_words import PROBLEMS, REASONS
from changes.catalogue import operations
from changes.scripts import shipped

SAID = Path(__file__).parent / "hardening_said"
NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
RANDOM = (Password("xxadmin", NOW - timedelta(days=10), is_random=True),)
STANDARD = Standard(
    now=NOW, ports=frozenset({80, 443}), bastions=("10.8.0.4", "10.8.0.5/32"), images=frozenset({"m-1"}), image="m-1",
    passwords=RANDOM, login_ports=frozenset({22}), cloud=Seen(),
)  # fmt: skip


def said(system: str) -> str:
    return (SAID / f"{system}.txt").read_text()


def outcome(system: str, code: str, standard: Standard = STANDARD) -> Finding:
    return checks.judge(said(system), standard)[code]


EXPECTED = {
    "debian-12": {"other-updates": "other_updates"},
    "ubuntu-22.04": {
        "accounts": "accounts_missing",
        "sudo": "sudo_extra",
        "one-root": "uid0_twins",
        "root-login": "root_login",
        "ssh-authentication": "password_login",
        "ssh-port": "usual_port",
        "login-source": "open_to_all",
        "ports": "ports_extra",
        "banner": "no_banner",
        "empty-passwords": "empty_passwords",
        "password-age": "password_age_default",
        "password-quality": "no_quality_module",
        "password-history": "history_short",
        "time-sync": "no_time_sync",
        "security-updates": "security_updates",
        "other-updates": "other_updates",
        "file-modes": "files_open",
        "services": "services_unwanted",
    },
    "centos-7": {
        "sudo": "sudo_extra",
        "ssh-authentication": "many_tries",
        "ssh-port": "usual_port",
        "ports": "ports_extra",
        "banner": "banner_empty",
        "password-age": "password_age_accounts",
        "other-updates": "other_updates",
        "services": "services_unwanted",
    },
    "rocky-9": {
        "accounts": "accounts_missing",
        "ports": "ports_extra",
        "security-updates": "security_updates",
        "other-updates": "other_updates",
    },
}
NOT_CHECKED = {
    "debian-12": {},
    "ubuntu-22.04": {},
    "centos-7": {"security-updates": "no_security_list"},
    "rocky-9": dict.fromkeys(
        ["sudo", "root-login", "ssh-authentication", "ssh-port", "login-source", "security-group",
         "banner", "empty-passwords", "password-age", "file-modes"],
        "needs_root",
    ),
}  # fmt: skip


@pytest.mark.parametrize("system", EXPECTED)
def test_four_systems_are_judged(system: str) -> None:
    found = checks.judge(said(system), STANDARD)
    failed = {code: one.code for code, one in found.items() if one.outcome is Outcome.FAILED}
    unknown = {code: one.code for code, one in found.items() if one.outcome is Outcome.NOT_CHECKED}
    assert failed == EXPECTED[system]
    assert unknown == NOT_CHECKED[system]
    assert list(found) == list(items())


def test_names_say_what_it_is_about() -> None:
    assert outcome("ubuntu-22.04", "one-root").names == ("toor",)
    assert outcome("ubuntu-22.04", "empty-passwords").names == ("deploy",)
    assert outcome("ubuntu-22.04", "sudo").names == ("ubuntu",)
    assert outcome("ubuntu-22.04", "ports").names == ("3306",)
    assert outcome("centos-7", "ports").names == ("111",)
    assert outcome("rocky-9", "security-updates").names[0] == "2"
    assert outcome("ubuntu-22.04", "file-modes").names == ("/etc/passwd", "/etc/shadow", "/etc/cron.d/backup")
    assert outcome("ubuntu-22.04", "security-updates").names == ("2", "openssl", "libssl3")


def test_a_match_block_cannot_hide_what_holds_for_root() -> None:
    before, after = said("debian-12").split("#begin sshd_root")
    text = f"{before}#begin sshd_root{after.replace('permitrootlogin no', 'permitrootlogin yes')}"
    found = checks.judge(text, STANDARD)["root-login"]
    assert (found.outcome, found.code, found.names) == (Outcome.FAILED, "root_login", ("yes",))


def test_a_match_block_leaves_the_sources_unproven() -> None:
    text = said("debian-12").replace(
        "#begin sshd_matches\n", "#begin sshd_matches\n /etc/ssh/sshd_config:9:Match Address 0.0.0.0/0\n"
    )
    assert checks.judge(text, STANDARD)["login-source"].code == "match_blocks"


def test_passwords_may_be_agreed() -> None:
    text = said("debian-12").replace("passwordauthentication no", "passwordauthentication yes")
    assert checks.judge(text, STANDARD)["ssh-authentication"].code == "password_login"
    assert checks.judge(text, replace(STANDARD, allows_passwords=True))["ssh-authentication"].outcome is Outcome.PASSED


def test_nothing_is_asked_that_nobody_agreed() -> None:
    bare = Standard(now=NOW)
    found = checks.judge(said("debian-12"), bare)
    assert found["ports"].code == "ports_not_agreed"
    assert found["login-source"].code == "no_bastion_address"
    assert found["image"].code == "image_not_known"
    assert checks.judge(said("debian-12"), replace(bare, image="m-9"))["image"].code == "no_images"
    assert checks.judge(said("debian-12"), replace(STANDARD, image="m-9"))["image"].outcome is Outcome.FAILED


def test_typed_and_old_passwords_are_told_from_drawn_ones() -> None:
    typed = Password("xxadmin", NOW, is_random=False)
    old = Password("trops", NOW - timedelta(days=91), is_random=True)
    assert outcome("debian-12", "password-random", replace(STANDARD, passwords=(typed,))).code == "passwords_typed"
    assert outcome("debian-12", "password-random", replace(STANDARD, passwords=(old,))).code == "passwords_old"
    assert outcome("debian-12", "password-random", replace(STANDARD, passwords=())).outcome is Outcome.NOT_CHECKED


def filtered(*rules: str, v6: tuple[str, ...] = ("-P INPUT DROP",), wrapped: str = "") -> Finding:
    text = said("ubuntu-22.04")
    head, rest = text.split("#begin packet_filter\n")
    tail = rest.partition("\n#end packet_filter")[2]
    body = "".join(
        f" {line}\n" for line in ("@ipv4", *rules, "@ipv6", *v6, "@firewalld", *([wrapped] if wrapped else []))
    )
    return checks.judge(f"{head}#begin packet_filter\n{body}\n#end packet_filter{tail}", STANDARD)["login-source"]


SHUT, OPEN, BASTION = "-P INPUT DROP", "-P INPUT ACCEPT", "-A INPUT -s 10.8.0.4/32"


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ((SHUT, "-A INPUT -i lo -j ACCEPT", f"{BASTION} -p tcp -m tcp --dport 22 -j ACCEPT"), "packet_filter"),
        ((SHUT, "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"), "packet_filter"),
        ((SHUT, "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"), "open_to_all"),
        ((SHUT, "-A INPUT -p tcp -m multiport --dports 20:25,80 -j ACCEPT"), "open_to_all"),
        ((SHUT, "-A INPUT -s 203.0.113.0/24 -j ACCEPT"), "allowed_elsewhere"),
        ((SHUT, "-A INPUT ! -s 10.8.0.4/32 -j ACCEPT"), "open_to_all"),
        ((OPEN, f"{BASTION} -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 22 -j DROP"), "packet_filter"),
        ((OPEN, "-A INPUT -m state --state INVALID -j DROP"), "open_to_all"),
        ((OPEN, "-A INPUT -s 198.51.100.1/32 -j DROP"), "open_to_all"),
        ((SHUT, "-A INPUT -j ufw-before-input"), "filter_unread"),
        ((SHUT, "-A INPUT -m state --state NEW,ESTABLISHED -j ACCEPT"), "open_to_all"),
        ((SHUT, "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"), "packet_filter"),
    ],
)
def test_a_packet_filter_is_believed_only_when_it_is_plain(rules: tuple[str, ...], code: str) -> None:
    assert filtered(*rules).code == code


def test_the_other_family_of_addresses_counts_as_well() -> None:
    shut = ("-P INPUT DROP", "-A INPUT -s 10.8.0.4/32 -j ACCEPT")
    assert filtered(*shut, v6=("-P INPUT ACCEPT",)).code == "open_to_all"
    assert filtered(*shut, v6=()).code == "open_to_all"
    assert filtered(*shut, wrapped="running").code == "filter_unread"


def test_allowed_users_from_elsewhere_are_named() -> None:
    text = said("debian-12").replace("allowusers *@10.8.0.5", "allowusers deploy")
    found = checks.judge(text, STANDARD)["login-source"]
    assert (found.code, found.names) == ("allowed_elsewhere", ("deploy",))


def test_lists_that_are_old_say_nothing_of_updates() -> None:
    text = said("debian-12").replace("@age 1772300000", "@age 1770000000")
    assert checks.judge(text, STANDARD)["security-updates"].code == "lists_stale"


def test_what_was_not_read_never_passes() -> None:
    """Only what the platform itself knows, and nothing that the server would have to say."""
    for text in ("", "#begin sshd\n", "garbage\n" * 1000, "#end sshd 0\n permitrootlogin no"):
        found = checks.judge(text, STANDARD)
        assert {code for code, one in found.items() if one.outcome is not Outcome.NOT_CHECKED} == {
            "password-random",
            "image",
        }


def test_content_cannot_pass_for_a_mark() -> None:
    text = "#begin banner\n @/etc/issue\n #end banner 0\n #begin sshd\n permitrootlogin no\n\n#end banner 0\n#over\n"
    assert set(sections(text)) == {"banner"}
    assert checks.judge(text, STANDARD)["root-login"].outcome is Outcome.NOT_CHECKED


def test_a_section_that_breaks_off_is_cut() -> None:
    assert sections("#begin sshd\n port 22\n")["sshd"].code == CUT
    assert sections("#begin a\n x\n#begin b\n y\n\n#end b 0\n")["a"].code == CUT


def test_evidence_is_harmless() -> None:
    text = said("debian-12").replace("Authorised", "\x1b]0;owned\x07\x1b[2J\u202eAuthorised\x00")
    evidence = checks.judge(text, STANDARD)["banner"].evidence
    assert not set(evidence) & {"\x1b", "\x07", "\x00", "\u202e"}
    assert "Authorised" in evidence
    assert len(harmless("x" * 100_000)) == 4000


@given(st.text(max_size=600))
def test_any_words_are_judged_without_an_error(words: str) -> None:
    for found in checks.judge(words, STANDARD).values():
        assert found.outcome in Outcome


SECTIONS = sorted(sections(said("debian-12")))


@given(st.dictionaries(st.sampled_from(SECTIONS), st.text(max_size=200)))
def test_any_content_is_judged_without_an_error(bodies: dict[str, str]) -> None:
    lines = []
    for name, body in bodies.items():
        lines += [f"#begin {name}", *(f" {line}" for line in body.split("\n")), f"#end {name} 0"]
    found = checks.judge("\n".join(lines), STANDARD)
    assert all(one.evidence == harmless(one.evidence) for one in found.values())
    assert all(one.code in REASONS for one in found.values())
    assert all(one.code != "not_understood" for one in found.values())


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_lines_of_ports_never_break(text: str) -> None:
    for _kind, _host, port, _program in doors.listening(text.split("\n")):
        assert 0 <= port <= 65535


def test_the_score_is_by_weight_and_unread_does_not_count_as_good() -> None:
    good = {"root-login": Outcome.PASSED, "banner": Outcome.FAILED}
    assert checks.score(good) == 5 * 100 // 6
    assert checks.score({**good, "banner": Outcome.NOT_CHECKED}) == 5 * 100 // 6
    assert checks.score({}) is None


def test_each_item_has_its_check_its_words_and_a_remedy_that_exists() -> None:
    assert set(checks.CHECKS) == set(items())
    for item in items().values():
        assert item.name.en
        assert item.name.zh
        assert item.why.zh
        assert item.remedy.how.zh
        assert item.clause
        if item.remedy.script:
            script = shipped()[item.remedy.script].script
            assert set(item.remedy.parameters) <= {one["name"] for one in script.parameters}
            assert not script.only_reads
            assert item.remedy.undo.en
            assert item.remedy.undo.zh
        if item.remedy.operation:
            assert item.remedy.operation in operations()


def test_every_reason_that_the_code_can_give_has_its_words() -> None:
    text = "".join(path.read_text() for path in (Path(checks.__file__).parent).glob("*.py"))
    codes = set(re.findall(r'(?:passed|failed|unknown)\(\s*"([a-z0-9_]+)"', text))
    codes |= {"no_security_updates", "no_other_updates", "security_updates", "other_updates"}
    assert codes <= set(REASONS), codes - set(REASONS)
    assert "unreachable" in PROBLEMS


def test_parts_and_system_name() -> None:
    assert parts(sections("#begin a\n x\n @m\n y\n\n#end a 0\n")["a"]) == {"": ["x"], "m": ["y"]}
    assert checks.system_name(said("centos-7")) == "CentOS Linux 7 (Core)"
    assert checks.had_root(said("debian-12"))
    assert not checks.had_root(said("rocky-9"))
    assert json.dumps([one.names for one in checks.judge(said("debian-12"), STANDARD).values()])
    assert Said().of("anything").code == CUT
