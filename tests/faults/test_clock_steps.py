"""The clock of the server is set an hour ahead, and an hour behind, while charge points charge (O2)."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from csms.database.pool import connect_once
from csms.nodes.routing import ask
from csms.protocol.vocabulary import TriggerMessage
from tests.faults import stepped_clock
from tests.faults.stepped_clock import SteppedClock
from tests.faults.wire import Wire, boot, event_201, meter_values_16, start_16, stop_16, wire
from tests.faults.world import TOKEN, commission, installation, until

NAMES = ["CP-1", "CP-2"]
HOUR = timedelta(hours=1)
RIGHT = timedelta(0)
STEPS = ((RIGHT, HOUR, -HOUR), (-HOUR, RIGHT, HOUR))
"""How far the clock is ahead while sessions begin, go on, and end."""


@cache
def t0() -> datetime:
    """When the clock is an hour behind, the end of a session that begins here lies in its future."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=90)


KNOWN_FOR_LONG = """
INSERT INTO token_event (uid, kind, at, actor) VALUES ($1, 'issued', now() - interval '1 day', 'operator')
"""
STORIES = """
SELECT s.charge_point, s.evse, s.started_at, s.ended_at, s.energy_wh, s.holds,
       (SELECT count(*) FROM bill b WHERE b.session = s.id AND b.kind = 'final') AS finals,
       (SELECT min(b.energy_wh) FROM bill b WHERE b.session = s.id AND b.kind = 'final') AS billed_wh
  FROM session s ORDER BY s.evse, s.charge_point
"""


@pytest.fixture
def clock(data_home: Path) -> SteppedClock:
    return stepped_clock.build(data_home)


async def set_clock(clock: SteppedClock, ahead: timedelta, *, witness: Wire) -> None:
    """The charge point reads in an answer that the clock of the server is another one now."""
    clock.set(ahead)
    told = datetime.fromisoformat((await witness.call("Heartbeat", {})).payload["currentTime"])
    assert abs(told - datetime.now(UTC) - ahead) < HOUR / 2


async def in_16(station: Wire, evse: int, n: int, transactions: dict[int, int]) -> None:
    """The `n`th of three messages of a session that takes an hour and 5 kWh; `transactions` are the ids by EVSE."""
    at = t0() + n * HOUR / 2
    if n == 0:
        reply = await station.call("StartTransaction", start_16(at, connector=evse))
        transactions[evse] = reply.payload["transactionId"]
    elif n == 1:
        told = meter_values_16(transactions[evse], at, meter_wh=3500) | {"connectorId": evse}
        reply = await station.call("MeterValues", told)
    else:
        reply = await station.call("StopTransaction", stop_16(transactions[evse], at))
    assert reply.error is None


async def in_201(station: Wire, evse: int, n: int) -> None:
    """As in_16."""
    kind = ("Started", "Updated", "Ended")[n]
    event = event_201(kind, n, t0() + n * HOUR / 2, meter_wh=1000 + 2500 * n, transaction=f"transaction-{evse}") | {
        "evse": {"id": evse, "connectorId": 1}
    }
    assert (await station.call("TransactionEvent", event)).error is None


async def obeys(dsn: str, name: str) -> bool:
    async with connect_once(dsn) as connection:
        outcome = await ask(connection, name, TriggerMessage(message="Heartbeat"), actor="operator", timeout_s=10)
    return outcome.accepted


async def stories(dsn: str) -> list[dict[str, Any]]:
    async with connect_once(dsn) as connection:
        return [dict(row) for row in await connection.fetch(STORIES)]


@pytest.mark.parametrize("steps_too", [False, True], ids=["postgres_elsewhere", "postgres_too"])
async def test_no_session_is_lost_when_the_clock_is_set_and_each_lasts_as_long_as_its_charge_point_says(
    clock: SteppedClock, data_home: Path, database: str, steps_too: bool
) -> None:
    """Sockets, commands and sweeps go on; also where Postgres is on the same machine, and its clock the same."""
    data_dir = data_home / "csms"
    elsewhere = contextlib.nullcontext(database)
    async with (
        stepped_clock.postgres(data_home / "postgres", clock) if steps_too else elsewhere as dsn,
        installation(data_dir, dsn=dsn, environment=clock.environment) as server,
    ):
        passwords = await commission(dsn, data_dir, NAMES)
        async with connect_once(dsn) as connection:
            await connection.execute(KNOWN_FOR_LONG, TOKEN)
        async with (
            wire(server.url, "CP-1", passwords["CP-1"]) as one,
            wire(server.url, "CP-2", passwords["CP-2"], "ocpp2.0.1") as two,
        ):
            for station in (one, two):
                station.answers["TriggerMessage"] = lambda _asked: {"status": "Accepted"}
                await boot(station)
            transactions: dict[int, int] = {}
            for evse, steps in enumerate(STEPS, start=1):
                for n, ahead in enumerate(steps):
                    await set_clock(clock, ahead, witness=one)
                    await in_16(one, evse, n, transactions)
                    await in_201(two, evse, n)
                    assert [await obeys(dsn, name) for name in NAMES] == [True, True]
            await set_clock(clock, RIGHT, witness=one)
            await until(lambda: _all_ended(dsn), what="all have ended")
            # What ended while the clock was ahead waits until that instant: here it is.
            await set_clock(clock, HOUR + timedelta(minutes=1), witness=two)
            await until(lambda: _all_settled(dsn), what="all are billed, or held with a reason")
            assert await _is_ahead(dsn) == steps_too
        assert not server.bugs()
        told = await stories(dsn)

    assert [(each["charge_point"], each["evse"]) for each in told] == [
        (name, evse) for evse in (1, 2) for name in NAMES
    ]
    assert {(each["started_at"], each["ended_at"], each["energy_wh"]) for each in told} == {(t0(), t0() + HOUR, 5000)}
    # An end that is stamped an hour after it came is nobody's to believe; what came in time is billed.
    assert [each["holds"] for each in told] == [["time_invalid"]] * 2 + [[]] * 2
    assert [(each["finals"], each["billed_wh"]) for each in told] == [(0, None)] * 2 + [(1, 5000)] * 2


async def _is_ahead(dsn: str) -> bool:
    """Whether the clock of its Postgres is."""
    async with connect_once(dsn) as connection:
        shown: datetime = await connection.fetchval("SELECT now()")
    return shown > datetime.now(UTC) + HOUR / 2


async def _all_ended(dsn: str) -> bool:
    told = await stories(dsn)
    return len(told) == len(NAMES) * len(STEPS) and all(each["ended_at"] is not None for each in told)


async def _all_settled(dsn: str) -> bool:
    return all(each["finals"] == 1 or each["holds"] for each in await stories(dsn))
