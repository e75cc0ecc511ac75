"""What a customer signs says all that is done: nothing of it is changed without another signature."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from changes.catalogue import Type, operations
from changes.models import ChangeKind, ChangeTemplate
from changes.services import confirming, drafting, templates
from changes.services.drafting import SIGNED
from changes.services.templates import Described
from incidents.models import Incident
from tests.changes.conftest import draft, place
from tests.conftest import NOW

pytestmark = pytest.mark.usefixtures("contacts")
RULE: dict[str, object] = {
    "action": "add", "direction": "in", "protocol": "tcp", "ports": "22/22", "cidr": "0.0.0.0/0",
    "group": "sg-bp1", "description": "Somebody asked",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def described(asset: Asset, chen: User, *, operation: str, fields: dict[str, object]) -> ChangeTemplate:
    said = Described(
        name="Often", operation=operation, fields=fields, assets=(asset,), plan="x", rollback="x", risk_text="x",
        valid_until=NOW.date() + timedelta(days=90),
    )  # fmt: skip
    return templates.create(customer=asset.customer, said=said, actor=chen, now=NOW)


def test_a_standard_change_is_signed_with_its_parameters(jia: Customer, chen: User) -> None:
    """Afterwards neither a signature nor an approval is asked: a rule from everywhere stands in the text."""
    group = place(jia, "sg-web", "production", kind="ecs")
    template = described(group, chen, operation="security-group-rule", fields=RULE)
    assert template.attestation is not None
    text = template.attestation.text
    for value in ("22/22", "0.0.0.0/0", "sg-web"):
        assert value in text, value
    assert "生产" in text, "and whether it is production"
    assert template.touched.get().environment == "production"


def answer(kind: Type, name: str) -> object:
    return {Type.INTEGER: 7_531, Type.BOOLEAN: True}.get(kind, f"answer-{name}")


@pytest.mark.parametrize("code", [code for code, each in operations().items() if each.changes_something])
def test_every_answer_of_every_operation_stands_in_the_text(
    code: str, jia: Customer, incident: Incident, chen: User, lin: User
) -> None:
    entry = operations()[code]
    fields = {field.name: answer(field.type, field.name) for field in entry.fields}
    fields |= {"unknown_to_the_catalogue": "and-yet-signed"}
    asset = place(jia, "thing", "development", kind=next(iter(sorted(entry.kinds)), "server"))
    change = draft(incident, chen, asset, operation=code, fields=fields)
    drafting.submit(change=change, actor=chen, now=NOW)
    asked = confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    assert asked is not None
    for value in (*fields.values(), "and-yet-signed"):
        assert ("是" if value is True else str(value)) in asked.text, value


@pytest.mark.parametrize("name", [*SIGNED, "assets", "risk_text"])
def test_whatever_asks_for_another_signature_stands_in_the_text(
    name: str, jia: Customer, incident: Incident, web: Asset, chen: User
) -> None:
    """One change beside another that differs in this alone: so do their texts."""
    other: dict[str, object] = {
        "operation": "windows-antivirus", "fields": {"what": "y"}, "risk": "dangerous", "lead": "vendor",
    }  # fmt: skip
    texts = []
    for said in ({}, {name: other.get(name, "differs")}):
        assets = (place(jia, "web-02", "test"),) if said and name == "assets" else (web,)
        risk = said.pop("risk_text", "It may restart")
        change = draft(incident, chen, *assets, **({"risk": "high", **said} if name != "assets" else {"risk": "high"}))
        drafting.submit(change=change, actor=chen, now=NOW)
        asked = confirming.tell_risk(change=change, text=str(risk), actor=chen, now=NOW)
        assert asked is not None
        texts.append(asked.text.replace(change.number, ""))
    assert texts[0] != texts[1]


def test_who_does_the_work_is_signed(incident: Incident, web: Asset, chen: User) -> None:
    change = draft(incident, chen, web, lead="vendor", kind=ChangeKind.NORMAL)
    drafting.submit(change=change, actor=chen, now=NOW)
    asked = confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    assert asked is not None
    assert "客户的供应商" in asked.text or str(change.get_lead_display()) in asked.text
