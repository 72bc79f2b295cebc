"""What rules of law look for in a tariff, each check by its name. Pure: a tariff and parameters in, remarks out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from billing.jurisdictions.bound import lifts
from billing.rating.matching import Phase, menu_of
from billing.tariffs.price_list import CHARGES, TIMED, Charge, PriceUnit, price_list, reachable
from billing.tariffs.restriction_words import condition_of
from billing.tariffs.tariff import Component, Element, Tariff
from billing.tariffs.tariff_text import is_whole

Parameters = Mapping[str, Any]
_MINUTE_S: Final = 60
_ROOT: Final = "$"


@dataclass(frozen=True, slots=True)
class Remark:
    """Where a tariff does not do what a rule asks, and what is there instead."""

    path: str
    message: str


Check = Callable[[Tariff, Parameters], Iterator[Remark]]


def energy_is_priced(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """Where anything costs, a kWh costs. A tariff that is free asks nothing of anybody."""
    costs = _costing(tariff)
    if costs - {Charge.ENERGY} and Charge.ENERGY not in costs:
        yield Remark("$.elements", "no ENERGY component asks a price per kWh")


def not_priced(tariff: Tariff, parameters: Parameters) -> Iterator[Remark]:
    """No component of these dimensions asks a price of a session."""
    for path, _, part in _components(tariff):
        if part.price and part.type.value in parameters["dimensions"]:
            yield Remark(path, f"{part.type.value} has a price")


def time_from_start(tariff: Tariff, parameters: Parameters) -> Iterator[Remark]:
    """A price by time begins only after a while (min_duration)."""
    for path, element, part in _components(tariff):
        if part.price and part.type.value in parameters["dimensions"] and not element.restrictions.min_duration:
            yield Remark(path, f"{part.type.value} has a price from the first minute")


def no_minimum(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """No session is raised to a least price."""
    if Charge.MINIMUM in _costing(tariff):
        yield Remark("$.min_price", "the tariff has a minimum")


def reservation_is_free(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """No component asks a price of a reservation."""
    for index, element in enumerate(tariff.elements):
        if element.restrictions.reservation and any(part.price for part in element.components):
            yield Remark(f"$.elements[{index}]", "a reservation has a price")


def time_per_minute(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """Each price by time has an exact price per minute, and is not billed in longer steps."""
    in_hours = [line for line in price_list(tariff) if line.unit is PriceUnit.HOUR]
    for line in in_hours:
        yield Remark("$.elements", f"the price {line.label} has no exact price per minute")
    for path, _, part in _components(tariff):
        if part.price and part.type in TIMED and part.step > _MINUTE_S:
            yield Remark(f"{path}.step_size", f"{part.type.value} is billed in steps of {part.step} s")


def known_before_start(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """No price depends on what flows at the moment or on a series of prices, which nobody may know before."""
    for index, element in enumerate(tariff.elements):
        rules = element.restrictions
        bounds = (rules.min_power, rules.max_power, rules.min_current, rules.max_current)
        if any(bound is not None for bound in bounds):
            yield Remark(f"$.elements[{index}].restrictions", "the price depends on the power or current of the moment")
    for path, _, part in _components(tariff):
        if part.extensions.series is not None:
            yield Remark(
                f"{path}.x_series", f"the price follows series {part.extensions.series.name} while a session runs"
            )


def fits_display(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """The text for a display has room for every price with its condition."""
    if not is_whole(tariff):
        yield Remark(_ROOT, "the text for a display has no room for every price with its condition")


def tax_is_known(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """Each amount that is shown holds its tax, or none is due."""
    for line in price_list(tariff):
        if any(price.costs and not price.tax.is_known for price in line.prices):
            yield Remark("$.elements", f"the price {line.label} cannot be shown with its tax")


def type_is(tariff: Tariff, parameters: Parameters) -> Iterator[Remark]:
    """The tariff's OCPI type, where it has one, is this."""
    said = tariff.other.get("type")
    if said not in (None, parameters["type"]):
        yield Remark("$.type", f"the type is {said}, not {parameters['type']}")


def currency_is(tariff: Tariff, parameters: Parameters) -> Iterator[Remark]:
    """The tariff is in this currency."""
    if tariff.currency != parameters["currency"]:
        yield Remark("$.currency", f"the currency is {tariff.currency}, not {parameters['currency']}")


def bounded_per_kwh(tariff: Tariff, parameters: Parameters) -> Iterator[Remark]:
    """None of these charges makes the price per kWh grow without a bound in small or long sessions; see `no_series` too."""
    lifted = set(lifts(tariff))
    for line in price_list(tariff):
        follows = any(price.series for price in line.prices)
        if line.charge in lifted and line.charge.value in parameters["charges"] and not follows:
            small = "small" if line.charge in _ONCE else "small or long"
            yield Remark(
                _path_of(tariff, line.charge),
                f"the price {line.label} leaves {small} sessions without a maximum per kWh",
            )


def no_series(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """No price follows a series, whose values nobody bounds."""
    for path, _, part in _components(tariff):
        if part.extensions.series is not None:
            yield Remark(
                f"{path}.x_series", f"the price follows series {part.extensions.series.name} and has no maximum"
            )


def same_price_in_session(tariff: Tariff, parameters: Parameters) -> Iterator[Remark]:
    """A unit of these dimensions costs the same from a session's start to its end."""
    for dimension, candidates in menu_of(tariff, Phase.SESSION).items():
        found = list(reachable(candidates))
        prices = {(each.component.price, each.component.vat) if each.component.price else _FREE for each in found}
        if condition_of(found[-1].restrictions):
            prices.add(_FREE)
        extended = any(each.component.extensions.tiers or each.component.extensions.series for each in found)
        if dimension.value in parameters["dimensions"] and (len(prices) > 1 or extended):
            yield Remark("$.elements", f"{dimension.value} can change its price within a session")


def fees_are_explained(tariff: Tariff, _parameters: Parameters) -> Iterator[Remark]:
    """Where there is more than a price per kWh, a text says what it is for."""
    fees = [line.label for line in price_list(tariff) if line.charge not in _NO_FEES]
    if fees and not tariff.other.get("tariff_alt_text"):
        yield Remark("$.tariff_alt_text", f"no text explains what stands beside the price per kWh: {', '.join(fees)}")


def no_steps(tariff: Tariff, parameters: Parameters) -> Iterator[Remark]:
    """Quantities of these dimensions are not rounded up."""
    for path, _, part in _components(tariff):
        if part.price and part.type.value in parameters["dimensions"] and part.step > 1:
            yield Remark(f"{path}.step_size", f"{part.type.value} is rounded up in steps of {part.step}")


CHECKS: Final[Mapping[str, Check]] = {
    check.__name__: check
    for check in (
        energy_is_priced, not_priced, time_from_start, no_minimum, reservation_is_free, time_per_minute,
        known_before_start, fits_display, tax_is_known, type_is, currency_is, bounded_per_kwh, no_series, same_price_in_session,
        fees_are_explained, no_steps,
    )
}  # fmt: skip
"""Every check by the name that profiles use."""

_NO_FEES: Final = frozenset({Charge.ENERGY, Charge.MAXIMUM})
_FREE: Final = (Decimal(0), None)
_ONCE: Final = frozenset({Charge.ENERGY, Charge.SESSION, Charge.MINIMUM})


def _components(tariff: Tariff) -> Iterator[tuple[str, Element, Component]]:
    """What prices sessions; reservations have a check of their own."""
    for index, element in enumerate(tariff.elements):
        if element.restrictions.reservation is None:
            for number, part in enumerate(element.components):
                yield f"$.elements[{index}].price_components[{number}]", element, part


def _costing(tariff: Tariff) -> set[Charge]:
    return {line.charge for line in price_list(tariff) if any(price.costs for price in line.prices)}


def _path_of(tariff: Tariff, charge: Charge) -> str:
    """Where a charge of sessions stands: its first component that asks a price."""
    if charge is Charge.MINIMUM:
        return "$.min_price"
    found = (
        path for path, _, part in _components(tariff) if part.price and CHARGES[Phase.SESSION, part.type] is charge
    )
    return next(found, "$.elements")
