"""What counts as a change between two readings of a host, and what does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from monitoring.hostdiff import Change, Kind, compare, merged

BOOT, NOW = 1_772_000_000.0, 1_772_100_000.0
OLD_TEXT, NEW_TEXT = "workers = 4\nport = 80\n", "workers = 8\nport = 80\n"


def item(digest: str, **extra: Any) -> dict[str, Any]:
    return {"digest": digest, "size": 10, "mode": "0644", "owner": 0, "has_text": True, **extra}


@pytest.fixture
def before() -> dict[str, Any]:
    return {
        "format": 1,
        "at": NOW,
        "boot": BOOT,
        "key": "k1",
        "hostname": "web-01",
        "processes": {"state": "ok", "names": {"nginx": 2, "sh": 1}, "settled": ["nginx", "sshd"]},
        "accounts": {
            "state": "ok",
            "passwords": "ok",
            "users": {
                "root": {"uid": "0", "shell": "/bin/bash", "record": "r0", "password": "p0"},
                "alice": {"uid": "1000", "shell": "/bin/sh", "record": "r1", "password": "p1"},
            },
        },
        "sudo": {"state": "ok", "files": {"/etc/sudoers": item("s0")}, "members": {"sudo": ["alice"]}},
        "files": {"state": "ok", "items": {"/etc/app.conf": item("d0")}},
        "firewall": {"state": "ok", "tool": "nft", "rules": 3, "digest": "f0"},
        "ports": {"state": "ok", "items": {"tcp 0.0.0.0 80": "nginx", "tcp 0.0.0.0 45001": "java"}},
    }


@pytest.fixture
def after(before: dict[str, Any]) -> dict[str, Any]:
    return {**copy.deepcopy(before), "at": NOW + 60}


def kinds(found: list[Change]) -> list[Kind]:
    return [change.kind for change in found]


def test_the_first_reading_is_what_later_ones_are_compared_with(after: dict[str, Any]) -> None:
    assert compare({}, after, {}, {}) == []


def test_nothing_changed_is_nothing(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert compare(before, after, {}, {}) == []


def test_a_changed_password_names_its_user_only(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["accounts"]["users"]["root"]["password"] = "p9"
    [change] = compare(before, after, {}, {})
    assert (change.kind, change.name) == (Kind.PASSWORD, "root")
    assert "p9" not in str(change.detail)


def test_users_come_go_and_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    del after["accounts"]["users"]["alice"]
    after["accounts"]["users"]["mallory"] = {"uid": "0", "shell": "/bin/bash", "record": "r9"}
    after["accounts"]["users"]["root"] |= {"record": "r8", "shell": "/bin/zsh"}
    found = compare(before, after, {}, {})
    assert [(change.kind, change.name) for change in found] == [
        (Kind.ACCOUNT, "mallory"),
        (Kind.ACCOUNT, "alice"),
        (Kind.ACCOUNT, "root"),
    ]
    assert "UID 0" in found[0].title_en


def test_a_shadow_file_that_may_not_be_read_still_shows_that_it_was_written(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    for facts, moment in ((before, 1.0), (after, 2.0)):
        facts["accounts"] |= {"passwords": "not_permitted", "changed_at": moment}
        for user in facts["accounts"]["users"].values():
            user.pop("password")
    [change] = compare(before, after, {}, {})
    assert (change.kind, change.name) == (Kind.PASSWORD, "")


def test_sudo_changes_in_files_and_in_groups(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["sudo"]["files"]["/etc/sudoers.d/x"] = item("s1")
    after["sudo"]["members"] = {"sudo": ["alice", "mallory"]}
    found = compare(before, after, {}, {"s1": "mallory ALL=(ALL) ALL"})
    assert kinds(found) == [Kind.SUDO, Kind.SUDO]
    assert "+mallory ALL=(ALL) ALL" in found[0].detail["diff"]
    assert found[1].detail == {"group": "sudo", "added": ["mallory"], "removed": []}


def test_a_changed_configuration_keeps_its_diff(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["files"]["items"]["/etc/app.conf"]["digest"] = "d1"
    [change] = compare(before, after, {"d0": OLD_TEXT}, {"d1": NEW_TEXT})
    assert change.kind is Kind.CONFIG
    assert change.detail["diff"].splitlines()[-3:] == ["-workers = 4", "+workers = 8", " port = 80"]


@pytest.mark.parametrize(
    ("texts", "new", "why"),
    [({"d0": OLD_TEXT}, {}, "no_text"), ({"d0": OLD_TEXT}, {"d1": OLD_TEXT}, "masked_only")],
)
def test_a_change_without_words_says_why(
    before: dict[str, Any], after: dict[str, Any], texts: dict[str, str], new: dict[str, str], why: str
) -> None:
    after["files"]["items"]["/etc/app.conf"]["digest"] = "d1"
    [change] = compare(before, after, texts, new)
    assert change.detail["why"] == why


def test_a_long_diff_is_cut_and_says_so(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["files"]["items"]["/etc/app.conf"]["digest"] = "d1"
    [change] = compare(before, after, {"d0": ""}, {"d1": "\n".join(str(n) * 999 for n in range(5000))})
    assert len(change.detail["diff"]) < 200_000
    assert change.detail["left_out"] > 4000


def test_files_that_come_and_go_and_rights_that_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    before["files"]["items"]["/etc/gone.conf"] = item("g")
    after["files"]["items"] |= {"/etc/new.conf": item("n"), "/etc/app.conf": item("d0", mode="0666")}
    found = compare(before, after, {"g": "a\n"}, {"n": "b\n"})
    assert [change.name for change in found] == ["/etc/new.conf", "/etc/gone.conf", "/etc/app.conf"]
    assert found[2].detail["after"] == "0666 uid 0"


def test_firewall_name_and_restart(before: dict[str, Any], after: dict[str, Any]) -> None:
    after |= {"hostname": "web-02", "boot": NOW - 1000}
    after["firewall"] |= {"rules": 0, "digest": "f1"}
    found = compare(before, after, {"f0": "rule\n"}, {"f1": ""})
    assert kinds(found) == [Kind.HOSTNAME, Kind.REBOOT, Kind.FIREWALL]
    assert "3 → 0" in found[2].title_en


def test_a_clock_set_a_little_is_no_restart(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert compare(before, {**after, "boot": BOOT + 10}, {}, {}) == []


def test_ports_and_processes(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["ports"]["items"] = {"tcp 0.0.0.0 8080": "x", "tcp 0.0.0.0 45999": "java"}
    after["processes"] |= {"settled": ["miner", "sshd"], "names": {"miner": 1, "sshd": 1}}
    found = compare(before, after, {}, {})
    assert kinds(found) == [Kind.PORTS, Kind.PROCESSES]
    assert [one["port"] for one in found[0].detail["added"]] == ["tcp 0.0.0.0 8080"]
    assert found[1].detail == {"added": ["miner"], "removed": ["nginx"]}


def test_a_process_that_was_restarted_is_not_gone(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["processes"]["settled"] = ["sshd"]  # nginx runs, and is younger than ten minutes
    assert compare(before, after, {}, {}) == []


def test_after_a_boot_processes_and_ports_may_settle_first(before: dict[str, Any], after: dict[str, Any]) -> None:
    after["boot"] = after["at"] - 100
    after["ports"]["items"] = {}
    after["processes"] |= {"settled": [], "names": {}}
    assert kinds(compare(before, after, {}, {})) == [Kind.REBOOT]


@pytest.mark.parametrize("section", ["accounts", "files", "firewall", "ports", "processes"])
@pytest.mark.parametrize("state", ["not_permitted", "failed", "skipped", "absent"])
def test_a_section_that_is_hidden_says_nothing_and_its_last_reading_stays(
    before: dict[str, Any], after: dict[str, Any], section: str, state: str
) -> None:
    after[section] = {"state": state}
    assert compare(before, after, {}, {}) == []
    kept = merged(before, after)
    assert kept[section]["hidden"] == state
    assert compare(kept, {**copy.deepcopy(before), "at": NOW + 120}, {}, {}) == []


def test_rights_taken_from_the_agent_do_not_hide_a_change_of_password(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    hidden = copy.deepcopy(after)
    hidden["accounts"] |= {"passwords": "not_permitted", "changed_at": 1.0}
    for user in hidden["accounts"]["users"].values():
        user.pop("password")
    assert compare(before, hidden, {}, {}) == []
    kept = merged(before, hidden)
    after["accounts"]["users"]["root"]["password"] = "p9"
    assert kinds(compare(kept, after, {}, {})) == [Kind.PASSWORD]


def test_a_new_token_makes_other_digests_and_no_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    after |= {"key": "k2", "hostname": "web-02"}
    after["files"]["items"]["/etc/app.conf"]["digest"] = "other"
    after["accounts"]["users"]["root"]["password"] = "other"
    assert kinds(compare(before, after, {}, {})) == [Kind.HOSTNAME]
