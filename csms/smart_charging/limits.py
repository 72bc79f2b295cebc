"""Limits that others than we impose on a charge point (OCPP 2.0.1 K11-K13), as they stand. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from csms.protocol.blocks.charging_profile import ChargingLimitCleared, ChargingLimitReported


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitInForce:
    since: datetime
    limit: ChargingLimitReported


def limits_in_force(
    told: Iterable[tuple[datetime, ChargingLimitReported | ChargingLimitCleared]],
) -> list[LimitInForce]:
    """What was told last for each source and EVSE, in the order of the telling.

    A source that clears its limit for the charge point as a whole (EVSE 0) clears those of the EVSEs with it.
    """
    held: dict[tuple[str, int], LimitInForce] = {}
    for at, fact in told:
        key = (fact.source, fact.evse)
        if isinstance(fact, ChargingLimitReported):
            held.pop(key, None)
            held[key] = LimitInForce(since=at, limit=fact)
        elif fact.evse == 0:
            held = {known: limit for known, limit in held.items() if known[0] != fact.source}
        else:
            held.pop(key, None)
    return list(held.values())
