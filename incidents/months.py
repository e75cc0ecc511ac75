"""The months in which service levels are reported, on the wall clock of China. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Self
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
FROZEN_ON = 10
"""The report of a month is due on the 9th of the next, 23:59:59 (Q10): from then on its reasons stand."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """One calendar month."""

    year: int
    month: int

    @classmethod
    def of(cls, day: date) -> Self:
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`2026-03`. Raises ValueError for anything else."""
        year, _, month = text.partition("-")
        if not (len(year) == 4 and len(month) == 2 and (year + month).isascii() and (year + month).isdecimal()):
            raise ValueError(f"no month: {text!r}")
        found = cls(int(year), int(month))
        if not (2000 <= found.year <= 2100 and 1 <= found.month <= 12):
            raise ValueError(f"no month: {text!r}")
        return found

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    def shifted(self, months: int) -> "Month":
        """So many months later, or earlier."""
        years, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(years, month + 1)

    @property
    def starts_at(self) -> datetime:
        return datetime(self.year, self.month, 1, tzinfo=ZONE)

    @property
    def ends_at(self) -> datetime:
        """The first moment of the next month."""
        return self.shifted(1).starts_at

    @property
    def freezes_at(self) -> datetime:
        return self.ends_at.replace(day=FROZEN_ON)
