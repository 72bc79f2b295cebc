"""Sampled values in base units, whatever unit, multiplier and spelling they came with. Pure, and of no OCPP version."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from csms.protocol.quirks import Quirk
from csms.protocol.repair import QUANTITY_DIGITS_MAX
from csms.protocol.vocabulary import Measurand

PHASES = frozenset({"L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"})
LOCATIONS = frozenset({"Body", "Cable", "EV", "Inlet", "Outlet", "Upstream"})  # Upstream: 2.1
CONTEXTS = frozenset(
    {
        "Interruption.Begin",
        "Interruption.End",
        "Other",
        "Sample.Clock",
        "Sample.Periodic",
        "Transaction.Begin",
        "Transaction.End",
        "Trigger",
    }
)

_BASE: dict[str, tuple[str, int]] = {  # unit -> base unit, power of ten
    "Wh": ("Wh", 0),
    "kWh": ("Wh", 3),
    "MWh": ("Wh", 6),
    "varh": ("varh", 0),
    "kvarh": ("varh", 3),
    "VAh": ("VAh", 0),
    "kVAh": ("VAh", 3),
    "W": ("W", 0),
    "kW": ("W", 3),
    "MW": ("W", 6),
    "VA": ("VA", 0),
    "kVA": ("VA", 3),
    "var": ("var", 0),
    "kvar": ("var", 3),
    "A": ("A", 0),
    "mA": ("A", -3),
    "V": ("V", 0),
    "K": ("K", 0),
    "Celsius": ("Celsius", 0),
    "Celcius": ("Celsius", 0),  # the spelling of the 1.6 schema
    "Fahrenheit": ("Fahrenheit", 0),
    "Percent": ("Percent", 0),
    "Hertz": ("Hertz", 0),
    "RPM": ("RPM", 0),
}
# M and m are not to be mixed up, so these never match by case alone.
_FOLDED = {unit.casefold(): unit for unit in _BASE if unit not in ("MWh", "MW", "mA")}
_ALIASES = {"hz": "Hertz", "%": "Percent", "°c": "Celsius", "c": "Celsius", "degc": "Celsius", "°f": "Fahrenheit"}

_DEFAULTS = (  # base unit by the beginning of the measurand, where none was sent
    ("Energy.Active", "Wh"),
    ("Energy.Reactive", "varh"),
    ("Energy.Apparent", "VAh"),
    ("Energy", "Wh"),
    ("Power.Factor", ""),
    ("Power.Reactive", "var"),
    ("Power", "W"),
    ("Current", "A"),
    ("Voltage", "V"),
    ("SoC", "Percent"),
    ("Frequency", "Hertz"),
    ("Temperature", "Celsius"),
    ("RPM", "RPM"),
)
UNITS = frozenset(_BASE)  # those that need no second look
_WITHOUT_UNIT = frozenset({"", "Wh", "varh", "VAh"})  # energy has a default in both versions, a factor has no unit
_REQUIRED: dict[str, str] = {  # measurands that decide money or plausibility take no other base unit
    Measurand.ENERGY_IMPORT_REGISTER: "Wh",
    Measurand.ENERGY_EXPORT_REGISTER: "Wh",
    "Energy.Active.Import.Interval": "Wh",
    "Energy.Active.Export.Interval": "Wh",
    Measurand.POWER_IMPORT: "W",
    Measurand.CURRENT_IMPORT: "A",
    Measurand.SOC: "Percent",
}
_CONTEXT = Context(prec=60, rounding=ROUND_HALF_UP)
_MILLI = Decimal("0.001")
_MICRO = Decimal("0.000001")
_MULTIPLIER_MAX = 15


@lru_cache(maxsize=256)
def default_unit(measurand: str) -> str:
    """The base unit of a measurand, "" where it has none or is unknown."""
    return next((unit for beginning, unit in _DEFAULTS if measurand.startswith(beginning)), "")


def in_base_unit(
    value: Decimal | None, unit: str | None, measurand: str, quirks: set[str], *, multiplier: int = 0
) -> tuple[Decimal | None, str]:
    """`value` in the base unit of `measurand`, and that unit.

    `multiplier` is a power of ten (2.0.1 UnitOfMeasure). Wh keep three decimals, half up; all else at most six. Where
    the measurand decides money and the unit does not fit it, the value is None: a wrong figure is worse than none.
    """
    if not unit:
        base, power = default_unit(measurand), 0
        if base not in _WITHOUT_UNIT:
            quirks.add(Quirk.MISSING_UNIT)
    else:
        base, power = _base_unit(unit, quirks)
    required = _REQUIRED.get(measurand)
    if required is not None and base != required:
        quirks.add(Quirk.UNIT_MISMATCH)
        return None, base
    if abs(multiplier) > _MULTIPLIER_MAX:
        quirks.add(Quirk.VALUE_OUT_OF_RANGE)
        return None, base
    if value is None:
        return None, base
    return scaled(value, power + multiplier, base, quirks), base


def rounded_wh(value: Decimal) -> Decimal:
    """Wh with three decimals, half up."""
    return value.quantize(_MILLI, context=_CONTEXT)


def _base_unit(unit: str, quirks: set[str]) -> tuple[str, int]:
    known = _BASE.get(unit)
    if known is not None:
        return known
    folded = unit.casefold()
    alias = _ALIASES.get(folded)
    if alias is not None:
        quirks.add(Quirk.UNIT_HZ if alias == "Hertz" else Quirk.UNIT_ALIAS)
        return _BASE[alias]
    spelt = _FOLDED.get(folded)
    if spelt is not None:
        quirks.add(Quirk.UNIT_ALIAS)
        return _BASE[spelt]
    quirks.add(Quirk.UNIT_UNKNOWN)
    return unit, 0


def scaled(value: Decimal, power: int, base: str, quirks: set[str]) -> Decimal | None:
    """`value` times ten to the power of `power` in the unit `base`, rounded as in_base_unit says; None if it is absurd."""
    if power:
        value = value.scaleb(power, context=_CONTEXT)
    if value.adjusted() >= QUANTITY_DIGITS_MAX and value:
        quirks.add(Quirk.VALUE_OUT_OF_RANGE)
        return None
    if base == "Wh":
        return rounded_wh(value)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -6:  # noqa: PLR2004  # finer than any meter
        return value.quantize(_MICRO, context=_CONTEXT)
    return value
