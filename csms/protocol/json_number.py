"""Amounts as JSON numbers. Pure."""

from __future__ import annotations

from decimal import Decimal

AMOUNT_DIGITS_MAX = 15  # decimal digits that a double keeps


def json_number(amount: Decimal) -> float:
    """The one place where an amount becomes a float: JSON has no other number.

    Exact on the wire: the shortest text of the float nearest to an amount of up to 15 digits is that amount again.
    """
    assert len(amount.as_tuple().digits) <= AMOUNT_DIGITS_MAX, f"{amount} has more digits than a JSON number keeps"
    return float(amount)
