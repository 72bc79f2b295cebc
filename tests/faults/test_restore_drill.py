"""The restore drill: a backup taken while charge points charge, proven, restored elsewhere, and gone on with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from billing.archive.entry import Deposit
from billing.archive.service import Archive
from csms.database.pool import connect_once
from csms.sessions import listing
from simulators.charge_point import Credentials, ModelClock, SimulatedChargePoint, SteadyLoad
from tests.faults.load import SAMPLE_EVERY, usual_build
from tests.faults.world import DIVIDED, TOKEN, ServerProcess, commission, embedded_dsn, installation, until
from tests.programs import start_csms

NAMES = [f"CP-{n}" for n in range(4)]
SESSION_WH = Decimal(4000)
LASTS_S = Decimal(3600)
ARCHIVED = 20


async def csms(data_dir: Path, *arguments: object) -> Any:
    """What a command that must succeed prints; it has the settings of the server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    environment |= {f"CSMS_{name.upper()}": str(value) for name, value in DIVIDED.items()}
    process = await start_csms("--data-dir", data_dir, *arguments, "-o", "json", env=environment)
    out, err = await process.communicate()
    assert process.returncode == 0, (out.decode(), err.decode())
    return json.loads(out)


async def charge(station: SimulatedChargePoint) -> None:
    await station.plug()
    await station.start(token=TOKEN)
    await station.draw(1, SteadyLoad(SESSION_WH, LASTS_S))


async def go_on(station: SimulatedChargePoint, span: timedelta = timedelta(minutes=30)) -> None:
    until_ = station.clock.now + span
    while station.clock.now < until_:
        await station.advance(SAMPLE_EVERY)
        await asyncio.sleep(0.05)


async def end(station: SimulatedChargePoint) -> None:
    await station.stop()
    await station.unplug()
    await station.advance(timedelta(minutes=1))


async def sessions_of(dsn: str) -> list[dict[str, Any]]:
    async with connect_once(dsn) as connection:
        return await listing.list_sessions(connection)


async def store_documents(dsn: str, directory: Path, count: int) -> None:
    """As a server does that typesets them."""
    now, archive = datetime.now(UTC), Archive(directory)
    deposits = [
        Deposit(
            content=f"document {n}".encode(), media_type="application/pdf", kind="invoice_pdf", subject=f"R-{n}",
            day=now.date(),
        )
        for n in range(count)
    ]  # fmt: skip
    async with connect_once(dsn) as connection:
        async with connection.transaction():
            await archive.deposit(connection, deposits, actor="ada", now=now)
        await archive.settle(connection)


def in_state(dsn: str, state: str, count: int) -> Any:
    async def look() -> bool:
        return [each["state"] for each in await sessions_of(dsn)].count(state) == count

    return look


async def test_a_backup_of_a_running_system_is_proven_restored_and_gone_on_with(data_home: Path) -> None:
    first, second, dump = data_home / "first", data_home / "second", data_home / "csms.dump"
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(installation(first))
        passwords = await commission(embedded_dsn(first), first, NAMES)
        stations = [
            await stack.enter_async_context(station(server.url, name, password, n))
            for n, (name, password) in enumerate(passwords.items())
        ]
        for each in stations:
            await each.boot()
            await charge(each)
            await go_on(each)
            await end(each)
            await charge(each)
        await until(in_state(embedded_dsn(first), "rated", len(NAMES)), what="the first sessions are billed")

        await store_documents(embedded_dsn(first), first / "archive", ARCHIVED)
        _, proven_live, *_ = await asyncio.gather(
            csms(first, "db", "backup", dump), csms(first, "db", "verify"), *(go_on(each) for each in stations)
        )
        await server.kill()  # and all that it had is gone
        proven = await csms(data_home / "nowhere", "db", "verify", dump)
        await csms(second, "db", "restore", dump)
        shutil.copy(first / "password.key", second)
        restored = await csms(second, "db", "verify")
        archived = await csms(second, "archive", "verify")

        # What was told after the backup is missing for ever: the charge points are asked soon, not after a minute.
        after = ServerProcess(data_dir=second, port=server.port, given={"transaction_status_delays_s": "2,10,60"})
        await after.start()
        try:
            for each in stations:
                await go_on(each)
                await end(each)
                assert await each.outbox.emptied(60)
            await until(in_state(embedded_dsn(second), "rated", 2 * len(NAMES)), what="all sessions are billed")
            rows = await sessions_of(embedded_dsn(second))
            at_last = await csms(second, "db", "verify")
        finally:
            await after.terminate()

    assert [each["differences"] for each in (proven_live, proven, restored, at_last)] == [[], [], [], []]
    assert (archived["contents"], archived["found"]) == (ARCHIVED, 0)
    assert proven["sessions"] == restored["sessions"] == at_last["sessions"] == 2 * len(NAMES)
    assert proven["tables"] == {**restored["tables"]}
    assert at_last["bills"] == at_last["tables"]["bill"] > restored["bills"] >= len(NAMES)
    truth = {(each.identity, str(one.transaction_id)): one for each in stations for one in each.truth.sessions}
    metered = {(row["charge_point"], str(row["transaction_id"])): row["energy_wh"] for row in rows}
    assert metered == {key: one.declared_wh for key, one in truth.items()}
    assert not (data_home / "nowhere").exists()


def station(url: str, name: str, password: str, n: int) -> SimulatedChargePoint:
    clock = ModelClock(datetime.now(UTC).replace(microsecond=0) - timedelta(days=1))
    return SimulatedChargePoint(Credentials(url=url, identity=name, password=password), clock, usual_build(n))
