"""How backup policies and their differences read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.backup_policy import EVERY_DAY, Difference
from changes.forms import WEEKDAYS

DIFFERENCES: Final[Mapping[Difference, Promise]] = {
    Difference.NONE_THERE: gettext_lazy("The cloud has no policy for it, or not for every disk."),
    Difference.DAYS: gettext_lazy("It is not backed up on every agreed day."),
    Difference.HOUR: gettext_lazy("The hour is another."),
    Difference.KEPT: gettext_lazy("It is kept for a shorter time."),
    Difference.LOG: gettext_lazy("The log is not backed up."),
}

_BY_CODE: Final[Mapping[str, Promise]] = {difference.value: words for difference, words in DIFFERENCES.items()}


def difference_text(code: str) -> str:
    """A code that an older version wrote says itself."""
    return str(_BY_CODE.get(code, code))


def days_text(days: Collection[int]) -> str:
    if set(days) == EVERY_DAY:
        return _("Every day")
    names = dict(WEEKDAYS)
    return "、".join(str(names[str(day)]) for day in sorted(days))
