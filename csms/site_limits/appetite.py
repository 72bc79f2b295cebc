"""How much a vehicle would take, by what it has taken lately: what it leaves goes to others until it wants more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from csms.protocol.vocabulary import Measurand, Sample

READINGS = 2
"""So many in a row must show that a vehicle takes less: one may be from before the limit."""
MARGIN_A = 2
"""What a vehicle keeps above what it takes; one that comes up to its limit by half of it wants all that it can get."""
NOTHING_A = 1
RESTING = frozenset({"SuspendedEV", "Finishing", "Idle", "Faulted", "Unavailable"})
"""States in which a vehicle, or its EVSE, takes nothing though it may."""
_OUTLET = "Outlet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What flowed on the fullest phase when a reading was taken. It came at `received_at`."""

    received_at: datetime
    amps: Decimal


def draw_of(
    samples: Iterable[Sample], received_at: datetime, *, is_dc: bool, phases: int, voltage_v: int
) -> Draw | None:
    """A current, else a power; None where a reading holds neither.

    A power without phases counts as drawn on one: a vehicle at an outlet of three phases may use a single one, and
    what is taken for too much here keeps nobody from growing.
    """
    currents: list[Decimal] = []
    powers: list[Decimal] = []
    total_w: Decimal | None = None
    for sample in samples:
        if sample.value is None or not sample.value.is_finite() or sample.value < 0 or sample.location != _OUTLET:
            continue
        if sample.measurand == Measurand.CURRENT_IMPORT and not (sample.phase or "").startswith("N"):
            currents.append(sample.value)
        elif sample.measurand == Measurand.POWER_IMPORT and sample.phase is None:
            total_w = sample.value
        elif sample.measurand == Measurand.POWER_IMPORT:
            powers.append(sample.value)
    if currents and not is_dc:  # what a DC charge point calls its current flows behind the rectifier
        return Draw(received_at=received_at, amps=max(currents))
    if powers and not is_dc:
        return Draw(received_at=received_at, amps=max(powers) / voltage_v)
    if total_w is None:
        return None
    return Draw(received_at=received_at, amps=total_w / (voltage_v * (phases if is_dc else 1)))


def wants_a(
    draws: Sequence[Draw], *, allowed_a: int, allowed_since: datetime | None, before_a: int, amps_max: int, min_a: int
) -> int:
    """What a vehicle gets at most. `before_a` is what it was thought to want so far; `draws` are in order of arrival.

    Only what came after the present limit had been accepted says anything about it.
    """
    fresh = [each.amps for each in draws if allowed_since is not None and each.received_at > allowed_since]
    if not fresh or allowed_a < min_a:
        return before_a
    if fresh[-1] >= allowed_a - MARGIN_A // 2:
        return amps_max
    newest = fresh[-READINGS:]
    if len(newest) < READINGS or max(newest) > allowed_a - MARGIN_A:
        return before_a
    taken_a = int(max(newest).to_integral_value(ROUND_CEILING)) + MARGIN_A
    return min(max(taken_a, min_a), amps_max)


def is_resting(
    draws: Sequence[Draw], state: str | None, *, allowed_a: int, allowed_since: datetime | None, min_a: int
) -> bool:
    """Whether it takes nothing of what it may: it is full, or waits for something of its own."""
    if allowed_a < min_a:
        return False
    fresh = [each.amps for each in draws if allowed_since is not None and each.received_at > allowed_since]
    newest = fresh[-READINGS:]
    if newest and newest[-1] >= NOTHING_A:
        return False
    return state in RESTING or len(newest) >= READINGS
