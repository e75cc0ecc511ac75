"""Amounts as people and spreadsheets read them. Pure."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

CENT: Final = Decimal("0.01")


def cents(amount: Decimal | float) -> Decimal:
    """To the cent, half of one upwards as on bills; never a negative zero."""
    return Decimal(amount).quantize(CENT, ROUND_HALF_UP) + 0
