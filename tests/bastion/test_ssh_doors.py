"""How people come in, what is refused to everybody, and that nobody holds up others at the door."""

import asyncio
import stat
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from bastion.gateway.contract import Access, Client, Language, Refused, WebTerminal, Wish
from bastion.gateway.limits import Doorstep
from bastion.gateway.ssh.server import host_keys
from bastion.gateway.ssh.target import public_line
from bastion.gateway.web.desk import Desk
from tests.bastion.targets import Bench, KeyTarget, bench

TICKET = "ticket-" + "x" * 32


class Typing(asyncssh.SSHClient):
    """Answers the questions of keyboard-interactive, and remembers them."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = answers, [""]
        self.tries = 0

    def kbdint_auth_requested(self) -> str | None:
        self.tries += 1
        return "" if self.tries == 1 else None

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str]:
        self.asked = [prompt for prompt, _ in prompts]
        return list(self.answers)


async def signs_in(b: Bench, typing: Typing, user: str = "chen#web-01") -> bool:
    said: dict[str, object] = {"client_keys": None, "preferred_auth": "keyboard-interactive"}
    try:
        async with b.connect(user, client_factory=lambda: typing, **said) as conn:
            return (await conn.run("echo in")).stdout == "in\n"
    except asyncssh.PermissionDenied:
        return False


async def test_password_and_code_are_asked_in_one_go(b: Bench) -> None:
    typing = Typing("word", "123456")
    assert await signs_in(b, typing)
    assert len(typing.asked) == 2


@pytest.mark.parametrize(("password", "code"), [("wrong", "123456"), ("word", "000000"), ("", "")])
async def test_a_wrong_password_or_code_is_refused(b: Bench, password: str, code: str) -> None:
    assert not await signs_in(b, Typing(password, code))


@pytest.mark.parametrize("user", ["nobody#web-01", "a@b@c@d@e", "ticket-" + "y" * 32, "chen#a#b"])
async def test_who_does_not_exist_is_asked_the_same_and_refused(b: Bench, user: str) -> None:
    stranger, chen = Typing("word", "123456"), Typing("bad", "bad")
    assert not await signs_in(b, stranger, user)
    assert not await signs_in(b, chen)
    assert stranger.asked == chen.asked


async def test_an_unknown_key_is_refused(b: Bench) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await b.connect(client_keys=[asyncssh.generate_private_key("ssh-ed25519")])
    with pytest.raises(asyncssh.PermissionDenied):
        await b.connect("nobody#web-01")


async def test_a_key_that_the_portal_takes_back_meanwhile_opens_nothing(b: Bench) -> None:
    async def no(*_: object) -> object:
        from bastion.gateway.contract import Refused  # noqa: PLC0415  # Only here.

        raise Refused("locked", "No.")

    b.portal.sign_in_by_key = no  # type: ignore[method-assign, assignment]
    ran = await b.run("echo in")
    assert (ran.status, ran.out) == (255, b"")
    assert b.portal.wishes == []


async def test_plain_passwords_are_not_offered(b: Bench) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await b.connect(client_keys=None, password="word", preferred_auth="password")


async def test_a_ticket_goes_straight_in_and_only_once(b: Bench) -> None:
    b.portal.tickets[TICKET] = ("chen", "web-01")
    first = await b.run("echo in", user=TICKET)
    second = await b.run("echo in", user=TICKET)
    assert (first.status, first.out) == (0, b"in\n")
    assert (second.status, second.out) == (255, b"")


async def test_too_many_passwords_on_one_connection_end_it(b: Bench) -> None:
    class Stubborn(Typing):
        def kbdint_auth_requested(self) -> str | None:
            self.tries += 1
            return "" if self.tries < 50 else None

    typing = Stubborn("wrong", "wrong")
    with pytest.raises(asyncssh.DisconnectError):
        await b.connect(client_keys=None, preferred_auth="keyboard-interactive", client_factory=lambda: typing)
    assert typing.tries <= 6


async def test_with_the_portal_away_nobody_comes_in(b: Bench) -> None:
    b.portal.is_away = True
    assert not await signs_in(b, Typing("word", "123456"))
    assert (await b.run("echo in")).status == 255


async def test_the_accounts_form_names_the_account(b: Bench) -> None:
    assert (await b.run("echo in", user="chen@root@web-01")).out == b"in\n"
    assert (b.portal.wishes[0].account, b.portal.wishes[0].resource) == ("root", "web-01")


async def test_a_refusal_says_why_in_the_persons_language(b: Bench) -> None:
    ran = await b.run("echo in", user="chen#db-9")
    assert (ran.status, ran.out) == (255, b"")
    assert "You may not reach db-9" in ran.err
    b.portal.people["chen"] = b.portal.enter("chen", language=Language.ZH, keys=b.portal.people["chen"].keys)
    assert "请在用户名中写明资源" in (await b.run("echo in", user="chen")).err


async def test_a_node_that_is_short_of_disk_begins_nothing(tmp_path: Path, target: KeyTarget, keys: Path) -> None:
    async with bench(tmp_path, [target.hop()], keys=keys, change=lambda node: replace(node, least_free=2**60)) as b:
        b.portal.change("web-01", forwards=("*:*",))
        ran = await b.run("echo in")
        assert (ran.status, ran.out) == (255, b"")
        assert "short of disk space" in ran.err
        async with b.connect() as conn:
            with pytest.raises(asyncssh.ChannelOpenError):
                await conn.open_connection("192.0.2.1", 80)
        person, client = b.portal.people["chen"].person, Client("192.0.2.1", 1)
        with pytest.raises(Refused, match="node_full"):
            await Desk(b.node).terminal(WebTerminal(person, client, "web-01", "", "", 80, 24), object())  # type: ignore[arg-type]
        assert b.portal.wishes == [], "the portal is not asked for what cannot begin"


async def test_work_is_taken_from_the_environment(b: Bench) -> None:
    b.portal.change("web-01", needs_work=True)
    refused = await b.run("echo in")
    assert refused.status == 255
    assert "INC-000123" in refused.err
    ran = await b.run("echo ${RDMP_WORK-unset}", options=["-oSetEnv=RDMP_WORK=INC-000123"])
    assert ran.out == b"unset\n"
    assert b.portal.wishes[-1].work == "INC-000123"


async def test_work_is_stated_once_for_a_connection(b: Bench) -> None:
    b.portal.change("web-01", needs_work=True)
    async with b.connect() as conn:
        assert (await conn.run("echo in")).exit_status == 255
        assert (await conn.run("echo 1", env={"RDMP_WORK": "INC-000123"})).stdout == "1\n"
        assert (await conn.run("echo 2")).stdout == "2\n"
        assert b.portal.wishes[-1].work == "INC-000123"
        assert (await conn.run("echo 3", env={"RDMP_WORK": "CHG-000007"})).stdout == "3\n"
        assert b.portal.wishes[-1].work == "CHG-000007"


async def test_work_that_is_finished_meanwhile_is_asked_for_again(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    b.portal.change("web-01", needs_work=True)
    authorise = b.portal.authorise

    async def but_not(wish: Wish) -> Access:
        return await authorise(replace(wish, work="" if wish.work == "INC-000123" else wish.work))

    async with b.connect() as conn:
        assert (await conn.run("echo 1", env={"RDMP_WORK": "INC-000123"})).stdout == "1\n"
        monkeypatch.setattr(b.portal, "authorise", but_not)
        ran = await conn.run("echo 2")
        assert ran.exit_status == 255
        assert "INC-000123" in str(ran.stderr)
        assert (await conn.run("echo 3", env={"RDMP_WORK": "CHG-000007"})).stdout == "3\n"


async def test_work_stands_in_the_user_name(b: Bench) -> None:
    """WinSCP, database clients and `ssh -N` set no environment."""
    b.portal.change("web-01", needs_work=True)
    assert (await b.run("echo in", user="chen#web-01~CHG-000007")).out == b"in\n"
    assert b.portal.wishes[-1].work == "CHG-000007"


async def test_who_must_say_what_it_is_for_is_asked_about_once(b: Bench) -> None:
    b.portal.change("web-01", needs_work=True)
    chen = b.portal.people["chen"]
    chen.person = replace(chen.person, says_work=True)
    ran = await b.run("echo in", options=["-oSetEnv=RDMP_WORK=INC-000123"])
    assert ran.out == b"in\n"
    assert [wish.work for wish in b.portal.wishes] == ["INC-000123"]
    refused = await b.run("echo in")
    assert (refused.status, refused.out) == (255, b"")
    assert "INC-000123" in refused.err


async def test_the_portal_is_asked_twice_about_a_key(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is offered, and once it has been proven; of another one it knows nothing by that."""
    asked, is_known = [], b.portal.is_known_key

    async def known(login: str, public_key: str, client: Client) -> bool:
        asked.append(public_key)
        return await is_known(login, public_key, client)

    monkeypatch.setattr(b.portal, "is_known_key", known)
    client_key, stranger = asyncssh.read_private_key(b.key), asyncssh.generate_private_key("ssh-ed25519")
    async with b.connect(client_keys=[client_key, stranger]) as conn:
        assert (await conn.run("echo in")).stdout == "in\n"
    assert asked == [public_line(client_key)] * 2
    with pytest.raises(asyncssh.PermissionDenied):
        await b.connect(client_keys=[stranger])
    assert asked[2:] == [public_line(stranger)]


async def test_nothing_is_accepted_before_the_portal_has_answered(b: Bench) -> None:
    """Warpgate GHSA-xm63: forwards opened before the decision."""
    b.portal.change("web-01", forwards=("*:*",))
    b.portal.gate = asyncio.Event()
    async with b.connect() as conn:
        forward = asyncio.ensure_future(conn.open_connection("192.0.2.1", 80))
        shell = asyncio.ensure_future(conn.run("echo in"))
        await asyncio.sleep(0.2)
        assert not forward.done()
        assert not shell.done()
        assert b.portal.facts == []
        b.portal.grants.clear()
        b.portal.gate.set()
        with pytest.raises(asyncssh.ChannelOpenError):
            await forward
        assert (await shell).exit_status == 255
    assert b.portal.told("opened") == []


async def test_a_slow_handshake_holds_up_nobody_and_is_ended(tmp_path: Path, target: KeyTarget, keys: Path) -> None:
    """Warpgate GHSA-78rf."""
    async with bench(tmp_path, [target.hop()], keys=keys, login_s=2.0) as b:
        slow = [await asyncio.open_connection("127.0.0.1", b.gateway.port) for _ in range(10)]
        for _, writer in slow[:5]:
            writer.write(b"SSH-2.0-slow")
        assert (await b.run("echo in")).out == b"in\n"
        began = time.monotonic()
        for reader, _ in slow:
            await asyncio.wait_for(reader.read(), 5)
        assert time.monotonic() - began < 4
        assert b.gateway.doorstep.count == 0
        for _, writer in slow:
            writer.close()


async def test_whoever_is_asked_for_a_code_has_time(tmp_path: Path, target: KeyTarget, keys: Path) -> None:
    class Slow(Typing):
        async def kbdint_challenge_received(self, *said: object) -> list[str]:  # type: ignore[override]
            await asyncio.sleep(2)
            return list(self.answers)

    async with bench(tmp_path, [target.hop()], keys=keys, login_s=1.5) as b:
        assert await signs_in(b, Slow("word", "123456"))


async def test_unauthenticated_connections_are_capped(tmp_path: Path, target: KeyTarget, keys: Path) -> None:
    door = Doorstep(most=9, most_per_address=3)
    async with bench(tmp_path, [target.hop()], keys=keys, doorstep=door) as b, b.connect() as conn:
        waiting = [await asyncio.open_connection("127.0.0.1", b.gateway.port) for _ in range(3)]
        for reader, _ in waiting:
            assert (await reader.readline()).startswith(b"SSH-2.0-RDMP")
        with pytest.raises((asyncssh.Error, OSError)):
            await b.connect()
        assert (await conn.run("echo still")).stdout == "still\n"
        for _, writer in waiting:
            writer.close()
        for _ in range(100):
            if door.count == 0:
                break
            await asyncio.sleep(0.02)
        assert (await b.run("echo in")).out == b"in\n"


async def test_modern_algorithms_only(b: Bench) -> None:
    old_key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    b.portal.people["chen"].keys.add(public_line(old_key))
    async with b.connect(client_keys=[old_key]) as conn:
        assert (await conn.run("echo in")).stdout == "in\n"
    async with b.connect(kex_algs=["mlkem768x25519-sha256"]) as conn:
        assert (await conn.run("echo in")).stdout == "in\n"
    for old in (
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"encryption_algs": ["aes128-cbc"]},
        {"mac_algs": ["hmac-sha1"], "encryption_algs": ["aes128-ctr"]},
        {"server_host_key_algs": ["ssh-rsa"]},
        {"signature_algs": ["ssh-rsa"], "client_keys": [old_key]},
    ):
        with pytest.raises(asyncssh.Error):
            await b.connect(**old)


def test_host_keys_are_kept_and_nobody_elses(keys: Path) -> None:
    first = [key.get_fingerprint() for key in host_keys(keys)]
    assert [key.get_fingerprint() for key in host_keys(keys)] == first
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.glob("ssh_host_*")} == {0o600}
    assert [key.get_algorithm() for key in host_keys(keys)] == ["ssh-ed25519", "ssh-rsa"]
