"""Amounts and numbers of pieces that somebody has entered: what cannot be is refused with what to write instead."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from billing.errors import Refused
from billing.money import Money, minor_digits

COUNTRY: Final = re.compile(r"[A-Z]{2}")
QUANTITY_PLACES: Final = 6
QUANTITY_MAX: Final = 10**6
AMOUNT_MAX: Final = 10**12
TEXT_MAX: Final = 200


def minor_of(amount: Decimal, currency: str) -> int:
    """An amount that somebody has entered, in minor units.

    Raises:
        Refused: it is finer than the currency's smallest unit, or below zero.
    """
    if not amount.is_finite() or not 0 < amount < AMOUNT_MAX:
        raise Refused(f"{amount} is no amount", "write one above zero")
    money = Money.round_from(amount, currency)
    if money.decimal != amount:
        raise Refused(
            f"{amount} {currency} is finer than its smallest unit", f"write {minor_digits(currency)} decimals at most"
        )
    return money.minor


def require_quantity(quantity: Decimal) -> None:
    """Refuse a number of pieces that nobody can have."""
    if not (quantity.is_finite() and 0 < quantity <= QUANTITY_MAX and quantity == round(quantity, QUANTITY_PLACES)):
        raise Refused(
            f"{quantity} is no quantity",
            f"write a number above zero, up to {QUANTITY_MAX}, with at most {QUANTITY_PLACES} decimals",
        )


def not_one_line(*texts: str) -> list[str]:
    """Which of these cannot stand on one line, told."""
    return [
        f"{text[:TEXT_MAX]!r} is not one line of at most {TEXT_MAX} characters"
        for text in texts
        if not (text.isprintable() and len(text) <= TEXT_MAX)
    ]


def no_country(code: str | None) -> list[str]:
    """Why it is none, told; empty where it is one."""
    if code is not None and COUNTRY.fullmatch(code):
        return []
    if code is None:
        return ["neither the customer has an address nor was a country said: say in which it is supplied, such as DE"]
    return [f"{code!r} is no country of ISO 3166-1: say in which it is supplied, such as DE"]
