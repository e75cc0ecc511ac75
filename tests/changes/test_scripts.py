"""Scripts on real hosts over SSH: who may run what, hostile values, canary and batches, and what nobody knows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from hypothesis import given as hypothesis_given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset, Credential
from assets.services import credentials, reaching
from changes.catalogue import Words
from changes.models import (
    Change,
    ChangeEntry,
    ChangeState,
    ChangeTemplate,
    HostState,
    ScriptRun,
    ScriptRunState,
    ScriptVersion,
)
from changes.scripts import BadScript, Interpreter, check, command, given, parse, parse_values
from changes.services import executing, script_library, script_runs
from changes.services.script_library import Proposal
from changes.services.script_runs import Pace
from changes.timeline import sentence
from incidents.models import Incident
from notify.models import Delivery
from tests.assets import sshd
from tests.assets.sshd import free_port
from tests.changes.conftest import draft
from tests.changes.hosts import TEXT, KeyHost, Turns, approved, only, place_host, read_on, script, states
from tests.changes.runs import set_to
from tests.conftest import NOW
from tests.incidents.conftest import make_asset

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = (
    "$(touch {mark})",
    "`touch {mark}`",
    "; touch {mark} #",
    "' ; touch {mark} ; '",
    '" && touch {mark} && "',
    "| touch {mark}",
    "x\\' touch {mark}",
    "-rf /",
    "!touch",
    "$PATH ${{IFS}} %s %n *",
    "引号“‘’”与空格  尾",
)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def web(jia: Customer, host: KeyHost) -> Asset:
    return place_host(jia, host, "web-1")


@pytest.fixture
def fleet(jia: Customer, host: KeyHost) -> list[Asset]:
    return [place_host(jia, host, f"web-{number}") for number in range(1, 6)]


# what a script is


def test_a_version_needs_a_second_person(chen: User, lin: User, root: User, alice: User) -> None:
    said = Proposal("try-out", Words("Try out", "试运行"), script("true"))
    with pytest.raises(PermissionDenied):
        script_library.propose(customer=None, said=said, actor=alice, now=NOW)
    version = script_library.propose(customer=None, said=said, actor=lin, now=NOW)
    for person in (lin, chen, alice):
        with pytest.raises(PermissionDenied):
            script_library.approve(version=version, actor=person, now=NOW)
    assert script_library.approve(version=version, actor=root, now=NOW).is_approved
    with pytest.raises(IntegrityError), transaction.atomic(), scope.platform("test"):
        ScriptVersion.objects.filter(pk=version.pk).update(approved_by=lin)


def test_the_next_version_leaves_the_old_one(chen: User, lin: User) -> None:
    first = approved(script("echo 1"), chen, lin)
    with pytest.raises(DomainError, match="1"):
        approved(script("echo 1"), chen, lin)
    second = script_library.propose(
        customer=None, said=Proposal("try-out", Words("Try", "试"), script("echo 2")), actor=chen, now=NOW
    )
    assert (first.number, second.number) == (1, 2)
    assert named() == first, "the second is not approved yet"
    with pytest.raises(DomainError):
        named(2)
    script_library.approve(version=second, actor=lin, now=NOW + timedelta(hours=2))
    assert named() == second
    assert named(1) == first, "old ones stay"
    assert named(told_at=NOW + timedelta(hours=1)) == first, "what the customer was told of"
    script_library.retire(version=second, actor=chen, now=NOW)
    assert named() == first


def named(number: int | None = None, told_at: datetime | None = None) -> ScriptVersion:
    return script_library.find("try-out", number, customer_id=1, told_at=told_at)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"body": " "}, "no_body"),
        ({"body": "x" * 70_000}, "body_too_long"),
        ({"body": "a\0b"}, "body_too_long"),
        ({"body": "true", "accounts": frozenset()}, "no_accounts"),
        ({"body": "true", "timeout_s": 0}, "timeout"),
        ({"body": "true", "timeout_s": 901}, "timeout"),
        ({"body": "true", "output_limit": 0}, "output_limit"),
        ({"body": "true", "parameters": ({"name": "A b"},)}, "bad_parameter"),
        ({"body": "true", "parameters": ("x",)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "name": "LD_PRELOAD"},)}, "bad_name"),
        ({"body": "true", "parameters": (TEXT, TEXT)}, "bad_name"),
        ({"body": "true", "parameters": ({**TEXT, "type": "long_text"},)}, "bad_type"),
        ({"body": "true", "parameters": ({**TEXT, "type": "choice"},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "en": 5},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "zh": " "},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "required": "no"},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "type": "integer", "min": "1"},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "type": "integer", "max": True},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "type": "integer", "min": 5, "max": 1},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "unit": 3},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "placeholder": ["x"]},)}, "bad_parameter"),
        ({"body": "true", "parameters": ({**TEXT, "offers": "index"},)}, "bad_parameter"),
        (
            {
                "body": "true",
                "parameters": ({**TEXT, "type": "choice", "choices": [{"value": 1, "en": "A", "zh": "甲"}]},),
            },
            "bad_parameter",
        ),
        ({"body": "true", "parameters": tuple({**TEXT, "name": f"p{n}"} for n in range(13))}, "too_many_parameters"),
    ],
)
def test_what_no_script_may_be(said: dict[str, object], code: str) -> None:
    body = str(said.pop("body"))
    with pytest.raises(BadScript) as refused:
        check(script(body, **said))
    assert refused.value.code == code


@pytest.mark.parametrize("text", ["", "a b", "x@", "x@y", "x@1@2", "../x", "x@99999999"])
def test_a_change_names_a_script_plainly(text: str) -> None:
    with pytest.raises(BadScript):
        parse(text)
    assert parse(" service-restart@2 ") == ("service-restart", 2)
    assert parse("service-restart") == ("service-restart", None)


def test_parameters_of_a_change_are_lines() -> None:
    assert parse_values("a=1\n\n b = x=y \n") == {"a": "1", "b": "x=y"}
    for wrong in ("nothing", "a=1\na=2", "A=1", "=1"):
        with pytest.raises(BadScript):
            parse_values(wrong)


@hypothesis_settings(max_examples=60)
@hypothesis_given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_whatever_a_value_says_it_arrives_as_it_is(value: str) -> None:
    """The command line as a shell reads it."""
    made = script('printf %s "$PARAM_WORD"', parameters=(TEXT,))
    ran = subprocess.run(
        ["/bin/sh", "-c", command(made, {"word": value})], input=given(made).encode(), capture_output=True, check=True
    )
    assert ran.stdout.decode() == value


# running


def test_it_runs_and_keeps_what_was_said(web: Asset, chen: User, lin: User, turns: Turns) -> None:
    made = script('echo "out $PARAM_WORD"; echo err >&2; cat; exit 3', parameters=(TEXT,))
    run = turns.to_rest(read_on(approved(made, chen, lin), chen, web, given={"word": "x y"}))
    done = only(run)
    assert (done.state, done.exit_status, done.problem_code) == (HostState.FAILED, 3, "exit")
    assert (done.stdout, done.stderr) == ("out x y\n", "err\n"), "its own input is empty"
    assert done.command.startswith("env 'PARAM_WORD=x y' sh -c ")
    assert done.ended_at is not None
    assert run.state == ScriptRunState.DONE
    said = " ".join(f"{entry.action} {entry.detail}" for entry in AuditEntry.objects.all())
    assert "script_run.start" in said
    assert "PRIVATE KEY" not in said
    assert Delivery.objects.filter(about=f"script-run:{run.pk}").exists()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_value_is_a_word_and_nothing_else(
    web: Asset, chen: User, lin: User, turns: Turns, tmp_path: Path, text: str
) -> None:
    mark = tmp_path / "mark"
    value = text.format(mark=mark)
    version = approved(script('printf "%s|" "$PARAM_WORD"', parameters=(TEXT,)), chen, lin)
    done = only(turns.to_rest(read_on(version, chen, web, given={"word": value})))
    assert (done.state, done.stdout) == (HostState.DONE, f"{value}|")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", "two\nlines"),
        ("text", "bell\a"),
        ("text", "x" * 301),
        ("name", "--help"),
        ("name", "a b"),
        ("name", "$(id)"),
        ("name", "../x"),
        ("integer", "1; id"),
        ("integer", "11"),
        ("path", "relative"),
        ("ip", "1.2.3.4;id"),
        ("domain", "-oProxyCommand=id"),
        ("text", ""),
    ],
)
def test_a_value_of_another_type_is_refused(web: Asset, chen: User, lin: User, type_: str, value: str) -> None:
    parameter = {**TEXT, "type": type_, "max": 10}
    version = approved(script("true", parameters=(parameter,)), chen, lin)
    with pytest.raises(DomainError) as refused:
        read_on(version, chen, web, given={"word": value})
    assert refused.value.code == "bad_value"
    with pytest.raises(DomainError) as refused:
        read_on(version, chen, web, given={"word": "1", "other": "1"})
    assert not ScriptRun.objects.exists()


@pytest.mark.parametrize(("interpreter", "body"), [("bash", "[[ a < b ]] && echo yes"), ("python3", "print('yes')")])
def test_other_interpreters(web: Asset, chen: User, lin: User, turns: Turns, interpreter: str, body: str) -> None:
    version = approved(script(body, interpreter=Interpreter(interpreter)), chen, lin)
    assert only(turns.to_rest(read_on(version, chen, web))).stdout == "yes\n"


def test_long_output_is_cut_with_a_notice(web: Asset, chen: User, lin: User, turns: Turns) -> None:
    body = "head -c 3000000 /dev/zero | tr '\\0' x; echo short >&2"
    done = only(turns.to_rest(read_on(approved(script(body, output_limit=1000), chen, lin), chen, web)))
    assert (done.state, len(done.stdout), done.stdout_is_cut) == (HostState.DONE, 1000, True)
    assert (done.stderr, done.stderr_is_cut) == ("short\n", False)


def test_output_that_is_no_text_is_kept_as_far_as_it_goes(web: Asset, chen: User, lin: User, turns: Turns) -> None:
    done = only(turns.to_rest(read_on(approved(script("printf 'a\\000b\\377c'"), chen, lin), chen, web)))
    assert done.stdout == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_the_host_itself_ends_what_takes_too_long(
    web: Asset, chen: User, lin: User, turns: Turns, tmp_path: Path
) -> None:
    body = f"echo begun; sleep 4; touch {tmp_path}/late"
    done = only(turns.to_rest(read_on(approved(script(body, timeout_s=1), chen, lin), chen, web)))
    assert (done.state, done.problem_code, done.stdout) == (HostState.FAILED, "timed_out", "begun\n")
    time.sleep(3.5)
    assert not (tmp_path / "late").exists()


def test_half_of_a_script_is_never_run() -> None:
    made = script("echo one; echo two")
    ran = subprocess.run(
        ["/bin/sh", "-c", command(made, {})], input=given(made)[:9].encode(), capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (125, b"")


def test_a_broken_connection_leaves_it_unknown(
    web: Asset, host: KeyHost, chen: User, lin: User, turns: Turns, tmp_path: Path
) -> None:
    mark = tmp_path / "begun"
    run = read_on(approved(script(f"touch {mark}; sleep 8"), chen, lin), chen, web)
    breaker = threading.Thread(target=host.break_sessions, args=(mark,))
    breaker.start()
    turns.to_rest(run)
    breaker.join()
    lost = only(run)
    assert (lost.state, lost.problem_code) == (HostState.UNKNOWN, "lost")
    assert (run.state, run.problem_code) == (ScriptRunState.DONE, "")
    with pytest.raises(DomainError):
        script_runs.judge(host=lost, is_done=True, words=" ", actor=chen, now=NOW)
    script_runs.judge(host=lost, is_done=True, words="It has slept", actor=chen, now=NOW)
    assert only(run).state == HostState.DONE


def test_root_by_a_password_that_nobody_sees(
    jia: Customer, chen: User, lin: User, root: User, turns: Turns, tmp_path: Path
) -> None:
    with sshd.running(tmp_path) as real:
        asset = make_asset(jia, "db-1")
        seen = reaching.look(host="127.0.0.1", port=real.port, actor=root)
        reaching.pin(asset=asset, host="127.0.0.1", port=real.port, host_key=seen, actor=root, now=NOW)
        entry = credentials.Entry("host", real.operator, "operations", sshd.OPERATOR_PASSWORD, has_sudo=True)
        credentials.add(where=asset, entry=entry, actor=None, now=NOW)
        body = f"id -u; echo {sshd.OPERATOR_PASSWORD}"
        done = only(turns.to_rest(read_on(approved(script(body, as_root=True), chen, lin), chen, asset)))
    assert done.state == HostState.DONE
    assert done.command.startswith("sudo -S -p '' env ")
    assert sshd.OPERATOR_PASSWORD not in done.stdout + done.command
    if os.geteuid() == 0:
        assert done.stdout == "0\n******\n"


# one after the other


def test_the_canary_first_then_batches(fleet: list[Asset], chen: User, lin: User, turns: Turns) -> None:
    run = read_on(approved(script("hostname"), chen, lin), chen, *fleet, canary=fleet[2], batch_size=3)
    assert [host.asset.name for host in run.hosts.select_related("asset")][:2] == ["web-3", "web-1"]
    turns.turn(run)
    assert (run.state, run.problem_code) == (ScriptRunState.PAUSED, "canary_done")
    assert states(run) == ["done", *["planned"] * 4]
    assert turns.turn(run).state == ScriptRunState.PAUSED, "a worker that is told twice does nothing"
    script_runs.go_on(run=run, actor=lin, now=NOW)
    run.refresh_from_db()
    turns.turn(run)
    assert states(run) == [*["done"] * 4, "planned"]
    assert turns.to_rest(run).state == ScriptRunState.DONE
    assert states(run) == ["done"] * 5
    kinds = [line.kind for line in run.lines.order_by("pk")]
    assert kinds == ["planned", "started", "batch", "paused", "went_on", "batch", "batch", "done"]


def test_a_canary_that_fails_spares_the_others(fleet: list[Asset], chen: User, lin: User, turns: Turns) -> None:
    run = read_on(approved(script("exit 1"), chen, lin), chen, *fleet, waits_after_canary=False, max_failures=9)
    turns.to_rest(run)
    assert (run.state, run.problem_code, states(run)) == ("paused", "canary_failed", ["failed", *["planned"] * 4])
    script_runs.stop(run=run, actor=chen, now=NOW)
    run.refresh_from_db()
    assert (run.state, states(run)) == ("stopped", ["failed", *["skipped"] * 4])


def test_it_stops_when_more_fail_than_allowed(
    jia: Customer, host: KeyHost, fleet: list[Asset], chen: User, lin: User, turns: Turns
) -> None:
    silent = [place_host(jia, host, f"gone-{number}", port=free_port()) for number in range(2)]
    run = read_on(
        approved(script("true"), chen, lin),
        chen,
        *fleet,
        *silent,
        waits_after_canary=False,
        batch_size=1,
        max_failures=1,
        canary=fleet[0],
    )
    turns.to_rest(run)
    assert (run.state, run.problem_code) == ("paused", "too_many_failures")
    assert states(run) == ["done", "failed", "failed", *["planned"] * 4]
    assert {one.problem_code for one in run.hosts.filter(state="failed")} == {"unreachable"}
    again = run.hosts.filter(state="failed").earliest("position")
    script_runs.again(host=again, actor=chen, now=NOW)
    script_runs.go_on(run=run, actor=chen, now=NOW)
    run.refresh_from_db()
    assert turns.to_rest(run).state == "done", "one more failure is allowed"
    assert states(run).count("done") == 5
    assert run.hosts.get(pk=again.pk).attempts == 2


def test_pause_stop_and_go_on(fleet: list[Asset], chen: User, lin: User, turns: Turns) -> None:
    run = read_on(approved(script("true"), chen, lin), chen, *fleet, waits_after_canary=False, batch_size=1)
    turns.turn(run)
    script_runs.pause(run=run, actor=chen, now=NOW)
    run.refresh_from_db()
    turns.to_rest(run)
    assert (run.state, run.problem_code, states(run).count("done")) == ("paused", "paused_by_person", 1)
    script_runs.go_on(run=run, actor=chen, now=NOW)
    run.refresh_from_db()
    turns.turn(run)
    script_runs.stop(run=run, actor=chen, now=NOW)
    run.refresh_from_db()
    turns.to_rest(run)
    assert (run.state, states(run)) == ("stopped", ["done", "done", "skipped", "skipped", "skipped"])
    for press in (script_runs.pause, script_runs.stop, script_runs.go_on, script_runs.start):
        with pytest.raises(DomainError):
            press(run=run, actor=chen, now=NOW)


def test_one_script_at_a_time_on_a_host(web: Asset, chen: User, lin: User, turns: Turns) -> None:
    version = approved(script("true"), chen, lin)
    first, second = read_on(version, chen, web), read_on(version, chen, web)
    first.hosts.update(state=HostState.RUNNING)
    turns.to_rest(second)
    assert only(second).problem_code == "busy"


def test_hosts_that_cannot_be_reached_are_said_at_the_dry_run(
    jia: Customer, host: KeyHost, web: Asset, chen: User, lin: User, root: User, turns: Turns
) -> None:
    windows, unpinned, keyless = (place_host(jia, host, name) for name in ("a-win", "b-new", "c-locked"))
    behind = place_host(jia, host, "d-inside")
    Asset.objects.filter(pk=windows.pk).update(os="windows")
    windows.refresh_from_db()
    reaching.put_behind_node(asset=behind, host="10.1.1.1", port=22, actor=root, now=NOW)
    unpinned.ssh_access.delete()
    Credential.objects.filter(asset=keyless).update(purpose="application")
    run = read_on(approved(script("true"), chen, lin), chen, windows, unpinned, keyless, behind, web)
    said = {one.asset.name: one.problem_code for one in run.hosts.select_related("asset")}
    assert said == {
        "web-1": "",
        "a-win": "by_hand",
        "b-new": "host_key_unknown",
        "c-locked": "no_account",
        "d-inside": "no_node",
    }
    turns.to_rest(run)
    assert states(run) == ["done", *["skipped"] * 4]
    with pytest.raises(DomainError):
        read_on(ScriptVersion.objects.get(), chen, behind)


def test_a_changed_host_key_gets_nothing(web: Asset, chen: User, lin: User, turns: Turns) -> None:
    run = read_on(approved(script("true"), chen, lin), chen, web)
    web.ssh_access.host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5lmTrK3bwjm4X2oBjMq8RSkOpBJ0dVuGnDA5aYkXnZ"
    web.ssh_access.save()
    turns.to_rest(run)
    assert (only(run).state, only(run).problem_code) == (HostState.FAILED, "host_key_changed")


# under a change


@pytest.fixture
def change(incident: Incident, web: Asset, chen: User, lin: User, tmp_path: Path) -> Change:
    body = f'echo "$PARAM_WORD" >> {tmp_path}/done'
    approved(script(body, parameters=(TEXT,), only_reads=False), chen, lin, code="mark-it")
    fields = {"script": "mark-it@1", "parameters": "word=a b"}
    return draft(incident, chen, web, operation="script-run", fields=fields, risk="high")


def test_what_changes_something_runs_under_its_change_only(
    change: Change, web: Asset, chen: User, alice: User, vera: User, turns: Turns, tmp_path: Path
) -> None:
    version = ScriptVersion.objects.get(code="mark-it")
    with pytest.raises(DomainError) as refused:
        read_on(version, chen, web, given={"word": "x"})
    assert refused.value.code == "needs_change"
    for person in (alice, vera):
        with pytest.raises(PermissionDenied):
            script_runs.plan_for_change(change=change, pace=Pace(), actor=person, now=NOW)
    run = script_runs.plan_for_change(change=change, pace=Pace(), actor=chen, now=NOW)
    assert run.values == {"word": "a b"}
    for state in (ChangeState.DRAFT, ChangeState.PREPARING, ChangeState.READY, ChangeState.CUSTOMER_TEST):
        set_to(change, state)
        with pytest.raises(DomainError) as refused:
            script_runs.start(run=run, actor=chen, now=NOW)
        assert refused.value.code == "not_executing"
    set_to(change, ChangeState.EXECUTING)
    script_runs.start(run=run, actor=chen, now=NOW)
    with pytest.raises(DomainError) as refused:
        executing.finish_work(change=change, result="Done", actor=chen, now=NOW)
    assert refused.value.code == "runs_left"
    run.refresh_from_db()
    turns.to_rest(run)
    assert (run.state, (tmp_path / "done").read_text()) == ("done", "a b\n")
    lines = [sentence(entry) for entry in ChangeEntry.objects.filter(change=change, kind="run")]
    assert len(lines) == 2
    assert all("mark-it@1" in line for line in lines)


def test_a_change_that_was_rewritten_or_ended_lets_nothing_further_run(
    change: Change, chen: User, turns: Turns, tmp_path: Path
) -> None:
    run = script_runs.plan_for_change(change=change, pace=Pace(), actor=chen, now=NOW)
    set_to(change, ChangeState.EXECUTING)
    Change.objects.filter(pk=change.pk).update(revision=change.revision + 1)
    with pytest.raises(DomainError) as refused:
        script_runs.start(run=run, actor=chen, now=NOW)
    assert refused.value.code == "rewritten"
    Change.objects.filter(pk=change.pk).update(revision=change.revision)
    script_runs.start(run=run, actor=chen, now=NOW)
    set_to(change, ChangeState.FAILED)
    run.refresh_from_db()
    turns.to_rest(run)
    assert (run.state, run.problem_code, states(run)) == ("stopped", "not_executing", ["skipped"])
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"script": "mark-it@2", "parameters": "word=x"}, "no_script"),
        ({"script": "nothing", "parameters": "word=x"}, "no_script"),
        ({"script": "rm -rf /", "parameters": ""}, "not_named"),
        ({"script": "mark-it", "parameters": ""}, "bad_value"),
        ({"script": "mark-it", "parameters": "word=x\nmore=1"}, "unknown_parameter"),
        ({"script": "mark-it", "parameters": "word"}, "bad_line"),
    ],
)
def test_what_a_change_names_must_be_there(change: Change, chen: User, fields: dict[str, str], code: str) -> None:
    change.fields = fields
    change.save()
    with pytest.raises(DomainError) as refused:
        script_runs.plan_for_change(change=change, pace=Pace(), actor=chen, now=NOW)
    assert refused.value.code == code


def test_no_script_is_started_after_the_window(change: Change, chen: User) -> None:
    run = script_runs.plan_for_change(change=change, pace=Pace(), actor=chen, now=NOW)
    set_to(change, ChangeState.EXECUTING)
    Change.objects.filter(pk=change.pk).update(starts_at=NOW - timedelta(hours=2), ends_at=NOW)
    with pytest.raises(DomainError) as refused:
        script_runs.start(run=run, actor=chen, now=NOW)
    assert refused.value.code == "window_over"
    script_runs.start(run=run, actor=chen, now=NOW - timedelta(minutes=1))


def test_a_standard_change_runs_the_version_that_there_was_when_its_template_was_signed(
    incident: Incident, web: Asset, chen: User, lin: User
) -> None:
    first = approved(script("echo 1"), chen, lin, code="rotate")
    fields = {"script": "rotate", "parameters": ""}
    template = ChangeTemplate.objects.create(
        customer=incident.customer, name="Rotate", operation="script-run", fields=fields, plan="Run", rollback="None",
        risk_text="None", valid_until=(NOW + timedelta(days=30)).date(), created_by=chen, created_at=NOW,
    )  # fmt: skip
    said = Proposal("rotate", Words("Rotate", "轮转"), script("echo 2"))
    second = script_library.propose(customer=None, said=said, actor=chen, now=NOW)
    script_library.approve(version=second, actor=lin, now=NOW + timedelta(hours=1))
    change = draft(incident, chen, web, operation="script-run", fields=fields)
    Change.objects.filter(pk=change.pk).update(kind="standard", template=template)
    change.refresh_from_db()
    assert script_runs.named_by(change)[0] == first


def test_a_withdrawn_or_altered_script_runs_no_more(fleet: list[Asset], chen: User, lin: User, turns: Turns) -> None:
    version = approved(script("true"), chen, lin)
    run = read_on(version, chen, *fleet, waits_after_canary=False, batch_size=1)
    turns.turn(run)
    script_library.retire(version=version, actor=lin, now=NOW)
    turns.to_rest(run)
    assert (run.state, run.problem_code, states(run).count("done")) == ("stopped", "retired", 1)
    other = approved(script("echo 1"), chen, lin, code="other")
    planned = read_on(other, chen, fleet[0])
    with scope.platform("test"):
        ScriptVersion.objects.filter(pk=other.pk).update(body="echo 2")
    planned.refresh_from_db()
    turns.to_rest(planned)
    assert (planned.state, planned.problem_code) == ("stopped", "tampered")


def test_a_customers_own_script_stays_there(
    jia: Customer, yi: Customer, web: Asset, chen: User, lin: User, eve: User
) -> None:
    with scope.user(chen):
        said = Proposal("of-yi", Words("Of Yi", "乙的"), script("true"))
        theirs = script_library.propose(customer=yi, said=said, actor=chen, now=NOW)
        theirs = script_library.approve(version=theirs, actor=lin, now=NOW)
        with pytest.raises(DomainError) as refused:
            read_on(theirs, chen, web)
        assert refused.value.code == "other_customer"
        with pytest.raises(DomainError):
            script_library.find("of-yi", None, customer_id=jia.pk, told_at=None)
    assert not ScriptVersion.objects.filter(code="of-yi").exists(), "not in reach of the first customer"


def test_a_code_is_a_customers_own_or_everybodys(jia: Customer, yi: Customer, chen: User) -> None:
    """A change that names `mark-it@2` means one script."""

    def propose(customer: Customer | None, code: str, body: str = "true") -> None:
        said = Proposal(code, Words("Mark", "标记"), script(body))
        script_library.propose(customer=customer, said=said, actor=chen, now=NOW)

    with scope.user(chen):
        propose(None, "for-all")
        propose(jia, "of-one")
        propose(yi, "of-one")
        for customer, code in ((jia, "for-all"), (None, "of-one")):
            with pytest.raises(DomainError) as refused:
                propose(customer, code)
            assert refused.value.code == "code_taken"
        propose(None, "for-all", "echo 2")


# what a killed worker leaves


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_leaves_a_host_to_be_looked_at_and_nothing_is_repeated(
    fleet: list[Asset], chen: User, lin: User, turns: Turns, tmp_path: Path
) -> None:
    mark = tmp_path / "marks"
    version = approved(script(f"echo x >> {mark}; sleep 3", timeout_s=30), chen, lin)
    run = read_on(version, chen, *fleet[:3], batch_size=1, waits_after_canary=False)
    settings = connection.settings_dict
    socket = settings["HOST"] or settings["OPTIONS"].get("host", "")
    url = f"postgresql://{settings['USER']}:{settings['PASSWORD']}@/{settings['NAME']}?host={socket}"
    url += f"&port={settings['PORT']}" if settings["PORT"] else ""
    command = [sys.executable, "-m", "tests.changes.script_worker", str(run.customer_id), str(run.pk)]
    worker = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": url})
    try:
        until = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < until and worker.poll() is None:
            time.sleep(0.05)
        assert mark.exists(), "the host has begun"
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    assert states(run) == ["running", "planned", "planned"]
    run.refresh_from_db()
    assert turns.turn(run).state == "running", "its lease still counts"
    assert states(run)[0] == "running"
    turns.moment += run.lease
    turns.to_rest(run)
    assert (run.state, run.problem_code) == ("paused", "worker_lost")
    assert states(run) == ["unknown", "planned", "planned"]
    assert mark.read_text() == "x\n", "it was not done again"
    script_runs.judge(host=run.hosts.earliest("position"), is_done=True, words="The mark is there", actor=chen, now=NOW)
    script_runs.go_on(run=run, actor=chen, now=NOW)
    run.refresh_from_db()
    turns.to_rest(run)
    assert (run.state, states(run), mark.read_text()) == ("done", ["done"] * 3, "x\n" * 3)
