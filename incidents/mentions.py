"""Who is spoken to in a text: `@name`. Pure."""

from collections.abc import Iterable

MARKS = ("@", "＠")
MOST = 20


def find(text: str, names: Iterable[str]) -> list[str]:
    """The names that `text` mentions, in the order in which they come, each once, at most MOST.

    The longest name that fits wins ("@Li Ming" is not "Li"); an @ within a word is an address, no mention.
    """
    by_length = sorted({name for name in names if name}, key=len, reverse=True)
    found: dict[str, None] = {}
    for place, char in enumerate(text):
        if char not in MARKS or _is_word(text[place - 1 : place]):
            continue
        rest = text[place + 1 : place + 200]
        name = next((name for name in by_length if _begins(rest, name)), None)
        if name is not None:
            found[name] = None
        if len(found) == MOST:
            break
    return list(found)


def _begins(rest: str, name: str) -> bool:
    """Latin names end where the word ends; Chinese is written without gaps."""
    if rest[: len(name)].casefold() != name.casefold():
        return False
    return not (_is_word(name[-1]) and _is_word(rest[len(name) : len(name) + 1]))


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")
