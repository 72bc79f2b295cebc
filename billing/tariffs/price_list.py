"""A tariff as the list of prices that a driver reads: per kWh, per minute, per session, and what else there is. Pure.

Amounts hold tax wherever the tariff lets it be known, and are exact. Within a line the first price whose condition
holds counts, as the engine picks it; what can never be picked is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from billing.money import exact_text, minor_digits
from billing.rating.matching import Candidate, Menu, Phase, menu_of
from billing.tariffs.restriction_words import condition_of, free_stretches, step_of, volume_of
from billing.tariffs.tariff import Component, Dimension, PriceLimit, ReservationKind, Restrictions, Tariff, TaxIncluded


class Charge(StrEnum):
    """What a price is asked for, in the order in which European law wants them shown."""

    ENERGY = "energy"
    TIME = "time"
    """Charging time."""
    OCCUPANCY = "occupancy"
    """Connected, charging or not."""
    IDLE = "idle"
    """Connected while the vehicle takes no power."""
    SESSION = "session"
    RESERVATION_TIME = "reservation_time"
    RESERVATION = "reservation"
    EXPIRED_TIME = "expired_reservation_time"
    EXPIRED = "expired_reservation"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"


class PriceUnit(StrEnum):
    """What one price is for."""

    KWH = "kWh"
    MINUTE = "minute"
    HOUR = "hour"
    """Only where the price per hour has no exact price per minute."""
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class Tax:
    """What a shown amount says of tax. `rate` in percent, None: the tariff names none."""

    included: bool
    rate: Decimal | None = None
    due: bool = True
    """False: no tax applies at all."""

    @property
    def is_known(self) -> bool:
        """Whether the amount shown is what the driver pays."""
        return self.included or not self.due

    @property
    def text(self) -> str:
        """`incl. 19 % VAT`, `plus tax`, `no tax`."""
        if not self.due:
            return "no tax"
        where = "incl." if self.included else "plus"
        return f"{where} tax" if self.rate is None else f"{where} {exact_text(Fraction(self.rate))} % VAT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One amount of a line, in the tariff's currency: when it counts, what it says of tax, and how it is rounded up."""

    amount: Fraction
    tax: Tax
    when: str = ""
    """Empty: whenever no price before it counts."""
    step: str = ""
    cap: Fraction | None = None
    """The most that it adds up to in a session."""
    series: str | None = None
    """The price series that is added, times `factor`; `fallback` is the whole price while the series has no value."""
    factor: Fraction = Fraction(0)
    fallback: Fraction = Fraction(0)

    @property
    def costs(self) -> bool:
        """Whether it can be more than nothing."""
        return bool(self.amount or self.series)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLine:
    """All prices of one thing: the first whose condition holds counts, and where none does it is free."""

    charge: Charge
    unit: PriceUnit
    prices: tuple[Price, ...]

    @property
    def label(self) -> str:
        """`per kWh`, `idle per minute`."""
        each = "" if self.unit is PriceUnit.ONCE else f"per {self.unit.value}"
        return _LABELS[self.charge].format(each).strip()

    @property
    def ends_free(self) -> bool:
        """Whether moments remain in which none of the prices counts."""
        return bool(self.prices[-1].when)


_ORDER: Final = tuple(Charge)
_LABELS: Final = {
    Charge.ENERGY: "{}",
    Charge.TIME: "{} of charging",
    Charge.OCCUPANCY: "{} connected",
    Charge.IDLE: "idle {}",
    Charge.SESSION: "per session{}",
    Charge.RESERVATION_TIME: "reservation {}",
    Charge.RESERVATION: "per reservation{}",
    Charge.EXPIRED_TIME: "unused reservation {}",
    Charge.EXPIRED: "per unused reservation{}",
    Charge.MINIMUM: "at least{}",
    Charge.MAXIMUM: "at most{}",
}
CHARGES: Final = {
    (Phase.SESSION, Dimension.ENERGY): Charge.ENERGY,
    (Phase.SESSION, Dimension.TIME): Charge.TIME,
    (Phase.SESSION, Dimension.OCCUPANCY): Charge.OCCUPANCY,
    (Phase.SESSION, Dimension.PARKING_TIME): Charge.IDLE,
    (Phase.SESSION, Dimension.FLAT): Charge.SESSION,
    (Phase.RESERVATION, Dimension.TIME): Charge.RESERVATION_TIME,
    (Phase.RESERVATION, Dimension.FLAT): Charge.RESERVATION,
    (Phase.RESERVATION_EXPIRED, Dimension.TIME): Charge.EXPIRED_TIME,
    (Phase.RESERVATION_EXPIRED, Dimension.FLAT): Charge.EXPIRED,
}
_ANYTIME: Final = (Restrictions(), *(Restrictions(reservation=kind) for kind in ReservationKind))
TIMED: Final = frozenset({Dimension.TIME, Dimension.OCCUPANCY, Dimension.PARKING_TIME})
"""What is priced by time."""
_MINUTE_PLACES: Final = 6
"""A price per minute with more decimals is shown per hour instead."""


def price_list(tariff: Tariff) -> tuple[PriceLine, ...]:
    """Every price of the tariff, as a driver may ask for it; what is always free has no line, but energy has one."""
    lines = [*_session_lines(tariff), *_reservation_lines(tariff), *_limit_lines(tariff)]
    return tuple(sorted(lines, key=lambda line: _ORDER.index(line.charge)))


def amount_text(amount: Fraction, currency: str) -> str:
    """An exact amount with at least the decimals of its currency: `0.50 EUR`, `0.5831 EUR`, `50 JPY`."""
    whole, _, decimals = exact_text(amount).partition(".")
    digits = minor_digits(currency)
    return f"{whole}.{decimals.ljust(digits, '0')} {currency}" if digits or decimals else f"{whole} {currency}"


def line_text(line: PriceLine, write: Callable[[Fraction], str], *, tax: bool) -> str:
    """The prices of a line: `0.59 EUR 08:00-20:00, else 0.39 EUR`; with what each says of tax where asked."""
    said = [_price_text(price, write, tax=tax) for price in line.prices]
    if line.charge is Charge.ENERGY and line.ends_free:
        said.append("free")
    return ", else ".join(said)


def _price_text(price: Price, write: Callable[[Fraction], str], *, tax: bool) -> str:
    if not price.costs:
        return f"free {price.when}".strip()
    words = (
        _amount(price, write),
        price.tax.text if tax else "",
        price.when,
        price.step,
        "" if price.cap is None else f"(at most {write(price.cap)})",
    )
    return " ".join(word for word in words if word)


def _amount(price: Price, write: Callable[[Fraction], str]) -> str:
    """`0.59 EUR`, or `0.20 EUR + 1.19 x SPOT (0.50 EUR where SPOT has no value)`."""
    if price.series is None:
        return write(price.amount)
    own = f"{write(price.amount)} + " if price.amount else ""
    fallback = f"({write(price.fallback)} where it has no value)"
    return f"{own}{exact_text(price.factor)} x {price.series} {fallback}"


def common_tax(lines: Sequence[PriceLine]) -> Tax | None:
    """What all amounts that cost anything say of tax, where it is the same."""
    said = {price.tax for line in lines for price in line.prices if price.costs}
    return said.pop() if len(said) == 1 else None


def _session_lines(tariff: Tariff) -> Iterator[PriceLine]:
    menu = menu_of(tariff, Phase.SESSION)
    for dimension, candidates in menu.items():
        line = _line(tariff, Phase.SESSION, dimension, candidates)
        if dimension is Dimension.ENERGY or _costs(line):
            yield line
    if Dimension.ENERGY not in menu:
        yield PriceLine(
            charge=Charge.ENERGY, unit=PriceUnit.KWH, prices=(Price(amount=Fraction(0), tax=Tax(included=True)),)
        )


def _reservation_lines(tariff: Tariff) -> Iterator[PriceLine]:
    used, unused = menu_of(tariff, Phase.RESERVATION), menu_of(tariff, Phase.RESERVATION_EXPIRED)
    own: Menu = {dimension: found for dimension, found in unused.items() if found != used.get(dimension)}
    for phase, menu in ((Phase.RESERVATION, used), (Phase.RESERVATION_EXPIRED, own)):
        for dimension, candidates in menu.items():
            line = _line(tariff, phase, dimension, candidates)
            if _costs(line) or phase is Phase.RESERVATION_EXPIRED:
                yield line


def _costs(line: PriceLine) -> bool:
    return any(price.costs for price in line.prices)


def _line(tariff: Tariff, phase: Phase, dimension: Dimension, candidates: tuple[Candidate, ...]) -> PriceLine:
    found = [price for each in reachable(candidates) for price in _prices(each, tariff.tax_included)]
    unit, divisor = _unit(dimension, [price.amount for price in found])
    prices = (replace(price, amount=price.amount / divisor) for price in found)
    return PriceLine(charge=CHARGES[phase, dimension], unit=unit, prices=tuple(prices))


def _prices(candidate: Candidate, tax_included: TaxIncluded) -> Iterator[Price]:
    """What a component asks: what its extensions put before its own price, and that."""
    part, when = candidate.component, condition_of(candidate.restrictions)
    extensions = part.extensions
    if extensions.idle is not None:
        for free in free_stretches(extensions.idle):
            yield Price(amount=Fraction(0), tax=Tax(included=True), when=f"{when} {free}".strip())
    for tier in reversed(extensions.tiers):
        yield _price(replace(part, price=tier.price), f"{when} {volume_of(tier)}".strip(), tax_included)
    yield _price(part, when, tax_included)


def _price(part: Component, when: str, tax_included: TaxIncluded) -> Price:
    amount, tax = _shown(part.price, part.vat, tax_included)
    price = Price(amount=amount, tax=tax, when=when, step=step_of(part.type, part.step))
    extensions = part.extensions
    if extensions.idle is not None and extensions.idle.cap is not None:
        return replace(price, cap=_shown(extensions.idle.cap, part.vat, tax_included)[0])
    link = extensions.series
    if link is None:
        return price
    return replace(
        price,
        series=link.name,
        factor=_shown(link.factor, part.vat, tax_included)[0],
        fallback=_shown(part.price + link.factor * link.fallback, part.vat, tax_included)[0],
    )


def reachable(candidates: tuple[Candidate, ...]) -> Iterator[Candidate]:
    """Those that the engine can pick: behind one without conditions nothing is ever looked at."""
    for each in candidates:
        yield each
        if each.restrictions in _ANYTIME:
            return


def _unit(dimension: Dimension, amounts: Sequence[Fraction]) -> tuple[PriceUnit, int]:
    """Per minute where every price of the line has an exact one; one line has one unit."""
    if dimension in TIMED:
        short = all(_is_short(amount / 60) for amount in amounts)
        return (PriceUnit.MINUTE, 60) if short else (PriceUnit.HOUR, 1)
    return (PriceUnit.KWH if dimension is Dimension.ENERGY else PriceUnit.ONCE), 1


def _is_short(amount: Fraction) -> bool:
    return (amount * 10**_MINUTE_PLACES).denominator == 1


def _shown(price: Decimal, vat: Decimal | None, tax_included: TaxIncluded) -> tuple[Fraction, Tax]:
    """The amount that a driver is told, with tax where its rate is known and the sum has an end as a decimal."""
    amount = Fraction(price)
    match tax_included:
        case TaxIncluded.NOT_APPLICABLE:
            return amount, Tax(included=False, due=False)
        case TaxIncluded.YES:
            return amount, Tax(included=True, rate=vat)
        case TaxIncluded.NO:
            return _with_tax(amount, vat)


def gross(price: Decimal, vat: Decimal | None, tax_included: TaxIncluded) -> Fraction:
    """What a unit costs with tax; without where the tariff names no rate."""
    on_top = tax_included is TaxIncluded.NO
    return Fraction(price) * (1 + Fraction((vat or 0) if on_top else 0) / 100)


def _with_tax(amount: Fraction, rate: Decimal | None) -> tuple[Fraction, Tax]:
    if rate is None:
        return amount, Tax(included=False)
    gross = amount * (1 + Fraction(rate) / 100)
    return (
        (amount, Tax(included=False, rate=rate)) if "/" in exact_text(gross) else (gross, Tax(included=True, rate=rate))
    )


def _limit_lines(tariff: Tariff) -> Iterator[PriceLine]:
    for charge, limit in ((Charge.MINIMUM, tariff.min_price), (Charge.MAXIMUM, tariff.max_price)):
        if limit is not None and (limit.before_taxes or limit.after_taxes or charge is Charge.MAXIMUM):
            amount, tax = _limit(tariff, limit)
            yield PriceLine(charge=charge, unit=PriceUnit.ONCE, prices=(Price(amount=amount, tax=tax),))


def _limit(tariff: Tariff, limit: PriceLimit) -> tuple[Fraction, Tax]:
    """A limit with tax where it says so, or where every price has one rate; else as it is before tax."""
    before = Fraction(limit.before_taxes)
    if tariff.tax_included is TaxIncluded.NOT_APPLICABLE:
        return before, Tax(included=False, due=False)
    rates = {part.vat for element in tariff.elements for part in element.components if part.price}
    rate = rates.pop() if len(rates) == 1 else None
    if limit.after_taxes is not None:
        return Fraction(limit.after_taxes), Tax(included=True, rate=rate)
    return _with_tax(before, rate)


def json_lines(lines: Sequence[PriceLine], currency: str) -> list[dict[str, Any]]:
    """The lines as JSON values; amounts are text."""
    return [
        {
            "charge": line.charge.value,
            "label": line.label,
            "unit": line.unit.value,
            "currency": currency,
            "prices": [
                {
                    "amount": exact_text(price.amount),
                    "cap": None if price.cap is None else exact_text(price.cap),
                    "series": None if price.series is None else _series_json(price),
                    "when": price.when or None,
                    "step": price.step or None,
                    "tax_included": price.tax.is_known if price.costs else True,
                    "vat": price.tax.rate,
                    "tax": price.tax.text,
                }
                for price in line.prices
            ],
        }
        for line in lines
    ]


def _series_json(price: Price) -> dict[str, Any]:
    return {"name": price.series, "factor": exact_text(price.factor), "fallback": exact_text(price.fallback)}
