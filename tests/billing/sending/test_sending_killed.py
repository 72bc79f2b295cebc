"""Whatever kills a sending whenever: done again, each document is in the queue exactly once, with files that are there."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys

import pytest

from billing.office.trouble import DATABASE_TROUBLE
from tests.billing.mail.mail_room import Inbox
from tests.billing.sending.dispatch import Dispatch, attached, cut_off
from tests.conftest import LONG

DOCUMENTS = 3


@pytest.fixture
async def month(dispatch: Dispatch) -> Dispatch:
    for n in range(DOCUMENTS):
        await dispatch.customer(f"C-{n}", f"TAG-{n}", email=f"c{n}@customer.example")
        await dispatch.books.charged(f"TAG-{n}")
    await dispatch.books.run()
    return dispatch


async def program(dsn: str, dispatch: Dispatch, deadly: int) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.billing.sending.sending_program", dsn, str(dispatch.directory), str(deadly),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode().strip()


async def require_each_once(dispatch: Dispatch, inbox: Inbox) -> None:
    rows = await dispatch.pool.fetch("SELECT invoice, n FROM document_sending ORDER BY invoice")
    queued = await dispatch.pool.fetch("SELECT key FROM mail_message ORDER BY key")
    got = await dispatch.delivered(inbox)

    assert [row["n"] for row in rows] == [1] * DOCUMENTS
    assert [row["key"] for row in queued] == [f"invoice north R2026-{n:06}" for n in range(1, DOCUMENTS + 1)]
    assert sorted(each.recipient for each in got) == [f"c{n}@customer.example" for n in range(DOCUMENTS)]
    assert all(len(attached(each)) == 1 for each in got)


async def test_killed_after_its_nth_statement_and_done_again_it_sends_each_document_once(
    month: Dispatch, inbox: Inbox, database: str
) -> None:
    killed = 0
    for deadly in range(5, 75, 1 if LONG else 23):
        code, _ = await program(database, month, deadly)
        killed += code == -signal.SIGKILL
    code, _ = await program(database, month, 0)

    assert (code, killed >= 2) == (0, True)
    await require_each_once(month, inbox)
    findings = await month.findings()
    assert {each["what"] for each in findings} <= {"surplus"}, "what was cut off lies in incoming, and expires"


@pytest.mark.parametrize("seed", range(20 if LONG else 3))
async def test_connections_that_break_at_any_statement_leave_nothing_half_done(
    month: Dispatch, inbox: Inbox, seed: int
) -> None:
    for deadly in random.Random(seed).sample(range(3, 70), 3):
        with contextlib.suppress(*DATABASE_TROUBLE):
            async with cut_off(month.pool, after=deadly):
                await month.send()
    await month.send()

    await require_each_once(month, inbox)


async def test_several_who_send_the_same_at_once_send_it_once(month: Dispatch, inbox: Inbox) -> None:
    await asyncio.gather(*(month.send() for _ in range(3)))

    await require_each_once(month, inbox)
