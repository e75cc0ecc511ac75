"""From where one may log in: sshd, TCP wrapper and the server's own packet filter. An item of the checklist. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from bastion.hardening.doors import listening, read, ssh_ports
from bastion.hardening.findings import Finding, Outcome, Said, Standard, failed, passed, unknown, unread
from bastion.hardening.output import ABSENT, parts

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_OWN: Final = re.compile(
    r"-i lo\b|(ctstate|state) (RELATED,ESTABLISHED|ESTABLISHED,RELATED|ESTABLISHED)\b|-p (icmp|ipv6-icmp)"
)

_SHUT: Final = re.compile(
    r"-A INPUT( -p tcp)?( -m (tcp|multiport))*( --dports? [0-9:,]+)?( -m comment --comment (\S+|\"[^\"]*\"))?"
    r" -j (DROP|REJECT)( --reject-with \S+)?"
)
"""Shuts the port to everybody who comes so far; a rule with any further condition may not."""


def only_from_bastion(said: Said, standard: Standard) -> Finding:
    """Proven where sshd or the server's own packet filter names the addresses. What stands before the server (a
    security group, a router) cannot be seen from it: then the item fails or stays unchecked, never passes."""
    if not standard.bastions:
        return unknown("no_bastion_address")
    found = read(said)
    if isinstance(found, Finding):
        return found
    by_sshd = _by_sshd(found, standard.bastions)
    if by_sshd is not None and by_sshd.outcome is Outcome.PASSED and said.of("sshd_matches").lines:
        return unknown("match_blocks", "\n".join([by_sshd.evidence, *said.of("sshd_matches").lines]))
    return by_sshd or _by_wrapper(said, standard.bastions) or _by_filter(said, standard.bastions)


def _by_sshd(found: dict[str, list[str]], bastions: tuple[str, ...]) -> Finding | None:
    """AllowUsers with an address in every pattern. None when it says nothing about addresses."""
    patterns = [word for value in found.get("allowusers", []) for word in value.split()]
    places = [pattern.rpartition("@")[2] if "@" in pattern else "" for pattern in patterns]
    if not patterns or not any(places):
        return None
    strange = [pattern for pattern, place in zip(patterns, places, strict=True) if not is_within(place, bastions)]
    evidence = "\n".join(f"allowusers {pattern}" for pattern in patterns)
    return failed("allowed_elsewhere", evidence, *strange) if strange else passed("allow_users", evidence)


def _by_wrapper(said: Said, bastions: tuple[str, ...]) -> Finding | None:
    """hosts.allow and hosts.deny, where sshd obeys them (CentOS 7; later ones are built without)."""
    by_file = parts(said.of("hosts_access"))
    if by_file.get("libwrap", ["0"])[-1:] in ([], ["0"]):
        return None
    denied = [line for line in by_file.get("/etc/hosts.deny", []) if re.match(r"(?i)(sshd|all)\s*:\s*all\b", line)]
    allowed = [line for line in by_file.get("/etc/hosts.allow", []) if re.match(r"(?i)(sshd|all)\b", line)]
    if not denied:
        return None
    places = [word for line in allowed for word in re.split(r"[\s,]+", line.split(":", 1)[-1].strip()) if word]
    evidence = "\n".join([*allowed, *denied])
    strange = [place for place in places if not is_within(place.rstrip("."), bastions)]
    return failed("allowed_elsewhere", evidence, *strange) if strange else passed("hosts_deny", evidence)


def _by_filter(said: Said, bastions: tuple[str, ...]) -> Finding:
    """Only a plain list of rules can be judged: a jump into another chain may do anything."""
    section, ssh = said.of("packet_filter"), ssh_ports(said)
    if section.code == ABSENT:
        return unknown("filter_unread", section.text) if "@nft" in section.text else failed("open_to_all")
    if not section.is_whole:
        return unread(section)
    by_family = parts(section)
    if "running" in by_family.get("firewalld", []):
        return unknown("filter_unread", section.text)
    sources: list[str] = []
    for family in ("ipv4", "ipv6"):
        rules = by_family.get(family, [])
        if family == "ipv6" and not rules and not _answers_ipv6(said, ssh):
            continue
        verdict = _chain(rules, ssh)
        if isinstance(verdict, str):
            if verdict == "jump":
                return unknown("filter_unread", section.text)
            return failed("open_to_all", section.text)
        sources += verdict
    strange = [source for source in sources if not is_within(source, bastions)]
    return failed("allowed_elsewhere", section.text, *strange) if strange else passed("packet_filter", section.text)


def _answers_ipv6(said: Said, ssh: frozenset[int]) -> bool:
    places = {host for kind, host, port, _program in listening(said.of("ports").lines) if kind == "tcp" and port in ssh}
    return any(":" in host or host == "*" for host in places) or not places


def _chain(rules: list[str], ssh: frozenset[int]) -> list[str] | str:
    """The sources that may reach SSH; "open" when everybody may, "jump" when that cannot be said."""
    sources: list[str] = []
    for rule in (line for line in rules if line.startswith("-A INPUT")):
        target = rule.partition(" -j ")[2].split(" ")[0]
        if _OWN.search(rule) or ((rule_ports := _ports_of(rule)) is not None and not rule_ports & ssh):
            continue
        source = re.search(r"(?<!! )-s (\S+)", rule)
        if target == "ACCEPT":
            if source is None:
                return "open"
            sources.append(source[1])
        elif target in ("DROP", "REJECT"):
            if _SHUT.fullmatch(rule):
                return sources
        elif target != "LOG":
            return "jump"
    return sources if "-P INPUT DROP" in rules else "open"


def _ports_of(rule: str) -> frozenset[int] | None:
    """None: of any port."""
    if "-p udp" in rule:
        return frozenset()
    found = re.search(r"--dports? (\S+)", rule)
    if found is None or found[1].startswith("!") or "! --dport" in rule:
        return None
    numbers: set[int] = set()
    for word in found[1].split(","):
        first, _colon, last = word.partition(":")
        if not (first.isdecimal() and (last or first).isdecimal()) or len(first) > 5 or len(last) > 5:
            return None
        numbers |= set(range(int(first), min(int(last or first), 65535) + 1))
    return frozenset(numbers)


def is_within(place: str, bastions: tuple[str, ...]) -> bool:
    """Whether an address or network lies in one of the bastion's. A name or pattern does not: nobody can tell."""
    network = network_of(place)
    return network is not None and any(holds(network_of(text), network) for text in bastions)


def network_of(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def holds(own: Network | None, other: Network) -> bool:
    if isinstance(own, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return other.subnet_of(own)
    if isinstance(own, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return other.subnet_of(own)
    return False
