"""From the portal onto a machine: the bundle is whole and the same each time, the script sets a node up for real."""

from __future__ import annotations

import hashlib
import io
import os
import pwd
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import LazySettings, settings
from django.test import Client
from django.utils import timezone

from accounts import scope
from bastion.gateway import VERSION
from bastion.gateway.errands import RUNNERS
from bastion.installing import bundle, script
from bastion.models import Node
from bastion.services import enrolling
from tests.assets.sshd import free_port
from tests.portal import portal  # noqa: F401 - a fixture

ROOT = Path(settings.BASE_DIR)


def unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {name: file.read() for name in tar.getnames() if (file := tar.extractfile(name)) is not None}


def test_the_bundle_has_what_the_program_imports_and_nothing_of_the_portal(tmp_path: Path) -> None:
    files = unpacked(bundle.made(ROOT).data)
    assert {"bastion/policy.py", "bastion/gateway/ssh/server.py", "requirements.txt"} <= files.keys()
    assert not [name for name in files if re.match("bastion/(models|views|services)|accounts/models|rdmp/", name)]
    assert not [name for name, data in files.items() if b"django" in data and name.endswith(".py")]
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", "import bastion.gateway as g, bastion.gateway.__main__; print(g.version(), g.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [bundle.made(ROOT).version, str(tmp_path / "bastion/gateway/__init__.py")]
    for module in RUNNERS.values():
        carries = [sys.executable, "-m", module]
        subprocess.run(carries, cwd=tmp_path, stdin=subprocess.DEVNULL, check=True, timeout=60)


def test_the_same_sources_make_the_same_bytes_and_others_another_version(tmp_path: Path) -> None:
    def copied(name: str) -> Path:
        for path in [*bundle.modules(ROOT), ROOT / "requirements.lock"]:
            to = tmp_path / name / path.relative_to(ROOT)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
        return tmp_path / name

    first, again = (bundle.made.__wrapped__(copied(name)) for name in ("one", "two"))
    assert first == again
    (tmp_path / "two" / "bastion" / "policy.py").write_text("# changed\n")
    changed = bundle.made.__wrapped__(tmp_path / "two")
    assert changed.version != first.version
    assert changed.version.startswith(f"{VERSION}+")


def test_its_packages_are_pins_of_the_lock_with_hashes_and_no_more_than_needed() -> None:
    pins = unpacked(bundle.made(ROOT).data)["requirements.txt"].decode()
    names = set(re.findall(r"(?m)^([a-z0-9._-]+)==", pins))
    assert {"asyncssh", "aiohttp", "cryptography", "cffi", "msgspec", "yarl", "icmplib", "pymysql"} <= names
    assert not {"django", "celery", "paramiko", "weasyprint", "pytest"} & names
    assert pins.count("==") <= pins.count("--hash=sha256:")
    assert "://" not in pins


def test_of_a_name_that_the_lock_has_twice_both_are_kept() -> None:
    lock = 'a==1 ; python_version < "3.12" \\\n    --hash=sha256:0\n    # via b\na==2 ; python_version >= "3.12" \\\n'
    lock += "    --hash=sha256:1\n    # via\n    #   b\n    #   c\n"
    lock += "b==1 \\\n    --hash=sha256:2\nc==1 \\\n    --hash=sha256:3\n"
    assert set(re.findall(r"(?m)^(\w==\d)", bundle.pins(lock, {"b"}))) == {"a==1", "a==2", "b==1"}


def test_both_are_fetched_by_anybody_and_fit_together(db: None, settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://portal.example.com"
    browser = Client(headers={"Host": "127.0.0.1"})
    text = browser.get("/bastion/install/node.sh").content.decode()
    assert "PORTAL='https://portal.example.com'" in text
    address = re.search("BUNDLE='([^']+)'", text)
    assert address
    data = browser.get(address[1]).content
    assert f"SHA256='{hashlib.sha256(data).hexdigest()}'" in text
    assert "@" not in re.sub(r"\$@|@system-service|@privileged|@resources", "", text)
    assert browser.get("/bastion/install/node-0000.tar.gz").status_code == 404


def test_an_address_that_would_leave_its_quotes_makes_no_script() -> None:
    with pytest.raises(ValueError, match="quote"):
        script.text(portal="https://a'; rm -rf /'", address="/x", bundle=bundle.made(ROOT))


def test_the_lines_for_people_hold_no_token() -> None:
    for first in script.NEEDED.values():
        line = script.line("https://portal.example.com/bastion/install/node.sh", first=first)
        assert subprocess.run(["sh", "-nc", line], check=False).returncode == 0
        assert "TOKEN" not in line


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_understands_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    unit = (ROOT / "bastion/installing/rdmp-node.service").read_text()
    settings_file = tmp_path / "settings"
    settings_file.write_text("")
    for name, value in {
        "$CURRENT/venv/bin/python": sys.executable,
        "$CURRENT": str(tmp_path),
        "$SETTINGS": str(settings_file),
        "${PORTAL}": "https://portal.example.com",
        "$capabilities": "",
        "User=rdmp-node": "User=daemon",
        "Group=rdmp-node": "Group=daemon",
    }.items():
        unit = unit.replace(name, value)
    assert "$" not in unit
    path = tmp_path / "rdmp-node.service"
    path.write_text(unit)
    verified = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert "rdmp-node" not in verified.stderr, verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-600:]


# --- for real ---------------------------------------------------------------------------------------------------------


class Machine:
    """A directory that stands for a machine; the script is the one that the portal serves."""

    def __init__(self, place: Path, url: str) -> None:
        self.root, self.url, self.port = place / "machine", url, free_port()
        self.script = place / "node.sh"

    def fetch(self, version: str = "") -> None:
        """As the portal at `url` serves it."""
        found = bundle.made(ROOT)
        text = script.text(portal=self.url, address=f"/bastion/install/node-{found.sha256}.tar.gz", bundle=found)
        self.script.write_text(text.replace(f"VERSION='{found.version}'", f"VERSION='{version or found.version}'"))

    def run(self, *words: str, token: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        if token:
            path = self.script.with_name("token")
            path.write_text(token)
            environment["RDMP_NODE_TOKEN_FILE"] = str(path)
        command = ["sh", str(self.script), "--root", str(self.root), "--port", str(self.port), "--yes", *words]
        return subprocess.run(
            command, env=environment | variables, capture_output=True, text=True, check=False, timeout=600,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    @property
    def state(self) -> Path:
        return self.root / "var/lib/rdmp-node"


@pytest.fixture
def machine(portal: str, tmp_path: Path) -> Iterator[Machine]:  # noqa: F811 - the fixture
    made = Machine(tmp_path, portal)
    made.fetch()
    yield made
    made.run("--remove", "--wipe")


def announced() -> str:
    with scope.platform("test"):
        return enrolling.announce(name="jia-1", customer=None, actor=None, now=timezone.now())[1]


def node() -> Node:
    with scope.platform("test"):
        return Node.objects.get()


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_a_node_is_installed_upgraded_goes_back_and_is_removed(machine: Machine) -> None:
    version = bundle.made(ROOT).version
    wrong = machine.run(token="nonsense")
    assert wrong.returncode == 1
    assert "bad_token" in wrong.stderr
    token = announced()
    done = machine.run(token=token)
    assert done.returncode == 0, done.stderr
    assert "The node runs: jia-1" in done.stdout
    assert token not in done.stdout + done.stderr
    assert (node().state, node().version, node().ssh_port) == ("enrolled", version, machine.port)
    assert machine.state.stat().st_mode & 0o777 == 0o700
    key = (machine.state / "node_key").read_bytes()

    again = machine.run()
    assert again.returncode == 0, again.stderr
    assert (machine.state / "node_key").read_bytes() == key
    same = machine.run("--upgrade")
    assert (same.returncode, "up to date" in same.stdout) == (0, True), same.stderr

    programs = machine.root / "opt/rdmp-node"
    broken = programs / "9.9.9"
    shutil.copytree(programs / version, broken, symlinks=True)
    (broken / "bastion/gateway/life.py").write_text("raise SystemExit('this version is broken')\n")
    machine.fetch("9.9.9")
    failed = machine.run("--upgrade", "--wait", "0")
    assert failed.returncode == 1
    assert "this version is broken" in failed.stderr
    assert "the former version runs again" in failed.stderr
    assert (node().version, node().is_draining) == (version, False)

    shutil.rmtree(broken)
    shutil.copytree(programs / version, broken, symlinks=True)
    (broken / "bastion/gateway/__init__.py").write_text("def version() -> str:\n    return '9.9.9'\n")
    upgraded = machine.run("--upgrade", "--wait", "0")
    assert upgraded.returncode == 0, upgraded.stderr
    assert (node().version, node().is_draining) == ("9.9.9", False)
    assert (machine.state / "node_key").read_bytes() == key

    removed = machine.run("--remove")
    assert removed.returncode == 0, removed.stderr
    assert node().state == "revoked"
    assert not programs.exists()
    assert not machine.state.exists()


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_what_was_not_told_is_kept_when_somebody_wants_so(machine: Machine) -> None:
    assert machine.run(token=announced()).returncode == 0
    subprocess.run(["sh", "-c", f"kill $(cat {machine.state}/node.pid)"], check=True)
    (machine.state / "spool/facts/waits.facts").write_text("")
    done = machine.run("--remove", "--keep")
    assert done.returncode == 0, done.stderr
    assert (machine.state / "spool/facts/waits.facts").exists()
    assert node().state == "enrolled"


class Wrong(BaseHTTPRequestHandler):
    """A portal whose clock is another, and whose archive is not the one that it announced."""

    date = ""

    def do_GET(self) -> None:
        self.send_response_only(200)
        if self.date:
            self.send_header("Date", self.date)
        self.end_headers()
        self.wfile.write(b"something else")

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def wrong(tmp_path: Path) -> Iterator[Machine]:
    Wrong.date = ""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Wrong)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = Machine(tmp_path, f"http://127.0.0.1:{server.server_address[1]}")
    made.fetch()
    yield made
    server.shutdown()
    server.server_close()


def test_a_wrong_clock_is_said(wrong: Machine) -> None:
    Wrong.date = "Mon, 02 Mar 2020 02:00:00 GMT"
    done = wrong.run(token="x")
    assert done.returncode == 1
    assert "clock is" in done.stderr
    assert not wrong.state.exists()


def test_another_archive_than_announced_is_refused(wrong: Machine) -> None:
    done = wrong.run(token="x")
    assert done.returncode == 1
    assert "is not what the portal announced" in done.stderr
    assert not (wrong.root / "opt/rdmp-node/current").exists()


def test_a_portal_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    made = Machine(tmp_path, f"http://127.0.0.1:{free_port()}")
    made.fetch()
    done = made.run(token="x")
    assert (done.returncode, "cannot be reached from here" in done.stderr) == (1, True)


def test_an_old_python_is_said(wrong: Machine, tmp_path: Path) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    for name in ("sh", "cat", "id", "dirname", "mkdir", "printf"):
        (old / name).symlink_to(shutil.which(name) or "/bin/sh")
    (old / "python3").write_text("#!/bin/sh\nexit 1\n")
    (old / "python3").chmod(0o755)
    done = wrong.run(token="x", PATH=str(old))
    assert (done.returncode, "Python 3.11 or newer is needed" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--port", "0"], "is no port"), (["--port", "99999"], "is no port"), (["--nonsense"], "unknown option")],
)
def test_nonsense_is_said(wrong: Machine, words: list[str], said: str) -> None:
    done = wrong.run(*words)
    assert (done.returncode, said in done.stderr) == (1, True)


def test_without_a_terminal_and_without_a_file_there_is_no_token(wrong: Machine) -> None:
    """`sh -n` finds no fault either."""
    assert subprocess.run(["sh", "-n", wrong.script], check=False).returncode == 0
    text = wrong.script.read_text().replace('"$WHAT"\n}', "enrol\n}")
    wrong.script.write_text(text)
    done = wrong.run()
    assert (done.returncode, "RDMP_NODE_TOKEN_FILE" in done.stderr) == (1, True)


@pytest.mark.parametrize("said", ["0", "-1", "1 2", "$(touch x)", ""])
def test_what_is_no_process_number_ends_nothing(wrong: Machine, said: str) -> None:
    wrong.state.mkdir(parents=True)
    (wrong.state / "node.pid").write_text(said)
    only(wrong, "SYSTEMD=no; stop; echo survived")
    done = wrong.run()
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr
    assert not (wrong.state / "node.pid").exists()


def test_the_settings_are_not_for_everybodys_eyes(wrong: Machine) -> None:
    settings = wrong.root / "etc/rdmp-node.env"
    settings.parent.mkdir(parents=True)
    settings.write_text("RDMP_NODE_PORT=2222\n")
    settings.chmod(0o644)
    only(wrong, "write_settings")
    done = wrong.run(https_proxy="http://me:secret@proxy:3128")
    assert done.returncode == 0, done.stderr
    assert "https_proxy=http://me:secret@proxy:3128" in settings.read_text()
    assert settings.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in settings.parent.iterdir()] == [settings.name]


def test_the_room_that_a_node_wants_survives_an_upgrade(wrong: Machine) -> None:
    settings = wrong.root / "etc/rdmp-node.env"
    settings.parent.mkdir(parents=True)
    settings.write_text("RDMP_NODE_PORT=2222\nRDMP_NODE_LEAST_FREE_GB=5\n")
    only(wrong, "keep_settings; write_settings")
    done = wrong.run()
    assert done.returncode == 0, done.stderr
    assert "RDMP_NODE_LEAST_FREE_GB=5\n" in settings.read_text()


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("runuser") is None, reason="needs root")
def test_a_process_that_is_not_the_nodes_is_left_alone(wrong: Machine) -> None:
    """Whatever the node's user writes into its pid file."""
    only(wrong, "ROOT=''; NAME=nobody; STATE=$HOME; stop")
    with tempfile.TemporaryDirectory() as state:
        os.chown(state, pwd.getpwnam("nobody").pw_uid, -1)
        for command, is_ended in ((["sleep", "60"], False), (["runuser", "-u", "nobody", "--", "sleep", "60"], True)):
            with subprocess.Popen(command) as process:
                (Path(state) / "node.pid").write_text(str(child_of(process)))
                done = wrong.run(HOME=state)
                assert done.returncode == 0, done.stderr
                try:
                    process.wait(2)
                except subprocess.TimeoutExpired:
                    process.kill()
                    assert not is_ended
                else:
                    assert is_ended


def only(machine: Machine, work: str) -> None:
    """Nothing but this of the script."""
    machine.script.write_text(machine.script.read_text().replace('"$WHAT"\n}', f"{work}\n}}"))


def child_of(process: subprocess.Popen[bytes]) -> int:
    """What `runuser` runs; the process itself where it has none."""
    time.sleep(0.5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else process.pid
