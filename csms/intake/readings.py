"""Readings of a batch, each once, as figures beside what they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from csms.intake.arrival import Arrival
from csms.intake.batch import Batch
from csms.intake.statements import SQL
from csms.protocol.vocabulary import Reading, ReadingsReported
from csms.sessions.packing import Packed, pack


class _ReadingRow(NamedTuple):
    arrival: Arrival
    reading: Reading
    carried_by: str
    evse: int | None
    connector: int | None
    transaction: str | None
    session: int | None


def _reading_rows(batch: Batch) -> list[_ReadingRow]:
    rows = [
        _ReadingRow(
            plan.arrival, reading, str(plan.event.kind), plan.event.evse, plan.event.connector, plan.event.transaction,
            plan.session,
        )
        for plan in batch.plans.values()
        for reading in plan.event.readings
    ]  # fmt: skip
    for arrival in batch.arrivals:
        fact = arrival.fact
        if not isinstance(fact, ReadingsReported):
            continue
        known = None if fact.transaction is None else batch.known.get((arrival.charge_point, fact.transaction))
        session = None if known is None else known.id
        if session is not None:
            batch.due.add(session)
        elif fact.transaction is None:
            batch.evses_touched.add((arrival.charge_point, fact.evse))
        rows.extend(
            _ReadingRow(arrival, reading, "meter_values", fact.evse, fact.connector, fact.transaction, session)
            for reading in fact.readings
        )
    return rows


async def store_readings(connection: Any, batch: Batch) -> None:
    rows = _reading_rows(batch)
    if not rows:
        return
    packed = [pack(row.reading.samples) for row in rows]
    await _store_layouts(connection, batch, packed)
    await SQL.insert_readings.execute(
        connection,
        charge_points=[row.arrival.charge_point for row in rows],
        evses=[row.evse for row in rows],
        connectors=[row.connector for row in rows],
        transactions=[row.transaction for row in rows],
        ats=[row.reading.at for row in rows],
        keys=[row.reading.key for row in rows],
        carried_bys=[row.carried_by for row in rows],
        sessions=[row.session for row in rows],
        layouts=[None if each.layout is None else each.layout.id for each in packed],
        figures=[each.figures for each in packed],
        samples=[each.samples for each in packed],
        quirks=[",".join(row.reading.quirks) for row in rows],
        received_ats=[row.arrival.received_at for row in rows],
    )


async def _store_layouts(connection: Any, batch: Batch, packed: Sequence[Packed]) -> None:
    """Those that may not be there yet."""
    layouts = {each.layout.id: each.layout for each in packed if each.layout and each.layout.id not in batch.layouts}
    if layouts:
        await SQL.insert_layouts.execute(
            connection, ids=list(layouts), samples=[layout.to_json() for layout in layouts.values()]
        )
        batch.layouts |= layouts.keys()
