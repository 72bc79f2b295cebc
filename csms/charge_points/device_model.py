"""What charge points' device models say of their variables, kept and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Counter

from csms.charge_points.service import SQL
from csms.intake.arrival import Arrival
from csms.protocol.blocks.device_model_facts import VariableDescribed
from csms.protocol.vocabulary import SettingsReported

VARIABLES_MAX = 5000
"""Of one charge point; the largest device models known have some two thousand. One that makes up names fills no more."""

LEFT_OUT = Counter("csms_variables_left_out_total", "Variables of reports that were not kept, as there are too many")
log = structlog.get_logger()
_logged: set[str] = set()  # charge points; there are no more than operators created


async def store_descriptions(connection: Any, arrivals: Sequence[Arrival]) -> None:
    """Of those arrivals that are parts of reports; what comes later counts."""
    told: dict[tuple[str, str], tuple[VariableDescribed, datetime]] = {
        (arrival.charge_point, each.name): (each, arrival.received_at)
        for arrival in arrivals
        if isinstance(arrival.fact, SettingsReported)
        for each in arrival.fact.described
    }
    if not told:
        return
    keys = sorted(told)
    await SQL.store_variables.execute(
        connection,
        charge_points=[charge_point for charge_point, _ in keys],
        names=[name for _, name in keys],
        described=[description(told[key][0]) for key in keys],
        reported_ats=[told[key][1] for key in keys],
    )


def note_left_out(left_out: Mapping[str, int]) -> None:
    """So many variables of these charge points were not kept: counted each time, logged once."""
    for charge_point, count in left_out.items():
        LEFT_OUT.inc(count)
        if charge_point not in _logged:
            _logged.add(charge_point)
            log.warning(
                "device_model_too_large",
                charge_point=charge_point,
                most=VARIABLES_MAX,
                next_step="ask its maker why it reports ever new variables",
            )


def description(variable: VariableDescribed) -> dict[str, Any]:
    """As it is kept and shown: what the charge point did not say is not there."""
    said = asdict(variable)
    del said["name"]
    return {field: value for field, value in said.items() if value not in (None, ())}


async def stored_model(connection: Any, charge_point: str) -> list[dict[str, Any]]:
    """All settings as last told, each with what the device model says of it."""
    rows = await SQL.device_model.fetch(connection, charge_point=charge_point)
    return [
        {
            "name": row["name"],
            "value": row["value"],
            "mutability": row["mutability"],
            "read_at": row["read_at"],
            **(row["described"] or {}),
        }
        for row in rows
    ]
