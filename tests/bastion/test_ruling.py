"""Command rules: written by administrators, checked when they are saved, tried before they are needed."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import translation

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from bastion import policy
from bastion.gateway.contract import CommandRule as Told
from bastion.models import CommandRule, ResourceGroup
from bastion.services import admitting, groups, ruling
from bastion.services.ruling import Said
from bastion.usual_rules import UsualRule, usual_rules
from tests.bastion.conftest import server
from tests.conftest import NOW


def write(customer: Customer, actor: User, **said: object) -> CommandRule:
    first: dict[str, object] = {"name": "No reboot", "pattern": "^reboot", "verdict": "deny"}
    with scope.platform("test"):
        return ruling.create(customer=customer, said=Said(**{**first, **said}), actor=actor, now=NOW)  # type: ignore[arg-type]


def names(customer: Customer) -> list[str]:
    with scope.platform("test"):
        return [one.name for one in CommandRule.objects.kept().filter(customer=customer).order_by("position")]


@pytest.mark.parametrize("pattern", ["", "(", "(?=x)", r"\1", "x" * 1001, "[z-a]", "a{100000}"])
def test_a_pattern_that_re2_does_not_understand_is_refused_when_it_is_saved(
    jia: Customer, alice: User, pattern: str
) -> None:
    with pytest.raises(DomainError) as refusal:
        write(jia, alice, pattern=pattern)
    assert refusal.value.code == "bad_pattern"
    rule = write(jia, alice)
    with scope.platform("test"), pytest.raises(DomainError):
        ruling.change(rule=rule, said=Said("No reboot", pattern, "deny"), actor=alice, now=NOW)


@pytest.mark.parametrize("who", ["bob", "chen", "lin", "eve"])
def test_rules_are_the_administrators(jia: Customer, alice: User, request: pytest.FixtureRequest, who: str) -> None:
    stranger: User = request.getfixturevalue(who)
    rule = write(jia, alice)
    with scope.platform("test"):
        for act in (
            lambda: ruling.create(customer=jia, said=Said("x", "x", "deny"), actor=stranger, now=NOW),
            lambda: ruling.switch(rule=rule, is_on=False, actor=stranger, now=NOW),
            lambda: ruling.move(rule=rule, places=1, actor=stranger, now=NOW),
            lambda: ruling.retire(rule=rule, actor=stranger, now=NOW),
            lambda: ruling.take_usual(customer=jia, actor=stranger, now=NOW),
        ):
            with pytest.raises(PermissionDenied):
                act()


def test_a_rule_of_a_foreign_group_is_none(jia: Customer, yi: Customer, alice: User, root: User) -> None:
    with scope.platform("test"):
        foreign = groups.create(customer=yi, name="Theirs", description="", actor=root, now=NOW)
    with pytest.raises(DomainError) as refusal:
        write(jia, alice, group=foreign)
    assert refusal.value.code == "unknown_group"


def test_rules_stand_in_the_order_in_which_they_are_put(jia: Customer, alice: User) -> None:
    rules = [write(jia, alice, name=name) for name in "ABC"]
    assert names(jia) == ["A", "B", "C"]
    with scope.platform("test"):
        ruling.move(rule=rules[2], places=-1, actor=alice, now=NOW)
        ruling.move(rule=rules[0], places=-1, actor=alice, now=NOW)
        ruling.move(rule=rules[1], places=9, actor=alice, now=NOW)
    assert names(jia) == ["A", "C", "B"]
    with scope.platform("test"):
        ruling.retire(rule=rules[0], actor=alice, now=NOW)
        assert CommandRule.objects.filter(name="A").exists(), "commands name the rule that judged them"
    assert names(jia) == ["C", "B"]


def test_a_server_has_the_rules_of_its_customer_and_of_its_groups(
    jia: Customer, yi: Customer, web: Asset, alice: User, root: User
) -> None:
    other, foreign = server(jia, "db-01"), server(yi, "theirs")
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
    write(jia, alice, name="all", pattern="^a")
    write(jia, alice, name="shop", pattern="^s", group=group)
    write(jia, alice, name="off", pattern="^o", is_on=False)

    def patterns() -> list[list[str]]:
        with scope.platform("test"):
            found = admitting.rules_of([web, other, foreign])
        return [[rule.pattern for rule in found[one.pk]] for one in (web, other, foreign)]

    assert patterns() == [["^a", "^s"], ["^a"], []]
    with scope.platform("test"):
        ResourceGroup.objects.update(retired_at=NOW)
    assert patterns() == [["^a"], ["^a"], []]


def test_what_was_changed_is_kept_with_both_versions(jia: Customer, alice: User) -> None:
    rule = write(jia, alice)
    with scope.platform("test"):
        said = Said("No reboot", "^(reboot|halt)", "review")
        ruling.change(rule=rule, said=said, actor=alice, now=NOW)
        ruling.change(rule=rule, said=said, actor=alice, now=NOW)
        [entry] = AuditEntry.objects.filter(action="bastion.rule.change")
    assert entry.detail == {"pattern": ["^reboot", "^(reboot|halt)"], "verdict": ["deny", "review"]}


def test_a_line_is_tried_piece_by_piece(jia: Customer, alice: User) -> None:
    write(jia, alice, name="careful", pattern="^systemctl", verdict="warn")
    write(jia, alice, name="never", pattern="^reboot", verdict="deny")
    with scope.platform("test"):
        rules = list(CommandRule.objects.in_force())
        whole, pieces = ruling.try_out("cd /tmp && sudo systemctl stop x; sudo reboot", rules)
    assert (whole.verdict, whole.rule and whole.rule.name, whole.piece) == ("deny", "never", "reboot")
    judged = {one.piece: one.verdict for one in pieces}
    assert judged["cd /tmp"] == "allow"
    assert judged["systemctl stop x"] == "warn"
    assert judged["reboot"] == "deny"


@pytest.mark.parametrize("line", ["", "\0", "$(" * 500, "a;" * 5000, "'" * 9, "é" * 20_000])
def test_any_line_may_be_tried(jia: Customer, alice: User, line: str) -> None:
    write(jia, alice)
    with scope.platform("test"):
        whole, _pieces = ruling.try_out(line, list(CommandRule.objects.in_force()))
    assert whole.verdict in {"allow", "deny"}


def test_the_usual_rules_are_taken_once_and_are_the_customers_then(jia: Customer, yi: Customer, alice: User) -> None:
    with scope.platform("test"), translation.override("en"):
        assert ruling.take_usual(customer=jia, actor=alice, now=NOW) == len(usual_rules())
        assert ruling.take_usual(customer=jia, actor=alice, now=NOW) == 0
        rule = CommandRule.objects.get(shipped_as="power")
        assert (rule.name, rule.verdict, rule.is_on) == ("Power off or reboot", "review", True)
        ruling.retire(rule=rule, actor=alice, now=NOW)
        assert ruling.take_usual(customer=jia, actor=alice, now=NOW) == 1
        assert not CommandRule.objects.filter(customer=yi).exists()


@pytest.mark.parametrize("usual", usual_rules(), ids=lambda usual: usual.key)
def test_a_usual_rule_is_for_what_it_says(usual: UsualRule) -> None:
    told = [Told(1, usual.pattern, usual.verdict)]
    assert usual.fits
    assert usual.passes
    for line in usual.fits:
        assert policy.judge(line, told).rule is not None, line
    for line in usual.passes:
        assert policy.judge(line, told).rule is None, line


def test_no_usual_rule_stops_ordinary_work() -> None:
    told = [Told(number, one.pattern, one.verdict) for number, one in enumerate(usual_rules())]
    for line in (
        "ls -la /etc", "tail -f /var/log/nginx/error.log", "systemctl restart nginx", "df -h; free -m", "vim app.conf",
        "docker ps | grep web", "rm -rf ./build", "ps aux | sort -k3", "sudo -u www git pull", "crontab -l",
    ):  # fmt: skip
        assert policy.judge(line, told).rule is None, line
