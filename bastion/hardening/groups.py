"""What a cloud lets through to a server's log-in port: the rules of its security groups. An item of the list. Pure.

By priority, the smallest number first; of rules with the same one, dropping comes first. Members of one group may reach
each other where the group is set so: that is not counted, since it says nothing of anybody outside.
"""

from __future__ import annotations

from collections.abc import Iterable

from bastion.hardening.doors import read, ssh_ports
from bastion.hardening.findings import Finding, Said, Standard, failed, passed, unknown
from bastion.hardening.rules import Rule, Seen
from bastion.hardening.sources import holds, is_within, network_of


def login_port(said: Said, standard: Standard) -> Finding:
    seen = standard.cloud or Seen(is_of_cloud=False)
    if seen.problem or not seen.is_of_cloud:
        return unknown("cloud_unread", "", seen.problem) if seen.problem else unknown("no_security_group")
    ports = sorted(ssh_ports(said) | standard.login_ports)
    if not ports or not standard.bastions:
        return unknown("no_bastion_address" if ports else "sshd_wrong")
    evidence = "\n".join(str(rule) for rule in seen.rules if any(rule.covers(port) for port in ports))
    strange = {source: None for port in ports for source in _let_in(seen.rules, port, standard.bastions)}
    if strange:
        return failed("group_open", evidence, *strange)
    if isinstance(unread := read(said), Finding):  # it may listen on other ports as well
        return unread
    return passed("group_shut", evidence)


def _let_in(rules: Iterable[Rule], port: int, bastions: tuple[str, ...]) -> Iterable[str]:
    """Who beside the bastion gets to this port."""
    dropped: list[str] = []
    for rule in sorted(rules, key=lambda one: (one.priority, one.is_accepting)):
        if not rule.covers(port):
            continue
        if not rule.is_accepting:
            dropped.append(rule.source)
        elif not is_within(rule.source, bastions) and not _is_dropped(rule.source, dropped):
            yield rule.source


def _is_dropped(source: str, dropped: Iterable[str]) -> bool:
    own = network_of(source)
    return own is not None and any(holds(network_of(text), own) for text in dropped)
