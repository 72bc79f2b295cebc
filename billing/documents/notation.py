"""How amounts, quantities, days and instants are written in a language and country (CLDR, by Babel). Rounds nothing."""

from __future__ import annotations

import unicodedata
from copy import copy
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Final

from babel import Locale
from babel.dates import format_date
from babel.numbers import NumberPattern

from billing.documents.words import Words
from billing.invoices.document import Address
from billing.money import minor_digits

NO_BREAK: Final = "\N{NO-BREAK SPACE}"
DASH: Final = " \N{EN DASH} "
KWH_PLACES: Final = 3
_PLACES_MIN: Final = {"KWH": KWH_PLACES}
_UNSEEN: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn the direction
    "\u00ad\u200b\u2060\ufeff"  # have no width: PDF readers would copy them along with every letter that had one once
)
_CITY_FIRST: Final = frozenset({"US", "CA", "AU"})
_POSTCODE_BELOW: Final = frozenset({"GB", "IE"})
_UNITS: Final = {"KWH": "KWH", "H": "HUR", "HOUR": "HUR", "S": "SEC", "MIN": "MIN", "1": "C62", "": "C62"}
"""Units of components as the engine calls them -> codes of UN/ECE recommendation 20."""


def clean(text: str | None) -> str:
    """A text as paper can bear it, on one line: composed, without controls and what is not seen."""
    return " ".join(_bearable(text or "").split())


def clean_lines(text: str | None) -> list[str]:
    """The same of a text that may have several lines."""
    return [line for each in (text or "").splitlines() if (line := clean(each))]


def _bearable(text: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    if composed.isascii() and composed.isprintable():
        return composed
    return "".join(_shown(character) for character in composed)


def _shown(character: str) -> str:
    if character in _UNSEEN:
        return ""
    if character.isspace():
        return character if character == NO_BREAK else " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in {"Cc", "Cs", "Cn"} else character


@cache
def _locale(language: str, region: str) -> Locale:
    return Locale.parse(f"{language}_{region}")


class _Pattern:
    """A pattern of CLDR that writes so many decimals as it is told."""

    def __init__(self, locale: Locale, pattern: NumberPattern) -> None:
        self._locale = locale
        self._pattern = pattern
        self._by_places: dict[int, NumberPattern] = {}

    def __call__(self, value: Decimal, places: int, currency: str | None = None) -> str:
        pattern = self._by_places.get(places)
        if pattern is None:
            pattern = self._by_places[places] = copy(self._pattern)
            pattern.frac_prec = (places, places)
        return str(pattern.apply(value, self._locale, currency=currency, currency_digits=False))


class Notation:
    """Of the language and country of some words."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._locale = _locale(words.language, words.region)
        self._decimal = _Pattern(self._locale, self._locale.decimal_formats[None])
        self._percent = _Pattern(self._locale, self._locale.percent_formats[None])
        self._currency = _Pattern(self._locale, self._locale.currency_formats["standard"])

    @property
    def locale(self) -> str:
        """As `de_AT`."""
        return str(self._locale)

    def money(self, minor: int, currency: str) -> str:
        """An amount of minor units, with all decimals of its currency."""
        digits = minor_digits(currency)
        return self._currency(Decimal(minor).scaleb(-digits), digits, currency)

    def exact_money(self, amount: Decimal, currency: str) -> str:
        """A price or an exact amount: at least the decimals of its currency, and all that it has."""
        digits = max(minor_digits(currency), _places(amount))
        return self._currency(amount, digits, currency)

    def number(self, value: Decimal, *, places_min: int = 0) -> str:
        return self._decimal(value, max(places_min, _places(value)))

    def percent(self, rate: Decimal) -> str:
        """A rate in percent: 19 -> 19 %."""
        return self._percent(rate.scaleb(-2), _places(rate))

    def quantity(self, value: Decimal, unit: str) -> str:
        """With its unit, which is a code of UN/ECE recommendation 20 or one of the engine's; an unknown one stands as it is."""
        code = _UNITS.get(unit.upper(), unit)
        one, *several = self._words.known("unit", code).split("|")
        name = clean(several[0] if several and self._locale.plural_form(value) != "one" else one)
        number = self.number(value, places_min=_PLACES_MIN.get(code, 0))
        return f"{number}{NO_BREAK}{name}" if name else number

    def kwh(self, energy_wh: int) -> str:
        return self.quantity(Decimal(energy_wh).scaleb(-KWH_PLACES), "KWH")

    def day(self, day: date) -> str:
        return format_date(day, "medium", locale=self._locale)

    def days(self, days: tuple[date, date]) -> str:
        """A period, or its only day."""
        first, last = days
        return self.day(first) if first == last else f"{self.day(first)}{DASH}{self.day(last)}"

    def instant(self, instant: datetime) -> str:
        """Local time with its offset: 3 Nov 2026 14:05:12 +01:00."""
        assert instant.tzinfo is not None, "times of sessions bear the offset of their site"
        return f"{self.day(instant.date())} {instant:%H:%M:%S} {instant.isoformat()[-6:]}"

    def country(self, code: str) -> str:
        return str(self._locale.territories.get(code, code))

    def address(self, address: Address | None, *, home: str | None) -> list[str]:
        """As lines; the country only where it is another than `home`."""
        if address is None:
            return []
        lines = [address.street, address.further, *_place(address)]
        if address.country != home:
            lines.append(self.country(address.country))
        return [line for each in lines if (line := clean(each))]


def _place(address: Address) -> list[str]:
    postal_code, region = address.postal_code or "", address.region or ""
    if address.country in _CITY_FIRST:
        return [f"{address.city} {region} {postal_code}"]
    if address.country in _POSTCODE_BELOW:
        return [address.city, region, postal_code]
    return [f"{postal_code} {address.city}", region]


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "quantities and prices are finite"
    return max(0, -exponent)


def duration(length: timedelta) -> str:
    """Hours, minutes and seconds as 1:22:28; a fraction of a second is dropped."""
    minutes, seconds = divmod(int(length / timedelta(seconds=1)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def iban(text: str) -> str:
    """In groups of four, as people read it."""
    plain = "".join(text.split())
    return NO_BREAK.join(plain[start : start + 4] for start in range(0, len(plain), 4))
