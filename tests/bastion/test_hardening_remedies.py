"""Making items right: the change that is drafted, the look that follows it, and the scripts on a real host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from bastion.hardening.catalogue import items
from bastion.models import HardenedServer, HardeningRemedy, HardeningRun
from bastion.services.hardening import remedies
from changes.models import Change, ScriptHost, ScriptRun, ScriptVersion
from changes.scripts import shipped
from incidents.models import Incident
from tests.bastion.hardened import looked_at
from tests.conftest import NOW
from tests.machine import make_room_for_sshd


@pytest.fixture
def _scope(jia: Customer) -> Iterator[None]:
    with scope.platform("test"):
        yield


def propose(asset: Asset, actor: User, item: str = "root-login") -> HardeningRemedy:
    values = remedies.values_for(items()[item], asset, now=NOW)
    return remedies.propose(asset=asset, item=item, values=values, actor=actor, now=NOW)


@pytest.mark.usefixtures("_scope")
class TestChanges:
    def test_a_change_is_drafted_and_nothing_is_sent(self, web: Asset, chen: User) -> None:
        looked_at(web, chen)
        change = propose(web, chen).change
        assert (change.state, change.operation) == ("draft", "script-run")
        assert list(change.assets.all()) == [web]
        assert change.plan
        assert change.rollback
        assert not ScriptRun.objects.exists()
        assert not ScriptVersion.objects.get(code="harden-sshd").is_approved

    def test_a_server_of_a_long_name_gets_its_change(self, web: Asset, chen: User) -> None:
        Asset.objects.filter(pk=web.pk).update(name="w" * 200)
        web.refresh_from_db()
        looked_at(web, chen)
        assert len(propose(web, chen).change.title) == 200

    def test_remedies_of_a_server_share_an_incident(self, web: Asset, chen: User) -> None:
        looked_at(web, chen)
        first, second = propose(web, chen), propose(web, chen, "banner")
        assert first.change.incident == second.change.incident == Incident.objects.get()
        assert ScriptVersion.objects.filter(code="harden-sshd").count() == 1

    def test_ports_are_closed_by_the_change_that_needs_a_signature(self, web: Asset, chen: User) -> None:
        looked_at(web, chen)
        change = propose(web, chen, "ports").change
        assert change.closes_ports
        assert change.fields["ports"] == "3306"

    def test_one_is_open_at_a_time_and_only_ours_propose(self, web: Asset, chen: User, alice: User) -> None:
        looked_at(web, chen)
        propose(web, chen)
        with pytest.raises(DomainError) as refused:
            propose(web, chen)
        assert refused.value.code == "open_already"
        with pytest.raises(PermissionDenied):
            propose(web, alice, "banner")
        with pytest.raises(DomainError) as refused:
            propose(web, chen, "one-root")
        assert refused.value.code == "by_hand"

    def test_once_the_script_has_run_the_server_is_looked_at_again(self, web: Asset, chen: User) -> None:
        looked_at(web, chen)
        remedy = propose(web, chen)
        assert remedies.follow(now=NOW) == 0
        version = ScriptVersion.objects.get(code="harden-sshd")
        run = ScriptRun.objects.create(
            customer=web.customer, version=version, change=remedy.change, planned_by=chen, planned_at=NOW, state="done"
        )
        host = ScriptHost.objects.create(
            customer=web.customer, run=run, position=1, asset=web, state="failed", ended_at=NOW + timedelta(minutes=1)
        )
        assert remedies.follow(now=NOW) == 0
        ScriptHost.objects.filter(pk=host.pk).update(state="done")
        assert remedies.follow(now=NOW) == 1
        assert remedies.follow(now=NOW) == 0
        again = HardeningRun.objects.get(why="remedy")
        assert [check.asset_id for check in again.checks.all()] == [web.pk]
        remedy.refresh_from_db()
        assert remedy.run == again
        assert remedy.settled_at == NOW

    def test_a_change_that_was_given_up_frees_the_item(self, web: Asset, chen: User) -> None:
        looked_at(web, chen)
        remedy = propose(web, chen)
        Change.objects.filter(pk=remedy.change_id).update(state="cancelled")
        assert remedies.follow(now=NOW) == 1
        assert not HardeningRun.objects.filter(why="remedy").exists()
        propose(web, chen)
        assert AuditEntry.objects.filter(action="hardening.remedy").count() == 2

    def test_the_bastions_addresses_are_proposed(self, web: Asset) -> None:
        HardenedServer.objects.create(customer=web.customer, asset=web, platform=["10.8.0.4", "10.8.0.5"])
        assert remedies.values_for(items()["login-source"], web, now=NOW) == {"addresses": "10.8.0.4 10.8.0.5"}


# The scripts, with a directory for /etc and stand-ins for what would touch this machine. sshd is the real one.

SSHD = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin") or "sshd"
CONFIG = """# a comment
Port 2022
PermitRootLogin yes
#Banner none
PasswordAuthentication yes
Subsystem sftp internal-sftp
Match User deploy
    PasswordAuthentication yes
    PermitRootLogin yes
"""


class Machine:
    def __init__(self, place: Path) -> None:
        self.place, self.bin, self.etc = place, place / "bin", place / "etc"
        for folder in (self.bin, self.etc / "ssh", self.etc / "sudoers.d", self.etc / "security", place / "home"):
            folder.mkdir(parents=True)
        key = self.etc / "ssh" / "ssh_host_ed25519_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        self.config = self.etc / "ssh" / "sshd_config"
        self.config.write_text(f"{CONFIG}")
        self.own = f"-o HostKey={key} -o PidFile=none"
        self.program(
            "sshd",
            f'case "$*" in *-f*) exec {SSHD} {self.own} "$@";; esac; exec {SSHD} {self.own} "$@" -f {self.config}',
        )
        self.program("systemctl", f'[ "$1" = is-active ] && exit 3; echo "$@" >> {place}/asked')
        self.program("sudo", 'echo "User $4 may run the following commands"')
        (self.etc / "passwd").write_text(f"root:x:0:0::/root:/bin/bash\ntrops:x:1000:1000::{place}/home:/bin/bash\n")

    def program(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, code: str, values: Mapping[str, str], *, operator: str = "trops") -> subprocess.CompletedProcess[str]:
        body = shipped()[code].script.body.replace("/etc/", f"{self.etc}/").replace("/home/", f"{self.place}/home/")
        body = body.replace("/root/", f"{self.place}/root/")
        env = {f"PARAM_{name.upper()}": value for name, value in values.items()}
        env |= {"PATH": f"{self.bin}:{os.environ['PATH']}", "SUDO_USER": operator}
        return subprocess.run(["sh", "-c", body], env=env, text=True, capture_output=True, check=False)

    def says(self, name: str) -> list[str]:
        said = subprocess.run(
            [SSHD, *self.own.split(), "-T", "-f", str(self.config)], text=True, capture_output=True, check=True
        ).stdout.splitlines()
        return [line.partition(" ")[2] for line in said if line.startswith(f"{name} ")]

    @property
    def asked(self) -> str:
        file = self.place / "asked"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    make_room_for_sshd()
    return Machine(tmp_path)


def copies(machine: Machine) -> list[Path]:
    return sorted(machine.config.parent.glob("sshd_config.rdmp-*"))


def test_root_is_kept_out_and_the_rest_stays(machine: Machine) -> None:
    done = machine.run("harden-sshd", {"setting": "root-login"})
    assert done.returncode == 0, done.stderr
    assert machine.says("permitrootlogin") == ["no"]
    assert machine.says("port") == ["2022"]
    assert machine.config.read_text().count("PermitRootLogin yes") == 1  # inside the Match block
    assert "reload" in machine.asked
    (copy,) = copies(machine)
    assert copy.read_text() == CONFIG
    assert f"cp -p {copy}" in done.stdout


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    machine.run("harden-sshd", {"setting": "root-login"})
    before = machine.config.read_text()
    done = machine.run("harden-sshd", {"setting": "root-login"})
    assert (done.returncode, "nothing was changed" in done.stdout) == (0, True)
    assert machine.config.read_text() == before
    assert len(copies(machine)) == 1


def test_nobody_is_shut_out_for_want_of_sudo(machine: Machine) -> None:
    machine.program("sudo", 'echo "User $4 is not allowed to run sudo"')
    done = machine.run("harden-sshd", {"setting": "root-login"})
    assert done.returncode == 1
    assert machine.config.read_text() == CONFIG
    assert machine.run("harden-sshd", {"setting": "root-login"}, operator="root").returncode == 1
    assert machine.config.read_text() == CONFIG


def test_passwords_stay_while_the_operator_has_no_key(machine: Machine) -> None:
    assert machine.run("harden-sshd", {"setting": "password-login"}).returncode == 1
    assert machine.config.read_text() == CONFIG
    (machine.place / "home" / ".ssh").mkdir()
    (machine.place / "home" / ".ssh" / "authorized_keys").write_text("ssh-ed25519 AAAA\n")
    done = machine.run("harden-sshd", {"setting": "password-login"})
    assert done.returncode == 0, done.stderr
    assert machine.says("passwordauthentication") == ["no"]
    assert machine.says("permitemptypasswords") == ["no"]


def test_a_banner_is_written(machine: Machine) -> None:
    done = machine.run("harden-sshd", {"setting": "banner"})
    assert done.returncode == 0, done.stderr
    assert machine.says("banner") == [f"{machine.etc}/ssh/rdmp-banner"]
    assert "仅限授权人员" in (machine.etc / "ssh" / "rdmp-banner").read_text()


def test_a_configuration_that_sshd_refuses_is_left_alone(machine: Machine) -> None:
    machine.config.write_text(f"{CONFIG}\nNoSuchKeyword yes\n")
    done = machine.run("harden-sshd", {"setting": "banner"})
    assert done.returncode == 1
    assert "mend that first" in done.stderr
    assert not copies(machine)


def test_an_sshd_that_does_not_reload_gets_its_configuration_back(machine: Machine) -> None:
    for name in ("systemctl", "service"):
        machine.program(name, "exit 1")
    done = machine.run("harden-sshd", {"setting": "root-login"})
    assert done.returncode == 1
    assert machine.config.read_text() == CONFIG


def test_a_port_is_added_and_the_old_one_goes_only_when_the_new_is_used(machine: Machine) -> None:
    machine.program("ss", "exit 0")
    assert machine.run("harden-ssh-port", {"port": "22022", "drop_old": "no"}).returncode == 0
    assert sorted(machine.says("port")) == ["2022", "22022"]
    refused = machine.run("harden-ssh-port", {"port": "22022", "drop_old": "yes"})
    assert refused.returncode == 1
    assert "would be shut out" in refused.stderr
    machine.program("ss", "echo '0 0 10.0.0.1 10.0.0.2:5000'")
    refused = machine.run("harden-ssh-port", {"port": "22022", "drop_old": "yes"})
    assert "still connected by 2022" in refused.stderr
    assert sorted(machine.says("port")) == ["2022", "22022"]
    machine.program("ss", "case \"$*\" in *':22022 '*) echo '0 0 10.0.0.1:22022 10.0.0.2:5000';; esac")
    done = machine.run("harden-ssh-port", {"port": "22022", "drop_old": "yes"})
    assert done.returncode == 0, done.stderr
    assert machine.says("port") == ["22022"]


def test_a_port_that_systemd_holds_is_left_to_a_person(machine: Machine) -> None:
    machine.program("systemctl", "exit 0")
    assert machine.run("harden-ssh-port", {"port": "22022", "drop_old": "no"}).returncode == 1
    assert machine.config.read_text() == CONFIG
    assert not copies(machine)


@pytest.mark.parametrize(
    ("addresses", "peer", "status"),
    [
        ("10.8.0.4 10.8.0.5", "10.8.0.4:50000", 0),
        ("10.8.0.4", "[::ffff:10.8.0.4]:50000", 0),
        ("2001:db8::4", "[2001:db8::4]:50000", 0),
        ("10.8.0.4", "203.0.113.9:50000", 1),
        ("10.8.0.4", "", 1),
        ("10.8.0.4; rm -rf /", "10.8.0.4:50000", 1),
    ],
)
def test_others_are_kept_out_and_never_the_one_who_does_it(
    machine: Machine, addresses: str, peer: str, status: int
) -> None:
    machine.program("ss", f"echo '0 0 10.0.0.1:2022 {peer}'" if peer else "exit 0")
    done = machine.run("harden-login-source", {"addresses": addresses})
    assert done.returncode == status, done.stderr
    found = machine.says("allowusers")
    assert found == ([f"*@{one}" for one in addresses.split()] if status == 0 else [])


def test_what_was_allowed_by_somebody_else_is_left_to_a_person(machine: Machine) -> None:
    machine.config.write_text(f"AllowUsers deploy\n{CONFIG}")
    machine.program("ss", "echo '0 0 10.0.0.1:2022 10.8.0.4:5000'")
    assert machine.run("harden-login-source", {"addresses": "10.8.0.4"}).returncode == 1


def test_password_ages_are_set_for_accounts_to_come(machine: Machine) -> None:
    file = machine.etc / "login.defs"
    file.write_text("UMASK 022\nPASS_MAX_DAYS\t99999\nPASS_WARN_AGE 7\n")
    done = machine.run("harden-passwords", {"setting": "age"})
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^PASS_MAX_DAYS\s+(\d+)$", file.read_text(), re.MULTILINE) == ["90"]
    assert "UMASK 022" in file.read_text()


def test_quality_is_set_where_pam_asks_for_it(machine: Machine) -> None:
    assert machine.run("harden-passwords", {"setting": "quality"}).returncode == 1
    (machine.etc / "pam.d").mkdir()
    (machine.etc / "pam.d" / "common-password").write_text("password requisite pam_pwquality.so retry=3\n")
    file = machine.etc / "security" / "pwquality.conf"
    file.write_text("# minlen = 8\n# minclass = 0\ndifok = 1\n")
    for _ in range(2):
        assert machine.run("harden-passwords", {"setting": "quality"}).returncode == 0
        assert re.findall(r"^min\w+ = \d+$", file.read_text(), re.MULTILINE) == ["minlen = 12", "minclass = 3"]


def test_empty_passwords_are_locked_but_roots(machine: Machine) -> None:
    machine.program("passwd", f'echo "$@" >> {machine.place}/asked')
    (machine.etc / "shadow").write_text("root:$y$x:1::::::\ndeploy::1::::::\nbin:*:1::::::\n")
    assert machine.run("harden-passwords", {"setting": "empty"}).returncode == 0
    assert machine.asked == "-l deploy\n"
    (machine.etc / "shadow").write_text("root::1::::::\n")
    assert machine.run("harden-passwords", {"setting": "empty"}).returncode == 1


def test_modes_are_tightened_and_told(machine: Machine) -> None:
    for name, mode in (("passwd", 0o666), ("shadow", 0o644), ("sudoers", 0o644), ("crontab", 0o664)):
        (machine.etc / name).touch()
        (machine.etc / name).chmod(mode)
    done = machine.run("harden-file-modes", {})
    assert done.returncode == 0, done.stderr
    found = {name: (machine.etc / name).stat().st_mode & 0o777 for name in ("passwd", "shadow", "sudoers", "crontab")}
    assert found == {"passwd": 0o644, "shadow": 0o640, "sudoers": 0o640, "crontab": 0o644}
    assert "666 -> 644" in done.stdout
    assert machine.run("harden-file-modes", {}).stdout == "done\n"


def test_accounts_are_made_and_rules_are_judged_by_visudo(machine: Machine) -> None:
    machine.program("useradd", f'echo "$@" >> {machine.place}/asked')
    machine.program("sudo", "exit 1")
    machine.program("visudo", f'echo visudo "$@" >> {machine.place}/asked')
    (machine.etc / "group").write_text("www:x:33:\n")
    done = machine.run("harden-accounts", {})
    assert done.returncode == 0, done.stderr
    assert "-g www www" in machine.asked
    rules = {file.name: file.read_text() for file in (machine.etc / "sudoers.d").glob("rdmp-*")}
    assert rules == {"rdmp-trops": "trops ALL=(ALL) NOPASSWD: ALL\n", "rdmp-xxadmin": "xxadmin ALL=(ALL) ALL\n"}
    assert all((machine.etc / "sudoers.d" / name).stat().st_mode & 0o777 == 0o440 for name in rules)
    machine.program("visudo", "exit 1")
    for name in rules:
        (machine.etc / "sudoers.d" / name).unlink()
    assert machine.run("harden-accounts", {}).returncode == 1
    assert not list((machine.etc / "sudoers.d").iterdir())
