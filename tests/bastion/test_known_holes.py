"""Holes that other bastions had, each by the name of its advisory, with the tests that show that it is none here.

JumpServer (JS) and Warpgate (WG). RDP and MySQL are not built: what these rows say of them holds for SSH alone.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import asyncssh
import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.core.exceptions import SuspiciousFileOperation
from django.test import Client as Browser
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset, Credential
from assets.services import credentials
from assets.services.credentials import Entry
from bastion.gateway import wire
from bastion.gateway.contract import Account, Client, Person
from bastion.models import LoginTicket
from bastion.services import ticketing
from bastion.stores import Disk
from tests.accounts.test_signin import WRONG, sign_in
from tests.bastion.conftest import server
from tests.bastion.targets import Bench, KeyTarget
from tests.bastion.test_node_api import (  # noqa: F401 - fixtures
    CLIENT,
    SECRET,
    Speaker,
    client,
    code_now,
    give,
    key,
    signed_in,
    speaker,
)
from tests.conftest import NOW, PASSWORD, ClientFor

ROOT: Final = Path(__file__).parents[2]
HERE: Final = "bastion/test_known_holes.py"
HOLES: Final[dict[str, tuple[str, ...]]] = {
    "JS CVE-2023-42442: replay without sign-in": (
        "bastion/test_replay.py::test_strangers_find_nothing_at_any_address",
        "bastion/test_replay.py::test_without_a_viewing_that_was_written_down_there_is_no_piece",
        "bastion/test_replay.py::test_a_right_that_is_taken_back_ends_a_viewing",
        "bastion/test_pages.py::test_others_do_not_see_it",
        "test_every_address.py::test_nobody_signed_in_gets_no_further_than_the_sign_in_page",
    ),
    "JS CVE-2023-42820, CVE-2023-43650: codes of a reset are guessed": (
        "accounts/test_signin.py::test_a_link_of_a_reset_dies_after_an_hour_and_when_it_is_forged",
        "accounts/test_signin.py::test_a_link_by_mail_sets_a_new_password_once_and_ends_the_sessions",
        "accounts/test_signin.py::test_resets_are_not_sent_without_end",
        "accounts/test_signin.py::test_wrong_invitations_are_held_up",
        "accounts/test_signin.py::test_all_ways_to_fail_fill_one_measure",
        "accounts/test_people.py::test_the_token_is_stored_nowhere",
        "accounts/test_tokens.py::test_the_key_is_random_and_kept_as_a_hash_only",
    ),
    "JS CVE-2023-43652: a public key alone gives an API token": (
        f"{HERE}::test_js_cve_2023_43652_a_key_opens_neither_page_nor_api",
        "bastion/test_node_api.py::test_a_login_is_good_at_its_own_node_and_while_its_person_is",
    ),
    "JS CVE-2023-42819, CVE-2024-40628: paths of users, and a worker that is root": (
        f"{HERE}::test_js_cve_2023_42819_no_name_leads_out_of_the_store",
        f"{HERE}::test_js_cve_2024_40628_nothing_runs_as_root",
    ),
    "JS 2021 (#5533): WebSockets without sign-in": (
        "test_every_address.py::test_no_socket_opens_to_nobody_or_tells_of_another_customer",
        "bastion/test_web_terminal.py::test_foreign_pages_and_strangers_get_no_socket",
        "bastion/test_node_api.py::test_nothing_is_answered_to_whoever_does_not_sign_as_the_node",
    ),
    "JS CVE-2026-31798: certificates are not verified": (
        f"{HERE}::test_js_cve_2026_31798_certificates_and_host_keys_are_verified",
    ),
    "WG CVE-2026-63330: live recordings without authorisation": (
        "bastion/test_watching.py::test_strangers_are_not_let_in_and_learn_nothing",
        "bastion/test_watching.py::test_nobody_signed_in_is_not_let_in",
        "bastion/test_watching.py::test_what_ends_meanwhile_ends_the_look",
    ),
    "WG CVE-2026-91164: one kind of credential passes the rule of addresses": (
        f"{HERE}::test_wg_cve_2026_91164_one_measure_of_an_address_for_every_credential",
        "bastion/test_node_api.py::test_a_ticket_is_good_once_from_its_own_address",
        "bastion/test_key_and_code.py::test_nothing_opens_from_an_address_that_is_not_named",
        "accounts/test_entry_rules.py::test_the_right_password_opens_nothing_from_elsewhere",
        "accounts/test_entry_rules.py::test_pages_and_api_turn_away_whoever_comes_from_elsewhere",
    ),
    "WG CVE-2026-91166: a jump host's key under its target's address": (
        "bastion/test_host_keys.py::test_a_key_is_pinned_for_its_own_server_and_place_alone",
        "bastion/test_ssh_targets.py::test_each_hop_has_its_own_pins",
    ),
    "WG CVE-2026-91167: who administers a part raises themselves": (
        "bastion/test_access_pages.py::test_a_groups_administrator_grants_the_group_and_nothing_else",
        "bastion/test_access_pages.py::test_a_groups_administrator_works_inside_it_and_nowhere_else",
    ),
    "WG CVE-2026-63329: an address from a header that anybody can send": (
        f"{HERE}::test_wg_cve_2026_63329_a_forwarded_address_fools_no_limit",
        f"{HERE}::test_wg_cve_2026_63329_a_ticket_is_bound_to_the_address_of_the_connection",
        f"{HERE}::test_wg_cve_2026_63329_only_who_stands_behind_the_proxy_believes_it",
    ),
    "WG GHSA-xm63: forwards before the approval, unrecorded": (
        "bastion/test_ssh_doors.py::test_nothing_is_accepted_before_the_portal_has_answered",
        "bastion/test_ssh_forward.py::test_without_the_right_or_a_destination_nothing_is_forwarded",
    ),
    "WG GHSA-qw79: a hostile target fills memory": (
        "bastion/test_ssh_targets.py::test_a_target_that_floods_does_not_fill_memory",
        "bastion/test_ssh_targets.py::test_a_person_with_a_huge_window_who_does_not_read_does_not_fill_memory",
        "bastion/test_ssh_files.py::test_a_packet_of_no_sense_is_refused_before_it_is_kept",
    ),
    "WG GHSA-78rf: one slow client holds up all": (
        "bastion/test_ssh_doors.py::test_a_slow_handshake_holds_up_nobody_and_is_ended",
        "bastion/test_ssh_doors.py::test_unauthenticated_connections_are_capped",
    ),
    "WG GHSA-3cjp: keys with a passphrase": (
        f"{HERE}::test_wg_ghsa_3cjp_a_key_with_a_passphrase_is_refused_and_not_kept",
        f"{HERE}::test_wg_ghsa_3cjp_a_node_opens_nothing_with_a_key_that_it_cannot_read",
    ),
}
NOT_BUILT: Final[dict[str, str]] = {
    "WG GHSA-qw79, MySQL and RDP": "neither tunnel is built",
}


@cache
def functions_of(file: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {node.name: node for node in found if node.name.startswith("test_")}


@pytest.mark.parametrize("hole", HOLES)
def test_every_hole_has_its_tests(hole: str) -> None:
    for name in HOLES[hole]:
        file, _, function = name.partition("::")
        marks = [ast.unparse(mark) for mark in functions_of(file)[function].decorator_list]
        assert not [mark for mark in marks if "skip" in mark or "xfail" in mark], name


def test_every_test_of_this_file_belongs_to_a_hole() -> None:
    mine = {name for name in functions_of(HERE) if not name.startswith("test_every_")}
    assert mine == {name.partition("::")[2] for names in HOLES.values() for name in names if name.startswith(HERE)}


@pytest.mark.django_db
def test_js_cve_2023_43652_a_key_opens_neither_page_nor_api(speaker: Speaker, chen: User, key: str) -> None:  # noqa: F811
    person = signed_in(speaker, chen, key)
    for said in (person.token, key, key.split()[1]):
        answer = Browser().get("/api/v1/incidents/", headers={"Authorization": f"Bearer {said}"})
        assert answer.status_code == 401
        browser = Browser()
        browser.cookies["rdmp_session"] = said
        assert browser.get("/bastion/connect/").status_code == 302


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a/\0/../../../x"])
def test_js_cve_2023_42819_no_name_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "store"
    store = Disk(inside)
    for act in (lambda: store.put(name, b"x"), lambda: store.get(name), lambda: store.delete(name)):
        with pytest.raises((SuspiciousFileOperation, ValueError)):
            act()
    assert not list(tmp_path.rglob("x"))


def test_js_cve_2024_40628_nothing_runs_as_root() -> None:
    last_stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)$", last_stage, re.MULTILINE)
    assert users == ["rdmp"]
    assert last_stage.index("USER rdmp") < last_stage.index("\nCMD ")
    compose = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"user: *[\"']?(root|0)\b|privileged: *true|docker\.sock", compose)


UNVERIFIED: Final = re.compile(
    r"verify *= *False|CERT_NONE|_create_unverified_context|check_hostname *= *False|AutoAddPolicy|WarningPolicy"
    r"|known_hosts *= *None|rejectUnauthorized|curl\b.* (-k|--insecure)\b|--no-check-certificate"
)
EXAMINED: Final[dict[str, str]] = {
    "monitoring/collectors/http.py": "reads when a certificate ends that was refused",
    "monitoring/collectors/tls.py": "reads the chain of a certificate that was refused",
    "monitoring/collectors/network.py": "asks whether a port speaks TLS",
    "monitoring/collectors/products/frame.py": "a product of the customer's whose check says so",
}
"""What is verified is the certificate itself there, or a customer's own choice: no secret of the platform goes out."""


def test_js_cve_2026_31798_certificates_and_host_keys_are_verified() -> None:
    apps = ("accounts", "assets", "bastion", "changes", "costs", "incidents", "monitoring", "notify", "rdmp", "reports")
    found = set()
    for app in (*apps, "timers", "scripts", "deploy", "templates"):
        for path in (ROOT / app).rglob("*"):
            if path.suffix in {".py", ".sh", ".js", ".html", ".yml"} and UNVERIFIED.search(path.read_text("utf-8")):
                found.add(str(path.relative_to(ROOT)))
    assert found == set(EXAMINED)


@pytest.mark.django_db
@pytest.mark.parametrize("is_held_up", [False, True])
@pytest.mark.parametrize("by", ["known-key", "by-key", "by-password", "by-ticket"])
def test_wg_cve_2026_91164_one_measure_of_an_address_for_every_credential(
    speaker: Speaker,  # noqa: F811
    jia: Customer,
    chen: User,
    root: User,
    key: str,  # noqa: F811
    client: Client,  # noqa: F811
    by: str,
    is_held_up: bool,
) -> None:
    web = server(jia, "web-01")
    give(chen, web, root)
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)
        _made, ticket = ticketing.make(
            person=chen,
            asset=web,
            account="trops",
            work="a look",
            address=client.address,
            now=timezone.now(),
        )
    for number in range(12 if is_held_up else 0):
        speaker.refused("by-password", wire.ByPassword(f"nobody{number}", "guess", "1", client))
    said = {
        "known-key": wire.ByKey(chen.email, key, client),
        "by-key": wire.ByKey(chen.email, key, client),
        "by-password": wire.ByPassword(chen.email, PASSWORD, code_now(), client),
        "by-ticket": wire.ByTicket(ticket, client),
    }[by]
    if is_held_up:
        assert speaker.refused(by, said).code == "often"
    else:
        kind = {"known-key": bool, "by-ticket": wire.Ticketed}.get(by, Person)
        assert speaker.ask(by, said, kind)


@pytest.mark.django_db
def test_wg_cve_2026_63329_a_forwarded_address_fools_no_limit(alice: User) -> None:
    for number in range(10):
        forged = {"X-Forwarded-For": f"203.0.113.{number}", "X-Real-Ip": f"203.0.113.{number}"}
        browser = Browser(headers={**forged, "Forwarded": f"for=203.0.113.{number}"})
        assert not sign_in(browser, f"guess{number}@example.com", WRONG)
    assert not sign_in(Browser(headers={"X-Forwarded-For": "203.0.113.99"}), alice.email)


def test_wg_cve_2026_63329_a_ticket_is_bound_to_the_address_of_the_connection(
    web: Asset, node: object, chen: User, root: User, client_for: ClientFor
) -> None:
    give(chen, web, root)
    address, said = f"/bastion/connect/{web.pk}/ticket/", {"account": "trops", "work": "look at the disk"}
    client_for(chen).post(address, said, headers={"X-Forwarded-For": CLIENT.address}, REMOTE_ADDR="198.51.100.9")
    with scope.platform("test"):
        assert LoginTicket.objects.get().address == "198.51.100.9"


def test_wg_cve_2026_63329_only_who_stands_behind_the_proxy_believes_it() -> None:
    """The web server believes this machine alone; in the composition, where no port of it is open, its proxy."""
    for name in ("Procfile", "Dockerfile", "scripts/bootstrap.py", "rdmp/settings.py"):
        assert not re.search(r"forwarded-allow-ips|FORWARDED_ALLOW_IPS", (ROOT / name).read_text()), name
    compose = (ROOT / "docker-compose.yml").read_text()
    services = re.split(r"^  (?=[a-z]+:$)", compose, flags=re.MULTILINE)
    [believing] = [one for one in services if "FORWARDED_ALLOW_IPS" in one]
    assert believing.startswith("web:")
    assert "ports:" not in believing


def encrypted_key(passphrase: str) -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh", passphrase=passphrase).decode()


@pytest.mark.django_db
def test_wg_ghsa_3cjp_a_key_with_a_passphrase_is_refused_and_not_kept(jia: Customer) -> None:
    asset = server(jia, "web-01")
    with scope.customer(jia):
        for secret in (encrypted_key("secret"), encrypted_key(" ")):
            with pytest.raises(DomainError) as refusal:
                credentials.add(where=asset, entry=Entry("key_pair", "deploy", secret=secret), actor=None, now=NOW)
            assert refusal.value.code == "not_a_key"
        assert not Credential.objects.filter(username="deploy").exists()


async def test_wg_ghsa_3cjp_a_node_opens_nothing_with_a_key_that_it_cannot_read(b: Bench, target: KeyTarget) -> None:
    b.portal.change("web-01", hops=(target.hop(account=Account(target.user, private_key=encrypted_key("secret"))),))
    assert (await b.run("echo in")).out == b""
    assert [told["code"] for told in await b.portal.until("refused")] == ["bad_key"]
