"""A limit of amperes as the charging profile that tells it. Pure.

Ours stand on the highest level that a charge point has, so that no other profile of the same purpose goes before them.
Defaults and profiles of a session are relative: a charge point whose clock is wrong keeps them all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from csms.protocol.blocks.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    SchedulePeriod,
)
from csms.protocol.blocks.charging_profile_rules import Abilities
from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile
from csms.site_limits.exposure import Slot
from csms.site_limits.wiring import Outlet, Via, rate_of, unit_for

IDS_FROM = 1_600_000_000
"""Ids of our profiles: far above those that people choose, below the end of int32."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_PURPOSES = {
    Via.TX: Purpose.TX_DEFAULT,
    Via.TX_DEFAULT: Purpose.TX_DEFAULT,
    Via.CHARGE_POINT_MAX: Purpose.CHARGE_POINT_MAX,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a limit goes; `transaction` is what the charge point calls the session, for the slot of one."""

    evse: int
    outlet: Outlet
    abilities: Abilities
    voltage_v: int
    transaction: str | None = None


def profile_id(evse: int, slot: Slot) -> int:
    return IDS_FROM + 2 * evse + (slot is Slot.TX)


def cannot(target: Target) -> str | None:
    """Why its charge point cannot be told a limit; None: it can."""
    if target.abilities.announced is False:
        return "it does not announce smart charging"
    if unit_for(target.outlet, target.abilities) is None:
        return "it takes watts only, which do not say how they divide among its phases"
    return None


def set_limit(target: Target, slot: Slot, amps: int) -> SetChargingProfile:
    """The command that tells the limit; `cannot` comes first."""
    unit = unit_for(target.outlet, target.abilities)
    assert unit is not None, "cannot() comes first"
    purpose = Purpose.TX if slot is Slot.TX else _PURPOSES[target.outlet.via]
    is_whole = purpose is Purpose.CHARGE_POINT_MAX
    phases = 1 if target.outlet.phases == 1 and unit is RateUnit.A else None  # unsaid, it is three (1.6 7.14)
    period = SchedulePeriod(start_s=0, limit=rate_of(amps, unit, target.outlet, target.voltage_v), phases=phases)
    profile = ChargingProfile(
        id=profile_id(target.evse, slot),
        purpose=purpose,
        kind=ProfileKind.ABSOLUTE if is_whole else ProfileKind.RELATIVE,
        stack_level=target.abilities.stack_level_max or 0,
        schedules=(ChargingSchedule(unit=unit, periods=(period,), start=LONG_AGO if is_whole else None),),
        transaction=target.transaction if slot is Slot.TX else None,
    )
    return SetChargingProfile(
        evse=0 if is_whole else target.evse, profile=profile, stack_level_max=target.abilities.stack_level_max
    )


def clear_limit(evse: int, slot: Slot) -> ClearChargingProfile:
    return ClearChargingProfile(profile=profile_id(evse, slot))
