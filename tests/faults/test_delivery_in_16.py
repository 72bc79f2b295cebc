"""Messages of OCPP 1.6 that come again, too late, in another order, or about somebody else's transaction (D1 - D8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from csms.database.pool import connect_once
from csms.sessions import listing
from simulators.faults import faulty_proxy
from tests.faults.wire import Reply, Wire, meter_values_16, start_16, stop_16, wire
from tests.faults.world import commission, furnish, rounds, serving, until

COPIES = 20
T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
T1 = T0 + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Room:
    """A server with a handful of charge points."""

    dsn: str
    data_dir: Path
    url: str

    async def passwords(self, *identities: str) -> dict[str, str]:
        return await commission(self.dsn, self.data_dir, identities)

    async def sessions(self, charge_point: str | None = None) -> list[dict[str, Any]]:
        async with connect_once(self.dsn) as connection:
            return await listing.list_sessions(connection, charge_point=charge_point)

    async def orphans(self) -> list[dict[str, Any]]:
        async with connect_once(self.dsn) as connection:
            return await listing.orphans(connection)

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        async with connect_once(self.dsn) as connection:
            return list(await connection.fetch(query, *arguments))

    async def has(self, *states: str) -> bool:
        return [each["state"] for each in await self.sessions()] == list(states)

    async def bills(self) -> list[tuple[int, str, int]]:
        rows = await self.fetch(
            "SELECT session, kind, total_incl_minor FROM bill WHERE kind <> 'interim' ORDER BY 1, 2"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def room(database: str, tmp_path: Path) -> AsyncIterator[Room]:
    async with serving(database, tmp_path) as running:
        await furnish(database)
        yield Room(database, tmp_path, running.ocpp_url)


async def test_twenty_copies_of_a_start_on_twenty_sockets_in_turn_make_one_session(room: Room) -> None:
    """D1. Some copies have a message id of their own, some share one; each socket replaces the one before it."""
    names = [f"CP-{n}" for n in range(rounds(20, 200, of="D1"))]
    passwords = await room.passwords(*names)

    for name in names:
        ids = await _twenty_copies(room, name, passwords[name])
        assert len(ids) == 1, ids

    assert await room.fetch("SELECT charge_point FROM session GROUP BY 1 HAVING count(*) <> 1") == []
    assert len(await room.fetch("SELECT FROM session")) == len(names)
    assert len(await room.fetch("SELECT FROM charging_event")) == len(names)


async def _twenty_copies(room: Room, name: str, password: str) -> set[int]:
    async def copy(n: int) -> Reply | None:
        async with wire(room.url, name, password) as station:
            try:
                return await station.call("StartTransaction", start_16(T0), id_=str(n) if n % 2 else "1")
            except ConnectionClosed:
                return None  # another copy's socket has replaced this one

    replies = [reply for reply in await asyncio.gather(*map(copy, range(COPIES))) if reply is not None]
    async with wire(room.url, name, password) as station:
        replies.append(await station.call("StartTransaction", start_16(T0)))
    assert [reply.error for reply in replies] == [None] * len(replies)
    return {reply.payload["transactionId"] for reply in replies}


async def test_twenty_copies_of_a_start_at_once_on_one_socket_get_one_answer(room: Room) -> None:
    """D1, pipelined as only a broken charge point does."""
    passwords = await room.passwords("CP-1")

    async with wire(room.url, "CP-1", passwords["CP-1"]) as station:
        sent = [await station.send("StartTransaction", start_16(T0)) for _ in range(COPIES)]
        replies = await asyncio.gather(*sent)

    assert len({str(reply.payload) for reply in replies}) == 1
    assert len(await room.sessions()) == 1


@pytest.mark.parametrize("retry_id", ["7", "8"], ids=["the same message id", "a new message id"])
async def test_a_start_whose_answer_was_cut_off_gets_the_same_transaction_id_again(room: Room, retry_id: str) -> None:
    """D2."""
    passwords = await room.passwords("CP-1")
    async with faulty_proxy(room.url) as proxy:
        async with wire(proxy.url, "CP-1", passwords["CP-1"]) as station:
            proxy.cut_answers = 1
            with pytest.raises(ConnectionClosed):
                await station.call("StartTransaction", start_16(T0), id_="7")
        assert proxy.cut_answers == 0

        async with wire(proxy.url, "CP-1", passwords["CP-1"]) as station:
            again = await station.call("StartTransaction", start_16(T0), id_=retry_id)

    sessions = await room.sessions()
    assert [each["transaction_id"] for each in sessions] == [str(again.payload["transactionId"])]
    assert again.payload["idTagInfo"]["status"] == "Accepted"


async def test_a_start_repeated_after_its_stop_leaves_the_session_ended_and_billed_once(room: Room) -> None:
    """D3."""
    passwords = await room.passwords("CP-1")
    async with wire(room.url, "CP-1", passwords["CP-1"]) as station:
        started = await station.call("StartTransaction", start_16(T0))
        await station.call("StopTransaction", stop_16(started.payload["transactionId"], T1))
        await until(lambda: room.has("rated"), what="the session is rated")

        again = await station.call("StartTransaction", start_16(T0))

    assert again == started
    assert await room.has("rated")
    await until(lambda: _nothing_due(room), what="nothing is due")
    assert await room.bills() == [(started.payload["transactionId"], "final", 292)]


async def test_a_stop_told_three_times_and_then_otherwise_is_one_stop_and_a_conflict(room: Room) -> None:
    """D4. The first stop counts; the other one is kept, and the bill stays."""
    passwords = await room.passwords("CP-1")
    async with wire(room.url, "CP-1", passwords["CP-1"]) as station:
        started = await station.call("StartTransaction", start_16(T0))
        id_ = started.payload["transactionId"]
        same = [await station.call("StopTransaction", stop_16(id_, T1)) for _ in range(3)]
        await until(lambda: room.has("rated"), what="the session is rated")
        other = await station.call("StopTransaction", stop_16(id_, T1, meter_wh=7000))
        await until(lambda: _nothing_due(room), what="nothing is due")

    assert [reply.error for reply in (*same, other)] == [None] * 4
    stops = await room.fetch("SELECT register_wh FROM charging_event WHERE kind = 'ended' ORDER BY id")
    assert [row["register_wh"] for row in stops] == [6000, 7000]
    session = (await room.sessions())[0]
    assert session["energy_wh"] == 5000
    assert await room.bills() == [(id_, "final", 292)]
    async with connect_once(room.dsn) as connection:
        shown = await listing.show(connection, id_)
    assert "stop_conflict" in {*shown["flags"], *shown["hold_reasons"]}


async def test_stops_of_transactions_that_never_were_are_answered_kept_and_bill_nothing(room: Room) -> None:
    """D5."""
    passwords = await room.passwords("CP-1")
    async with wire(room.url, "CP-1", passwords["CP-1"]) as station:
        replies = [await station.call("StopTransaction", stop_16(id_, T1)) for id_ in (4711, 0, -1, 2**31 - 1)]

    assert [reply.error for reply in replies] == [None] * 4
    assert [each["transaction"] for each in await room.orphans()] == ["4711", "0", "-1", str(2**31 - 1)]
    assert await room.sessions() == []
    assert await room.bills() == []


async def test_a_stop_that_came_before_its_start_ends_the_session_and_is_billed_once(room: Room) -> None:
    """D6. The start was still in the queue when the stop was sent with the id -1; the real stop may follow."""
    passwords = await room.passwords("CP-1")
    async with wire(room.url, "CP-1", passwords["CP-1"]) as station:
        await station.call("StopTransaction", stop_16(-1, T1))
        started = await station.call("StartTransaction", start_16(T0))
        id_ = started.payload["transactionId"]
        await until(lambda: room.has("rated"), what="the stop was paired with the session")

        late = await station.call("StopTransaction", stop_16(id_, T1))
        await until(lambda: _nothing_due(room), what="nothing is due")

    assert late.error is None
    assert [each["paired_with"] for each in await room.orphans()] == [id_]
    assert [each["energy_wh"] for each in await room.sessions()] == [5000]
    assert await room.bills() == [(id_, "final", 292)]


YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("start", "stop", "meter_stop_wh"),
    [
        pytest.param(T0, T1, 500, id="a register that ran back"),
        pytest.param(T1, T0, 6000, id="a stop before its start"),
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, 1, tzinfo=UTC), 6000, id="1970"),
        pytest.param(T0 + 10 * YEAR, T1 + 10 * YEAR, 6000, id="in ten years"),
    ],
)
async def test_a_session_that_cannot_be_true_is_answered_held_and_not_billed(
    room: Room, start: datetime, stop: datetime, meter_stop_wh: int
) -> None:
    """D7."""
    passwords = await room.passwords("CP-1")
    async with wire(room.url, "CP-1", passwords["CP-1"]) as station:
        started = await station.call("StartTransaction", start_16(start))
        stopped = await station.call(
            "StopTransaction", stop_16(started.payload["transactionId"], stop, meter_wh=meter_stop_wh)
        )
    await until(lambda: room.has("held"), what="the session is held")
    await until(lambda: _nothing_due(room), what="nothing is due")

    assert (started.error, stopped.error) == (None, None)
    assert await room.bills() == []


async def test_a_charge_point_cannot_touch_the_transactions_of_another(room: Room) -> None:
    """D8. It tries every transaction id there can be."""
    passwords = await room.passwords("CP-A", "CP-B")
    async with (
        wire(room.url, "CP-A", passwords["CP-A"]) as owner,
        wire(room.url, "CP-B", passwords["CP-B"]) as stranger,
    ):
        started = await owner.call("StartTransaction", start_16(T0))
        id_ = started.payload["transactionId"]
        last = rounds(200, 1000, of="D8")
        assert id_ <= last

        replies = await _claim_all(stranger, last)
        stolen = (await room.sessions("CP-A"))[0]
        await owner.call("StopTransaction", stop_16(id_, T1))
        await until(lambda: room.has("rated"), what="the session is rated")
        await until(lambda: _noted(room), what="the attempt is noted")

    assert await room.fetch("SELECT charge_point FROM security_event") == [("CP-B",)]
    assert [reply.error for reply in replies] == [None] * 2 * last
    assert (stolen["state"], stolen["ended_at"]) == ("open", None)
    assert len(await room.orphans()) == last
    assert await room.fetch("SELECT FROM reading WHERE session IS NOT NULL") == []
    assert len(await room.fetch("SELECT FROM reading WHERE charge_point = 'CP-B'")) == last
    assert [each["energy_wh"] for each in await room.sessions()] == [5000]
    assert await room.bills() == [(id_, "final", 292)]


async def _noted(room: Room) -> bool:
    """A burst is one security event."""
    return bool(await room.fetch("SELECT FROM security_event WHERE type = 'ForeignTransaction'"))


async def _claim_all(stranger: Wire, last: int) -> list[Reply]:
    sent = []
    for id_ in range(1, last + 1):
        sent.append(await stranger.send("StopTransaction", stop_16(id_, T1, meter_wh=9000)))
        sent.append(await stranger.send("MeterValues", meter_values_16(id_, T1, meter_wh=9000)))
    return list(await asyncio.gather(*sent))


async def _nothing_due(room: Room) -> bool:
    """Projector and billing have seen everything that is committed."""
    return not await room.fetch("SELECT FROM session_due UNION ALL SELECT FROM rating_due")
