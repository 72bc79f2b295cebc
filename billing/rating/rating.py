"""What a session costs, as a frozen value with everything needed to explain and recompute it. Computes nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billing.money import Money, exact_decimal
from billing.rating.matching import Phase
from billing.rating.policy import RatingPolicy
from billing.tariffs.tariff import Dimension, TaxIncluded

ENGINE_VERSION: Final = 1
"""Raised with every change that can change an amount."""


class Note(StrEnum):
    """Why an amount is not just quantity times price."""

    WAIVED = "waived"
    """Too little energy: the session costs nothing."""
    STEP_SURPLUS = "step_surplus"
    """The quantity was rounded up to a whole step_size."""
    MIN_PRICE = "min_price"
    """Raised to the tariff's min_price."""
    MAX_PRICE = "max_price"
    """Cut to the tariff's max_price."""
    SURCHARGE = "surcharge"
    """Raised by the operator beside the tariff."""
    DISCOUNT = "discount"
    """Lowered by the operator beside the tariff."""
    INCENTIVE = "incentive"
    """A third party pays a part of it."""
    FREE = "free"
    """No element with this dimension matched."""
    TAX_UNKNOWN = "tax_unknown"
    """A priced component names no VAT rate; tax is 0 until the seller's rules say otherwise."""
    POWER_UNKNOWN = "power_unknown"
    """Neither power nor energy is known for some time, so power restrictions did not match there."""
    CURRENT_UNKNOWN = "current_unknown"
    """Current is not known for some time, so current restrictions did not match there."""
    GRACE = "grace"
    """Parking within the grace of an idle fee is free."""
    QUIET = "quiet"
    """Parking in the quiet hours of an idle fee is free."""
    IDLE_CAP = "idle_cap"
    """An idle fee was cut to its cap."""
    VOLUME_TIER = "volume_tier"
    """The customer's volume of the month has reached a tier."""
    SERIES = "series"
    """The price follows a price series."""
    SERIES_FALLBACK = "series_fallback"
    """The price series has no value for this time; its declared fallback stands in."""
    OUTSIDE_VALIDITY = "outside_validity"
    """The session began outside the tariff's start_date_time and end_date_time."""


class Unit(StrEnum):
    """The unit of a quantity; prices are per kWh, per hour and each."""

    WATT_HOUR = "Wh"
    SECOND = "s"
    ONCE = "1"


UNITS: Final = {
    Dimension.ENERGY: Unit.WATT_HOUR,
    Dimension.TIME: Unit.SECOND,
    Dimension.PARKING_TIME: Unit.SECOND,
    Dimension.FLAT: Unit.ONCE,
    Dimension.OCCUPANCY: Unit.SECOND,
}
PER_PRICE: Final = {Unit.WATT_HOUR: 1000, Unit.SECOND: 3600, Unit.ONCE: 1}
"""How many of the unit one price is for."""


class ComponentName(StrEnum):
    """The parts of a total, in the order in which leftover cents are given."""

    ENERGY = "energy"
    TIME = "time"
    PARKING = "parking"
    FLAT = "flat"
    RESERVATION = "reservation"


_COMPONENTS: Final = {
    Dimension.ENERGY: ComponentName.ENERGY,
    Dimension.TIME: ComponentName.TIME,
    Dimension.PARKING_TIME: ComponentName.PARKING,
    Dimension.FLAT: ComponentName.FLAT,
    Dimension.OCCUPANCY: ComponentName.TIME,
}


def component_of(phase: Phase, dimension: Dimension) -> ComponentName:
    """Which part of the total a span belongs to; everything about a reservation is one part (total_reservation_cost)."""
    return _COMPONENTS[dimension] if phase is Phase.SESSION else ComponentName.RESERVATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A line: one component over a stretch of time. Amounts are exact, in the currency's major unit.

    `element`, `unit_price` are None where nothing matched (free). `quantity_billed` exceeds `quantity_used` by the step
    surplus, on one line per rounding and only in a final rating.
    """

    phase: Phase
    dimension: Dimension
    element: int | None
    start: datetime
    end: datetime
    quantity_used: Decimal
    quantity_billed: Decimal
    unit_price: Decimal | None
    vat: Decimal | None
    excl_tax: Fraction
    incl_tax: Fraction
    note: Note | None = None

    @property
    def unit(self) -> Unit:
        """The unit of both quantities."""
        return UNITS[self.dimension]

    @property
    def component(self) -> ComponentName:
        """The part of the total this line belongs to."""
        return component_of(self.phase, self.dimension)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A line without a quantity: what waiving, a limit, a surcharge or a discount adds to one tax group, exactly.

    `concession` and `label` are those of the surcharge or discount.
    """

    note: Note
    vat: Decimal | None
    excl_tax: Fraction
    incl_tax: Fraction
    concession: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentAmount:
    """A part of the total before tax, after adjustments; the rounded parts add up to the rounded total."""

    name: ComponentName
    excl_tax: Money
    excl_tax_exact: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxGroup:
    """Net and tax of one VAT rate (None: the tariff names none); over all groups they add up to the totals."""

    vat: Decimal | None
    net: Money
    tax: Money
    net_exact: Fraction
    tax_exact: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedTax:
    """What a tax rule says of one part of the total: it stands in the place of the tariff's own rate.

    `rate` is a percentage, `rule` the rule's id, `category` that of EN 16931 (UNTDID 5305: S, Z, E, AE, O ...), `note`
    the legal text that a document must show (None: none).
    """

    component: ComponentName
    rate: Decimal
    rule: str
    category: str
    note: str | None = None


class Effect(StrEnum):
    """What a concession does to a bill."""

    SURCHARGE = "surcharge"
    """The price rises."""
    DISCOUNT = "discount"
    """The price falls."""
    INCENTIVE = "incentive"
    """A third party pays a part of an unchanged price."""


class Basis(StrEnum):
    """What the value of a concession is multiplied by."""

    PERCENT = "percent"
    """What is left of its part of the total when its turn comes."""
    FIXED = "fixed"
    """One: an amount per session."""
    PER_KWH = "per_kwh"
    """The energy of the session."""
    FREE_KWH = "free_kwh"
    """Nothing: so many kWh of a calendar month cost no energy price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concession:
    """What an operator's rule adds to or takes from a session's price, or who pays a part of it (RULES.md 28).

    `value` is a percentage, an amount in the tariff's currency or kWh, as `basis` says. Amounts of surcharges and
    discounts are with tax where the tariff's prices are, else without; those of incentives are with tax. `component`:
    the part of the total that it acts on, None all of it. `vat`: the rate of a surcharge that finds nothing priced.
    `party`: who pays an incentive. `used_kwh`: what earlier bills of the month took from the free kWh.
    """

    id: str
    label: str
    effect: Effect
    basis: Basis
    value: Decimal
    order: int = 0
    component: ComponentName | None = None
    vat: Decimal | None = None
    party: str | None = None
    used_kwh: Decimal = Decimal(0)

    @property
    def left_kwh(self) -> Decimal:
        """The free kWh that earlier bills of the month have left."""
        return max(Decimal(0), self.value - self.used_kwh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incentive:
    """What a third party pays of the total, with tax: a claim on that party."""

    concession: str
    label: str
    party: str
    amount: Money
    exact: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A rated session. `final` has step surplus and min_price; an interim has neither."""

    engine_version: int
    policy: RatingPolicy
    tariff_id: str
    tariff_version: int | None
    tax_included: TaxIncluded
    currency: str
    final: bool
    energy_wh: Decimal
    """Everything delivered in the session, priced or not."""
    segments: tuple[Segment, ...]
    adjustments: tuple[Adjustment, ...]
    components: tuple[ComponentAmount, ...]
    tax_groups: tuple[TaxGroup, ...]
    excl_tax: Fraction
    incl_tax: Fraction
    """The exact totals; what is printed of them is `total_excl_exact` and `total_incl_exact`."""
    total_excl: Money
    total_tax: Money
    total_incl: Money
    notes: tuple[Note, ...]
    taxes: tuple[AppliedTax, ...] = ()
    """What tax rules said of the parts of this total; empty where the tariff's own rates hold."""
    concessions: tuple[Concession, ...] = ()
    """Those that changed something, in the order in which they did."""
    incentives: tuple[Incentive, ...] = ()
    """Who pays which part of the total beside the customer."""

    @property
    def payable(self) -> Money:
        """What the customer pays: the total with tax, less what third parties pay."""
        return sum((-each.amount for each in self.incentives), self.total_incl)

    @property
    def total_excl_exact(self) -> Decimal:
        """The unrounded net total (12 decimals where it has no end)."""
        return exact_decimal(self.excl_tax)

    @property
    def total_incl_exact(self) -> Decimal:
        """The unrounded gross total (12 decimals where it has no end)."""
        return exact_decimal(self.incl_tax)

    def component(self, name: ComponentName) -> ComponentAmount:
        """One part of the total; every rating has all five."""
        return next(part for part in self.components if part.name is name)
