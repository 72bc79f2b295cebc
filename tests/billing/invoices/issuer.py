"""An invoice run in a process of its own, which is killed after its n-th statement: python -m tests.billing.invoices.issuer DSN N.

With N = 0 it runs to its end and prints how many statements it took.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any

import asyncpg

from billing.invoices.run import InvoiceRun, RunWanted
from csms.database.pool import open_pool
from tests.billing.invoices.books import APRIL_1, MARCH, NORTH


async def main(dsn: str, deadly: int) -> None:
    seen = 0

    def count(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    pool = await open_pool(dsn, size=2, name="issuer")
    held: list[asyncpg.pool.PoolConnectionProxy[Any]] = [await pool.acquire() for _ in range(2)]
    for connection in held:
        connection.add_query_logger(count)
        await pool.release(connection)
    run = InvoiceRun(
        pool, RunWanted(seller=NORTH, until=MARCH, issued_on=APRIL_1), clock=lambda: datetime(2026, 4, 1, 8, tzinfo=UTC),
        actor="ada", reason="month", on_made=lambda _: None,
    )  # fmt: skip
    await run.run()
    sys.stdout.write(f"{seen}\n")
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
