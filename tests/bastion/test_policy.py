"""Which commands a line holds, and which rule decides."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gateway.contract import CommandRule, Verdict
from bastion.policy import MOST_COMMANDS, Judgement, check_pattern, judge, simple_commands


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("ls", []),
        ("ls; rm -rf /", ["ls", "rm -rf /"]),
        ("ls;rm x", ["ls", "rm x"]),
        ("a && b || c | d & e\nf", ["a", "b", "c", "d", "e", "f"]),
        ("a |& b", ["a", "b"]),
        ("(cd /; rm *)", ["cd /", "rm *"]),
        ("echo $(id; who)", ["id", "who"]),
        ('echo "$(id; who)"', ["id", "who"]),
        ("echo `id; who`", ["id", "who"]),
        ('echo "`id; who`"', ["id", "who"]),
        ("echo $(a $(b `c`))", ["c", "b `c`", "a $(b `c`)"]),
        ("cat <(id)", ["id"]),
        ("sudo rm x", ["rm x"]),
        ("sudo -u root -E -- rm x", ["rm x"]),
        ("sudo --user root rm x", ["rm x"]),
        ("/usr/bin/sudo -nu root rm x", ["rm x"]),
        ("sudo -ush rm x", ["rm x"]),
        ("A=1 B='x y' rm x", ["rm x"]),
        ("env -i -u HOME A=b nohup time -p exec -a n command rm x", ["rm x"]),
        ("if true; then rm x; else reboot; fi", ["true", "rm x", "reboot"]),
        ("f() { rm x; }", ["rm x"]),
        ("while :; do rm x; done", ["rm x"]),
        ("bash -c 'rm x; ls'", ["rm x", "ls"]),
        ('sudo sh -ec "rm x"', ["rm x"]),
        ("su - root -c 'rm x'", ["rm x"]),
        ("eval 'rm x'", ["rm x"]),
        (r"\rm x", ["rm x"]),
        ("'r'm x", ["rm x"]),
        ("ls # it's fine\nrm x", ["rm x"]),
        ("ls # nothing; rm x", ["rm x"]),
        ("ls) ; rm x", ["ls", "rm x"]),
        ("echo $'it\\'s' ; rm x", ["rm x"]),
    ],
)
def test_commands_of_a_line(line: str, commands: list[str]) -> None:
    found = simple_commands(line)
    assert found[0] == line
    assert set(commands) <= set(found[1:])


@pytest.mark.parametrize(
    "line",
    ["echo 'a; rm x'", 'echo "a; rm x"', r"echo a\; rm x", "echo 'a' \"b | rm x\"", 'echo "a;', "echo $'\\'; rm x'"],
)
def test_quoted_separators_separate_nothing(line: str) -> None:
    assert "rm x" not in simple_commands(line)


@pytest.mark.parametrize("line", ["x 2>&1", "x >|f", "x &>f", "x <&3"])
def test_redirections_separate_nothing(line: str) -> None:
    assert simple_commands(line) == [line]


def test_an_empty_line_has_no_commands() -> None:
    assert simple_commands(" ") == []


@given(st.text(st.sampled_from("a ;&|\n()$`'\"\\#<>={}é"), max_size=60))
def test_nothing_raises_and_what_is_found_stands_in_the_line(line: str) -> None:
    for command in simple_commands(line):
        assert set(command) <= set(line)


@pytest.mark.parametrize(
    "line",
    [
        "$(" * 400_000,
        "(" * 500_000 + ")" * 500_000,
        ";a" * 300_000,
        "`" * 600_000,
        "'\"" * 500_000,
        '"$(' * 200_000,
        "a " * 500_000,
        "\\" * 1_000_001,
        "eval " * 200_000,
        "bash -c " * 100_000,
        "#" * 1_000_000,
        ")" * 500_000,
        "A=b " * 250_000,
        "sudo -u " * 100_000,
        "$'" * 500_000,
        "".join(f"x{n};" for n in range(100_000)),
    ],
    ids=lambda line: line[:8],
)
def test_hostile_lines_are_bounded(line: str) -> None:
    began = time.process_time()
    assert len(simple_commands(line)) <= MOST_COMMANDS + 3
    assert time.process_time() - began < 20  # linear takes about two; quadratic would take hours


def rule(number: int, pattern: str, verdict: Verdict) -> CommandRule:
    return CommandRule(number, pattern, verdict)


RULES = (
    rule(1, r"^rm\s+-i\b", Verdict.ALLOW),
    rule(2, r"^rm\b", Verdict.DENY),
    rule(3, r"^reboot\b", Verdict.REVIEW),
    rule(4, r"^vi\b", Verdict.WARN),
    rule(5, r"^ls\b", Verdict.ALLOW),
)


@pytest.mark.parametrize(
    ("line", "verdict", "number", "piece"),
    [
        ("ls", Verdict.ALLOW, 5, "ls"),
        ("id", Verdict.ALLOW, None, "id"),
        ("vi x", Verdict.WARN, 4, "vi x"),
        ("vi x; reboot", Verdict.REVIEW, 3, "reboot"),
        ("reboot; ls; sudo rm x; vi y", Verdict.DENY, 2, "rm x"),
        ("rm -i x", Verdict.ALLOW, 1, "rm -i x"),
        ("rm -i x; rm y", Verdict.DENY, 2, "rm y"),
        ("ls;reboot", Verdict.REVIEW, 3, "reboot"),
    ],
)
def test_the_strictest_verdict_counts(line: str, verdict: Verdict, number: int | None, piece: str) -> None:
    judgement = judge(line, RULES)
    assert (judgement.verdict, judgement.rule and judgement.rule.id, judgement.piece) == (verdict, number, piece)


def test_a_rule_may_look_at_the_whole_line() -> None:
    assert judge("curl x | sh", [rule(1, r"curl .*\| *sh", Verdict.DENY)]).piece == "curl x | sh"


def test_without_rules_everything_is_allowed() -> None:
    assert judge("rm x", ()) == Judgement(Verdict.ALLOW, None, "rm x")


def test_a_line_with_too_much_in_it_is_denied_where_anything_is_forbidden() -> None:
    line = "".join(f"x{n};" for n in range(MOST_COMMANDS + 2))
    assert judge(line, RULES).verdict is Verdict.DENY
    assert judge(line, RULES[4:]).verdict is Verdict.ALLOW


@pytest.mark.parametrize("pattern", ["a(", "(?=x)", r"(a)\1", "", "a" * 1001, "[z-a]"])
def test_a_pattern_that_is_not_understood_says_why(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        check_pattern(pattern)


def test_a_good_pattern() -> None:
    check_pattern(r"(?i)^\s*(rm|mkfs\.\w+)\b.*中文")
