"""A period billed by several processes side by side: one hands out batches, the others fold, rate and commit them.

No session is in two batches, and each process bills as a worker of the server does: what one of them has locked the
others leave alone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from typing import Any

import asyncpg

from billing import BillingService, Days, unbilled_batches
from csms import logs
from csms.database.pool import open_pool
from csms.sessions.service import Sessions
from csms.settings import Settings

JOBS_MAX = 16
"""More processes would want more connections than the database leaves to commands."""
WORTH_JOBS = 2_000
"""Of fewer sessions one process is done before others have started."""
GARBAGE = (20_000, 20, 50)
"""How much is made between looks for garbage; memory stays flat, as a batch is small."""
AHEAD = 2
"""Batches that each process has to do: one at work, one waiting."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What one of the processes works with, as long as it lives."""

    runner: asyncio.Runner
    billing: BillingService
    now: datetime


_job: list[_Job] = []
"""Of this process; empty in the one that hands out."""


def usual_jobs(sessions: int) -> int:
    """A process for each core that we may use; one alone for few sessions."""
    return 1 if sessions < WORTH_JOBS else min(JOBS_MAX, len(os.sched_getaffinity(0)))


async def bill_in_jobs(
    pool: asyncpg.Pool[Any], dsn: str, settings: Settings, days: Days, *, jobs: int, now: datetime
) -> AsyncIterator[int]:
    """Settle what ended in the period; how many sessions each batch had, as it is done."""
    loop = asyncio.get_running_loop()
    executor = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(dsn, settings, now)
    )
    at_work: set[asyncio.Future[int]] = set()
    try:
        async for sessions in unbilled_batches(pool, days):
            at_work.add(loop.run_in_executor(executor, _settle, sessions))
            while len(at_work) >= AHEAD * jobs:
                done, at_work = await asyncio.wait(at_work, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    yield each.result()
        for each in asyncio.as_completed(at_work):
            yield await each
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _begin(dsn: str, settings: Settings, now: datetime) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an operator's Ctrl-C ends the run, which then ends us
    logs.configure("warning")
    runner = asyncio.Runner()
    _job.append(_Job(runner, runner.run(_billing(dsn, settings)), now))
    gc.freeze()  # what is here now stays, and a batch makes much that goes by itself: few looks, a tenth of the time
    gc.set_threshold(*GARBAGE)


async def _billing(dsn: str, settings: Settings) -> BillingService:
    pool = await open_pool(dsn, size=1, name="csms bill run")
    sessions = Sessions(pool, settings)
    await sessions.prepare()
    return BillingService(pool, sessions)


def _settle(sessions: list[int]) -> int:
    [job] = _job
    job.runner.run(job.billing.settle(sessions, job.now))
    return len(sessions)
