"""Commands about charging profiles (OCPP 1.6 smart charging, OCPP 2.0.1 block K)."""

from __future__ import annotations

from dataclasses import dataclass

from csms.protocol.blocks.charging_profile import ChargingProfile, Purpose, RateUnit
from csms.protocol.vocabulary import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class SetChargingProfile(Command):
    """`evse` 0: the charge point as a whole, or a default for each of its EVSEs.

    `stack_level_max`: the highest level of this charge point, where it is known; it is not sent.
    """

    evse: int
    profile: ChargingProfile
    stack_level_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearChargingProfile(Command):
    """Either the one profile of an id, or all that match what else is said. `stack_level_max` as in SetChargingProfile."""

    profile: int | None = None
    evse: int | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None
    stack_level_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCompositeSchedule(Command):
    """What an EVSE may draw from now on, all its profiles taken together; `evse` 0: the charge point's connection."""

    evse: int
    duration_s: int
    unit: RateUnit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetChargingProfiles(Command):
    """Reported in parts (ChargingProfilesReported) that name `request`; all profiles where nothing is narrowed."""

    request: int
    evse: int | None = None
    purpose: Purpose | None = None
