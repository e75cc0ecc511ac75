"""What actions, protocols, verdicts and what a node tells are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext, pgettext_lazy

from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.models import CommandRule
from bastion.services.regimes import Regime, Said

ACTIONS: Final[Mapping[str, str | Promise]] = {
    Action.CONNECT: pgettext_lazy("action", "Connect"),
    Action.UPLOAD: pgettext_lazy("action", "Upload"),
    Action.DOWNLOAD: pgettext_lazy("action", "Download"),
    Action.COPY: pgettext_lazy("action", "Copy"),
    Action.PASTE: pgettext_lazy("action", "Paste"),
    Action.FORWARD: pgettext_lazy("action", "Forward ports"),
    Action.SHARE: pgettext_lazy("action", "Share"),
}
GRANTED: Final = (Protocol.SSH,)
"""What a grant can name: what nodes speak. Files over SSH are a matter of its actions, not of their own protocol."""
PROTOCOLS: Final[Mapping[str, str | Promise]] = {
    Protocol.SSH: "SSH",
    Protocol.SFTP: "SFTP",
    Protocol.RDP: pgettext_lazy("protocol", "Remote desktop"),
    Protocol.MYSQL: "MySQL",
}


def regime_line(regime: Regime) -> str:
    """When a session ends by itself."""
    said = {"idle": minutes(regime.idle_minutes), "total": minutes(regime.total_minutes)}
    return _("After %(idle)s without a key, and after %(total)s in any case.") % said


def group_lines(said: Said) -> list[str]:
    """What a group says of the sessions of its resources."""
    lines = []
    if said.idle_minutes is not None:
        lines.append(_("Sessions end after %(time)s without a key.") % {"time": minutes(said.idle_minutes)})
    if said.total_minutes is not None:
        lines.append(_("Sessions end after %(time)s in any case.") % {"time": minutes(said.total_minutes)})
    if said.copies_mb:
        lines.append(_("Copies are kept of files up to %(size)d MB.") % {"size": said.copies_mb})
    elif said.copies_mb == 0:
        lines.append(_("No copies of files are kept."))
    return lines


def minutes(count: int) -> str:
    if count >= 60 and count % 60 == 0:
        return ngettext("%(count)d hour", "%(count)d hours", count // 60) % {"count": count // 60}
    return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}


def verdict_word(verdict: str) -> str:
    return str(dict(CommandRule.Verdict.choices).get(verdict, verdict))


def direction_word(direction: str) -> str:
    words = {"up": pgettext("file", "Upload"), "down": pgettext("file", "Download")}
    return words.get(direction) or change_word(direction)


def change_word(action: object) -> str:
    """What was done to a file or folder without sending one."""
    words = {
        "remove": pgettext("file", "removed"),
        "rename": pgettext("file", "renamed"),
        "mkdir": pgettext("file", "folder made"),
        "rmdir": pgettext("file", "folder removed"),
        "setstat": pgettext("file", "attributes changed"),
        "symlink": pgettext("file", "link made"),
        "link": pgettext("file", "link made"),
    }
    return words.get(str(action or ""), str(action or ""))


def result_word(result: str) -> str:
    words = {
        "done": pgettext("file", "complete"),
        "failed": pgettext("file", "failed"),
        "cut": pgettext("file", "cut off"),
        "refused": pgettext("file", "refused"),
    }
    return words.get(result, result)


def front_word(front: str) -> str:
    return {"ssh": _("SSH client"), "web": _("Browser")}.get(front, front)


EVENT_KINDS: Final = ("opened", "account", "file", "forward", "linked", "host_key", "refused", "ended")


def event_word(kind: str) -> str:
    words = {
        "opened": _("begun"),
        "account": _("signed in on the server"),
        "ended": _("ended"),
        "file": _("file changed"),
        "forward": _("port forwarded"),
        "linked": _("connected to the server anew"),
        "host_key": _("host key"),
        "refused": _("refused"),
    }
    return words.get(kind, kind)


def refused_word(what: str) -> str:
    """What a node refused: of its own few words, or a command or place as it was typed."""
    words = {"connect": pgettext("action", "Connect"), "paste": pgettext("action", "Paste"), "target": _("Server")}
    return words.get(what, {"scp": "SCP", "sftp": "SFTP"}.get(what, what))
