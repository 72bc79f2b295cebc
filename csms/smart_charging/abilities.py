"""What a charge point says that it can do with charging profiles, out of its settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from csms.protocol.blocks.charging_profile import RateUnit
from csms.protocol.blocks.charging_profile_rules import Abilities
from csms.protocol.vocabulary import Protocol

FEATURES_V16 = "SupportedFeatureProfiles"
FEATURE_V16 = "SmartCharging"
NAMES = {
    Protocol.V16: (
        "ChargeProfileMaxStackLevel",
        "ChargingScheduleAllowedChargingRateUnit",
        "ChargingScheduleMaxPeriods",
        FEATURES_V16,
    ),
    Protocol.V201: (
        "SmartChargingCtrlr.ProfileStackLevel",
        "SmartChargingCtrlr.RateUnit",
        "SmartChargingCtrlr.PeriodsPerSchedule",
        "SmartChargingCtrlr.Available",
    ),
}
NAMES[Protocol.V21] = NAMES[Protocol.V201]
"""Highest stack level, units, most periods, and whether there is smart charging at all: in this order."""
_UNITS = {"current": RateUnit.A, "a": RateUnit.A, "power": RateUnit.W, "w": RateUnit.W}
_NUMBER_DIGITS_MAX = 9


def abilities_of(protocol: Protocol, settings: Mapping[str, str | None]) -> Abilities:
    """What is missing or makes no sense says nothing."""
    told = {name.casefold(): value for name, value in settings.items()}
    level, units, periods, announced = (told.get(name.casefold()) for name in NAMES[protocol])
    return Abilities(
        stack_level_max=_number(level),
        units=_units(units),
        periods_max=_number(periods),
        announced=_is_among(announced) if protocol is Protocol.V16 else _flag(announced),
    )


def _words(value: str) -> list[str]:
    return [word.strip().casefold() for word in value.split(",") if word.strip()]


def _number(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _NUMBER_DIGITS_MAX else None


def _units(value: str | None) -> frozenset[RateUnit] | None:
    """Current and Power in 1.6, A and W in 2.0.1; some 1.6 charge points write those."""
    return frozenset(_UNITS[word] for word in _words(value or "") if word in _UNITS) or None


def _is_among(value: str | None) -> bool | None:
    """1.6 lists its feature profiles; an empty list is no list."""
    words = _words(value or "")
    return FEATURE_V16.casefold() in words if words else None


def _flag(value: str | None) -> bool | None:
    return {"true": True, "false": False}.get((value or "").strip().casefold())
