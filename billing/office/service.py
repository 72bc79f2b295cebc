"""The office: what a business does with its books by itself, on one node for all of them.

At the end of sessions it invoices those who want that, and sends the documents; some times a day it charges what has fallen
due of contracts, invoices it for the same customers, and reminds of deadlines; each night it looks whether the books are what they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
import structlog

from billing.errors import NotDone, Unavailable
from billing.office import metrics
from billing.office.beside import beside
from billing.office.night import last_time
from billing.office.trouble import DATABASE_TROUBLE, is_database_trouble
from billing.sql import Connection, Queries

if TYPE_CHECKING:
    from billing.documents.press import Press
    from billing.office.book_check import BookFinding
    from billing.office.session_invoices import SessionInvoices
    from billing.sending.service import Sending

log = structlog.get_logger(__name__)

SQL: Final = Queries.load("billing.office")
SENT_AT_A_TIME: Final = 20
FINDINGS_SHOWN_MAX: Final = 100
"""Of each check, in the metrics; the log has all of them."""
ACTOR: Final = "csms"

MyTurn: TypeAlias = Callable[[str, timedelta], Awaitable[bool]]
"""Whether this node does some work now; nobody else does within that time."""
OpenConnection: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeSettings:
    """`sweep_interval_s`: how soon after its bill a session is invoiced. `contracts_interval_s`: how often contracts are looked
    at. `books_check_at`: at what time of day, in UTC, the books are; None: never. `sends`: documents go out by mail.
    """

    archive: Path
    sends: bool
    sweep_interval_s: float = 5.0
    contracts_interval_s: float = 21_600
    books_check_at: time | None = time(2, 30)
    look_interval_s: float = 60.0


@dataclass(slots=True)
class _Desk:
    """What sessions are invoiced and documents sent with: takes long to load, and is when it is first needed."""

    invoices: SessionInvoices
    sending: Sending
    press: Press | None = None


class Office:
    """Works until it is cancelled. `connect` opens a connection on whatever loop asks for it; `on_queued`: mails were queued."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        settings: OfficeSettings,
        *,
        connect: OpenConnection,
        my_turn: MyTurn,
        on_queued: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._connect = connect
        self._my_turn = my_turn
        self._on_queued = on_queued
        self._clock = clock
        self._desk: _Desk | None = None
        self._contracts_wait = False
        self._checks_for: datetime | None = None
        """Of which time the check is this node's; `_checked_for`: of which it is done, here or elsewhere."""
        self._checked_for: datetime | None = None

    async def run(self) -> None:
        """Trouble with the database only delays it."""
        settings = self._settings
        async with asyncio.TaskGroup() as group:
            group.create_task(_regularly("sessions", self.sweep, settings.sweep_interval_s))
            group.create_task(_regularly("contracts", self.look_at_contracts, settings.look_interval_s))
            group.create_task(_regularly("books", self.look_at_books, settings.look_interval_s))

    async def sweep(self) -> None:
        """Invoice the sessions that are due, and send the documents that are."""
        sends, every = self._settings.sends, timedelta(seconds=self._settings.sweep_interval_s / 2)
        async with self._pool.acquire() as connection:
            due = await SQL.is_anything_due.fetchval(connection, now=self._clock(), sends=sends)
        if not due or not await self._my_turn("office", every):
            return
        if self._desk is None:
            self._desk = await asyncio.to_thread(self._set_up_desk)
        await self._desk.invoices.sweep()
        if sends:
            await self._send(self._desk)
        async with self._pool.acquire() as connection:
            waiting = await SQL.count_waiting.fetchrow(connection)
        assert waiting is not None, "counting gives a row"
        for what in ("sessions", "documents"):
            metrics.WAITING.labels(what=what).set(waiting[what])

    def _set_up_desk(self) -> _Desk:
        """In a thread: Babel, typst and lxml take long to load."""
        from billing.archive.service import Archive  # noqa: PLC0415
        from billing.office.session_invoices import SessionInvoices  # noqa: PLC0415
        from billing.sending.service import Sending  # noqa: PLC0415
        from billing.sending.told import Wanted  # noqa: PLC0415

        settings = self._settings
        press = None
        if settings.sends:
            from billing.documents.press import Press  # noqa: PLC0415

            press = Press()
        archive = Archive(settings.archive)
        return _Desk(
            invoices=SessionInvoices(self._pool, sends=settings.sends, clock=self._clock),
            sending=Sending(self._pool, archive, Wanted(actor=ACTOR), clock=self._clock),
            press=press,
        )

    async def _send(self, desk: _Desk) -> None:
        assert desk.press is not None, "who sends documents typesets them"
        sent = 0
        while True:
            async with self._pool.acquire() as connection:
                rows = await SQL.documents_due.fetch(connection, now=self._clock(), limit=SENT_AT_A_TIME)
            for row in rows:
                sent += await self._send_one(desk.sending, desk.press, row["invoice"])
            if len(rows) < SENT_AT_A_TIME:
                break
        if sent:
            await desk.sending.settle()

    async def _send_one(self, sending: Sending, press: Press, invoice: int) -> bool:
        from billing.sending.told import LeftOut, Sent  # noqa: PLC0415 - small, and loaded by now

        async def settle(connection: Connection) -> None:
            await SQL.settle_document.execute(connection, invoice=invoice)

        try:
            told = await sending.send(invoice, press, beside=settle)
        except Exception as defect:  # of one document, which is not to hold up the others
            if isinstance(defect, Unavailable) or is_database_trouble(defect):
                raise
            metrics.FAILURES.labels(what="documents").inc()
            log.exception("document_failed", invoice=invoice)
            async with self._pool.acquire() as connection:
                problem = f"a defect: {type(defect).__name__}"
                await SQL.postpone_document.execute(connection, invoice=invoice, problem=problem, now=self._clock())
            return False
        if isinstance(told, Sent):
            log.info("document_sent", number=told.number, account=told.account, mail=told.message)
            self._on_queued()
            return True
        async with self._pool.acquire() as connection:
            if isinstance(told, LeftOut):
                problem = f"{told.why}; next: {told.next_step}"
                await SQL.postpone_document.execute(connection, invoice=invoice, problem=problem, now=self._clock())
                log.warning("document_not_sent", number=told.number, why=told.why, next=told.next_step)
            else:
                await settle(connection)
        return False

    async def look_at_contracts(self) -> None:
        """Charge what has fallen due, invoice it for those who are invoiced at once, and queue reminders, now and then."""
        if not self._contracts_wait:
            self._contracts_wait = await self._my_turn(
                "contracts", timedelta(seconds=self._settings.contracts_interval_s)
            )
        if self._contracts_wait:
            await beside(self._contracts)
            self._contracts_wait = False  # what fails is done again soon, not at the next turn

    async def _contracts(self) -> None:
        from billing.contracts.accruing import accrue  # noqa: PLC0415 - on this thread, not on that of the main loop
        from billing.office.catching_up import invoice_the_rest  # noqa: PLC0415
        from billing.office.reminders import remind  # noqa: PLC0415

        async with self._connect() as connection:
            done = await accrue(connection, now=self._clock())
            invoiced = await invoice_the_rest(connection, sends=self._settings.sends, now=self._clock())
            reminded = await remind(connection, now=self._clock())
        if done.charges or invoiced or reminded:
            log.info("contracts_looked_at", charges=len(done.charges), invoices=invoiced, reminders=reminded)
        for contract, hold in done.holds:
            log.warning("contract_held", contract=contract, source=hold.source, why=hold.why)

    async def look_at_books(self) -> None:
        """Once after each time of day that is set: on one node; the others forget what they found the time before."""
        at, now = self._settings.books_check_at, self._clock()
        if at is None or (due := last_time(at, now)) == self._checked_for:
            return
        if self._checks_for != due:
            if not await self._my_turn("books", now - due):
                self._checked_for = due
                _forget_findings()
                return
            self._checks_for = due
        await beside(self.check_books)
        self._checked_for = due

    async def check_books(self) -> list[BookFinding]:
        """Look through the books now; what is found is logged, and shown as metrics. On the loop that calls it."""
        from billing.archive.service import Archive  # noqa: PLC0415 - as above
        from billing.office.book_check import CHECKS, look_through  # noqa: PLC0415

        counted = dict.fromkeys(CHECKS, 0)
        found: list[BookFinding] = []
        async with self._connect() as connection:
            async for each in look_through(connection, Archive(self._settings.archive)):
                log.error("books_changed", check=each.check, subject=each.subject, problem=each.problem)
                counted[each.check] += 1
                if counted[each.check] <= FINDINGS_SHOWN_MAX:
                    found.append(each)
        _forget_findings()  # of the time before, which stay until there is something newer
        for each in found:
            metrics.FINDING.labels(check=each.check, subject=each.subject).set(1)
        for check, count in counted.items():
            metrics.FOUND.labels(check=check).set(count)
        metrics.CHECKED.set(self._clock().timestamp())
        log.info("books_checked", findings=sum(counted.values()))
        return found


def _forget_findings() -> None:
    metrics.FOUND.clear()
    metrics.FINDING.clear()


async def _regularly(what: str, work: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Now, and again after each pause. Trouble is told; the next time comes."""
    while True:
        try:
            await work()
        except DATABASE_TROUBLE as trouble:
            log.warning("office_waits_for_database", what=what, why=str(trouble) or type(trouble).__name__)
        except NotDone as trouble:  # such as an archive that cannot be written
            log.warning("office_waits", what=what, why=trouble.message, next=trouble.next_step)
        except Exception:  # whatever it was, the next time must come; nothing is lost meanwhile
            metrics.FAILURES.labels(what=what).inc()
            log.exception("office_failed", what=what, again_in_s=every_s)
        await asyncio.sleep(every_s)
