"""Who gets in and by which door: sshd and listening ports. Items of the checklist. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from bastion.hardening.findings import Finding, Said, Standard, failed, passed, unknown, unread
from bastion.hardening.output import Section, parts

USUAL_PORT: Final = 22
AUTHENTICATION: Final = (
    "pubkeyauthentication", "passwordauthentication", "kbdinteractiveauthentication", "challengeresponseauthentication",
    "permitemptypasswords", "maxauthtries", "authenticationmethods",
)  # fmt: skip
CLIENTS: Final = frozenset({("udp", 68), ("udp", 546)})
"""Where DHCP's answers arrive: nothing is served there."""
_LISTENS: Final = re.compile(r"^(tcp|udp)6?\s")
_PLACE: Final = re.compile(r"^(?P<host>.*):(?P<port>\d{1,5})$")
_PROGRAM: Final = re.compile(r'users:\(\("([^"]*)"|\d+/(\S+)')


def settings(section: Section) -> dict[str, list[str]]:
    """What `sshd -T` says: each keyword in lower case with its values, in order."""
    found: dict[str, list[str]] = {}
    for line in section.lines:
        name, _blank, value = line.strip().partition(" ")
        found.setdefault(name.lower(), []).append(value.strip())
    return found


def read(said: Said, name: str = "sshd") -> dict[str, list[str]] | Finding:
    section = said.of(name)
    if section.code not in (0, 77, 78, -1):
        return unknown("sshd_wrong", section.text)
    if not section.is_whole:
        return unread(section)
    found = settings(section)
    return found if "permitrootlogin" in found else unknown("sshd_wrong", section.text)


def shown(found: dict[str, list[str]], *names: str) -> str:
    return "\n".join(f"{name} {value}" for name in names for value in found.get(name, []))


def _first(found: dict[str, list[str]], name: str) -> str:
    return found.get(name, [""])[0].lower()


def root_login(said: Said, _standard: Standard) -> Finding:
    """By what holds for root itself, so that a Match block cannot hide it."""
    found, for_root = read(said), read(said, "sshd_root")
    if isinstance(found, Finding):
        return found
    seen = found if isinstance(for_root, Finding) else for_root
    evidence = "\n".join([shown(seen, "permitrootlogin"), *said.of("sshd_matches").lines])
    values = {_first(found, "permitrootlogin"), _first(seen, "permitrootlogin")}
    if values != {"no"}:
        return failed("root_login", evidence, *sorted(values - {"no"}))
    return passed("no_root_login", evidence)


def authentication(said: Said, standard: Standard) -> Finding:
    """Keys, and passwords only where that was agreed; an empty password never."""
    found = read(said)
    if isinstance(found, Finding):
        return found
    evidence = shown(found, *AUTHENTICATION)
    if _first(found, "permitemptypasswords") == "yes":
        return failed("sshd_empty_passwords", evidence)
    if _first(found, "pubkeyauthentication") == "no":
        return failed("no_keys", evidence)
    tries = _first(found, "maxauthtries")
    if tries.isascii() and tries.isdecimal() and len(tries) < 9 and int(tries) > 6:
        return failed("many_tries", evidence, tries)
    by_password = _takes_passwords(found)
    if by_password and not standard.allows_passwords:
        return failed("password_login", evidence)
    return passed("passwords_agreed" if by_password else "keys_only", evidence)


def _takes_passwords(found: dict[str, list[str]]) -> bool:
    """Directly, or as an answer to a question that PAM asks."""
    asks = "yes" in {_first(found, "kbdinteractiveauthentication"), _first(found, "challengeresponseauthentication")}
    return _first(found, "passwordauthentication") != "no" or (asks and _first(found, "usepam") == "yes")


def ssh_ports(said: Said) -> frozenset[int]:
    found = read(said)
    values = [] if isinstance(found, Finding) else found.get("port", [])
    return frozenset(int(value) for value in values if value.isascii() and value.isdecimal() and len(value) <= 5)


def ssh_port(said: Said, _standard: Standard) -> Finding:
    found = read(said)
    if isinstance(found, Finding):
        return found
    ports, evidence = ssh_ports(said), shown(found, "port", "listenaddress")
    if not ports:
        return unknown("sshd_wrong", evidence)
    return failed("usual_port", evidence) if USUAL_PORT in ports else passed("other_port", evidence)


def banner(said: Said, _standard: Standard) -> Finding:
    section = said.of("banner")
    if not section.is_whole:
        return unread(section)
    (name, lines), *_rest = [(name, lines) for name, lines in parts(section).items() if name] or [("", [])]
    if not name:
        return unknown("went_wrong", section.text)
    evidence = "\n".join([name, *lines])
    if name.lower() == "none":
        return failed("no_banner", evidence)
    return passed("banner", evidence) if "".join(lines).strip() else failed("banner_empty", evidence, name)


def ports(said: Said, standard: Standard) -> Finding:
    """What listens to others, against what was agreed; sshd's own port is always among it."""
    section = said.of("ports")
    if not section.is_whole:
        return unread(section)
    open_ports = list(listening(section.lines))
    if not open_ports:
        return unknown("ports_unread", section.text)
    evidence = "\n".join(f"{kind} {host}:{port} {program}".strip() for kind, host, port, program in open_ports)
    allowed = standard.ports | ssh_ports(said)
    extra = sorted(
        {
            port
            for kind, host, port, _program in open_ports
            if port not in allowed and not is_local(host) and (kind, port) not in CLIENTS
        }
    )
    if not extra:
        return passed("ports_agreed", evidence)
    if not standard.ports:
        return failed("ports_not_agreed", evidence, *map(str, extra))
    return failed("ports_extra", evidence, *map(str, extra))


def listening(lines: Iterable[str]) -> Iterable[tuple[str, str, int, str]]:
    """Protocol, address, port and program, out of `ss -lntup` or `netstat -lntup`."""
    for line in lines:
        kind = _LISTENS.match(line)
        words = line.split()
        if kind is None or len(words) < 5:
            continue
        places = [found for word in words[3:5] if (found := _PLACE.match(word))]
        if not places or int(places[0]["port"]) > 65535:
            continue
        program = _PROGRAM.search(line)
        name = "" if program is None else (program[1] or program[2] or "")
        yield kind[1], places[0]["host"], int(places[0]["port"]), name


def is_local(host: str) -> bool:
    """An address that nobody outside the machine reaches. A star and zeros are everybody's."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
