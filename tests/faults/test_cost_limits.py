"""Servers that die while sessions have limits: amounts are the same again, and a stop that was decided is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from billing import LimitScope, LimitWanted, set_cost_limit
from csms.database.pool import connect_once
from csms.sessions import listing
from tests.faults.wire import boot, wire
from tests.faults.world import TOKEN, ServerProcess, commission, furnish, until
from tests.scenarios.limited import STOPS, Charger
from tests.world import in_the_past

BOTH = pytest.mark.parametrize("protocol", STOPS)
SAMPLES = 8
LIMIT = "4.00"
"""At 0.49 EUR and 19 % a kWh the seventh sample comes to it: 4.08."""


async def limit(dsn: str, amount: str = LIMIT) -> None:
    async with connect_once(dsn) as connection:
        wanted = LimitWanted(
            scope=LimitScope.TOKEN, target=TOKEN, amount=Decimal(amount), reason="prepaid", actor="operator"
        )
        await set_cost_limit(connection, wanted, now=datetime.now(UTC))


async def every_fact_is_billed(dsn: str) -> None:
    """An interim bill for each kWh."""
    async with connect_once(dsn) as connection:
        body = '{"version": 2, "every_s": 86400, "every_wh": "1", "every_amount": "1000"}'
        first = body.replace("2", "1", 1)
        await connection.execute(
            "INSERT INTO policy (kind, version, body) SELECT 'interim', 1, $1::text::jsonb ON CONFLICT DO NOTHING",
            first,
        )
        await connection.execute(
            "INSERT INTO policy (kind, version, body) VALUES ('interim', 2, $1::text::jsonb)", body
        )


@contextlib.asynccontextmanager
async def server(dsn: str, home: Path, **given: Any) -> AsyncIterator[ServerProcess]:
    """A process of its own on the database of the test; what dies is only the server."""
    process = ServerProcess(data_dir=home, dsn=dsn, given={"cost_stop_delays_s": "0.2", **given})
    await process.start()
    try:
        yield process
    finally:
        if process.runs:
            await process.terminate()
        print(process.log_tail())  # noqa: T201 - pytest shows it with a failure only
        process.log_path.unlink(missing_ok=True)


class Story:
    """A charge point that comes back to whatever server there is, and goes on where it was."""

    def __init__(self, process: ServerProcess, identity: str, password: str, protocol: str, begin: datetime) -> None:
        self.process, self.identity, self.password, self.protocol = process, identity, password, protocol
        self.begin = begin
        self.station: Charger | None = None
        self._stack = contextlib.AsyncExitStack()

    async def connect(self) -> Charger:
        await self._stack.aclose()
        opened = await self._stack.enter_async_context(
            wire(self.process.url, self.identity, self.password, self.protocol)
        )
        station = Charger(opened, self.protocol, at=self.begin)
        if self.station is not None:
            before = self.station
            station.at, station.meter_wh, station.events = before.at, before.meter_wh, before.events
            station.transaction = before.transaction
        self.station = station
        await boot(opened)
        return station

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await self._stack.aclose()


async def interims(dsn: str, identity: str) -> list[tuple[Decimal, int]]:
    async with connect_once(dsn) as connection:
        rows = await connection.fetch(
            "SELECT b.energy_wh, b.total_incl_minor FROM bill b JOIN session s ON s.id = b.session"
            " WHERE s.charge_point = $1 AND b.kind = 'interim' ORDER BY b.seq",
            identity,
        )
    return [(row["energy_wh"], row["total_incl_minor"]) for row in rows]


async def billed_to(dsn: str, identity: str, energy_wh: int) -> bool:
    return energy_wh in {int(energy) for energy, _ in await interims(dsn, identity)}


async def standing(dsn: str) -> dict[str, Any]:
    async with connect_once(dsn) as connection:
        (session,) = await listing.list_sessions(connection)
        return await listing.show(connection, session["id"])


async def run_of(dsn: str, process: ServerProcess, story: Story, *, killed_after: int | None) -> None:
    """Samples one after the other, each billed before the next; after one of them the server dies before it may be."""
    station = await story.connect()
    await station.start()
    for n in range(1, SAMPLES + 1):
        if station.stops:
            break
        await station.sample()
        if n == killed_after:
            await process.kill()
            await story.close()
            await process.start()
            station = await story.connect()
        await until(partial(billed_to, dsn, story.identity, 1000 * n), what=f"sample {n} is billed")
        if n * Decimal("0.5831") >= Decimal(LIMIT):
            await until(partial(_asked, station), what="it is asked to stop")
    await station.stop()
    await story.close()


async def _asked(station: Charger) -> bool:
    return bool(station.stops)


@BOTH
async def test_interim_amounts_after_a_restart_are_those_of_a_run_without_one(
    database: str, data_home: Path, protocol: str
) -> None:
    begin = in_the_past(hours=5)
    async with server(database, data_home) as process:
        await furnish(database)
        await every_fact_is_billed(database)
        await limit(database)
        passwords = await commission(database, data_home, ["CALM", "STRUCK"])
        calm = Story(process, "CALM", passwords["CALM"], protocol, begin)
        await run_of(database, process, calm, killed_after=None)
        struck = Story(process, "STRUCK", passwords["STRUCK"], protocol, begin)
        await run_of(database, process, struck, killed_after=4)

        expected = await interims(database, "CALM")
        assert [int(energy) for energy, _ in expected] == [1000 * n for n in range(1, 8)]
        assert await interims(database, "STRUCK") == expected
        await until(partial(_both_final, database), what="both are final")
        async with connect_once(database) as connection:
            outcomes = await connection.fetch(
                "SELECT ceiling_minor, final_minor, overshoot_minor FROM cost_outcome ORDER BY session"
            )
        assert [tuple(row) for row in outcomes] == [(400, 408, 8)] * 2
        assert process.bugs() == []


async def _both_final(dsn: str) -> bool:
    async with connect_once(dsn) as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM bill WHERE kind = 'final'")
    return count == 2


@BOTH
async def test_a_server_that_dies_between_the_decision_and_the_stop_asks_when_it_is_back(
    database: str, data_home: Path, protocol: str
) -> None:
    """The charge point is away when its session comes to the limit, so that nobody can have asked it."""
    async with server(database, data_home) as process:
        await furnish(database)
        await limit(database, "1.00")
        passwords = await commission(database, data_home, ["CP-1"])
        begin = in_the_past(hours=5)
        story = Story(process, "CP-1", passwords["CP-1"], protocol, begin)
        station = await story.connect()
        await station.start()
        await station.sample()
        # The message that comes to the limit is the last thing that this socket carries.
        await station.sample()
        await story.close()
        await until(partial(_is_due, database), what="the stop is decided")
        await process.kill()
        await process.start()
        station = await story.connect()
        await until(partial(_asked, station), what="it is asked to stop")
        await station.stop()
        await until(partial(_is_over, database), what="its outcome is written")
        told = await standing(database)
        await story.close()
        assert process.bugs() == []

    assert (told["cost_limit"]["final"], told["cost_limit"]["overshoot"]) == ("1.17", "0.17")
    assert told["state"] == "rated"


@BOTH
async def test_a_stop_that_was_under_way_when_its_server_died_is_asked_for_again(
    database: str, data_home: Path, protocol: str
) -> None:
    """One at a time: nobody asks again before the charge point's time to answer has passed."""
    async with server(database, data_home, call_timeout_s=2.0) as process:
        await furnish(database)
        await limit(database, "0.50")
        passwords = await commission(database, data_home, ["CP-1"])
        begin = in_the_past(hours=5)
        story = Story(process, "CP-1", passwords["CP-1"], protocol, begin)
        station = await story.connect()
        mute = station.wire.answers.pop(STOPS[protocol])
        assert mute is not None
        await station.start()
        await station.sample()
        await until(partial(_asked, station), what="it is asked to stop")
        await process.kill()
        await story.close()
        await process.start()
        station = await story.connect()
        await until(partial(_asked, station), what="it is asked again")
        await station.stop()
        await until(partial(_is_over, database), what="its outcome is written")
        await story.close()
        async with connect_once(database) as connection:
            decided = await connection.fetchval("SELECT count(*) FROM cost_stop")

    assert decided == 1


async def _is_due(dsn: str) -> bool:
    async with connect_once(dsn) as connection:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM cost_stop_due)"))


async def _is_over(dsn: str) -> bool:
    async with connect_once(dsn) as connection:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM cost_outcome)"))
