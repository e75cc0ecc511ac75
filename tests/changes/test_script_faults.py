"""What can go wrong between a dry run and the hosts, or in the middle of a batch; and that no outcome is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Secret, User
from assets import ssh
from assets.models import Asset, SshAccess
from assets.services import reaching
from changes import scripts
from changes.models import Change, ChangeState, HostState, ScriptRun
from changes.script_forms import UseForm
from changes.script_words import line_text
from changes.scripts import Interpreter, command
from changes.services import script_library, script_running, script_runs, transports
from changes.services.script_runs import Pace
from incidents.models import Incident
from notify.models import Delivery
from tests.assets.sshd import free_port
from tests.changes.conftest import draft
from tests.changes.hosts import TEXT, KeyHost, Turns, approved, only, place_host, read_on, script, states
from tests.changes.runs import set_to
from tests.conftest import NOW

LATER = NOW + timedelta(hours=1)


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


@pytest.fixture
def change(incident: Incident, web: Asset, chen: User, lin: User) -> Change:
    approved(script('echo "$PARAM_WORD"', parameters=(TEXT,), only_reads=False), chen, lin, code="mark-it")
    fields = {"script": "mark-it", "parameters": "word=old"}
    return draft(incident, chen, web, operation="script-run", fields=fields, risk="high")


def plan(change: Change, chen: User) -> ScriptRun:
    return script_runs.plan_for_change(change=change, pace=Pace(), actor=chen, now=NOW)


# nothing runs but what was signed


def test_the_dry_run_reads_the_change_as_it_is_now(change: Change, chen: User) -> None:
    meanwhile = Change.objects.get(pk=change.pk)
    meanwhile.fields, meanwhile.revision = {"script": "mark-it", "parameters": "word=new"}, change.revision + 1
    meanwhile.save()
    run = plan(change, chen)
    assert (run.revision, run.values) == (meanwhile.revision, {"word": "new"})


def test_a_dry_run_of_a_version_that_was_not_told_is_not_started(change: Change, chen: User, lin: User) -> None:
    Change.objects.filter(pk=change.pk).update(risk_told_at=LATER)
    run = plan(change, chen)
    said = script_library.Proposal(
        "mark-it", run.version.words, script("echo other", parameters=(TEXT,), only_reads=False)
    )
    second = script_library.propose(customer=None, said=said, actor=chen, now=NOW)
    script_library.approve(version=second, actor=lin, now=NOW)
    set_to(change, ChangeState.EXECUTING)
    with pytest.raises(DomainError) as refused:
        script_runs.start(run=run, actor=chen, now=LATER)
    assert refused.value.code == "rewritten"
    anew = plan(change, chen)
    assert anew.version == second
    script_runs.start(run=anew, actor=chen, now=LATER)


def test_one_run_of_a_change_at_a_time(change: Change, chen: User, turns: Turns) -> None:
    set_to(change, ChangeState.EXECUTING)
    first = script_runs.start(run=plan(change, chen), actor=chen, now=NOW)
    second = plan(change, chen)
    with pytest.raises(DomainError) as refused:
        script_runs.start(run=second, actor=chen, now=NOW)
    assert refused.value.code == "busy"
    turns.to_rest(first)
    script_runs.start(run=second, actor=chen, now=NOW)


def test_a_canary_that_cannot_be_reached_is_not_replaced_by_another(
    fleet: list[Asset], chen: User, lin: User, root: User
) -> None:
    reaching.put_behind_node(asset=fleet[2], host="10.1.1.1", port=22, actor=root, now=NOW)
    version = approved(script("true"), chen, lin)
    with pytest.raises(DomainError, match="web-3") as refused:
        read_on(version, chen, *fleet, canary=fleet[2])
    assert refused.value.code == "no_canary"
    assert not ScriptRun.objects.exists()


def test_a_canary_whose_name_two_servers_have_is_refused(fleet: list[Asset], jia: Customer) -> None:
    Asset.objects.filter(pk=fleet[1].pk).update(name="web-1", kind="ecs")
    given = {"assets": [one.pk for one in fleet], "batch_size": 5, "max_failures": 0, "canary": "web-1"}
    form = UseForm(given, customer=jia)
    assert form.is_valid(), form.errors
    with pytest.raises(DomainError):
        form.pace(list(Asset.objects.all()))


def test_a_host_key_that_was_confirmed_stays_when_the_way_changes(web: Asset, root: User) -> None:
    before = SshAccess.objects.get(asset=web)
    reaching.put_behind_node(asset=web, host="10.1.1.1", port=22, actor=root, now=LATER)
    after = SshAccess.objects.get(asset=web)
    assert (after.host_key, after.fingerprint, after.pinned_at) == (
        before.host_key, before.fingerprint, before.pinned_at,
    )  # fmt: skip
    assert (after.through, after.host) == ("node", "10.1.1.1")
    with pytest.raises(DomainError) as refused:
        transports.through(web)
    assert refused.value.code == "no_node"


def test_planning_asks_the_database_no_more_of_many_hosts_than_of_few(
    fleet: list[Asset], chen: User, lin: User
) -> None:
    version, asked = approved(script("true"), chen, lin), []
    for assets in (fleet[:1], fleet):
        with CaptureQueriesContext(connection) as queries:
            read_on(version, chen, *assets)
        asked.append(len(queries))
    assert asked[0] >= asked[1]


def test_a_host_that_was_moved_or_retired_after_the_dry_run_gets_nothing(
    fleet: list[Asset], host: KeyHost, chen: User, lin: User, turns: Turns
) -> None:
    run = read_on(
        approved(script("true"), chen, lin), chen, *fleet[:3], waits_after_canary=False, batch_size=9, max_failures=9
    )
    SshAccess.objects.filter(asset=fleet[1]).update(host="127.0.0.2")
    Asset.objects.filter(pk=fleet[2].pk).update(retired_at=NOW)
    turns.to_rest(run)
    assert [(one.state, one.problem_code) for one in run.hosts.all()] == [
        ("done", ""),
        ("failed", "moved"),
        ("failed", "asset_retired"),
    ]


# judging


def test_a_success_seen_by_a_person_forgives_no_later_failure(
    jia: Customer, fleet: list[Asset], host: KeyHost, chen: User, lin: User, turns: Turns
) -> None:
    gone = place_host(jia, host, "x-gone", port=free_port())
    run = read_on(approved(script("true"), chen, lin), chen, *fleet[:3], gone, waits_after_canary=False, batch_size=1)
    turns.turn(run)
    run.hosts.filter(position=2).update(state="unknown", problem_code="lost", ended_at=turns.moment)
    ScriptRun.objects.filter(pk=run.pk).update(state="paused")
    script_runs.go_on(run=run, actor=chen, now=turns.moment)
    lost = run.hosts.get(position=2)
    script_runs.judge(host=lost, is_done=True, words="It was done", actor=chen, now=turns.moment)
    run.refresh_from_db()
    assert run.forgiven == 0
    turns.to_rest(run)
    assert (run.state, states(run)) == ("done", ["done", "done", "done", "failed"])
    late = run.hosts.get(position=4)
    run.hosts.filter(pk=late.pk).update(state="unknown", ended_at=turns.moment + timedelta(minutes=1))
    ScriptRun.objects.filter(pk=run.pk).update(forgiven=1)
    script_runs.judge(host=late, is_done=True, words="It was done", actor=chen, now=turns.moment)
    run.refresh_from_db()
    assert run.forgiven == 1, "that failure was forgiven by nobody"


def test_a_judgement_is_read_in_the_readers_language(web: Asset, chen: User, lin: User, turns: Turns) -> None:
    run = turns.to_rest(read_on(approved(script("true"), chen, lin), chen, web))
    run.hosts.update(state="unknown")
    with translation.override("en"):
        script_runs.judge(host=only(run), is_done=False, words="Seen", actor=chen, now=NOW)
    line = run.lines.get(kind="judged")
    with translation.override("zh-hans"):
        assert "失败" in line_text(line)
    with translation.override("en"):
        assert "Failed" in line_text(line)


# in the middle of a batch


def test_one_secret_that_does_not_open_costs_one_host(fleet: list[Asset], chen: User, lin: User, turns: Turns) -> None:
    run = read_on(approved(script("true"), chen, lin), chen, *fleet, waits_after_canary=False, max_failures=9)
    damaged = run.hosts.get(position=3)
    with scope.platform("damage it"):
        Secret.objects.filter(object_id=damaged.credential_id).update(field="other")
        Secret.objects.filter(object_id=run.hosts.get(position=4).credential_id).update(sealed=b"\1broken")
    turns.to_rest(run)
    said = [(one.state, one.problem_code) for one in run.hosts.all()]
    assert said == [("done", ""), ("done", ""), ("failed", "no_secret"), ("failed", "no_secret"), ("done", "")]


def test_a_thread_that_breaks_leaves_its_own_host_unknown_and_no_other(
    fleet: list[Asset], chen: User, lin: User, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = read_on(approved(script("true"), chen, lin), chen, *fleet, waits_after_canary=False, max_failures=9)
    turns.turn(run)
    calls = iter(range(9))

    def breaks(way: transports.Transport, login: ssh.Login) -> object:
        if next(calls) == 1:
            raise ValueError("a bug")
        return ssh.session(way.door, login)

    monkeypatch.setattr(transports.Transport, "open", breaks)
    turns.to_rest(run)
    assert sorted(states(run)) == ["done"] * 4 + ["unknown"]
    assert run.hosts.get(state="unknown").problem_code == "worker_lost"


@pytest.mark.parametrize("fails", ["show", "tell"])
def test_what_only_shows_progress_may_fail(
    fleet: list[Asset], chen: User, lin: User, turns: Turns, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    run = read_on(approved(script("sleep 0.3; echo x"), chen, lin), chen, *fleet[:3], waits_after_canary=False)
    monkeypatch.setattr(script_running, "SHOW_EVERY_S", 0.05)
    real = script_running._show

    def show(host: object, errand: object, *more: str) -> None:
        if not more:
            raise DatabaseError("no room")
        real(host, errand, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(script_running, "_show", show)
    if fails == "tell":

        def interrupted(*_said: object) -> None:
            raise RuntimeError("interrupted")

        monkeypatch.setattr(script_running, "_show_all", interrupted)
        with pytest.raises(RuntimeError):
            turns.turn(run)
        assert states(run) == ["done", "planned", "planned"], "what the host did is kept all the same"
        return
    turns.to_rest(run)
    assert states(run) == ["done"] * 3
    assert [one.stdout for one in run.hosts.all()] == ["x\n"] * 3


def test_a_run_that_the_platform_stops_is_told_to_people(
    fleet: list[Asset], chen: User, lin: User, turns: Turns
) -> None:
    version = approved(script("true"), chen, lin)
    run = read_on(version, chen, *fleet, waits_after_canary=False, batch_size=1)
    turns.turn(run)
    about = f"script-run:{run.pk}"
    assert not Delivery.objects.filter(about=about).exists()
    script_library.retire(version=version, actor=lin, now=NOW)
    turns.to_rest(run)
    assert run.state == "stopped"
    assert Delivery.objects.filter(about=about, user=chen).exists()


def test_what_takes_no_notice_of_its_time_out_is_timed_out_as_well(
    web: Asset, chen: User, lin: User, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "_WRAPPER", scripts._WRAPPER.replace(f"-k {scripts.KILLED_AFTER_S} ", "-k 1 "))
    body = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('begun', flush=True)\ntime.sleep(9)"
    )
    version = approved(script(body, interpreter=Interpreter.PYTHON, timeout_s=1), chen, lin)
    done = only(turns.to_rest(read_on(version, chen, web)))
    assert (done.state, done.problem_code, done.stdout) == (HostState.FAILED, "timed_out", "begun\n")


def test_what_is_killed_before_its_time_was_not_timed_out(web: Asset, chen: User, lin: User, turns: Turns) -> None:
    done = only(turns.to_rest(read_on(approved(script("exit 137"), chen, lin), chen, web)))
    assert done.problem_code == "exit"


# becoming root


def test_sudo_is_asked_about_what_it_will_be_given(
    web: Asset, host: KeyHost, chen: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it lets `env` alone pass unasked, a password on the input would be the script's first line."""
    host.stand_in("sudo", '[ "$1" = -n ] && [ "$2" = env ] || exit 1; shift; exec "$@"')
    needs_root = script("id -u", as_root=True)
    assert command(needs_root, {}).startswith("env ")
    way = transports.through(web)
    operator = ssh.Login("operator", password="a-word")
    errand = script_running._Errand(way, operator, needs_root, "", ssh.Output(100))
    with way.open(ssh.Login(host.user, private_key=host.private_key)) as session:
        assert errand._root(session) == reaching.Root("sudo -n ")
        assert reaching.root_of(session, operator).given == "a-word\n"
        host.stand_in("sudo", "sleep 3")
        monkeypatch.setattr(ssh, "COMMAND_S", 0.5)
        with pytest.raises(ssh.SshError) as refused:
            errand._root(session)
        assert refused.value.code == "unreachable", "the script was not sent: nobody has to look there"
