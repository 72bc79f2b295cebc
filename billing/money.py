"""Money: a currency's minor units, the one home of rounding, and splitting that loses nothing. Knows no tariff.

Amounts at rest are integers of the minor unit; in between they are exact fractions, since an hour's price divided by
3600 has no end as a decimal. Binary floating point never gets in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import lcm
from typing import Final

EXACT_PLACES: Final = 12
"""Decimals at which an exact amount without a finite decimal form is printed."""
_EXACT: Final = 10**EXACT_PLACES

_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
    "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_OTHER_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS: Final[dict[str, int]] = dict.fromkeys(_TWO_DECIMALS.split(), 2) | {
    code: digits for digits, codes in _OTHER_DECIMALS.items() for code in codes.split()
}
"""Decimals of each currency's minor unit (ISO 4217)."""


class MoneyError(ValueError):
    """This amount cannot be built or combined."""


class CurrencyUnknown(MoneyError):
    """This is no ISO 4217 currency code that has a minor unit."""

    def __init__(self, code: object) -> None:
        super().__init__(f"currency {code!r} is not an ISO 4217 code; write one such as EUR, in capitals")
        self.code = code


class CurrencyMismatch(MoneyError):
    """Amounts of two currencies were put together."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"an amount in {right} cannot be combined with one in {left}; convert it on a document first")
        self.left = left
        self.right = right


class Rounding(StrEnum):
    """How an exact amount becomes minor units."""

    HALF_UP = "half_up"
    """Half a unit goes away from zero, as merchants round."""


def minor_digits(currency: str) -> int:
    """Decimals of the currency's minor unit; refuses a code that ISO 4217 does not list."""
    try:
        return MINOR_DIGITS[currency]
    except (KeyError, TypeError):
        raise CurrencyUnknown(currency) from None


def round_units(value: Fraction, rounding: Rounding = Rounding.HALF_UP) -> int:
    """Round to an integer. The only place in billing where an amount is rounded."""
    return _round_ratio(value.numerator, value.denominator, rounding)


def _round_ratio(numerator: int, denominator: int, rounding: Rounding) -> int:
    """The same of a ratio that is not in lowest terms; the denominator is positive."""
    match rounding:
        case Rounding.HALF_UP:
            units = (2 * abs(numerator) + denominator) // (2 * denominator)
            return units if numerator >= 0 else -units


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of a currency: 902 EUR is nine euros and two cents."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse an unknown currency where the amount is made, not where it is printed."""
        minor_digits(self.currency)

    @classmethod
    def round_from(cls, exact: Fraction | Decimal, currency: str, rounding: Rounding = Rounding.HALF_UP) -> Money:
        """Round an exact amount in major units (9.024 euros) to the minor unit."""
        numerator, denominator = exact.as_integer_ratio()
        return cls(_round_ratio(numerator * 10 ** minor_digits(currency), denominator, rounding), currency)

    @property
    def text(self) -> str:
        """The amount in major units with all decimals of the currency: `9.02`, `-0.50`, `120`."""
        digits = minor_digits(self.currency)
        sign = "-" if self.minor < 0 else ""
        whole, part = divmod(abs(self.minor), 10**digits)
        return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"

    @property
    def decimal(self) -> Decimal:
        """The amount in major units."""
        return Decimal(self.text)

    def __str__(self) -> str:
        return f"{self.text} {self.currency}"

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(self.currency, other.currency)
        return other.minor


def allocate(total_minor: int, weights: Sequence[Fraction | Decimal | int]) -> list[int]:
    """Split minor units by weight so that the parts add up to the whole (largest remainder).

    Each part is its share rounded down or up by less than one unit; units left over go to the largest remainders, the
    earlier part first where they are equal. Where all weights are zero the first part takes everything.
    """
    chosen = [index for index, weight in enumerate(weights) if weight]
    if not weights or any(weights[index] < 0 for index in chosen):
        raise MoneyError("an amount can be split only over at least one weight, and no weight below zero")
    if len(chosen) <= 1:
        alone = chosen[0] if chosen else 0
        return [total_minor if index == alone else 0 for index in range(len(weights))]
    ratios = [weight.as_integer_ratio() for weight in weights]
    common = lcm(*(denominator for _, denominator in ratios))
    exact = [numerator * (common // denominator) for numerator, denominator in ratios]
    weight_sum, sign = sum(exact), -1 if total_minor < 0 else 1
    shares = [divmod(abs(total_minor) * weight, weight_sum) for weight in exact]
    parts = [part for part, _ in shares]
    by_remainder = sorted(range(len(parts)), key=lambda i: (-shares[i][1], i))
    for index in by_remainder[: abs(total_minor) - sum(parts)]:
        parts[index] += 1
    assert sum(parts) == abs(total_minor), "a split must lose nothing"
    return [sign * part for part in parts]


def exact_decimal(value: Fraction) -> Decimal:
    """An exact amount as a decimal: all its digits where they end within `EXACT_PLACES`, else rounded there."""
    return _plain(_exact_units(value), EXACT_PLACES)


def _exact_units(value: Fraction) -> int:
    return _round_ratio(value.numerator * _EXACT, value.denominator, Rounding.HALF_UP)


def _plain(units: int, places: int) -> Decimal:
    return Decimal(_plain_text(units, places))


def _plain_text(units: int, places: int) -> str:
    """`units` times ten to the minus `places`, without trailing zeros or an exponent, whatever its length."""
    sign = "-" if units < 0 else ""
    whole, part = divmod(abs(units), 10**places)
    digits = f"{part:0{places}d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def micro_decimal(micro: int) -> Decimal:
    """Millionths as a decimal: how the engine's integer quantities (µWh, µs) are shown in Wh and s."""
    return _plain(micro, 6)


def exact_text(value: Fraction) -> str:
    """An exact amount as text that loses nothing: a decimal where one exists, else a fraction such as `1/3`."""
    if _EXACT % value.denominator:
        return f"{value.numerator}/{value.denominator}"
    return _plain_text(_exact_units(value), EXACT_PLACES)
