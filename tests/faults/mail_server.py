"""A mail server that keeps what it has accepted when it is killed: `python -m tests.faults.mail_server PORT DIRECTORY SEED`.

A mail is a file before its sender is told that it is accepted, as RFC 5321 6.1 wants it; it takes some time before and after.
"""

from __future__ import annotations

import asyncio
import email
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiosmtpd.smtp import SMTP

DELAY_S_MAX = 0.02


class Keeping:
    """An aiosmtpd handler."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self._chance = random.Random(seed)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        del server, session
        await asyncio.sleep(self._chance.random() * DELAY_S_MAX)
        name = uuid4().hex
        await asyncio.to_thread(self._keep, name, envelope.rcpt_tos[0].encode() + b"\n" + envelope.original_content)
        await asyncio.sleep(self._chance.random() * DELAY_S_MAX)
        return f"250 2.0.0 Ok: queued as {name}"

    def _keep(self, name: str, content: bytes) -> None:
        part = self._directory / f"{name}.part"
        with part.open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        part.rename(self._directory / name)


def accepted(directory: Path) -> Counter[tuple[str, str]]:
    """How often each message was accepted for each recipient: (Message-ID, address)."""
    found: Counter[tuple[str, str]] = Counter()
    for file in directory.iterdir():
        if file.suffix != ".part":
            address, _, message = file.read_bytes().partition(b"\n")
            found[str(email.message_from_bytes(message)["Message-ID"]), address.decode()] += 1
    return found


async def main(port: int, directory: Path, seed: int) -> None:
    keeping = Keeping(directory, seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(keeping, hostname="mail.example", loop=loop), "127.0.0.1", port)
    print("ready", flush=True)  # noqa: T201 - for whoever started it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
