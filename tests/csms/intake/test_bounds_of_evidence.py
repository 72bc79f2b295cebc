"""What is kept of charge points is bounded for each of them, and holds no secret."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from csms.charge_points import device_model
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint, Proof
from csms.charge_points.device_model import LEFT_OUT
from csms.charge_points.service import BOOTS_A_DAY_MAX, Boot, Choices
from csms.database.partitions import ensure_frame_partitions
from csms.database.pool import connect_once
from csms.gateway.application import SocketInfo
from csms.intake import frames, notices
from csms.intake.arrival import Arrival, StorableFact
from csms.intake.frames import FrameLog
from csms.intake.ingest import Ingest
from csms.protocol.blocks.device_model_facts import VariableDescribed
from csms.protocol.redaction import FRAME_LENGTH_MAX, REDACTED
from csms.protocol.vocabulary import Booted, Protocol, ReadingsReported, SettingsReported
from csms.sites import service as sites

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "correct-horse-battery-staple"


@pytest.fixture
async def known(pool: asyncpg.Pool[Any], database: str) -> list[ChargePoint]:
    async with connect_once(database) as owner:
        await ensure_frame_partitions(owner)
    async with pool.acquire() as connection:
        await sites.create(connection, "S", name="S", country="DE", time_zone="Europe/Berlin", currency="EUR")
        return [(await charge_points.create(connection, f"CP-{n}", Choices(site="S"), key=b"k"))[0] for n in range(2)]


def socket_of(charge_point: ChargePoint) -> SocketInfo:
    return SocketInfo(
        charge_point=charge_point, protocol=Protocol.V16, id=str(uuid4()), remote="[::1]", opened_at=NOW,
        proof=Proof(profile=1),
    )  # fmt: skip


async def written(log: FrameLog) -> None:
    while log._pending:
        await log._write_some()


async def bodies(pool: asyncpg.Pool[Any], charge_point: str) -> list[str]:
    rows = await pool.fetch("SELECT body FROM frame WHERE charge_point = $1 ORDER BY received_at", charge_point)
    return [row["body"] for row in rows]


@pytest.mark.parametrize(("part", "most"), [("x", "PENDING_MAX"), ("x" * 1000, "PENDING_LENGTH_MAX")])
async def test_one_charge_point_leaves_room_for_the_frames_of_others(
    pool: asyncpg.Pool[Any], known: list[ChargePoint], monkeypatch: pytest.MonkeyPatch, part: str, most: str
) -> None:
    monkeypatch.setattr(frames, most, 80 * len(part))
    log = FrameLog(pool)
    for _ in range(200):
        log.observe(socket_of(known[0]), "in", part, None)
    log.observe(socket_of(known[1]), "in", "evidence", None)
    await written(log)

    assert len(await bodies(pool, known[0].id)) == 80 // frames.SHARE
    assert await bodies(pool, known[1].id) == ["evidence"]

    log.observe(socket_of(known[0]), "in", "later", None)  # its share is free again
    await written(log)

    assert (await bodies(pool, known[0].id))[-1] == "later"


async def test_others_get_their_turn_while_long_frames_are_searched(
    pool: asyncpg.Pool[Any], known: list[ChargePoint]
) -> None:
    log = FrameLog(pool)
    frame = f'[2,"1","DataTransfer",{{"key":"{"x" * 30_000}"}}]'
    for _ in range(20):
        log.observe(socket_of(known[0]), "in", frame, "DataTransfer")
    turns = 0
    searching = asyncio.create_task(log._bodies(list(log._pending)))
    while not searching.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns >= 20
    assert len(await searching) == 20


async def test_frames_that_are_being_searched_at_a_stop_are_written(
    pool: asyncpg.Pool[Any], known: list[ChargePoint]
) -> None:
    log = FrameLog(pool)
    frame = f'[2,"1","DataTransfer",{{"key":"{"x" * 30_000}"}}]'
    for _ in range(20):
        log.observe(socket_of(known[0]), "in", frame, "DataTransfer")
    running = asyncio.create_task(log.run())
    for _ in range(4):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})

    assert len(await bodies(pool, known[0].id)) == 20


async def test_of_a_long_frame_the_head_is_kept_and_takes_no_room(
    pool: asyncpg.Pool[Any], known: list[ChargePoint]
) -> None:
    log = FrameLog(pool)
    frame = f'[2,"1","Heartbeat",{{"password":"{SECRET * 40_000}"}}]'
    for _ in range(30):
        log.observe(socket_of(known[0]), "in", frame, "Heartbeat")
    await written(log)

    assert await bodies(pool, known[0].id) == [f'[2,"1","Heartbeat",... ({len(frame)} characters)'] * 30


async def test_a_refusal_may_not_quote_the_secret_that_was_refused(
    pool: asyncpg.Pool[Any], known: list[ChargePoint]
) -> None:
    log = FrameLog(pool)
    socket = socket_of(known[0])
    for message_id, key in (("1", "AuthorizationKey"), ("2", "HeartbeatInterval")):
        asked = [2, message_id, "ChangeConfiguration", {"key": key, "value": SECRET if message_id == "1" else "abc"}]
        log.observe(socket, "out", json.dumps(asked, separators=(",", ":")), "ChangeConfiguration")
        refused = [4, message_id, "GenericError", f"'{asked[3]['value']}' will not do", {}]
        log.observe(socket, "in", json.dumps(refused), "ChangeConfiguration")
    await written(log)

    kept = await bodies(pool, known[0].id)
    assert json.loads(kept[1]) == [4, "1", "GenericError", REDACTED, {}]
    assert json.loads(kept[3])[3] == "'abc' will not do"
    assert SECRET not in "".join(kept)


def arrival(fact: StorableFact, charge_point: ChargePoint, frame: str = "[]") -> Arrival:
    return Arrival(charge_point=charge_point.id, fact=fact, frame=frame, socket=UUID(int=1), received_at=NOW)


async def test_what_goes_to_quarantine_is_short_and_holds_no_secret(
    pool: asyncpg.Pool[Any], known: list[ChargePoint]
) -> None:
    fact = ReadingsReported(evse=1, connector=1, transaction=None, readings=(), quirks=("not_json",), malformed=True)
    texts = [
        f'[2,"1","MeterValues",{{"connectorId":1,,"pad":"{"x" * 1_000_000}"}}]',
        json.dumps([2, "1", "MeterValues", {"password": SECRET, "connectorId": "?"}]),
        '[2,"1","MeterValues",{"connectorId":"\x00\ud800"}]',
    ]
    async with pool.acquire() as connection:
        await notices.store_quarantine(connection, [arrival(fact, known[0], text) for text in texts])
    for text in texts[:2]:
        await FrameLog(pool).quarantine(socket_of(known[0]), text, "why")

    kept = [row["frame"] for row in await pool.fetch("SELECT frame FROM quarantine ORDER BY id")]
    assert len(kept) == 5
    assert kept[0].startswith('[2,"1","MeterValues",{"connectorId":1,,"pad":"xxx')
    assert max(map(len, kept)) <= FRAME_LENGTH_MAX
    assert SECRET not in "".join(kept)
    assert REDACTED in kept[1]


def report(names: list[str], value: str = "1") -> SettingsReported:
    return SettingsReported(
        request=0, seq_no=0, more=False, settings=tuple((name, value, None) for name in names),
        described=tuple(VariableDescribed(name=name, data_type="string") for name in names),
    )  # fmt: skip


async def test_ever_new_variables_fill_no_more_than_a_charge_point_s_part(
    pool: asyncpg.Pool[Any], known: list[ChargePoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "VARIABLES_MAX", 50)
    monkeypatch.setattr(device_model, "_logged", set())
    ingest = Ingest(pool)
    left_out = LEFT_OUT._value.get()
    with capture_logs() as logs:
        for start in range(0, 120, 30):
            names = [f"C.V{number}" for number in range(start, start + 30)]
            await ingest.flush([arrival(report(names), known[0]), arrival(report(names[:10]), known[1])])
        await ingest.flush([arrival(report(["C.V1", "C.V999"], "changed"), known[0])])

    for table in ("device_setting", "device_variable"):
        rows = await pool.fetch(f"SELECT charge_point, count(*) FROM {table} GROUP BY 1 ORDER BY 1")
        assert [(row["charge_point"], row["count"]) for row in rows] == [("CP-0", 50), ("CP-1", 40)]
    assert await pool.fetchval("SELECT value FROM device_setting WHERE charge_point = 'CP-0' AND name = 'C.V1'") == (
        "changed"
    )
    assert LEFT_OUT._value.get() - left_out == 120 - 50 + 1
    assert [entry["charge_point"] for entry in logs if entry["event"] == "device_model_too_large"] == ["CP-0"]


@pytest.mark.usefixtures("known")
async def test_boots_that_take_turns_are_kept_so_many_times_a_day(pool: asyncpg.Pool[Any]) -> None:
    boot = Booted(vendor="Example", model="One")
    count = "SELECT count(*) FROM notice WHERE kind = 'boot' AND charge_point = 'CP-0'"
    async with pool.acquire() as connection:
        for number in range(100):
            told = replace(boot, reason=("PowerUp", "Watchdog")[number % 2], firmware=str(number))
            at = NOW + timedelta(seconds=number)
            await charge_points.record_boots(connection, [Boot(charge_point="CP-0", told=told, at=at)])

        assert await connection.fetchval(count) == BOOTS_A_DAY_MAX
        assert (await charge_points.get(connection, "CP-0")).firmware == "99"

        later = NOW + timedelta(days=2)
        await charge_points.record_boots(connection, [Boot(charge_point="CP-0", told=boot, at=later)])
        assert await connection.fetchval(count) == BOOTS_A_DAY_MAX + 1
