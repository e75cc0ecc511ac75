"""What counts as read-only: every policy understood, and none of them writing."""

import json

import pytest

from assets.grants import Access, Policy, judge

READ_ONLY = Policy("ReadOnlyAccess", is_system=True)


def custom(*actions: str, name: str = "custom", **statement: object) -> Policy:
    said = {"Effect": "Allow", "Action": list(actions), "Resource": "*", **statement}
    return Policy(name, is_system=False, document=json.dumps({"Version": "1", "Statement": [said]}))


def allowing(name: str, **statement: object) -> Policy:
    document = {"Statement": [{"Effect": "Allow", **statement}]}
    return Policy(name, is_system=False, document=json.dumps(document))


def test_nothing_granted_is_read_only() -> None:
    assert judge([]).access is Access.READ_ONLY


@pytest.mark.parametrize(
    "policy",
    [
        READ_ONLY,
        Policy("AliyunECSReadOnlyAccess", is_system=True),
        custom("ecs:Describe*", "*:List*", "ram:GetUser"),
        custom("*:*", Effect="Deny"),
        Policy(
            "one-action", is_system=False, document='{"Statement": [{"Effect": "Allow", "Action": "oss:GetObject"}]}'
        ),
    ],
)
def test_policies_that_only_read(policy: Policy) -> None:
    assert judge([policy]).access is Access.READ_ONLY


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (Policy("AdministratorAccess", is_system=True), "AdministratorAccess"),
        (Policy("AliyunECSFullAccess", is_system=True), "AliyunECSFullAccess"),
        (custom("ecs:Describe*", "ecs:CreateSnapshot"), "custom: ecs:CreateSnapshot"),
        (custom("*"), "custom: *"),
        (custom("ecs:*"), "custom: ecs:*"),
        (custom("ecs:D*"), "custom: ecs:D*"),  # describes, and deletes
        (custom("*:*Instances"), "custom: *:*Instances"),
        (allowing("not", NotAction="ram:*"), "not: NotAction"),
        (custom("ecs:RunInstances", name="ReadOnlyAccess"), "ReadOnlyAccess: ecs:RunInstances"),
    ],
)  # fmt: skip
def test_policies_that_write_are_named(policy: Policy, found: str) -> None:
    verdict = judge([READ_ONLY, policy])

    assert (verdict.access, verdict.writing) == (Access.WRITES, (found,))


@pytest.mark.parametrize(
    "document", [None, "", "no json", "[]", '{"Statement": 7}', '{"Statement": [{"Effect": "Allow", "Action": 7}]}']
)
def test_a_policy_nobody_understands_is_not_called_read_only(document: str | None) -> None:
    verdict = judge([READ_ONLY, Policy("odd", is_system=False, document=document)])

    assert (verdict.access, verdict.unread) == (Access.UNKNOWN, ("odd",))


def test_writing_beats_not_knowing() -> None:
    verdict = judge([Policy("odd", is_system=False), custom("ecs:StopInstance")])

    assert verdict.access is Access.WRITES
