"""Set-up on a bare machine: each step runs once, the person's own mirrors serve, failures are sentences."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "scripts"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """The modules of scripts/, which is no package: bootstrap runs before anything is installed."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def load(name: str) -> ModuleType:
        return __import__(name)

    return load


def test_a_step_runs_once_until_what_it_was_made_from_changes(
    tmp_path: Path, scripts: Callable[[str], ModuleType]
) -> None:
    once = scripts("bootstrap").once
    runs: list[int] = []
    for sources in ([b"a"], [b"a"], [b"b"]):
        once(tmp_path / "stamp", sources, lambda: runs.append(1))
    assert len(runs) == 2


def test_a_step_that_fails_is_tried_again(tmp_path: Path, scripts: Callable[[str], ModuleType]) -> None:
    once = scripts("bootstrap").once

    def fail() -> None:
        raise OSError

    once(tmp_path / "stamp", [b"a"], lambda: None)
    with pytest.raises(OSError):  # noqa: PT011 - the very one from above
        once(tmp_path / "stamp", [b"b"], fail)
    runs: list[int] = []
    once(tmp_path / "stamp", [b"b"], lambda: runs.append(1))
    assert runs


def test_pips_own_settings_reach_uv_and_uvs_own_win(
    tmp_path: Path, scripts: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        "[global]\nindex-url = https://mirror.example/simple\nfind-links = /opt/a /opt/b\n"
        f"extra-index-url = file://{tmp_path}/here file://{tmp_path}/gone\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_CERT", "/etc/own-ca.pem")
    for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "SSL_CERT_FILE", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    settings = scripts("packages").uv_settings([sys.executable, "-m", "pip"] if has_pip() else ["pip"])
    assert settings["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert settings["UV_INDEX"] == f"file://{tmp_path}/here"
    assert settings["UV_FIND_LINKS"] == "/opt/a,/opt/b"
    assert settings["SSL_CERT_FILE"] == "/etc/own-ca.pem"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert "UV_DEFAULT_INDEX" not in scripts("packages").uv_settings(["pip"])


def has_pip() -> bool:
    return subprocess.run([sys.executable, "-c", "import pip"], check=False, capture_output=True).returncode == 0


def test_only_the_files_that_package_json_names_are_copied_and_point_at_no_source_map(
    tmp_path: Path, scripts: Callable[[str], ModuleType]
) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"vendor": {"x/a.js": "a/dist/a.js", "x/a.css": "a/a.css"}}))
    modules = tmp_path / "node_modules" / "a"
    (modules / "dist").mkdir(parents=True)
    (modules / "dist" / "a.js").write_text("let a = 1;\n//# sourceMappingURL=a.js.map\n")
    (modules / "a.css").write_text("a{}\n/*# sourceMappingURL=a.css.map */")
    (modules / "other.js").write_text("no")
    vendor = tmp_path / "vendor"
    scripts("packages").copy_vendor(tmp_path, tmp_path / "node_modules", vendor)
    assert (vendor / "x" / "a.js").read_text() == "let a = 1;\n"
    assert (vendor / "x" / "a.css").read_text() == "a{}\n"
    assert len(list(vendor.rglob("*.*"))) == 2


def test_every_front_end_file_that_a_page_asks_for_is_put_there() -> None:
    manifest = json.loads((ROOT / "package.json").read_text())
    pages = [*ROOT.glob("templates/**/*.html"), *ROOT.glob("static/js/*.js")]
    asked = {
        part.split("'")[0].split('"')[0]
        for page in pages
        for part in page.read_text(encoding="utf-8").split("vendor/")[1:]
    }
    assert {name for name in asked if "." in name} <= set(manifest["vendor"])


def test_no_service_starts_while_packages_are_installed(
    scripts: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = scripts("system")
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(system, "NO_SERVICES", policy)
    with system.without_services():
        assert subprocess.run([policy], check=False).returncode == 101
    assert not policy.exists()
    policy.write_text("a person's own")
    with system.without_services():
        assert policy.read_text() == "a person's own"
    assert policy.exists()


def test_a_missing_system_package_is_said_with_the_command_that_brings_it(
    scripts: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    system = scripts("system")
    monkeypatch.setattr(system, "can_install", lambda: False)
    missing = [
        system.Need("libnowhere-1", library="libnowhere.so.1"),
        system.Need("nothing", program="no-such-program"),
    ]
    with pytest.raises(scripts("failure").Failure, match="sudo apt-get install libnowhere-1 nothing"):
        system.provide(missing, insist=True)
    system.provide(missing, insist=False)  # the platform goes on without reports
    assert "sudo apt-get install libnowhere-1 nothing" in capsys.readouterr().err


def test_an_older_python_is_told_which_one_is_needed(
    scripts: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap = scripts("bootstrap")
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2))
    assert bootstrap.main([]) == 1
    said = capsys.readouterr().err
    assert "Python 3.11 or newer is needed, this is 3.9" in said
    assert "Traceback" not in said


def test_a_failing_installer_is_said_in_one_sentence(scripts: Callable[[str], ModuleType]) -> None:
    packages, failure = scripts("packages"), scripts("failure").Failure
    with pytest.raises(failure, match=r"sh failed: ERROR: no such package"):
        packages.run(["sh", "-c", "echo looking; echo 'ERROR: no such package' >&2; exit 1"])


def test_lock_files_hold_hashes_for_everything_and_no_address() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "check_locks.py")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_texts_are_found_in_python_and_in_templates(
    tmp_path: Path, scripts: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = scripts("check_messages")
    (tmp_path / "app").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "app" / "views.py").write_text(
        'from x import gettext_lazy as _, ngettext\nA = _("One")\nB = ngettext("%(n)s day", "%(n)s days", 2)\n'
    )
    (tmp_path / "templates" / "page.html").write_text(
        '{% load i18n %}\n  <p title="{% translate "Two" context "time" %}">\n'
        "{% blocktranslate trimmed with a=b %}\n  Three\n  {{ a }}{% endblocktranslate %}\n    {# no #}"
    )
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    monkeypatch.setattr(messages, "CATALOGUE", tmp_path / "django.po")
    found = messages.collect()
    assert {(text.context, text.english, text.plural) for text in found} == {
        (None, "One", None),
        (None, "%(n)s day", "%(n)s days"),
        ("time", "Two", None),
        (None, "Three %(a)s", None),
    }


def test_a_text_inside_an_f_string_is_reported_because_nobody_finds_it(
    tmp_path: Path, scripts: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = scripts("check_messages")
    (tmp_path / "app.py").write_text('A = f"{_(\'Lost\')} 1"\nB = _("Found")\nC = f"{a} {b}" + _("Found")\n')
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    [problem] = messages.hidden()
    assert problem.startswith("app.py:1: ")
    assert "Lost" in problem


def test_a_catalogue_is_judged_by_what_is_missing_empty_unclear_or_differently_filled(
    scripts: Callable[[str], ModuleType],
) -> None:
    messages = scripts("check_messages")
    catalogue = messages.new_catalogue()
    entry = messages.polib.POEntry
    catalogue += [
        entry(msgid="Good %(a)s", msgstr="好 %(a)s"),
        entry(msgid="Empty", msgstr=""),
        entry(msgid="Fuzzy", msgstr="模糊", flags=["fuzzy"]),
        entry(msgid="Other %(a)s", msgstr="别的 %(b)s"),
        entry(msgid="Gone", msgstr="没了"),
    ]
    texts = ("Good %(a)s", "Empty", "Fuzzy", "Other %(a)s", "New")
    found = {messages.Text(None, english, None): {"a.py"} for english in texts}
    problems = "\n".join(messages.judge(catalogue, found))
    assert "Good" not in problems
    for phrase in (
        "'Empty' has no translation",
        "'Fuzzy' is marked fuzzy",
        "'Other %(a)s' and its translation have different placeholders",
        "'New' is not in the catalogue",
        "'Gone' is in the catalogue and nowhere else",
    ):
        assert phrase in problems
