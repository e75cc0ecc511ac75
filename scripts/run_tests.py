"""`make test`: all tests, those without a browser or a whole stack side by side, the others one after the other."""

# ruff: noqa: S603 - fixed programs, never a shell

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
RUNS = {"side by side": ["-n", "2", "-m", "not e2e"], "one by one": ["-m", "e2e"]}
NO_TESTS = 5  # pytest's exit code


def main(arguments: list[str]) -> int:
    counts: Counter[str] = Counter()
    worst = 0
    with tempfile.TemporaryDirectory(prefix="rdmp-tests-") as results:
        for name, options in RUNS.items():
            print(f"== tests {name}", flush=True)
            report = Path(results) / f"{name}.xml"
            command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *options, *arguments]
            code = subprocess.run(command, cwd=ROOT, check=False).returncode
            worst = max(worst, 0 if code == NO_TESTS else code)
            counts += count(report)
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    print(f"total: {passed} passed, {counts['failures'] + counts['errors']} failed, {counts['skipped']} skipped")
    return worst or int(passed == 0)


def count(report: Path) -> Counter[str]:
    if not report.exists():
        return Counter()
    suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314 - written by pytest above
    return sum((Counter({key: int(suite.get(key, 0)) for key in COUNTED}) for suite in suites), Counter())


COUNTED = ("tests", "failures", "errors", "skipped")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
