"""Charge points that were without a network for hours come back at once, each with a long queue (D12)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from csms.database.pool import connect_once
from simulators.charge_point import Told, TrueSession, Truth
from tests.faults.books import assert_nothing_lost
from tests.faults.canary import Canary, cpu_s, percentile, resident_mb
from tests.faults.wire import Wire, boot, event_201, meter_values_16, start_16, stop_16, wire, wire_at_last
from tests.faults.world import LONG, TOKEN, commission, installation, rounds

pytestmark = pytest.mark.alone

EVERY = timedelta(minutes=1)
METER_WH, WH_EACH = 1000, 50
"""3 kW."""
LIVE, VISITS = 5, 4000
OPEN_S_MAX = 60.0
STORED_S_MAX = 20 * 60.0
START_P99_S = 2.0
"""Of who charges meanwhile."""
ANSWERS_MEANWHILE_MAX = 10
"""Of each charge point with a queue, while a live one waits for one: in turn it would be one."""
SHARE_MIN = 0.25
"""Of a queue that is told when the first one is: in turn it would be all but one."""
PACES: dict[str, Any] = {"projection_interval_s": 1.0, "sweep_interval_s": 5.0} if LONG else {}
"""Where it is timed, what else the server does is as often as in an installation."""
ORDER = """
SELECT charge_point, count(*) FROM (
    SELECT charge_point, at < lag(at) OVER (PARTITION BY charge_point ORDER BY received_at, at) AS is_behind FROM (
        SELECT charge_point, at, received_at FROM reading UNION ALL SELECT charge_point, at, received_at FROM charging_event
    ) AS facts
) AS told WHERE is_behind AND charge_point LIKE 'CP-%' GROUP BY 1
"""


@dataclass(slots=True)
class Backlog:
    """A charge point that a vehicle charged at while it had no network, what it has queued, and what was answered.

    `begun_offline`: the start is the head of its queue; where the central system gives the ids of transactions, what
    follows waits for the answer to it. `breaks`: its network fails once more, in the middle, with a message unanswered.
    """

    url: str
    identity: str
    password: str
    protocol: str
    begun_offline: bool
    breaks: bool
    count: int
    truth: Truth = field(default_factory=Truth)
    transaction: int | str | None = None
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    """The first message of the session that nobody has answered."""
    answered: int = 0
    errors: list[str] = field(default_factory=list)
    began: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.began = datetime.now(UTC).replace(microsecond=0) - (self.count + 2) * EVERY
        if self.protocol != "ocpp1.6":
            self.transaction = f"local-{self.identity}"
        self.truth.sessions.append(
            TrueSession(
                charge_point=self.identity,
                evse=1,
                token=TOKEN,
                started_at=self.began,
                register_start_wh=Decimal(METER_WH),
                ended_at=self.began + (self.count + 1) * EVERY,
                register_end_wh=Decimal(METER_WH + (self.count + 1) * WH_EACH),
                readings=self.count,
            )
        )

    async def charge(self) -> None:
        """The session begins; then the network is gone."""
        async with self._socket() as station:
            await boot(station)
            if not self.begun_offline:
                await self._tell(station, 0)
        self.answered = 0

    async def come_back(self) -> None:
        """All that is queued, in its order, each message after the answer to the one before it; as often as it takes."""
        while self.unanswered <= self.count + 1:
            with contextlib.suppress(ConnectionClosed):
                async with self._socket() as station:
                    await boot(station)
                    await self._tell_queue(station)

    async def _tell_queue(self, station: Wire) -> None:
        while self.unanswered <= self.count + 1:
            if self.breaks and self.unanswered == self.count // 2:
                self.breaks = False
                await station.send(*self._message(self.unanswered))
                station.socket.transport.abort()
            await self._tell(station, self.unanswered)

    def _socket(self) -> contextlib.AbstractAsyncContextManager[Wire]:
        return wire_at_last(
            self.url, self.identity, self.password, self.protocol, refused=self.refused, open_timeout=OPEN_S_MAX
        )

    async def _tell(self, station: Wire, number: int) -> None:
        action, payload = self._message(number)
        reply = await station.call(action, payload)
        if reply.error is not None:
            self.errors.append(f"{self.identity}: {action} {number}: {reply.error}")
        self.answered += 1
        self.unanswered = number + 1
        if action == "StartTransaction":
            self.transaction = reply.payload["transactionId"]
        [session] = self.truth.sessions
        session.transaction_id = self.transaction
        self.truth.told.append(
            Told(action=action, made_at=self.began + number * EVERY, transaction_id=self.transaction, attempts=1)
        )

    def _message(self, number: int) -> tuple[str, dict[str, Any]]:
        """0 is the start, the last one the end, and between them is a reading a minute."""
        at, meter_wh = self.began + number * EVERY, METER_WH + number * WH_EACH
        if self.protocol != "ocpp1.6":
            kind = "Started" if number == 0 else "Ended" if number > self.count else "Updated"
            event = event_201(kind, number, at, meter_wh=meter_wh, transaction=str(self.transaction))
            return "TransactionEvent", event | {"offline": self.begun_offline or number > 0}
        if number == 0:
            return "StartTransaction", start_16(at, meter_wh=meter_wh)
        assert isinstance(self.transaction, int), "the central system gives it"
        if number > self.count:
            return "StopTransaction", stop_16(self.transaction, at, meter_wh=meter_wh)
        return "MeterValues", meter_values_16(self.transaction, at, meter_wh=meter_wh)


@dataclass(slots=True)
class Live(Canary):
    """Charges as ever, and counts what others are answered while it waits for the answer to a start."""

    others: list[Backlog] = field(default_factory=list)
    overtaken: list[int] = field(default_factory=list)
    is_cut_off: bool = False

    async def charge_on(self) -> None:
        try:
            await self.sing(VISITS)
        except ConnectionClosed:
            self.is_cut_off = True

    async def _ask(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        before = sum(each.answered for each in self.others)
        answer = await Canary._ask(self, action, payload)
        if action == "StartTransaction":
            self.overtaken.append(sum(each.answered for each in self.others) - before)
        return answer


def backlogs(url: str, passwords: dict[str, str], count: int) -> Iterator[Backlog]:
    """Of both versions, begun with and without a network; every fifth loses it once more."""
    for number, (identity, password) in enumerate(passwords.items()):
        yield Backlog(
            url,
            identity,
            password,
            protocol=("ocpp1.6", "ocpp2.0.1")[number % 2],
            begun_offline=bool(number // 2 % 2),
            breaks=number % 5 == 0,
            count=count,
        )


async def first_told(fleet: list[Backlog]) -> list[float]:
    """Wait until the first of them has told all: which share each has told by then."""
    while not any(each.answered >= each.count for each in fleet):  # noqa: ASYNC110 - they only count
        await asyncio.sleep(0.01)
    return [each.answered / each.count for each in fleet]


async def test_what_a_fleet_has_queued_for_hours_is_stored_once_and_who_charges_meanwhile_is_served(
    database: str, tmp_path: Path
) -> None:
    stations = rounds(20, 500, of="charge points that come back with a queue")
    count = rounds(100, 480, of="readings in each queue")
    async with installation(tmp_path, dsn=database, **PACES) as server:
        names = [f"CP-{n}" for n in range(stations)]
        passwords = await commission(database, tmp_path, names)
        fleet = list(backlogs(server.url, passwords, count))
        for group in range(0, stations, 50):
            await asyncio.gather(*(each.charge() for each in fleet[group : group + 50]))
        passwords = await commission(database, tmp_path, [f"LIVE-{n}" for n in range(LIVE)])
        async with contextlib.AsyncExitStack() as sockets:
            live = [
                Live(await sockets.enter_async_context(wire(server.url, name, password)), others=fleet)
                for name, password in passwords.items()
            ]
            loop = asyncio.get_running_loop()
            begin, begin_cpu_s, begin_own_s = loop.time(), cpu_s(server), time.process_time()
            begin_mb = resident_mb(server)
            async with asyncio.TaskGroup() as tasks:
                singing = [tasks.create_task(each.charge_on()) for each in live]
                shares = tasks.create_task(first_told(fleet))
                await asyncio.gather(*(each.come_back() for each in fleet))
                took_s, took_cpu_s = loop.time() - begin, cpu_s(server) - begin_cpu_s
                own_share = (time.process_time() - begin_own_s) / took_s
                for each in singing:
                    each.cancel()
        mb = resident_mb(server)
        starts_s = [waited_s for each in live for waited_s in each.waited_s["StartTransaction"]]
        overtaken = [number for each in live for number in each.overtaken]
        messages = sum(each.answered for each in fleet)
        print(  # noqa: T201 - what was seen
            f"{messages} messages of {stations} in {took_s:.1f} s ({messages / took_s:.0f}/s, {took_cpu_s / took_s:.0%}"
            f" of a core, {took_cpu_s / messages * 1000:.2f} ms each; {own_share:.0%} for the charge points); when the first was done, the others were at"
            f" {min(shares.result()):.0%} to {max(shares.result()):.0%}\nlive starts: {len(starts_s)},"
            f" p50 {percentile(starts_s, 0.5):.3f} s, p99 {percentile(starts_s, 0.99):.3f} s; others were answered"
            f" {max(overtaken)} messages at most while one waited\nmemory: {begin_mb:.0f} MB before,"
            f" {resident_mb(server, peak=True):.0f} at most, {mb:.0f} after;"
            f" refused {dict(sum((each.refused for each in fleet), Counter()))}"
        )
        summary = await assert_nothing_lost(database, {each.identity: each.truth for each in fleet}, alone=False)
        async with connect_once(database) as connection:
            out_of_order = await connection.fetch(ORDER)
        bugs = server.bugs()

    assert [error for each in fleet for error in each.errors] == []
    assert [error for each in live for error in each.errors] == []
    assert not any(each.is_cut_off for each in live)
    assert (summary.sessions, summary.billed) == (stations, stations)
    assert [tuple(row) for row in out_of_order] == []
    assert min(shares.result()) >= SHARE_MIN
    assert all(each.overtaken for each in live)
    assert max(overtaken) <= ANSWERS_MEANWHILE_MAX * stations
    assert not bugs
    if LONG:
        assert took_s <= STORED_S_MAX
        assert percentile(starts_s, 0.99) <= START_P99_S
