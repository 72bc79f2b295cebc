"""Which profiles a charge point holds, by what it was sent and has accepted: OCPP 1.6 cannot be asked. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from csms.protocol.blocks.charging_profile import ChargingProfile
from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A profile on an EVSE (0: the charge point), accepted at `at`."""

    evse: int
    profile: ChargingProfile
    at: datetime | None = None
    source: str = "CSO"


def installed(
    changes: Iterable[tuple[datetime, SetChargingProfile | ClearChargingProfile]],
    *,
    now: datetime,
    ended: Collection[str] = (),
) -> list[Installed]:
    """Profiles that still hold or will: not replaced, not cleared, not expired, their session not among the `ended`.

    A profile replaces the one with its id, and the one with its purpose and stack level on the same EVSE and session
    (OCPP 1.6, 3.13.2).
    """
    held: list[Installed] = []
    for at, change in changes:
        if isinstance(change, ClearChargingProfile):
            held = [each for each in held if not _is_cleared(each, change)]
            continue
        new = Installed(evse=change.evse, profile=change.profile, at=at)
        held = [each for each in held if not _is_replaced(each, new)] + [new]
    return [each for each in held if not _is_over(each.profile, now, ended)]


def _is_cleared(each: Installed, clear: ClearChargingProfile) -> bool:
    wanted = (clear.profile, clear.evse, clear.purpose, clear.stack_level)
    present = (each.profile.id, each.evse, each.profile.purpose, each.profile.stack_level)
    return all(want is None or want == have for want, have in zip(wanted, present, strict=True))


def _is_replaced(each: Installed, new: Installed) -> bool:
    return each.profile.id == new.profile.id or _rank(each) == _rank(new)


def _rank(each: Installed) -> tuple[object, ...]:
    return each.evse, each.profile.purpose, each.profile.stack_level, each.profile.transaction


def _is_over(profile: ChargingProfile, now: datetime, ended: Collection[str]) -> bool:
    expired = profile.valid_to is not None and profile.valid_to <= now
    return expired or (profile.transaction is not None and profile.transaction in ended)
