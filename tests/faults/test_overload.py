"""One charge point that misbehaves is slowed; the others are served as if it were not there (P15)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from csms.database.pool import connect_once
from simulators.charge_point import stamp
from tests.faults.canary import T0, Canary, figure
from tests.faults.wire import Wire, meter_values_16, wire
from tests.faults.world import LONG, commission, installation, rounds

CANARY_P99_S = 0.1
IN_FLIGHT = 80
"""Calls that a flooding charge point has open at any time: it does not wait for answers."""

Flood = Callable[[], Iterator[tuple[str, dict[str, Any]]]]


def status(number: int, kind: str, *, error: str = "GroundFailure") -> dict[str, Any]:
    at = stamp(T0 + timedelta(milliseconds=number))
    return {"connectorId": 1, "status": kind, "errorCode": error, "timestamp": at}


def same_status() -> Iterator[tuple[str, dict[str, Any]]]:
    for number in itertools.count():
        yield "StatusNotification", status(number, "Faulted")


def changing_status() -> Iterator[tuple[str, dict[str, Any]]]:
    for number in itertools.count():
        yield "StatusNotification", status(number, ("Available", "Preparing")[number % 2], error="NoError")


def heartbeats() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from itertools.repeat(("Heartbeat", {}))


def readings() -> Iterator[tuple[str, dict[str, Any]]]:
    for number in itertools.count():
        payload = meter_values_16(1, T0 + timedelta(seconds=number), meter_wh=number)
        yield "MeterValues", {name: value for name, value in payload.items() if name != "transactionId"}


def nonsense() -> Iterator[tuple[str, dict[str, Any]]]:
    for number in itertools.count():
        yield ("StopTransaction", {"meterStop": "many"}) if number % 2 else ("DataTransfer", {"data": "x" * 20_000})


pytestmark = pytest.mark.alone

FLOODS: dict[str, Flood] = {
    "the same status": same_status,
    "changing statuses": changing_status,
    "heartbeats": heartbeats,
    "readings": readings,
    "nonsense": nonsense,
}


@dataclass(slots=True)
class Flooding:
    """What became of the flood."""

    answered: int = 0
    last: dict[str, Any] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def flooding(station: Wire, flood: Flood) -> AsyncIterator[Flooding]:
    """As fast as it is read, while the block runs; then its last calls are answered."""
    seen, ending = Flooding(), asyncio.Event()

    async def send_on() -> None:
        with contextlib.suppress(ConnectionClosed):
            open_: list[asyncio.Future[Any]] = []
            for action, payload in flood():
                if ending.is_set():
                    break
                open_.append(await station.send(action, payload))
                seen.last = payload
                if len(open_) >= IN_FLIGHT:
                    await open_.pop(0)
                    seen.answered += 1
            await asyncio.gather(*open_)
            seen.answered += len(open_)

    task = asyncio.create_task(send_on())
    try:
        yield seen
    finally:
        ending.set()
        await task


async def test_a_flood_of_one_charge_point_is_not_felt_by_another(database: str, tmp_path: Path) -> None:
    """Of each kind in its turn. What is told is kept: all changes of a status, and of a run of repeats some."""
    visits = rounds(3, 200, of="visits beside each flood")
    names = {kind: f"CP-{number}" for number, kind in enumerate(FLOODS, start=1)}
    floods: dict[str, Flooding] = {}
    async with installation(tmp_path, dsn=database) as server:
        passwords = await commission(database, tmp_path, ["CANARY", *names.values()])
        async with wire(server.url, "CANARY", passwords["CANARY"]) as other:
            alone = Canary(other)
            await alone.sing(visits)
            print(f"alone: {alone}")  # noqa: T201 - what was seen
            for kind, name in names.items():
                canary = Canary(other, first=len(floods) + 1)
                async with (
                    wire(server.url, name, passwords[name]) as station,
                    flooding(station, FLOODS[kind]) as floods[kind],
                ):
                    took_s = await canary.sing(visits)
                    seen = floods[kind].answered / took_s
                assert station.socket.close_code == 1000
                assert floods[kind].answered
                assert canary.errors == alone.errors == []
                print(f"beside {seen:.0f} {kind}/s: {canary}")  # noqa: T201 - what was seen
                if LONG:
                    assert canary.p99_s("Heartbeat") <= CANARY_P99_S
        repeats = await figure(server, "csms_status_repeats_total")
        async with connect_once(database) as connection:
            kept = {
                kind: await connection.fetch(
                    "SELECT status FROM status_report WHERE charge_point = $1 ORDER BY id", names[kind]
                )
                for kind in ("the same status", "changing statuses")
            }
            current = dict(await connection.fetch("SELECT charge_point, status FROM connector"))
            sessions = await connection.fetchval("SELECT count(*) FROM session WHERE charge_point = 'CANARY'")
        bugs = server.bugs()

    same, changing = floods["the same status"], floods["changing statuses"]
    assert len(kept["the same status"]) + repeats == same.answered
    assert repeats > len(kept["the same status"])
    assert len(kept["changing statuses"]) == changing.answered
    assert current[names["the same status"]] == "Faulted"
    assert current[names["changing statuses"]] == changing.last["status"]
    assert sessions == visits * (len(FLOODS) + 1)
    assert not bugs
