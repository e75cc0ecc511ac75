"""Security: Security Center, hardening, patches, the bastion, log-ins past it, the audit trail, credentials (R111)."""

from __future__ import annotations

from django.utils.translation import gettext as _

from reports.blocks import Block, Part
from reports.kinds.asking import Asked
from reports.kinds.monthly import security_access, security_accounts, security_center, security_hosts


def read(asked: Asked) -> Part:
    center = security_center.read(asked)
    hardening, patches = security_hosts.hardening(asked), security_hosts.patches(asked)
    blocks: list[Block] = [
        *security_center.blocks(asked, center),
        *security_hosts.hardening_blocks(asked, hardening),
        *security_hosts.patch_blocks(asked, patches),
        *security_access.session_blocks(asked),
        *security_access.login_blocks(asked),
        *security_accounts.trail_blocks(asked),
        *security_accounts.credential_blocks(asked),
    ]
    findings = [
        *security_center.findings(asked, center),
        *security_hosts.hardening_findings(hardening),
        *security_hosts.patch_findings(patches),
        *security_access.findings(asked),
        *security_accounts.findings(asked),
    ]
    return Part("security", _("Security report"), tuple(blocks), tuple(findings))
