"""Is every text that a person may see translated? Compares the sources with locale/zh_Hans without gettext's programs.

python scripts/check_messages.py           list what is missing, empty, unclear or out of place; exit 1 if any
python scripts/check_messages.py --write   bring the catalogue up to date: new texts empty, vanished ones gone
"""

import argparse
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polib
from babel.messages.extract import extract_python
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
LEFT_OUT = {"tests", "benchmarks", "scripts", "node_modules", "migrations"}
KEYWORDS = {
    "_": (1,),
    "gettext": (1,),
    "gettext_lazy": (1,),
    "gettext_noop": (1,),
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ("c", 1),
    "pgettext_lazy": ("c", 1),
    "npgettext": ("c", 1, 2),
    "npgettext_lazy": ("c", 1, 2),
}
IN_F_STRING = re.compile(r"\bf[\"'].*\{\s*(?:_|n?p?gettext(?:_lazy)?)\(")
PLACEHOLDER = re.compile(r"%\(\w+\)[#0\- +]?[\d.]*[a-z]|%[sd]|\{\w*\}")


@dataclass(frozen=True)
class Text:
    """One translatable text: its context (None without one), its English form and its English plural."""

    context: str | None
    english: str
    plural: str | None

    @property
    def key(self) -> tuple[str | None, str]:
        return self.context, self.english


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    settings.configure()  # templatize asks for the file charset and nothing else
    found = collect()
    catalogue = polib.pofile(str(CATALOGUE), wrapwidth=120) if CATALOGUE.exists() else new_catalogue()
    if write:
        update(catalogue, found)
    problems = [*judge(catalogue, found), *hidden()]
    print("\n".join(problems) or f"{len(found)} texts, all translated")
    return 1 if problems else 0


def collect() -> dict[Text, set[str]]:
    """Every text with the files that it stands in."""
    found: dict[Text, set[str]] = {}
    for path in sources():
        name = str(path.relative_to(ROOT))
        for text in texts_of(path):
            found.setdefault(text, set()).add(name)
    return found


def sources() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        is_source = path.suffix == ".py" or (path.suffix in {".html", ".txt"} and "templates" in parts)
        if is_source and not LEFT_OUT & set(parts) and not parts[0].startswith("."):
            yield path


def hidden() -> Iterator[str]:
    """Texts inside an f-string, where nobody finds them: readers would meet them in English."""
    for path in sources():
        if path.suffix == ".py":
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if IN_F_STRING.search(line):
                    yield f"{path.relative_to(ROOT)}:{number}: a text inside an f-string is not found: {line.strip()!r}"


def texts_of(path: Path) -> Iterator[Text]:
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        # Django turns a template into calls among blotted-out words; its indentation means nothing.
        source = re.sub(r"(?m)^[ \t]+", "", templatize(source, origin=str(path)))
    calls = extract_python(io.BytesIO(source.encode()), dict.fromkeys(KEYWORDS), [], {"encoding": "utf-8"})
    for _line, function, arguments, _comments in calls:
        given: tuple[object, ...] = arguments if isinstance(arguments, tuple) else (arguments,)
        words = {
            place: word for place, word in zip(KEYWORDS[str(function)], given, strict=False) if isinstance(word, str)
        }
        if words.get(1):
            yield Text(words.get("c"), words[1], words.get(2))


def judge(catalogue: polib.POFile, found: dict[Text, set[str]]) -> Iterator[str]:
    entries = {(entry.msgctxt, entry.msgid): entry for entry in catalogue if not entry.obsolete}
    for text, files in found.items():
        where = f"{min(files)}: {text.english!r}"
        entry = entries.get(text.key)
        if entry is None:
            yield f"{where} is not in the catalogue"
        elif "fuzzy" in entry.flags:
            yield f"{where} is marked fuzzy"
        elif not all(forms := [entry.msgstr] if text.plural is None else list(entry.msgstr_plural.values()) or [""]):
            yield f"{where} has no translation"
        elif any(placeholders(form) != placeholders(text.plural or text.english) for form in forms):
            yield f"{where} and its translation have different placeholders"
    keys = {text.key for text in found}
    yield from (
        f"{english!r} is in the catalogue and nowhere else"
        for context, english in entries
        if (context, english) not in keys
    )


def placeholders(text: str) -> set[str]:
    return set(PLACEHOLDER.findall(text.replace("%%", "")))


def update(catalogue: polib.POFile, found: dict[Text, set[str]]) -> None:
    known = {(entry.msgctxt, entry.msgid): entry for entry in catalogue}
    fresh = new_catalogue()
    fresh.metadata = catalogue.metadata
    for text, files in sorted(found.items(), key=lambda item: (min(item[1]), item[0].english)):
        entry = known.get(text.key) or polib.POEntry(msgid=text.english, msgctxt=text.context)
        entry.obsolete = False
        entry.occurrences = [(name, "") for name in sorted(files)]
        entry.flags = ["python-format"] if "%(" in text.english or "%s" in text.english or "%d" in text.english else []
        if text.plural is not None:
            entry.msgid_plural = text.plural
            entry.msgstr_plural = entry.msgstr_plural or {0: entry.msgstr}
            entry.msgstr = ""
        fresh.append(entry)
    CATALOGUE.parent.mkdir(parents=True, exist_ok=True)
    fresh.save(str(CATALOGUE))
    catalogue.clear()
    catalogue.extend(fresh)


def new_catalogue() -> polib.POFile:
    catalogue = polib.POFile(wrapwidth=120)
    catalogue.metadata = {
        "Language": "zh_Hans",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": "nplurals=1; plural=0;",
    }
    return catalogue


if __name__ == "__main__":
    sys.exit(main())
