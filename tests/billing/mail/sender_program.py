"""A process that sends mail until it is killed: `python -m tests.billing.mail.sender_program DSN PORT LEASE_S`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from billing.mail.service import MailService
from csms.database.pool import open_pool
from tests.billing.mail.mail_room import settings, to_server


async def main(dsn: str, port: int, lease_s: float) -> None:
    pool = await open_pool(dsn, size=4, name="mail test")
    given = settings(to_server(port, timeout_s=60.0, answer_timeout_s=60.0), lease=timedelta(seconds=lease_s))
    print("ready", flush=True)  # noqa: T201 - for whoever started it
    await MailService(pool, given).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
