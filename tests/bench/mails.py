"""How many mails with a PDF go out in a second, by how many connections: python -m tests.bench.mails.

The mail server is another process, which keeps nothing. Beside it stands the same server with mails that are made beforehand and
no database, over one connection: what the books cost is the difference.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from billing.mail.address import Mailbox
from billing.mail.mail_settings import MailSettings, SmtpServer, TlsMode
from billing.mail.message import Attachment, MailMessage
from billing.mail.queueing import queue
from billing.mail.service import MailService
from billing.mail.smtp import Envelope, MailSession
from csms import logs
from csms.database.cluster import open_cluster
from csms.database.migrate import migrate
from csms.database.pool import open_pool
from tests.ports import free_port

MAILS = 1000
PDF = os.urandom(40_000)
CONNECTIONS = (1, 2, 4)
SENDER = Mailbox(address="billing@operator.example")


class _Sink:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        del server, session, envelope
        return "250 2.0.0 Ok"


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(_Sink(), hostname="mail.example", loop=loop), "127.0.0.1", port)
    print("ready", flush=True)  # noqa: T201 - for whoever started it
    await server.serve_forever()


async def measure() -> dict[str, float]:
    """Mails per second."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.mails", "--serve", str(port), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    await server.stdout.readline()
    to = SmtpServer(host="127.0.0.1", port=port, tls=TlsMode.NONE, client_name="csms.example")
    try:
        found = {"SMTP alone, 1 connection": await _bare(to)}
        with tempfile.TemporaryDirectory(prefix="csms-bench-") as place:
            os.chmod(place, 0o711)  # noqa: PTH101, S103 - as root, Postgres runs as another account, which has to pass
            async with open_cluster(Path(place), "own") as dsn:
                await migrate(dsn)
                for count in CONNECTIONS:
                    found[f"from the queue, {count} connection{'s' if count > 1 else ''}"] = await _queued(
                        dsn, to, count
                    )
    finally:
        server.kill()
        await server.wait()
    return found


async def _bare(to: SmtpServer) -> float:
    session = MailSession(to)
    await session.open()
    data = [b"Subject: x\r\n\r\n" + b"x" * 76 + b"\r\n"] + [b"y" * 76 + b"\r\n"] * 710
    begin = time.perf_counter()
    for n in range(MAILS):
        envelope = Envelope(id=f"{n:024x}", return_path=SENDER.address, recipient="a@customer.example", size=55_000)
        await session.begin(envelope)
        await session.transmit([b"".join(data)])
        await session.finish()
    took = time.perf_counter() - begin
    await session.close()
    return MAILS / took


async def _archive(_ref: str) -> bytes:
    return PDF


async def _queued(dsn: str, to: SmtpServer, connections: int) -> float:
    pool = await open_pool(dsn, size=2 * connections + 2)
    settings = MailSettings(server=to, sender=SENDER, connections=connections, sweep_interval_s=0.1)
    file = Attachment(name="invoice.pdf", content_type="application/pdf", ref="x")
    async with pool.acquire() as connection:
        await queue(connection, [_letter(f"{connections}-{n}", file) for n in range(MAILS)])
    begin = time.perf_counter()
    running = asyncio.create_task(MailService(pool, settings, fetch=_archive).run())
    while await pool.fetchval("SELECT EXISTS (SELECT FROM mail_delivery WHERE next_at IS NOT NULL)"):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    took = time.perf_counter() - begin
    running.cancel()
    await asyncio.wait({running})
    await pool.close()
    return MAILS / took


def _letter(key: str, file: Attachment) -> MailMessage:
    return MailMessage(
        key=key, kind="invoice", to=(Mailbox(address=f"c{key}@customer.example", name="Customer"),), subject="Your invoice",
        text="Dear customer,\n\nplease find your invoice attached.\n", html="<p>Dear customer</p>\n", attachments=(file,),
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(int(sys.argv[2])))
    else:
        logs.configure("warning")
        for name, figure in asyncio.run(measure()).items():
            sys.stdout.write(f"{name:40}{figure:8.0f} mails/s\n")
