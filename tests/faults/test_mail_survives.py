"""kill -9 of the server and of the mail server while mails are sent: none is lost, and none goes twice by itself."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from billing.mail import operating
from billing.mail.queueing import queue
from csms.database.pool import connect_once
from tests.billing.mail.mail_room import letter
from tests.faults.mail_server import accepted
from tests.faults.world import LONG, embedded_dsn, installation, rounds, until
from tests.ports import free_port

SEEDS = range(1, 21 if LONG else 3)
MAILS = 60
"""Queued between two kills; each has two recipients."""
WHO = {"actor": "Olga", "reason": "by the log of the mail server"}
OPEN = ("queued", "retry", "sending")


@dataclass(slots=True)
class MailServer:
    """A process of its own, which keeps in `directory` what it has accepted."""

    directory: Path
    port: int = field(default_factory=free_port)
    _seeds: itertools.count[int] = field(default_factory=itertools.count)
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.mail_server", str(self.port), str(self.directory), str(next(self._seeds)),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"ready\n"

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


@contextlib.asynccontextmanager
async def mail_server(directory: Path) -> AsyncIterator[MailServer]:
    one = MailServer(directory)
    await one.start()
    try:
        yield one
    finally:
        await one.kill()


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_mail_is_lost_or_doubled_by_kill_9_of_server_and_mail_server(
    data_home: Path, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    keys = (f"invoice {seed}-{n}" for n in itertools.count())
    kept = tmp_path / "accepted"
    kept.mkdir()
    async with (
        mail_server(kept) as theirs,
        installation(
            data_home, smtp_host="127.0.0.1", smtp_port=theirs.port, smtp_tls="none", smtp_connections=3,
            smtp_timeout_s=5, smtp_answer_timeout_s=5, mail_sender="billing@operator.example",
        ) as ours,
    ):  # fmt: skip
        dsn = embedded_dsn(data_home)
        kills = 0
        for _ in range(rounds(5, 15, of=f"kill -9 while mails are sent, seed {seed}")):
            await queue_some(dsn, itertools.islice(keys, MAILS))
            await asyncio.sleep(chance.random() * 1.5)
            for each in chance.choice(((ours,), (theirs,), (ours, theirs), (theirs, ours))):
                await each.kill()
                kills += 1
            assert set(accepted(kept).values()) <= {1}
            if not ours.runs:
                await ours.start()
            await theirs.kill()
            await theirs.start()
            dsn = embedded_dsn(data_home)
        await until(lambda: nothing_is_open(dsn), what="every mail was sent, or is doubtful")
        assert set(accepted(kept).values()) == {1}
        doubtful = await settle_by_the_log(dsn, kept)
        await until(lambda: nothing_is_open(dsn), what="every mail was sent")
        states = await count(dsn)
        assert ours.bugs() == []

    print(f"seed {seed}: {states.total()} mails, {kills} kills, {doubtful} doubtful")  # noqa: T201 - said on purpose
    assert states == {"sent": states.total()}
    assert set(accepted(kept).values()) == {1}
    assert accepted(kept).total() == states.total()


async def queue_some(dsn: str, keys: itertools.islice[str]) -> None:
    async with connect_once(dsn) as connection:
        await queue(connection, [letter(key, [f"{who}@customer.example" for who in ("anna", "ben")]) for key in keys])


async def nothing_is_open(dsn: str) -> bool:
    """What waits for its next try, or for the end of the lease of who was killed, need not wait that long.

    Who lives has leases of 15 s that are renewed every 4 s.
    """
    async with connect_once(dsn) as connection:
        await connection.execute(
            "UPDATE mail_delivery SET next_at = now()"
            " WHERE state = 'retry' AND claim IS NULL OR next_at < now() + interval '10 seconds'"
        )
    states = await count(dsn)
    return not any(states[each] for each in OPEN)


async def count(dsn: str) -> Counter[str]:
    async with connect_once(dsn) as connection:
        return Counter(row["state"] for row in await connection.fetch("SELECT state FROM mail_delivery"))


async def settle_by_the_log(dsn: str, kept: Path) -> int:
    """As an operator does it: what the mail server has was delivered, the rest is sent again."""
    there = accepted(kept)
    async with connect_once(dsn) as connection:
        rows = await connection.fetch(
            "SELECT d.id, d.address, m.message_id FROM mail_delivery d JOIN mail_message m ON m.id = d.message"
            " WHERE d.state = 'doubtful'"
        )
        for row in rows:
            known = there[f"<{row['message_id']}@operator.example>", row["address"]]
            await operating.settle(connection, row["id"], delivered=bool(known), **WHO)
    return len(rows)
