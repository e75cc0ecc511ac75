"""The documents say what is: every requirement once, tests that exist, links that lead somewhere, targets of make."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOW = (ROOT / "docs" / "sow.md").read_text(encoding="utf-8")
REQUIREMENTS = 196


def rows() -> list[list[str]]:
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in SOW.splitlines()
        if re.match(r"\| R\d+ \|", line)
    ]


def test_every_requirement_of_the_statement_of_work_stands_there_once() -> None:
    assert [row[0] for row in rows()] == [f"R{number}" for number in range(1, REQUIREMENTS + 1)]


def test_what_is_called_built_is_shown_by_a_test_and_what_is_partly_built_says_what_lacks() -> None:
    for number, _kind, _text, state, where, shown in rows():
        assert state in ("**yes**", "part", "not yet"), number
        assert bool(shown) == bool(where) == (state != "not yet"), number


def test_every_test_that_is_named_exists() -> None:
    for name in re.findall(r"`tests/([^`]+)`", SOW):
        file, _, function = name.partition("::")
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert not function or re.search(rf"def {function}\b", source), name


def test_the_count_at_the_top_is_right() -> None:
    states = [row[3] for row in rows()]
    said = re.search(r"Now: (\d+) yes, (\d+) part, (\d+) not yet", SOW)
    assert said is not None
    assert [int(figure) for figure in said.groups()] == [states.count(s) for s in ("**yes**", "part", "not yet")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_every_command_of_the_readme_is_a_target_of_make() -> None:
    targets = set(re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {name for line in targets for name in line.split()}
    assert set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8"))) <= known
