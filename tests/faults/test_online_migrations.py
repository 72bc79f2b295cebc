"""The schema moves under a server that goes on: nobody at a charge point notices, and the server of before may come back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from csms.database.migrate import migrate
from csms.database.migration import Migration, own_migrations
from csms.database.pool import connect_once
from tests.faults.books import assert_nothing_lost
from tests.faults.load import charging
from tests.faults.world import commission, installation, rounds

BUSY = 40
IN_USE = ("charging_event", "reading", "session", "status_report", "bill")
OF_THE_NEXT_RELEASE = [
    Migration(
        version=9000,
        name="remarks",
        sql="".join(f"ALTER TABLE {table} ADD COLUMN remark text NOT NULL DEFAULT 'none';\n" for table in IN_USE),
    ),
    Migration(
        version=9001,
        name="remarks_found",
        sql="-- outside a transaction\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS session_remark ON session (remark);\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS event_remark ON charging_event (remark);\n",
    ),
]


async def test_a_server_under_load_answers_while_the_next_release_migrates_and_may_be_started_again_after_it(
    database: str, tmp_path: Path
) -> None:
    """Somebody reads the tables for long meanwhile: the migration waits for him, and nobody waits behind it."""
    count = rounds(6, 40, of="charge points beside a migration")
    async with installation(tmp_path, dsn=database) as server:
        passwords = await commission(database, tmp_path, [f"CP-{n}" for n in range(count)])
        async with charging(server.url, passwords) as fleet:
            await fleet.heard(BUSY)
            async with connect_once(database, as_owner=True, name="a long report") as reader:
                reading = reader.transaction()
                await reading.start()
                for table in IN_USE:
                    await reader.fetch(f"SELECT FROM {table} LIMIT 1")
                wanted = [*own_migrations(), *OF_THE_NEXT_RELEASE]
                migrating = asyncio.create_task(migrate(database, migrations=wanted))
                await fleet.heard(3 * BUSY)
                assert not migrating.done()
                await reading.rollback()
                assert await migrating == OF_THE_NEXT_RELEASE
            await fleet.heard(BUSY)
            assert fleet.closed(1012) == fleet.closed(1013) == []
            assert await server.terminate() == 0
            await server.start()
            await fleet.heard(BUSY)
        summary = await assert_nothing_lost(database, fleet.truths)
        bugs = server.bugs()

    assert fleet.failures() == []
    assert summary.sessions == summary.billed >= count
    assert not bugs
