"""Counting deviations: added up in memory, written at once, bounded in every direction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.service import Boot, Choices
from csms.protocol.vocabulary import Booted
from csms.quirks import log as quirk_log
from csms.quirks import service
from csms.quirks.log import MODELS_MAX, OTHER_MODEL, QUIRKS, UNKNOWN_MODEL, QuirkLog
from csms.sites import service as sites
from tests.world import until


@pytest.fixture
async def known(pool: asyncpg.Pool[Any]) -> ChargePoint:
    async with pool.acquire() as connection:
        await sites.create(connection, "S", name="S", country="DE", time_zone="Europe/Berlin", currency="EUR")
        made, _ = await charge_points.create(connection, "CP", Choices(site="S"), key=b"k")
    return made


@contextlib.asynccontextmanager
async def running(pool: asyncpg.Pool[Any]) -> AsyncIterator[QuirkLog]:
    counted = QuirkLog(pool)
    task = asyncio.create_task(counted.run())
    try:
        yield counted
    finally:
        task.cancel()
        await asyncio.wait({task})


async def seen(pool: asyncpg.Pool[Any]) -> dict[str, tuple[int, str]]:
    async with pool.acquire() as connection:
        rows = await service.SQL.seen.fetch(connection, charge_point="CP", name=None)
    return {row["name"]: (row["count"], row["frame"]) for row in rows}


async def _written(counted: QuirkLog) -> bool:
    return not counted._pending


async def test_messages_are_added_up_and_the_newest_is_the_proof(pool: asyncpg.Pool[Any], known: ChargePoint) -> None:
    async with running(pool) as counted:
        for number in range(1000):
            counted.note(known, ["unit_hz", "padded_value"], action="MeterValues", frame=f"frame {number}")

        async def first() -> bool:
            return (await seen(pool)).get("unit_hz") == (1000, "frame 999")

        await until(first)
        counted.note(known, ["unit_hz"], action="MeterValues", frame="the last")

    assert await seen(pool) == {"unit_hz": (1001, "the last"), "padded_value": (1000, "frame 999")}


async def test_proofs_are_short_and_storable_and_strangers_are_left_out(
    pool: asyncpg.Pool[Any], known: ChargePoint
) -> None:
    stranger = ChargePoint(id="NOBODY", site="S")
    async with running(pool) as counted:
        counted.note(known, ["not_json"], action="\x00\ud800", frame="x\x00\ud800" * 10_000)
        counted.note(stranger, ["not_json"], action=None, frame="x")
        await until(lambda: _written(counted))

    found = await seen(pool)
    assert found["not_json"][0] == 1
    assert len(found["not_json"][1]) <= 8 * 1024
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM quirk_seen") == 1


async def test_what_waits_is_bounded(
    pool: asyncpg.Pool[Any], known: ChargePoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quirk_log, "PENDING_MAX", 3)
    counted = QuirkLog(pool)
    for number in range(10):
        counted.note(known, [f"quirk_{number}"], action=None, frame="x")
    counted.note(known, ["quirk_0"], action=None, frame="newer")
    async with running(pool) as other:
        other._pending = counted._pending
        other._wake.set()
        await until(lambda: _written(other))

    assert await seen(pool) == {"quirk_0": (2, "newer"), "quirk_1": (1, "x"), "quirk_2": (1, "x")}


def test_models_cannot_make_time_series_as_they_like() -> None:
    counted = QuirkLog(None)  # type: ignore[arg-type]  # nothing is written here
    for number in range(MODELS_MAX + 50):
        counted.note(ChargePoint(id="CP", site="S", model=f"model {number}"), ["test_label"], action=None, frame="")
    counted.note(ChargePoint(id="CP", site="S", model=" "), ["test_label"], action=None, frame="")

    samples = {
        sample.labels["model"]: sample.value
        for metric in QUIRKS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["quirk"] == "test_label"
    }
    assert len(samples) == MODELS_MAX + 2
    assert (samples[OTHER_MODEL], samples[UNKNOWN_MODEL]) == (50, 1)


async def test_a_count_survives_a_database_that_is_away(known: ChargePoint, pool: asyncpg.Pool[Any]) -> None:
    """Those in the middle are lost; the log goes on."""

    class Away:
        def __init__(self) -> None:
            self.away = True

        def acquire(self) -> Any:
            if self.away:
                raise ConnectionRefusedError("no database")
            return pool.acquire()

    door = Away()
    async with running(door) as counted:  # type: ignore[arg-type]  # a pool that cannot be reached for a while
        counted.note(known, ["unit_hz"], action=None, frame="lost")
        await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        door.away = False
        counted.note(known, ["unit_hz"], action=None, frame="kept")

        async def kept() -> bool:
            return (await seen(pool)).get("unit_hz", (0, ""))[1] == "kept"

        await until(kept)


async def test_a_proof_is_forgotten_with_the_frames_of_its_day(pool: asyncpg.Pool[Any], known: ChargePoint) -> None:
    async with running(pool) as counted:
        counted.note(known, ["unit_hz"], action=None, frame="old")
        counted.note(known, ["padded_value"], action=None, frame="new")
        await until(lambda: _written(counted))
    async with pool.acquire() as connection:
        await connection.execute(
            "UPDATE quirk_seen SET first_at = now() - interval '9 days', last_at = now() - interval '8 days'"
            " WHERE name = 'unit_hz'"
        )
        await service.SQL.forget_proofs.execute(connection, days=7)

    assert await seen(pool) == {"unit_hz": (1, ""), "padded_value": (1, "new")}


async def test_each_change_of_an_operator_is_told_once_to_nodes_that_it_concerns(
    pool: asyncpg.Pool[Any], known: ChargePoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LOOK_EVERY_S", 0.02)
    here: list[ChargePoint] = []
    elsewhere: list[ChargePoint] = []
    tasks = [
        asyncio.create_task(service.tell_changes(pool, here.append, concerns=lambda id_: id_ == known.id)),
        asyncio.create_task(service.tell_changes(pool, elsewhere.append, concerns=lambda _: False)),
    ]
    async with pool.acquire() as connection:
        await asyncio.sleep(0.1)
        await service.choose(connection, "CP", "unit_hz", service.Choice.OFF, actor="operator")
        await until(lambda: _told(here, 1))
        boot = Boot(charge_point="CP", told=Booted(vendor="V", model="M"), at=datetime.now(UTC))
        await charge_points.record_boots(connection, [boot])  # which is no operator's change
        await charge_points.change(connection, "CP", Choices(strict=True), key=b"k")
        await until(lambda: _told(here, 2))
        await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert [(each.switched_off, each.strict, each.vendor) for each in here] == [
        (frozenset({"unit_hz"}), False, None),
        (frozenset({"unit_hz"}), True, "V"),
    ]
    assert elsewhere == []


async def _told(updates: list[ChargePoint], count: int) -> bool:
    return len(updates) >= count
