"""Rights on their whole way: decided in the portal, felt by an OpenSSH client, the node program and a real server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from accounts.services import customers, people
from assets.models import Asset, Credential, SshAccess
from bastion import tasks
from bastion.models import CommandReview, Grant, HostKeySighting, SessionCommand
from bastion.services import granting, groups, host_keys, reviewing, ruling, ticketing
from bastion.services.granting import Wanted
from bastion.services.ruling import Said
from tests.bastion.conftest import CONNECT, SSH
from tests.bastion.targets import KeyTarget
from tests.bastion.test_node_program import (
    Program,
    is_ended,
    program,
    session,
    session_is,
    ssh,
    target,
    until,
    web,
)
from tests.portal import portal  # noqa: F401 - a fixture

__all__ = ["program", "ssh", "target", "web"]
pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_a_ticket_of_the_portal_opens_one_connection_of_a_client_without_key(
    ssh: Callable[..., list[str]], program: Program, web: Asset, chen: User
) -> None:
    with scope.platform("test"):
        account = Credential.objects.get(asset=web).username
        _made, ticket = ticketing.make(
            person=chen, asset=web, account=account, work="a look", address="127.0.0.1", now=timezone.now()
        )
    line = ssh("echo in by ticket")
    line[line.index("-l") + 1] = ticket
    line[line.index("-i") : line.index("-i") + 2] = []
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "in by ticket\n")
    assert subprocess.run(line, capture_output=True, timeout=60, check=False).returncode == 255, "once"
    assert session().reason == "a look"


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_command_waits_for_a_word_from_the_portal(
    ssh: Callable[..., list[str]], jia: Customer, root: User, alice: User, is_allowed: bool
) -> None:
    with scope.platform("test"):
        said = Said("Careful", "^touch", "review")
        ruling.create(customer=jia, said=said, actor=root, now=timezone.now())
    client = subprocess.Popen(
        ssh("touch /dev/null && echo ran"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with scope.platform("test"):
        until(lambda: CommandReview.objects.waiting().exists())
        review = CommandReview.objects.joined().get()
        assert (review.text, review.rule and review.rule.name) == ("touch /dev/null && echo ran", "Careful")
        reviewing.answer(review=review, is_allowed=is_allowed, words="as agreed", actor=alice, now=timezone.now())
    out, shown = client.communicate(timeout=20)
    assert (client.returncode, out) == ((0, "ran\n") if is_allowed else (126, ""))
    assert "as agreed" in shown
    until(is_ended)
    with scope.platform("test"):
        assert SessionCommand.objects.get().verdict == "review"


def test_a_rule_that_is_written_reaches_the_session_that_runs(
    ssh: Callable[..., list[str]], jia: Customer, root: User
) -> None:
    client = subprocess.Popen(ssh("bash", "-s"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert client.stdin is not None
    until(lambda: session_is("open"))
    with scope.platform("test"):
        ruling.create(customer=jia, said=Said("Careful", "^echo never", "warn"), actor=root, now=timezone.now())
    time.sleep(2)
    client.stdin.write("echo never\n")
    client.stdin.close()
    client.wait(20)
    until(is_ended)
    with scope.platform("test"):
        assert SessionCommand.objects.get(text="echo never").verdict == "warn"


def test_an_unknown_host_key_blocks_until_it_is_confirmed_and_then_opens(
    ssh: Callable[..., list[str]], web: Asset, target: KeyTarget, alice: User
) -> None:
    with scope.platform("test"):
        SshAccess.objects.update(host_key="", fingerprint="")
    refused = subprocess.run(ssh("echo in"), capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, refused.stdout) == (255, "")
    assert "not confirmed" in refused.stderr or "尚未确认" in refused.stderr
    with scope.platform("test"):
        until(HostKeySighting.objects.exists)
        sighting = HostKeySighting.objects.joined().get()
        assert (sighting.host, sighting.port) == ("127.0.0.1", target.port)
        host_keys.confirm(sighting=sighting, words="", actor=alice, now=timezone.now())
    done = subprocess.run(ssh("echo in"), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "in\n")


@pytest.mark.parametrize("what", ["group", "assignment", "person"])
def test_whatever_is_taken_away_ends_what_runs_within_two_seconds(
    ssh: Callable[..., list[str]], jia: Customer, web: Asset, chen: User, root: User, what: str
) -> None:
    now = timezone.now()
    with scope.platform("test"):
        Grant.objects.update(ended_at=now, ended_by=root)
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=now)
        groups.add(group=group, assets=[web], actor=root, now=now)
        granting.grant(person=chen, to=group, wanted=Wanted(CONNECT, SSH), actor=root, now=now)
    client = subprocess.Popen(ssh("sleep 300"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: session_is("open"))
    began = time.monotonic()
    with scope.platform("test"):
        if what == "group":
            groups.remove(group=group, assets=[web], actor=root, now=timezone.now())
        elif what == "assignment":
            customers.unassign(customer=jia, engineer=chen, actor=root, now=timezone.now())
        else:
            people.change(person=chen, actor=root, now=timezone.now(), is_active=False)
    tasks.watch_rights()  # once a second
    client.wait(10)
    assert time.monotonic() - began < 2
    until(is_ended)
    assert session().ending == "revoked"
