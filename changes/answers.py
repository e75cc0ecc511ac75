"""What was answered to the questions of an operation, as people read it: on pages and in the text that is signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _

from changes.catalogue import Type, operations
from changes.words import said


def shown(operation: str, fields: Mapping[str, object]) -> Sequence[tuple[str, str, bool]]:
    """Label, value and whether it is long, as the reader's language has it; what the catalogue does not know, as it is.

    Nothing that was answered is left out.
    """
    labels = _labels(operation)
    known = [
        (label, options.get(str(fields[name]), value_of(fields[name])), is_long)
        for name, (label, options, is_long) in labels.items()
        if fields.get(name) not in (None, "")
    ]
    others = [(name, value_of(value), False) for name, value in fields.items() if name not in labels]
    return [*known, *(one for one in others if one[1])]


def value_of(value: object) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return "" if value is None else str(value)


def _labels(operation: str) -> dict[str, tuple[str, dict[str, str], bool]]:
    entry = operations().get(operation)
    return {} if entry is None else {
        field.name: (
            said(field.words) + (f" ({field.unit})" if field.unit else ""),
            {option.value: said(option.words) for option in field.options},
            field.type is Type.LONG_TEXT,
        )
        for field in entry.fields
    }  # fmt: skip
