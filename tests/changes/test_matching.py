"""Which verdict an event of the audit trail gets: the pure rules, and that there is always exactly one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.aliyun.trail import record_of
from changes.matching import Because, Before, Facts, Happened, Judgement, Run, Verdict, Work, in_burst, is_agreed, judge
from changes.trail_rules import actions, rules
from tests.conftest import NOW

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RESTART = Happened(
    service="Ecs",
    action="RebootInstance",
    actor_type="ram-user",
    actor_name="zhangwei",
    access_key_id="",
    origin="CN",
    request_id="R-1",
    occurred_at=NOW,
    asset_ids=frozenset({1}),
)
POWER = Work(pk=7, operation="ecs-power", asset_ids=frozenset({1}), begun_at=NOW - 5 * MINUTE, ends_at=NOW + 5 * MINUTE)
OPENED = replace(RESTART, action="AuthorizeSecurityGroup", parameters={"Permissions.0.SourceCidrIp": "0.0.0.0/0"})
WHITELIST = replace(
    RESTART, service="Rds", action="ModifySecurityIps", parameters={"SecurityIps": "192.0.2.7,0.0.0.0/0"}
)
SIGN_IN = replace(RESTART, service="AasSub", action="ConsoleSignin", asset_ids=frozenset())


def verdict(event: Happened, facts: Facts | None = None, before: Before | None = None) -> Judgement:
    return judge(
        event,
        facts or Facts(),
        rules=rules().values(),
        actions=actions(),
        before=Before() if before is None else before,
    )


def test_a_change_on_the_asset_at_that_time_of_that_kind_explains_an_event() -> None:
    found = verdict(RESTART, Facts(works=[POWER]))
    assert (found.verdict, found.change) == (Verdict.CHANGE, 7)


@pytest.mark.parametrize(
    "work",
    [
        replace(POWER, asset_ids=frozenset({2})),
        replace(POWER, asset_ids=frozenset()),
        replace(POWER, operation="dns-record"),
        replace(POWER, begun_at=NOW + HOUR, ends_at=NOW + 2 * HOUR),
        replace(POWER, begun_at=NOW - 3 * HOUR, ends_at=NOW - HOUR),
    ],
    ids=["another asset", "no asset", "another kind of work", "begun later", "over before"],
)
def test_nothing_else_explains_it(work: Work) -> None:
    assert verdict(RESTART, Facts(works=[work])).verdict is Verdict.UNMATCHED


def test_a_little_before_and_after_still_belongs_to_it() -> None:
    for work in (
        replace(POWER, begun_at=NOW + 9 * MINUTE),
        replace(POWER, begun_at=NOW - HOUR, ends_at=NOW - 14 * MINUTE),
        replace(POWER, begun_at=NOW + 90 * MINUTE, ends_at=NOW + 3 * HOUR, is_emergency=True),
    ):
        assert verdict(RESTART, Facts(works=[work])).verdict is Verdict.CHANGE


def test_of_two_changes_the_one_begun_last_counts() -> None:
    later = replace(POWER, pk=8, begun_at=NOW - MINUTE)
    assert verdict(RESTART, Facts(works=[later, POWER])).change == 8


def test_what_touches_no_asset_of_ours_belongs_to_a_change_of_its_account() -> None:
    group = replace(OPENED, asset_ids=frozenset(), parameters={"SourceCidrIp": "10.0.0.0/8"})
    work = replace(POWER, operation="security-group-rule")
    assert verdict(group, Facts(works=[work])).verdict is Verdict.CHANGE
    assert verdict(group, Facts(works=[replace(work, in_account=False)])).verdict is Verdict.UNMATCHED


def test_a_run_of_the_platform_is_known_by_its_request() -> None:
    found = verdict(RESTART, Facts(runs={"R-1": Run("CHG-000009", 9)}))
    assert (found.verdict, found.change, found.who) == (Verdict.AUTOMATION, 9, "CHG-000009")
    assert verdict(replace(RESTART, request_id=""), Facts(runs={"": Run("x")})).verdict is Verdict.UNMATCHED


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        (replace(RESTART, actor_type="root-account", actor_name="root"), "root-account"),
        (replace(RESTART, service="Ram", action="CreateAccessKey"), "access-key-created"),
        (OPENED, "open-to-the-world"),
        (replace(OPENED, parameters={"Ipv6SourceCidrIp": "::/0"}), "open-to-the-world"),
        (replace(OPENED, parameters={"Ipv6SourceCidrIp": "0:0::/0"}), "open-to-the-world"),
        (replace(OPENED, parameters={"SourceCidrIp": "128.0.0.0/1"}), "open-to-the-world"),
        (WHITELIST, "database-open-to-the-world"),
        (replace(WHITELIST, service="R-kvstore"), "database-open-to-the-world"),
        (replace(WHITELIST, service="Dds"), "database-open-to-the-world"),
        (
            replace(
                WHITELIST,
                service="polardb",
                action="ModifyDBClusterAccessWhitelist",
                parameters={"ModifyMode": "Append", "SecurityIps": "::/0"},
            ),
            "database-open-to-the-world",
        ),
        (
            replace(WHITELIST, action="CreateDBInstance", parameters={"SecurityIPList": "0.0.0.0/0"}),
            "database-open-to-the-world",
        ),
        (replace(RESTART, service="Actiontrail", action="StopLogging"), "trail-off"),
        (replace(RESTART, service="Actiontrail", action="DeleteTrail", is_refused=True), "trail-off"),
    ],
)
def test_a_rule_makes_suspicious(event: Happened, rule: str) -> None:
    found = verdict(event, Facts(people={"zhangwei": "张伟"}))
    assert (found.verdict, found.rule) == (Verdict.SUSPICIOUS, rule)


@pytest.mark.parametrize(
    "event",
    [
        replace(OPENED, parameters={"SourceCidrIp": "10.0.0.0/8"}),
        replace(OPENED, parameters={"SourceCidrIp": "0.0.0.0/0", "Policy": "Drop"}),
        replace(OPENED, parameters={"SourceCidrIp": "nowhere/0", "Ipv6SourceCidrIp": "2001:db8::/32"}),
        replace(WHITELIST, parameters={"SecurityIps": "10.0.0.0/8,192.0.2.7"}),
        replace(WHITELIST, parameters={"SecurityIps": "0.0.0.0/0", "ModifyMode": "Delete"}),
        replace(OPENED, action="AuthorizeSecurityGroupEgress", parameters={"DestCidrIp": "0.0.0.0/0"}),
        replace(RESTART, service="Ram", action="ListAccessKeys"),
        replace(OPENED, is_refused=True),
    ],
)
def test_what_only_looks_like_it_does_not(event: Happened) -> None:
    assert verdict(event).verdict is not Verdict.SUSPICIOUS


def test_an_approved_change_explains_an_open_port_but_never_the_main_account() -> None:
    facts = Facts(works=[replace(POWER, operation="security-group-rule")])
    assert verdict(OPENED, facts).verdict is Verdict.CHANGE
    assert verdict(replace(OPENED, actor_type="root-account"), facts).verdict is Verdict.SUSPICIOUS


DROP = {"Policy": "drop", "SourceCidrIp": "10.0.0.0/8"}
ACCEPT_ALL = {"Policy": "accept", "SourceCidrIp": "0.0.0.0/0"}
DROP_ALL = {"Policy": "drop", "SourceCidrIp": "0.0.0.0/0"}


def as_listed(*permissions: dict[str, str]) -> list[dict[str, object]]:
    """The forms in which ActionTrail shows the parameters of one call."""
    dotted = {f"Permissions.{at}.{key}": value for at, one in enumerate(permissions) for key, value in one.items()}
    nested = {"Permissions": list(permissions)}
    return [
        {"requestParameters": dotted},
        {"requestParameters": nested},
        {"requestParameters": {"Permissions": json.dumps(permissions)}},
        {"requestParameters": {f"Permissions.{at}": json.dumps(one) for at, one in enumerate(permissions)}},
        {"requestParameters": {}, "requestParameterJson": json.dumps(dotted)},
        {"requestParameterJson": json.dumps(nested)},
        {"requestParameters": json.dumps(nested)},
    ]


@pytest.mark.parametrize("form", range(7))
@pytest.mark.parametrize(
    ("permissions", "is_open"),
    [
        ((DROP, ACCEPT_ALL), True),
        ((DROP_ALL, {"SourceCidrIp": "0.0.0.0/0"}), True),
        ((*[DROP] * 99, ACCEPT_ALL), True),
        ((DROP_ALL, {"Policy": "accept", "SourceCidrIp": "10.0.0.0/8"}), False),
        ((DROP, DROP_ALL), False),
        (({**DROP_ALL, "policy": "accept"},), True),
    ],
)
def test_each_rule_of_a_call_is_looked_at_by_itself(
    form: int, permissions: tuple[dict[str, str], ...], is_open: bool
) -> None:
    """A rule that refuses, or ninety-nine of them, hide none that lets everybody in."""
    listed = as_listed(*permissions)[form]
    record = record_of(
        {"eventId": "e", "eventTime": "2026-03-02T02:00:00Z", "eventRW": "Write", "Policy": "drop", **listed}
    )
    assert record is not None
    again = record_of(record.raw)  # verdicts are given by what is stored
    assert again is not None
    assert again.parameters == record.parameters
    found = verdict(replace(OPENED, parameters=again.parameters))
    assert (found.rule == "open-to-the-world") is is_open


def test_a_policy_of_the_whole_call_holds_for_none_of_its_rules() -> None:
    both = replace(OPENED, parameters={"Policy": "drop", "Permissions.1.SourceCidrIp": "0.0.0.0/0"})
    assert verdict(both).rule == "open-to-the-world"


def test_a_change_explains_the_making_of_backups_and_never_their_loss() -> None:
    """Whoever wants a ransom deletes the backups first; some change is always open (R89)."""
    patch = replace(POWER, operation="linux-patch", asset_ids=frozenset({2}))
    stranger = replace(RESTART, actor_name="stranger", asset_ids=frozenset())
    for made in ("CreateSnapshot", "CreateImage"):
        assert verdict(replace(stranger, action=made), Facts(works=[patch])).verdict is Verdict.CHANGE
    lost = [
        ("Ecs", "DeleteSnapshot"), ("Ecs", "DeleteSnapshotGroup"), ("Ecs", "DeleteImage"),
        ("Ecs", "CreateAutoSnapshotPolicy"), ("Ecs", "CancelAutoSnapshotPolicy"), ("Rds", "ModifyBackupPolicy"),
        ("Rds", "DeleteBackup"), ("Hbr", "DeleteVault"), ("Hbr", "DisableBackupPlan"), ("Dbs", "ReleaseBackupPlan"),
    ]  # fmt: skip
    for service, action in lost:
        event = replace(stranger, service=service, action=action)
        assert verdict(event, Facts(works=[patch])).verdict is Verdict.UNMATCHED, action
        for operation in ("snapshot-policy", "database-backup-policy", "ecs-delete"):
            work = replace(patch, operation=operation)
            assert verdict(event, Facts(works=[work])).verdict is Verdict.CHANGE, (action, operation)


def test_many_deletions_alarm_under_a_change_too_unless_it_removes_this_very_asset() -> None:
    gone = replace(RESTART, action="DeleteInstance")
    before = Before(deletions=[NOW - (at + 1) * MINUTE for at in range(4)])
    removal = replace(POWER, operation="ecs-delete")
    assert verdict(gone, Facts(works=[removal]), before).verdict is Verdict.CHANGE
    for work in (
        replace(POWER, operation="ecs-create"),
        replace(removal, asset_ids=frozenset({2})),
        replace(removal, begun_at=NOW - 5 * HOUR, ends_at=NOW - 4 * HOUR),
    ):
        assert verdict(gone, Facts(works=[work]), before).rule == "many-deletions"
        assert not is_agreed(gone, Facts(works=[work]), actions())
    no_asset = replace(gone, action="DeleteSnapshot", asset_ids=frozenset())
    assert verdict(no_asset, Facts(works=[removal]), before).rule == "many-deletions"
    root = replace(gone, actor_type="root-account")
    assert verdict(root, Facts(works=[removal]), before).rule == "root-account", "one excuse is none for another rule"
    assert is_agreed(gone, Facts(works=[removal]), actions())
    assert is_agreed(gone, Facts(runs={"R-1": Run("CHG-000009", 9)}), actions())


def test_texts_that_somebody_chose_stop_no_reading() -> None:
    deep = '{"a":' * 5000
    found = record_of(
        {
            "eventId": "e",
            "eventTime": "2026-03-02T02:00:00Z",
            "requestParameters": {"Description": deep, "SourceCidrIp": "0.0.0.0/0"},
        }
    )
    assert found is not None
    assert found.parameters["SourceCidrIp"] == "0.0.0.0/0"


def test_a_key_that_the_platform_rotates_is_no_suspicion() -> None:
    made = replace(RESTART, service="Ram", action="CreateAccessKey", key_ids=frozenset({"LTAI12345678"}))
    assert verdict(made, Facts(rotated_keys=frozenset({"LTAI12345678"}))).because is Because.ROTATION
    assert verdict(made).verdict is Verdict.SUSPICIOUS


def test_people_of_the_customer_and_the_cloud_itself_are_known() -> None:
    facts = Facts(people={"zhangwei": "张伟", "deployer": "发布系统"})
    assert verdict(RESTART, facts).who == "张伟"
    role = replace(RESTART, actor_type="assumed-role", actor_name="deployer:session-4")
    assert verdict(role, facts).verdict is Verdict.KNOWN
    assert verdict(replace(role, actor_type="ram-user"), facts).verdict is Verdict.UNMATCHED
    scaling = replace(role, actor_name="AliyunServiceRoleForAutoScaling:ess")
    assert verdict(scaling, facts).because is Because.SERVICE
    assert verdict(replace(scaling, actor_type="ram-user"), facts).verdict is Verdict.UNMATCHED


def test_our_own_user_needs_a_change_for_all_but_signing_in() -> None:
    facts = Facts(ours=frozenset({"rdmp-admin"}), our_keys=frozenset({"LTAIours"}))
    ours = replace(RESTART, actor_name="rdmp-admin")
    assert verdict(ours, facts).because is Because.OURS_NO_CHANGE
    assert verdict(ours, facts).verdict is Verdict.UNMATCHED
    assert verdict(replace(RESTART, access_key_id="LTAIours"), facts).verdict is Verdict.UNMATCHED
    assert verdict(replace(SIGN_IN, actor_name="rdmp-admin"), facts).verdict is Verdict.KNOWN


def test_what_was_refused_changed_nothing() -> None:
    assert verdict(replace(RESTART, is_refused=True)).verdict is Verdict.REFUSED


def test_many_deletions_are_a_suspicion_from_the_fifth_on() -> None:
    gone = replace(RESTART, action="DeleteInstance")
    earlier = [NOW - (at + 1) * MINUTE for at in range(4)]
    assert verdict(gone, before=Before(deletions=earlier[:3])).verdict is Verdict.UNMATCHED
    assert verdict(gone, before=Before(deletions=earlier)).rule == "many-deletions"
    assert verdict(gone, before=Before(deletions=[NOW - HOUR, *earlier[:3]])).verdict is Verdict.UNMATCHED


def test_a_new_country_is_told_only_of_somebody_whose_countries_are_known() -> None:
    assert verdict(SIGN_IN).verdict is Verdict.UNMATCHED
    assert verdict(SIGN_IN, before=Before(origins=frozenset({"CN"}))).verdict is Verdict.UNMATCHED
    assert verdict(SIGN_IN, before=Before(origins=frozenset({"SG"}))).rule == "new-country"


@given(st.lists(st.integers(0, 3000), max_size=30), st.integers(0, 3000), st.integers(2, 6), st.integers(1, 900))
def test_a_burst_is_any_stretch_that_holds_so_many(seconds: list[int], at: int, count: int, within: int) -> None:
    every = [*seconds, at]
    stretch = [
        [each for each in every if start <= each <= start + within] for start in every if at - within <= start <= at
    ]
    expected = any(len(some) >= count for some in stretch)
    moments = [NOW + timedelta(seconds=each) for each in every]
    assert in_burst(NOW + timedelta(seconds=at), moments, count, timedelta(seconds=within)) is expected


TEXT = st.sampled_from(["", "zhangwei", "rdmp-admin", "root", "AliyunServiceRoleForEss:x", "deployer:x", "stranger"])
EVENTS = st.builds(
    Happened,
    service=st.sampled_from(["Ecs", "Ram", "Rds", "Actiontrail", "AasSub", "Neu"]),
    action=st.sampled_from(
        [
            "RebootInstance",
            "CreateAccessKey",
            "DeleteInstance",
            "StopLogging",
            "ConsoleSignin",
            "AuthorizeSecurityGroup",
        ]
    ),
    actor_type=st.sampled_from(["root-account", "ram-user", "assumed-role", "system", "neu", ""]),
    actor_name=TEXT,
    access_key_id=st.sampled_from(["", "LTAIours", "LTAIother"]),
    origin=st.sampled_from(["", "CN", "2001:db8::/32"]),
    request_id=st.sampled_from(["", "R-1", "R-2"]),
    occurred_at=st.integers(-9000, 9000).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    is_refused=st.booleans(),
    asset_ids=st.frozensets(st.integers(1, 3), max_size=2),
    key_ids=st.frozensets(st.sampled_from(["LTAIrotated", "LTAIother"])),
    parameters=st.dictionaries(
        st.sampled_from(["SourceCidrIp", "Policy"]), st.sampled_from(["0.0.0.0/0", "drop", "accept"])
    ),
)
WORKS = st.builds(
    Work,
    pk=st.integers(1, 9),
    operation=st.sampled_from(["ecs-power", "ecs-delete", "security-group-rule", "ram-user", "gone"]),
    asset_ids=st.frozensets(st.integers(1, 3), max_size=2),
    begun_at=st.integers(-9000, 9000).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    ends_at=st.just(NOW + 3 * HOUR),
    is_emergency=st.booleans(),
    in_account=st.booleans(),
)


@given(EVENTS, st.lists(WORKS, max_size=4), st.booleans())
def test_every_event_has_exactly_one_verdict_with_what_it_needs(
    event: Happened, works: list[Work], knows_people: bool
) -> None:
    facts = Facts(
        works=works,
        runs={"R-2": Run("CHG-000001", 1)},
        rotated_keys=frozenset({"LTAIrotated"}),
        ours=frozenset({"rdmp-admin"}),
        our_keys=frozenset({"LTAIours"}),
        people={"zhangwei": "张伟", "deployer": "发布"} if knows_people else {},
    )
    found = verdict(event, facts)
    assert isinstance(found.verdict, Verdict)
    assert found.verdict is not Verdict.HARMLESS, "only a person says so"
    assert (found.rule != "") == (found.verdict is Verdict.SUSPICIOUS)
    assert found.verdict is not Verdict.CHANGE or found.change in {work.pk for work in works}
    assert found.change is None or found.verdict in (Verdict.CHANGE, Verdict.AUTOMATION)
    assert verdict(event, replace(facts, works=works[::-1])) == found, (
        "the order in which changes are read says nothing"
    )


def test_whatever_a_cloud_sends_is_read_into_something_that_can_be_stored() -> None:
    wild = {
        "eventId": "e-1\0",
        "eventTime": "2026-03-02T02:00:00Z",
        "eventRW": "Write",
        "eventName": "\ud800x",
        "requestParameters": {"a\0": float("nan"), "Secret": "s", "deep": [[[{"password": "p"}]]], "n": None},
        "requestParameterJson": '{"Password": "p", "RegionId": "cn"}',
        "userIdentity": {"type": "root-account"},
        "referencedResources": {"x": "not a list"},
    }
    found = record_of(wild)
    assert found is not None
    assert (found.event_id, found.actor_name, found.action, found.resources) == ("e-1", "root", "?x", ())
    kept = json.dumps(found.raw, allow_nan=False).encode().decode()
    assert '"s"' not in kept
    assert '"p"' not in kept
    assert "\\u0000" not in kept
    for nothing in ({}, {**wild, "eventRW": "Read"}, {**wild, "eventTime": "soon"}, {**wild, "eventId": None}):
        assert record_of(nothing) is None
