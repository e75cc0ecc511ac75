"""What actions and protocols are called, and a grant's terms in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from bastion.access import Protocol
from bastion.gateway.contract import Action

ACTIONS: Final[Mapping[str, str | Promise]] = {
    Action.CONNECT: pgettext_lazy("action", "Connect"),
    Action.UPLOAD: pgettext_lazy("action", "Upload"),
    Action.DOWNLOAD: pgettext_lazy("action", "Download"),
    Action.COPY: pgettext_lazy("action", "Copy"),
    Action.PASTE: pgettext_lazy("action", "Paste"),
    Action.FORWARD: pgettext_lazy("action", "Forward ports"),
    Action.SHARE: pgettext_lazy("action", "Share"),
}
GRANTED: Final = (Protocol.SSH, Protocol.RDP, Protocol.MYSQL)
"""What a grant can name. Files over SSH are a matter of its actions, not of a protocol of their own."""
PROTOCOLS: Final[Mapping[str, str | Promise]] = {
    Protocol.SSH: "SSH",
    Protocol.SFTP: "SFTP",
    Protocol.RDP: pgettext_lazy("protocol", "Remote desktop"),
    Protocol.MYSQL: "MySQL",
}
