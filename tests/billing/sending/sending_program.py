"""A sending in a process of its own, which is killed after its n-th statement: python -m tests.billing.sending.sending_program DSN DIR N.

With N = 0 it runs to its end and prints how many statements it took.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg

from csms.database.pool import open_pool
from tests.billing.sending.dispatch import Dispatch


async def main(dsn: str, directory: Path, deadly: int) -> None:
    seen = 0

    def count(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    pool = await open_pool(dsn, size=2, name="sender")
    held: list[asyncpg.pool.PoolConnectionProxy[Any]] = [await pool.acquire() for _ in range(2)]
    for connection in held:
        connection.add_query_logger(count)
        await pool.release(connection)
    await Dispatch(pool=pool, directory=directory).send(workers=1)
    sys.stdout.write(f"{seen}\n")
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
