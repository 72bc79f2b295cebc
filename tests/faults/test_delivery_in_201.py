"""Transaction events of OCPP 2.0.1 in any order and number, with gaps, and numbered strangely (D9 - D11)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from csms.database.pool import connect_once
from csms.sessions import listing
from tests.faults.wire import Wire, boot, event_201, wire
from tests.faults.world import commission, furnish, rounds, serving, until

T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
MINUTES = timedelta(minutes=10)
TRANSACTION = "a7a1c9a4-0000-4000-8000-000000000417"
FINAL_S_MAX = 40.0

Event = dict[str, Any]


def told_in_order(*, first: int = 0, count: int = 6) -> list[Event]:
    """Started, Updated ..., Ended: one every ten minutes, 1 kWh each."""
    events = []
    for n in range(count):
        kind = "Started" if n == 0 else "Ended" if n == count - 1 else "Updated"
        at = T0 + n * MINUTES
        events.append(event_201(kind, first + n, at, meter_wh=1000 * (n + 1), transaction=TRANSACTION))
    return events


async def tell(url: str, identity: str, password: str, events: Sequence[Event]) -> None:
    """One after the other, each answered with a result."""
    async with wire(url, identity, password, "ocpp2.0.1") as station:
        for event in events:
            reply = await station.call("TransactionEvent", event)
            assert reply.error is None, reply


async def stories(dsn: str) -> dict[str, tuple[Any, ...]]:
    """Each charge point's session as folded and billed; several sessions of one would be a wrong story."""
    async with connect_once(dsn) as connection:
        rows = await connection.fetch(
            """
            SELECT s.charge_point, s.energy_wh, s.started_at, s.ended_at, s.holds, s.flags, s.energy_source, s.dropped,
                   count(b.*) AS finals, min(b.total_incl_minor) AS total, min(b.energy_wh) AS billed_wh
              FROM session s LEFT JOIN bill b ON b.session = s.id AND b.kind = 'final'
             GROUP BY s.id ORDER BY s.id
            """
        )
    told: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        name = row["charge_point"]
        assert name not in told, f"{name} has several sessions"
        told[name] = tuple(str(value) for value in tuple(row)[1:])
    return told


async def finals(dsn: str) -> int:
    async with connect_once(dsn) as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM bill WHERE kind = 'final'")
    return count


async def test_events_in_any_order_and_number_tell_the_same_session(database: str, tmp_path: Path) -> None:
    """D9. The order of the test list first, then random ones; the yardstick is told in order."""
    in_order = told_in_order()
    orders = [in_order, [in_order[n] for n in (0, 1, 1, 3, 5, 4, 2, 5)]]
    for seed in range(rounds(40, 500, of="D9")):
        chance = random.Random(seed)
        order = in_order + chance.choices(in_order, k=chance.randrange(4))
        chance.shuffle(order)
        orders.append(order)
    names = [f"CP-{n}" for n in range(len(orders))]

    # No event may seem late for the slowness of the machine alone: a time-out would flag it.
    async with serving(database, tmp_path, complete_timeout_online_s=600) as running:
        await furnish(database)
        passwords = await commission(database, tmp_path, names)
        for n in range(0, len(names), 25):  # so many at once, that their messages share commits
            await asyncio.gather(
                *(
                    tell(running.ocpp_url, name, passwords[name], order)
                    for name, order in zip(names[n : n + 25], orders[n : n + 25], strict=True)
                )
            )
        await until(lambda: _all_final(database, len(names)), what="all are billed", within_s=FINAL_S_MAX)

    told = await stories(database)
    yardstick = told["CP-0"]
    assert yardstick[0] == "5000.000"
    assert {name: story for name, story in told.items() if story != yardstick} == {}
    async with connect_once(database) as connection:
        events = await connection.fetch("SELECT count(*) FROM charging_event GROUP BY charge_point")
    assert {row["count"] for row in events} == {len(in_order)}


async def _all_final(dsn: str, count: int) -> bool:
    """Billed, and folded: billing looks at the facts themselves, so a bill may come before the row that lists show."""
    async with connect_once(dsn) as connection:
        is_folded: bool = await connection.fetchval("SELECT NOT EXISTS (SELECT FROM session_due)")
    return is_folded and await finals(dsn) >= count


async def test_a_transaction_numbered_on_from_the_last_one_is_complete_and_billed(
    database: str, tmp_path: Path
) -> None:
    """D11. seqNo starts at 417."""
    async with serving(database, tmp_path) as running:
        await furnish(database)
        passwords = await commission(database, tmp_path, ["CP-1"])
        await tell(running.ocpp_url, "CP-1", passwords["CP-1"], told_in_order(first=417))
        await until(lambda: _all_final(database, 1), what="it is billed")

    assert (await stories(database))["CP-1"][0] == "5000.000"


# --- D10: a gap that never closes ------------------------------------------------------------------------------------


@pytest.fixture
async def gap(database: str, tmp_path: Path) -> AsyncIterator[Wire]:
    """A charge point, online, whose events 2 and 3 never come; waits are divided by 300."""
    delays = (0.2, 0.5, 1.0)
    async with serving(
        database, tmp_path, transaction_status_delays_s=delays, complete_timeout_online_s=8.0, sweep_interval_s=0.2
    ) as running:
        await furnish(database)
        passwords = await commission(database, tmp_path, ["CP-1"])
        async with wire(running.ocpp_url, "CP-1", passwords["CP-1"], "ocpp2.0.1") as station:
            await boot(station)
            yield station


def inquiries(station: Wire) -> list[dict[str, Any]]:
    return [payload for action, payload in station.asked if action == "GetTransactionStatus"]


async def _tell_with_gap(station: Wire) -> None:
    in_order = told_in_order()
    for n in (0, 1, 4, 5):
        reply = await station.call("TransactionEvent", in_order[n])
        assert reply.error is None


async def test_a_gap_that_never_closes_is_asked_about_three_times_and_billed_when_the_time_is_over(
    gap: Wire, database: str
) -> None:
    """The charge point says each time that there are messages in its queue."""
    gap.answers["GetTransactionStatus"] = lambda _asked: {"messagesInQueue": True, "ongoingIndicator": False}
    await _tell_with_gap(gap)

    await until(lambda: _asked(gap, 3), what="it was asked three times")
    assert await finals(database) == 0
    await until(lambda: _all_final(database, 1), what="the time is over and it is billed", within_s=FINAL_S_MAX)

    assert inquiries(gap) == [{"transactionId": TRANSACTION}] * 3
    async with connect_once(database) as connection:
        session = (await listing.list_sessions(connection))[0]
        shown = await listing.show(connection, session["id"])
    assert "sequence_gap" in shown["flags"]
    assert session["energy_wh"] == 5000


async def test_a_gap_is_billed_as_soon_as_the_charge_point_says_that_its_queue_is_empty(
    gap: Wire, database: str
) -> None:
    gap.answers["GetTransactionStatus"] = lambda _asked: {"messagesInQueue": False}
    await _tell_with_gap(gap)

    await until(lambda: _all_final(database, 1), what="it is billed")

    assert len(inquiries(gap)) < 3  # usually one: a busy machine may ask again before it has read the answer
    assert (await stories(database))["CP-1"][0] == "5000.000"


async def test_an_event_that_fills_the_gap_completes_the_session(gap: Wire, database: str) -> None:
    gap.answers["GetTransactionStatus"] = lambda _asked: {"messagesInQueue": True}
    await _tell_with_gap(gap)
    await until(lambda: _asked(gap, 1), what="it was asked")
    assert await finals(database) == 0

    for event in told_in_order()[2:4]:
        await gap.call("TransactionEvent", event)
    await until(lambda: _all_final(database, 1), what="it is billed")

    await until(lambda: _is_whole(database), what="the session has no gap any more")


async def _is_whole(dsn: str) -> bool:
    """Billing folds afresh, and may be ahead of what is shown."""
    async with connect_once(dsn) as connection:
        session = (await listing.list_sessions(connection))[0]
        shown = await listing.show(connection, session["id"])
    return "sequence_gap" not in shown["flags"] and session["state"] == "rated"


async def _asked(station: Wire, times: int) -> bool:
    return len(inquiries(station)) >= times
