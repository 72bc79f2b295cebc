"""The reference: a script that does nothing but insert the rows that MeterValues become, and commit."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

from csms.charge_points.charge_point import ChargePoint
from csms.database.pool import connect_once
from csms.intake.statements import SQL
from csms.protocol import frames
from csms.protocol.translator import translator
from csms.protocol.vocabulary import Protocol, Reading, ReadingsReported
from csms.sessions.packing import Packed, pack
from tests.bench import messages

_LIVES = itertools.count(1)


async def commits_per_s(dsn: str, charge_point: ChargePoint, *, seconds: float, rows: int) -> float:
    """Commits per second of one connection, each of `rows` readings with ten sampled values."""
    said = messages.readings(messages.V16, f"{1_000_000 + next(_LIVES)}", messages.session_start())
    prepared = [_row(next(said), charge_point) for _ in range(rows)]
    loop = asyncio.get_running_loop()
    commits = 0
    async with connect_once(dsn) as connection:
        end = loop.time() + seconds
        begin = loop.time()
        while loop.time() < end:
            shift = timedelta(milliseconds=commits + 1)  # another instant is another reading
            await SQL.insert_readings.execute(
                connection,
                **{name: [row[name] for row in prepared] for name in prepared[0]}
                | {"ats": [row["ats"] + shift for row in prepared]},
            )
            commits += 1
        return commits / (loop.time() - begin)


def read(frame: bytes, charge_point: ChargePoint) -> tuple[ReadingsReported, Reading, Packed]:
    """What csms makes of a MeterValues with one reading: the fact, the reading in it, and how that is stored."""
    call = frames.parse(frame.decode())
    assert isinstance(call, frames.Call)
    at = messages.session_start()
    fact = translator(Protocol.V16).read(call.action, call.payload, charge_point=charge_point, received_at=at)
    assert isinstance(fact, ReadingsReported)
    (reading,) = fact.readings
    return fact, reading, pack(reading.samples)


def _row(frame: bytes, charge_point: ChargePoint) -> dict[str, Any]:
    fact, reading, packed = read(frame, charge_point)
    assert packed.layout is not None, "ten figures"
    return {
        "charge_points": charge_point.id,
        "evses": fact.evse,
        "connectors": fact.connector,
        "transactions": fact.transaction,
        "ats": reading.at,
        "keys": reading.key,
        "carried_bys": "meter_values",
        "sessions": None,
        "layouts": packed.layout.id,
        "figures": packed.figures,
        "samples": None,
        "quirks": "",
        "received_ats": messages.session_start(),
    }
