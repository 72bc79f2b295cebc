"""The mail worker: sends what was queued, each message once, over connections that are kept for many.

A crash anywhere leaves a delivery as due as it was, or doubtful: nothing is lost, and nothing goes twice by itself. Several
workers on one database share the queue: what one has claimed the others skip until its lease ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import structlog

from billing.errors import Unavailable
from billing.mail import metrics, store
from billing.mail.delivery import State
from billing.mail.mail_policy import DEFAULT_MAIL, MailPolicy, WhenDoubtful
from billing.mail.mail_settings import MailSettings
from billing.mail.shift import DATABASE_TROUBLE, Fetch, Shift
from billing.mail.smtp import ServerTrouble
from billing.mail.store import SQL, Waiting
from billing.policies import store as policy_store
from billing.policies.kinds import MAIL
from billing.sql import Connection

log = structlog.get_logger(__name__)

AT_ONCE: Final = 500
"""Rows that are brought up to date in one statement: nobody waits long for them."""
FORGET_S: Final = 3600.0
SERVER_PAUSE_S: Final = 1.0
SERVER_PAUSE_S_MAX: Final = 60.0


async def no_archive(ref: str) -> bytes:
    """Where nobody has said where attachments are: such mails wait."""
    raise Unavailable(f"nobody knows where {ref!r} is", "start csms with the archive that it was put into")


class MailService:
    """Sends mail until it is cancelled. `fetch` gives the bytes of attachments."""

    def __init__(self, pool: asyncpg.Pool[Any], settings: MailSettings, *, fetch: Fetch = no_archive) -> None:
        self._pool = pool
        self._settings = settings
        self._fetch = fetch
        self._policy = DEFAULT_MAIL
        self._awake = [asyncio.Event() for _ in range(settings.connections)]
        self._at_work = 0
        self._server_pause_s = SERVER_PAUSE_S
        self._closed_until_s: float = 0

    def wake(self) -> None:
        """Something was queued: do not wait for the next sweep."""
        for each in self._awake:
            each.set()

    async def run(self) -> None:
        """Send whatever is due, until cancelled. Trouble with the database or the mail server only delays it.

        What is being handed over when it is cancelled is handed over, within `drain_timeout_s`.
        """
        async with asyncio.TaskGroup() as group:
            for awake in self._awake:
                group.create_task(self._send_forever(awake))
            group.create_task(_regularly("books", self.keep_books, self._settings.sweep_interval_s))
            group.create_task(_regularly("measures", self.measure, self._settings.measure_interval_s))
            group.create_task(_regularly("retention", self.forget, FORGET_S))

    async def sweep(self) -> int:
        """Send everything that is due now, over one connection; says how many deliveries were looked at.

        Raises:
            ServerTrouble: the mail server cannot be used.
        """
        await self.keep_books()
        async with self._pool.acquire() as connection:
            found = await store.waiting(connection, limit=1)
        return await self._shift() if found.due else 0

    async def keep_books(self) -> None:
        """Read what was chosen; take for doubtful what nobody is sending any more."""
        async with self._pool.acquire() as connection:
            await self._read_policy(connection)
            resend = self._policy.when_doubtful is WhenDoubtful.RESEND
            while lapsed := await store.lapse(connection, self._policy, resend=resend, limit=AT_ONCE):
                log.warning("mail_senders_lost", doubtful=lapsed.count(State.DOUBTFUL), again=lapsed.count(State.RETRY))
            await SQL.forget_pace.execute(connection)

    async def _read_policy(self, connection: Connection) -> None:
        stored = await policy_store.newest(connection, MAIL)
        self._policy = MailPolicy.from_dict({**stored.body, "version": stored.version})

    async def measure(self) -> None:
        """Bring the gauges up to date."""
        async with self._pool.acquire() as connection:
            rows = await SQL.count_by_state.fetch(connection)
            suppressed = await SQL.count_suppressed.fetchval(connection)
        counted = {row["state"]: row["deliveries"] for row in rows}
        for state in (State.QUEUED, State.RETRY, State.SENDING, State.DOUBTFUL):
            metrics.DELIVERIES.labels(state=state.value).set(counted.get(state.value, 0))
        metrics.LATE_S.set(max((row["late_s"] for row in rows), default=0))
        metrics.SUPPRESSED.set(suppressed)

    async def forget(self) -> int:
        """Of mails that ended long ago, to whom they went and what they said; says how many."""
        gone = 0
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await SQL.ended_before.fetch(connection, retention=self._policy.retention, limit=AT_ONCE)
                await store.forget(connection, [row["id"] for row in rows])
            gone += len(rows)
            if len(rows) < AT_ONCE:
                return gone

    async def _send_forever(self, awake: asyncio.Event) -> None:
        while True:
            awake.clear()
            try:
                if await self._is_wanted():
                    await self._shift()
            except ServerTrouble as trouble:
                self._server_failed(trouble)
            except DATABASE_TROUBLE as trouble:
                log.warning("mail_waits_for_database", why=type(trouble).__name__)
            except Exception:  # whatever it was, the next sweep must come; nothing is lost meanwhile
                metrics.FAILURES.labels(what="sweep").inc()
                log.exception("mail_sweep_failed", again_in_s=self._settings.sweep_interval_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.sweep_interval_s):
                    await awake.wait()

    async def _is_wanted(self) -> bool:
        """Whether there is work for one more connection: none for what others are about to take."""
        if asyncio.get_running_loop().time() < self._closed_until_s:
            return False
        settings = self._settings
        async with self._pool.acquire() as connection:
            found = await store.waiting(connection, limit=settings.batch_size * settings.connections + 1)
            most = settings.per_minute_max
            if most is not None and await SQL.claimed_of_late.fetchval(connection) >= most:
                return False
        return self._leaves_work(found)

    def _leaves_work(self, found: Waiting) -> bool:
        """One that waits for a server that does not answer takes nothing: who has waited long is taken by another."""
        if not found.due or not self._at_work:
            return found.due > 0
        return found.due > self._settings.batch_size * self._at_work or found.late_s > self._settings.sweep_interval_s

    async def _shift(self) -> int:
        shift = Shift(self._pool, self._settings, policy=lambda: self._policy, fetch=self._fetch)
        self._at_work += 1
        try:
            return await shift.work(opened=self._server_is_up)
        finally:
            self._at_work -= 1

    def _server_is_up(self) -> None:
        metrics.SERVER_UP.set(1)
        self._server_pause_s = SERVER_PAUSE_S

    def _server_failed(self, trouble: ServerTrouble) -> None:
        """All connections leave the server alone for a while, longer each time that the first of them finds it so."""
        metrics.SERVER_UP.set(0)
        if asyncio.get_running_loop().time() < self._closed_until_s:
            return
        pause_s = self._server_pause_s * random.uniform(1, 2)  # noqa: S311 - jitter, not cryptography
        self._server_pause_s = min(2 * self._server_pause_s, SERVER_PAUSE_S_MAX)
        self._closed_until_s = asyncio.get_running_loop().time() + pause_s
        log.warning("mail_server_trouble", why=str(trouble), again_in_s=round(pause_s))


async def _regularly(what: str, work: Callable[[], Any], every_s: float) -> None:
    """Now, and again after each pause. Trouble is told; the next time comes."""
    while True:
        try:
            await work()
        except DATABASE_TROUBLE as trouble:
            log.warning("mail_books_wait_for_database", what=what, why=type(trouble).__name__)
        except Exception:
            metrics.FAILURES.labels(what=what).inc()
            log.exception("mail_books_failed", what=what)
        await asyncio.sleep(every_s)
