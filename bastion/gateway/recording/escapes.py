"""Cuts terminal text into plain runs and escape sequences (ECMA-48), whatever the pieces in which it arrives.

Bounded: an endless sequence holds a few hundred characters at most.
"""

import re
from collections.abc import Iterator

LONGEST_CSI = 256
_STRING = r"(?:\x1b[\]PX^_k]|[\x9d\x90\x98\x9e\x9f])"
"""OSC, DCS, SOS, PM, APC and screen's title: what follows is no text until the terminator."""
_BODY = r"[^\x07\x1b\x9c\x18\x1a]*"
_CSI = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*"
_OUTPUT = re.compile(
    rf"[^\x1b\x9b\x9d\x90\x98\x9e\x9f]+|{_CSI}[@-~]|{_STRING}{_BODY}(?:[\x07\x9c\x18\x1a]|\x1b\\|(?=\x1b[^\\]))"
    r"|\x1b[ -/]+[0-~]|\x1b[0-OQ-WYZ`-jl-~\\]"
)
_OPEN = re.compile(rf"{_CSI}|({_STRING}){_BODY}(\x1b?)|\x1b[ -/]*")
_KEYS = re.compile(r"[^\x1b]+|\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[ -~]|\x1b[^\[O\x1b]|\x1b(?=\x1b)")
_OPEN_KEY = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")


class Output:
    """Cuts what a terminal is shown."""

    def __init__(self) -> None:
        self._rest = ""

    def cut(self, text: str) -> Iterator[str]:
        """Plain runs, which may hold C0 controls, and whole sequences, which begin with ESC or a C1 control."""
        text, self._rest, at = self._rest + text, "", 0
        while at < len(text):
            if match := _OUTPUT.match(text, at):
                yield match[0]
                at = match.end()
            elif (start := _OPEN.fullmatch(text, at)) and (start[1] or len(text) - at <= LONGEST_CSI):
                self._rest = start[1] + start[2] if start[1] else start[0]  # nobody reads the inside of a string
                return
            else:
                at += 1  # the introducer of nothing that is known

    def interrupt(self) -> None:
        """Somebody types: what the target has left open is no longer waited for, or it would swallow the echo."""
        self._rest = ""


class Keys:
    """Cuts what a person types: single characters, and the sequences of arrows, function keys and pastes."""

    def __init__(self) -> None:
        self._rest = ""

    @property
    def is_open(self) -> bool:
        return bool(self._rest)

    def cut(self, text: str) -> Iterator[str]:
        text, self._rest, at = self._rest + text, "", 0
        while at < len(text):
            if match := _KEYS.match(text, at):
                yield from (match[0],) if match[0][0] == "\x1b" else match[0]
                at = match.end()
            elif (start := _OPEN_KEY.fullmatch(text, at)) and len(start[0]) <= LONGEST_CSI:
                self._rest = start[0]
                return
            else:
                yield text[at]
                at += 1

    def flush(self) -> str:
        """An escape key that nothing followed."""
        rest, self._rest = self._rest, ""
        return rest
