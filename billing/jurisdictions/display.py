"""The price of a tariff as the law of a place orders its parts. Pure; for commands, receipts, feeds and displays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Final

from billing.jurisdictions.bound import ANY_SIZE, Bound, Sizes, Unbounded, highest_per_kwh
from billing.jurisdictions.profile import DisplayForm, Headline, Profile
from billing.money import exact_text, minor_digits
from billing.tariffs.price_list import Charge, PriceLine, amount_text, common_tax, json_lines, line_text, price_list
from billing.tariffs.tariff import Tariff

_MORE_PLACES: Final = 2
_PLAIN: Final = DisplayForm(order=(Charge.ENERGY, Charge.TIME, Charge.OCCUPANCY, Charge.IDLE, Charge.SESSION))
_MEANING: Final = {
    Charge.ENERGY: "the electricity that the vehicle takes",
    Charge.TIME: "time in which the vehicle charges",
    Charge.OCCUPANCY: "time in which the vehicle is connected, charging or not",
    Charge.IDLE: "time in which the vehicle is connected and takes no power",
    Charge.SESSION: "once, for plugging in",
    Charge.RESERVATION_TIME: "time in which the charge point is kept for you",
    Charge.RESERVATION: "once, for keeping the charge point for you",
    Charge.EXPIRED_TIME: "time in which the charge point was kept and not used",
    Charge.EXPIRED: "once, for a reservation that was not used",
    Charge.MINIMUM: "a session costs this even if its parts cost less",
    Charge.MAXIMUM: "no session costs more",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayLine:
    """One line as it is shown; `meaning` is empty where the form asks for none."""

    label: str
    text: str
    meaning: str
    prices: PriceLine | None = None
    """None: the headline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceDisplay:
    """What is shown before a session starts, first line first. `highest`: where the form asks for a maximum."""

    tariff: str
    currency: str
    lines: tuple[DisplayLine, ...]
    tax: str
    notes: tuple[str, ...]
    highest: Bound | Unbounded | None = None

    @property
    def text(self) -> str:
        """All of it, a line each."""
        rows = [f"{line.label}: {line.text}{f' ({line.meaning})' if line.meaning else ''}" for line in self.lines]
        return "\n".join([*rows, *([self.tax] if self.tax else []), *self.notes])


def display_price(tariff: Tariff, profile: Profile | None = None, *, sizes: Sizes = ANY_SIZE) -> PriceDisplay:
    """The prices of a tariff in the order and the signs of a profile's form; without one, as for Europe.

    `sizes` are the sessions that a maximum per kWh is meant for.
    """
    form = profile.display if profile is not None and profile.display is not None else _PLAIN
    lines = _ordered(price_list(tariff), form)
    write = _writer(tariff.currency, form)
    tax = common_tax(lines)
    highest = highest_per_kwh(tariff, sizes) if form.headline is Headline.MAXIMUM else None
    shown = [
        DisplayLine(
            label=line.label,
            text=line_text(line, write, tax=tax is None),
            meaning=_MEANING[line.charge] if form.is_explained else "",
            prices=line,
        )
        for line in lines
    ]
    return PriceDisplay(
        tariff=tariff.id,
        currency=tariff.currency,
        lines=(*_headline(highest, tariff.currency, write), *shown),
        tax="" if tax is None else tax.text,
        notes=tuple(_notes(tariff, lines, highest)),
        highest=highest,
    )


def _ordered(lines: Sequence[PriceLine], form: DisplayForm) -> list[PriceLine]:
    named = [line for charge in form.order for line in lines if line.charge is charge]
    return [*named, *(line for line in lines if line.charge not in form.order)]


def _writer(currency: str, form: DisplayForm) -> Callable[[Fraction], str]:
    if form.currency != currency:
        return lambda amount: amount_text(amount, currency)
    if form.minor_symbol:
        return lambda amount: f"{exact_text(amount * 10 ** minor_digits(currency))}{form.minor_symbol}"
    return lambda amount: f"{form.symbol}{amount_text(amount, currency).removesuffix(f' {currency}')}"


def _headline(
    highest: Bound | Unbounded | None, currency: str, write: Callable[[Fraction], str]
) -> Iterator[DisplayLine]:
    match highest:
        case Bound():
            yield DisplayLine(
                label="total per kWh",
                text=f"at most {write(_up(highest.per_kwh, currency))}{_of(highest.sizes)}",
                meaning="",
            )
        case Unbounded():
            yield DisplayLine(label="total per kWh", text="no maximum", meaning="")


def _up(highest: Fraction, currency: str) -> Fraction:
    """A maximum with an end as a decimal: up to a hundredth of the minor unit, so that it stays one."""
    scale = 10 ** (minor_digits(currency) + _MORE_PLACES)
    return Fraction(ceil(highest * scale), scale)


def _of(sizes: Sizes) -> str:
    words = [
        "" if sizes.energy_kwh_min is None else f"from {sizes.energy_kwh_min} kWh on",
        "" if sizes.duration_h_max is None else f"up to {sizes.duration_h_max} h",
    ]
    said = ", ".join(word for word in words if word)
    return f" in sessions {said}" if said else ""


def _notes(tariff: Tariff, lines: Sequence[PriceLine], highest: Bound | Unbounded | None) -> Iterator[str]:
    if any(len(line.prices) > 1 for line in lines):
        yield "where a line has several prices, the first whose condition holds counts at each moment"
    if isinstance(highest, Unbounded):
        labels = {line.charge: line.label for line in lines}
        yield f"no maximum per kWh because of the price {', '.join(labels[each] for each in highest.because)}"
    if tariff.valid_from is not None:
        yield f"from {tariff.valid_from:%F %H:%M}Z"
    if tariff.valid_to is not None:
        yield f"until {tariff.valid_to:%F %H:%M}Z"


def display_json(display: PriceDisplay, jurisdiction: str | None) -> dict[str, Any]:
    """The display as JSON values; amounts are text with their currency beside them."""
    prices = [line.prices for line in display.lines if line.prices is not None]
    return {
        "tariff": display.tariff,
        "jurisdiction": jurisdiction,
        "currency": display.currency,
        "maximum_per_kwh": exact_text(_up(display.highest.per_kwh, display.currency))
        if isinstance(display.highest, Bound)
        else None,
        "lines": json_lines(prices, display.currency),
        "tax": display.tax or None,
        "notes": list(display.notes),
        "text": display.text,
    }
