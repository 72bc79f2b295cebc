"""What is odd about a tariff that can be read: findings for its author. Changes nothing and refuses nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from itertools import combinations
from typing import Final

from billing.tariffs.tariff import (
    DESCRIPTIVE_KEYS,
    Component,
    Dimension,
    Element,
    PriceLimit,
    Restrictions,
    Tariff,
    TaxIncluded,
)

_DAY_MINUTES: Final = 24 * 60
_WHOLE_DAY: Final = (1 << _DAY_MINUTES) - 1
_ALL_DAYS: Final = frozenset(range(7))
_RESERVABLE: Final = frozenset({Dimension.FLAT, Dimension.TIME})


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Do not accept the tariff: it cannot mean what it says."""
    WARNING = "warning"
    """It will price, probably not as meant."""
    ADVICE = "advice"
    """It is legal; know what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One remark: a stable code, where, what, and what to do."""

    code: str
    severity: Severity
    path: str
    message: str
    next_step: str


def lint(tariff: Tariff) -> list[Finding]:
    """Every remark about the tariff, in the order of the document."""
    return [finding for rule in _RULES for finding in rule(tariff)]


def refusals(tariff: Tariff) -> list[Finding]:
    """The findings for which a tariff should not be accepted."""
    return [finding for finding in lint(tariff) if finding.severity is Severity.ERROR]


def _validity(tariff: Tariff) -> Iterator[Finding]:
    if tariff.valid_from and tariff.valid_to and tariff.valid_to <= tariff.valid_from:
        yield Finding(
            code="end_before_start",
            severity=Severity.ERROR,
            path="$.end_date_time",
            message="the tariff ends before it starts",
            next_step="swap the two or remove one",
        )


def _limits(tariff: Tariff) -> Iterator[Finding]:
    low, high = tariff.min_price, tariff.max_price
    if low and high and _crossed(low, high):
        yield Finding(
            code="min_above_max",
            severity=Severity.ERROR,
            path="$.min_price",
            message="min_price is above max_price; max_price would win",
            next_step="lower min_price or raise max_price",
        )


def _crossed(low: PriceLimit, high: PriceLimit) -> bool:
    after = low.after_taxes is not None and high.after_taxes is not None and low.after_taxes > high.after_taxes
    return low.before_taxes > high.before_taxes or after


def _unknown_fields(tariff: Tariff) -> Iterator[Finding]:
    for key in sorted(set(tariff.other) - DESCRIPTIVE_KEYS):
        yield Finding(
            code="unknown_field",
            severity=Severity.ADVICE,
            path=f"$.{key}",
            message="OCPI knows no such field; it is kept and prices nothing",
            next_step="check its spelling",
        )


def _each_component(tariff: Tariff) -> Iterator[Finding]:
    for path, element, part in _components(tariff):
        yield from _component(tariff, path, element, part)


def _components(tariff: Tariff) -> Iterator[tuple[str, Element, Component]]:
    for index, element in enumerate(tariff.elements):
        for number, part in enumerate(element.components):
            yield f"$.elements[{index}].price_components[{number}]", element, part


def _component(tariff: Tariff, path: str, element: Element, part: Component) -> Iterator[Finding]:
    if part.type is not Dimension.FLAT and part.step_size > 1:
        yield Finding(
            code="step_size",
            severity=Severity.ADVICE,
            path=f"{path}.step_size",
            message=f"the total is billed in steps of {part.step_size}, up, once at the end; display and bill then differ",
            next_step="write 1 unless the steps are wanted",
        )
    if part.step_size == 0:
        yield Finding(
            code="step_size_zero",
            severity=Severity.ADVICE,
            path=f"{path}.step_size",
            message="OCPI does not say what 0 means; it is treated as 1",
            next_step="write 1",
        )
    if part.vat is None and part.price and tariff.tax_included is not TaxIncluded.NOT_APPLICABLE:
        yield Finding(
            code="vat_missing",
            severity=Severity.WARNING,
            path=f"{path}.vat",
            message="no VAT rate: tax is priced as 0 and marked unknown",
            next_step="add vat, 0 where none is due",
        )
    if part.vat and tariff.tax_included is TaxIncluded.NOT_APPLICABLE:
        yield Finding(
            code="vat_not_applicable",
            severity=Severity.WARNING,
            path=f"{path}.vat",
            message="tax_included is N/A, so this VAT rate is ignored",
            next_step="remove vat or set tax_included to YES or NO",
        )
    if element.restrictions.reservation and part.type not in _RESERVABLE:
        yield Finding(
            code="reservation_dimension",
            severity=Severity.ERROR,
            path=f"{path}.type",
            message=f"a reservation has no {part.type.value}; only FLAT and TIME price it",
            next_step="move the component to an element without reservation",
        )


def _duplicates(tariff: Tariff) -> Iterator[Finding]:
    for index, element in enumerate(tariff.elements):
        seen: set[Dimension] = set()
        for number, part in enumerate(element.components):
            if part.type in seen:
                yield Finding(
                    code="duplicate_dimension",
                    severity=Severity.ERROR,
                    path=f"$.elements[{index}].price_components[{number}]",
                    message=f"a second {part.type.value} in one element; only the first is ever used",
                    next_step="remove it or give it an element with restrictions of its own",
                )
            seen.add(part.type)


def _each_restriction(tariff: Tariff) -> Iterator[Finding]:
    for index, element in enumerate(tariff.elements):
        yield from _restrictions(f"$.elements[{index}].restrictions", element)


def _restrictions(path: str, element: Element) -> Iterator[Finding]:
    rules = element.restrictions
    if rules.start_time is not None and rules.start_time == rules.end_time:
        yield Finding(
            code="empty_time_window",
            severity=Severity.ERROR,
            path=f"{path}.end_time",
            message="start_time equals end_time, which OCPI does not define; it is treated as the whole day",
            next_step="remove both for the whole day, or correct one",
        )
    for name, low, high in _ordered(rules):
        if low is not None and high is not None and low >= high:
            yield Finding(
                code="never_matches",
                severity=Severity.ERROR,
                path=path,
                message=f"{name} leaves nothing: the lower bound counts, the upper one does not",
                next_step="raise the upper bound",
            )
    late = (rules.min_duration or 0) > 0 or (rules.min_kwh or 0) > 0
    if late and any(part.type is Dimension.FLAT for part in element.components):
        yield Finding(
            code="flat_never_applies",
            severity=Severity.ERROR,
            path=path,
            message="FLAT is chosen at the start, when no minimum of kWh or duration is reached",
            next_step="put the FLAT component into an element without that minimum",
        )


def _ranges(rules: Restrictions) -> Iterator[tuple[str, Decimal | date | None, Decimal | date | None]]:
    yield "min_kwh to max_kwh", rules.min_kwh, rules.max_kwh
    yield "min_power to max_power", rules.min_power, rules.max_power
    yield "min_current to max_current", rules.min_current, rules.max_current
    yield "min_duration to max_duration", _decimal(rules.min_duration), _decimal(rules.max_duration)
    yield "start_date to end_date", rules.start_date, rules.end_date


def _decimal(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _order(tariff: Tariff) -> Iterator[Finding]:
    for (first, early), (second, late) in combinations(enumerate(tariff.elements), 2):
        shared = {part.type for part in early.components} & {part.type for part in late.components}
        if not shared or early.restrictions.reservation is not late.restrictions.reservation:
            continue
        names = ", ".join(sorted(shared))
        if _covers(early.restrictions, late.restrictions):
            yield Finding(
                code="never_reached",
                severity=Severity.WARNING,
                path=f"$.elements[{second}]",
                message=f"{names}: element {first} always matches first",
                next_step="move the more special element up",
            )
        elif not _covers(late.restrictions, early.restrictions) and _meet(early.restrictions, late.restrictions):
            yield Finding(
                code="overlap",
                severity=Severity.ADVICE,
                path=f"$.elements[{second}]",
                message=f"{names}: elements {first} and {second} can match at once; element {first} then wins",
                next_step="check that this order is meant",
            )


def _minutes(rules: Restrictions) -> int:
    """The minutes of a day in which the element matches, as a bit each."""
    start, end = _minute(rules.start_time), _minute(rules.end_time) or _DAY_MINUTES
    if rules.start_time is not None and rules.start_time == rules.end_time:
        return _WHOLE_DAY
    before_end, from_start = (1 << end) - 1, _WHOLE_DAY & ~((1 << start) - 1)
    return before_end & from_start if start < end else before_end | from_start


def _minute(moment: time | None) -> int:
    return 0 if moment is None else moment.hour * 60 + moment.minute


def _days(rules: Restrictions) -> frozenset[int]:
    return frozenset(rules.day_of_week) or _ALL_DAYS


def _covers(wide: Restrictions, narrow: Restrictions) -> bool:
    """Whether every moment that matches `narrow` matches `wide`, as far as each restriction tells by itself."""
    if _minutes(narrow) & ~_minutes(wide) or not _days(narrow) <= _days(wide):
        return False
    return all(
        (low is None or (narrow_low is not None and low <= narrow_low))
        and (high is None or (narrow_high is not None and narrow_high <= high))
        for (_, low, high), (_, narrow_low, narrow_high) in zip(_ordered(wide), _ordered(narrow), strict=True)
    )


def _meet(one: Restrictions, two: Restrictions) -> bool:
    if not _minutes(one) & _minutes(two) or not _days(one) & _days(two):
        return False
    return all(
        (low is None or other_high is None or low < other_high)
        and (other_low is None or high is None or other_low < high)
        for (_, low, high), (_, other_low, other_high) in zip(_ordered(one), _ordered(two), strict=True)
    )


def _ordered(rules: Restrictions) -> list[tuple[str, Decimal | None, Decimal | None]]:
    """The ranges as numbers, so that they compare whatever they measure."""
    return [(name, _number(low), _number(high)) for name, low, high in _ranges(rules)]


def _number(bound: Decimal | date | None) -> Decimal | None:
    return Decimal(bound.toordinal()) if isinstance(bound, date) else bound


def _energy(tariff: Tariff) -> Iterator[Finding]:
    priced = [element for element in tariff.elements if element.restrictions.reservation is None]
    parts = [(element, part) for element in priced for part in element.components if part.type is Dimension.ENERGY]
    if not any(element.restrictions == Restrictions() for element, _ in parts):
        yield Finding(
            code="no_energy_fallback",
            severity=Severity.WARNING if parts else Severity.ADVICE,
            path="$.elements",
            message="energy is free whenever no element with ENERGY matches" if parts else "energy is free",
            next_step="add a last element with ENERGY and no restrictions, price 0 where free is meant",
        )
    varied = any(part.extensions.tiers or part.extensions.series for _, part in parts)
    if varied or len({part.price for _, part in parts}) > 1 or (parts and parts[0][0].restrictions != Restrictions()):
        yield Finding(
            code="energy_price_changes",
            severity=Severity.ADVICE,
            path="$.elements",
            message="the price per kWh can change within a session (Eichrecht: a signed reading must exist at the cut)",
            next_step="use one ENERGY price where meters sign only begin and end",
        )


def _timed(tariff: Tariff) -> Iterator[Finding]:
    for path, element, part in _components(tariff):
        if (
            part.type in (Dimension.TIME, Dimension.PARKING_TIME, Dimension.OCCUPANCY)
            and not element.restrictions.reservation
            and part.price
        ):
            yield Finding(
                code="time_component",
                severity=Severity.ADVICE,
                path=path,
                message="time is billed (Eichrecht: only with a meter approved for time)",
                next_step="check the meters of the charge points that get this tariff",
            )


def _occupancy(tariff: Tariff) -> Iterator[Finding]:
    """Occupancy counts the seconds that TIME and PARKING_TIME count as well."""
    kinds = {part.type for element in tariff.elements for part in element.components if part.price}
    both = sorted(kinds & {Dimension.TIME, Dimension.PARKING_TIME})
    for path, _, part in _components(tariff):
        if part.type is Dimension.OCCUPANCY and part.price and both:
            yield Finding(
                code="time_twice",
                severity=Severity.WARNING,
                path=path,
                message=f"X_OCCUPANCY beside {', '.join(both)}: the same seconds may be billed twice",
                next_step="keep one of them, unless both are meant",
            )


def _extensions(tariff: Tariff) -> Iterator[Finding]:
    for path, _, part in _components(tariff):
        names = [*part.extensions.names(), *(["type X_OCCUPANCY"] if part.type is Dimension.OCCUPANCY else [])]
        for name in names:
            yield Finding(
                code="extension",
                severity=Severity.ADVICE,
                path=path,
                message=f"{name} is an extension of ours; OCPI cannot say it, and csms tariff export refuses it",
                next_step="give roaming partners a tariff without it",
            )


def _reservations(tariff: Tariff) -> Iterator[Finding]:
    for index, element in enumerate(tariff.elements):
        if element.restrictions.reservation is not None:
            yield Finding(
                code="reservation_element",
                severity=Severity.ADVICE,
                path=f"$.elements[{index}].restrictions.reservation",
                message="prices reservations only; it never prices a session",
                next_step="keep an element without reservation for the session itself",
            )


_RULES: Final[tuple[Callable[[Tariff], Iterator[Finding]], ...]] = (
    _validity,
    _limits,
    _unknown_fields,
    _each_component,
    _duplicates,
    _each_restriction,
    _order,
    _energy,
    _timed,
    _occupancy,
    _extensions,
    _reservations,
)
