"""The invoice run: everything that is due up to a day becomes documents, customer by customer, each in a transaction of its own.

It may be stopped at any moment and run again: what has been invoiced is found to be so, and the rest goes on. Nothing is
kept in memory but a page of customers, and no lock is held over more than one document.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Protocol

import asyncpg

from billing.accounts.seller import Seller
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.contracts.accruing import accrue
from billing.errors import AlreadyDone, Refused
from billing.invoices.bearing import bearers, borne_by
from billing.invoices.composition import CannotBeInvoiced
from billing.invoices.document import Document, DocumentKind
from billing.invoices.drafting import CannotBeIssued, Terms, invoice_of, receipt_of, rhythms_ending
from billing.invoices.gathering import Owed, owed_by, unclaimed
from billing.invoices.issuing import NoLongerBillable, Prepared, issue
from billing.invoices.store import SQL
from billing.invoices.taking_back import TakenBack, by_invoice, take_back
from billing.time_zones import zone_named

PAGE: Final = 200
"""Customers looked at together."""
WORKERS: Final = 4
"""Documents issued beside each other: while one waits for its number or its commit, the others are written."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWanted:
    """What a run is to do. `account`: only this one, whatever its rhythm; `limit`: so many documents at most.

    `receipts`: sessions that nobody's account pays for get theirs, in `language`, by the calendar of `time_zone`.
    """

    seller: Seller
    until: date
    issued_on: date
    account: str | None = None
    receipts: bool = True
    language: str = "en"
    time_zone: str = "UTC"
    limit: int | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A document of the run, or why there is none. `number` None: only tried, or left out."""

    account: str | None
    document: Document | None
    left_out: str | None = None
    next_step: str | None = None


@dataclass(slots=True)
class Tally:
    """How a run went. `left_out` counts what somebody has to look at."""

    documents: int = 0
    left_out: int = 0
    gross_minor: dict[str, int] = field(default_factory=dict)

    def count(self, made: Made) -> None:
        if made.document is None:
            self.left_out += 1
            return
        self.documents += 1
        currency = made.document.currency
        signed = made.document.gross_minor * (1 if made.document.kind is DocumentKind.INVOICE else -1)
        self.gross_minor[currency] = self.gross_minor.get(currency, 0) + signed


class _Connections(Protocol):
    """Where connections come from."""

    def acquire(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class _OneConnection:
    """The same one for all, in whose transaction all is done."""

    connection: asyncpg.pool.PoolConnectionProxy[Any]

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[Any]]:
        yield self.connection


class _Enough(Exception):
    """As many documents as were wanted."""


class InvoiceRun:
    """One run. `workers` documents are issued beside each other; `on_made` hears of each, `on_seen` of customers done."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        wanted: RunWanted,
        *,
        clock: Callable[[], datetime],
        actor: str,
        reason: str,
        on_made: Callable[[Made], None],
        on_seen: Callable[[int], None] = lambda _: None,
        workers: int = WORKERS,
    ) -> None:
        self._pool: _Connections = pool
        self._wanted = wanted
        self._terms = Terms(issued_on=wanted.issued_on, until=wanted.until)
        self._clock = clock
        self._actor = actor
        self._reason = reason
        self._on_made = on_made
        self._on_seen = on_seen
        # Who counts does it alone, and so does who has one transaction for all.
        self._workers = 1 if wanted.limit is not None or wanted.dry_run else workers
        self.tally = Tally()

    async def run(self) -> Tally:
        """Do it. What cannot be invoiced is told and left out; the rest goes on.

        What falls due of contracts by then is charged first. A dry run is one transaction, which is taken back.
        """
        if not self._wanted.dry_run:
            async with self._pool.acquire() as connection:
                await self._record(connection)
            return await self._all_of_it()
        pool = self._pool
        async with pool.acquire() as connection:
            whole = connection.transaction()
            await whole.start()
            self._pool = _OneConnection(connection)
            try:
                return await self._all_of_it()
            finally:
                self._pool = pool
                await whole.rollback()

    async def _all_of_it(self) -> Tally:
        async with self._pool.acquire() as connection:
            await accrue(connection, now=self._clock(), until=self._wanted.until)
        try:
            async for page in self._pages():
                await self._all(page)
            if self._wanted.receipts and self._wanted.account is None:
                await self._receipts()
            await self._borne()
        except _Enough:
            pass
        return self.tally

    async def _record(self, connection: Any) -> None:
        """That it began. Its documents bear actor and reason themselves: an entry for each would hold up all who issue."""
        wanted = self._wanted
        said = {
            "until": wanted.until.isoformat(), "issued_on": wanted.issued_on.isoformat(), "account": wanted.account,
            "receipts": wanted.receipts, "limit": wanted.limit,
        }  # fmt: skip
        change = Change(noun="invoice", subject=wanted.seller.id, action="run", after=said)
        async with connection.transaction():
            await audit.record(connection, [change], now=self._clock(), actor=self._actor, reason=self._reason)

    async def count(self) -> int:
        """How many customers it looks at."""
        async with self._pool.acquire() as connection:
            found: int = await SQL.count_accounts.fetchval(connection, **self._which())
        return found

    def _which(self) -> dict[str, Any]:
        wanted = self._wanted
        rhythms = None if wanted.account is not None else [rhythm.value for rhythm in rhythms_ending(wanted.until)]
        return {"seller": wanted.seller.id, "rhythms": rhythms, "account": wanted.account}

    async def _pages(self) -> AsyncIterator[list[Owed]]:
        after = ""
        while True:
            async with self._pool.acquire() as connection:
                rows = await SQL.next_accounts.fetch(connection, **self._which(), after=after, limit=PAGE)
                ids = [row["id"] for row in rows]
                page = await owed_by(connection, ids, until=self._wanted.until) if ids else []
            if not ids:
                return
            yield page
            self._on_seen(len(ids))
            after = ids[-1]

    async def _all(self, page: list[Owed]) -> None:
        waiting = iter(page)

        async def work() -> None:
            for owed in waiting:  # one iterator for all workers: each takes the next
                await self._one(owed)

        await _beside_each_other(work, self._workers)

    async def _one(self, owed: Owed) -> None:
        id_ = owed.account.id
        if owed.draft is not None:
            self._leave_out(
                id_, f"account {id_} has an open draft", f"csms invoice draft issue {owed.draft}, or void it"
            )
            return
        for why in owed.undecided:
            self._leave_out(id_, why, "csms tax rule add --supply; csms tax which shows the decision")
        await self._take_back(id_, owed.taken_back)
        if not owed.charges:
            return
        try:
            document = invoice_of(self._wanted.seller, owed.account, owed.charges, self._terms)
        except CannotBeInvoiced as why:
            self._leave_out(id_, str(why), "see csms session explain of it")
            return
        except CannotBeIssued as why:
            if any(_costs(charge) for charge in owed.charges):
                self._leave_out(id_, str(why), why.next_step)
            return
        await self._issue(id_, document, orders=owed.orders)

    async def _take_back(self, id_: str, taken_back: tuple[TakenBack, ...]) -> None:
        """What is no longer owed: a credit note for each invoice that it was on."""
        wanted = self._wanted
        for taken in by_invoice(taken_back):
            self._require_more()
            async with self._place() as connection:
                try:
                    issued = await take_back(
                        connection, taken, issued_on=wanted.issued_on, now=self._clock(), actor=self._actor
                    )
                except AlreadyDone:
                    continue  # another run was faster
                except Refused as why:
                    self._leave_out(id_, str(why), why.next_step)
                    continue
            if issued is not None:
                done = replace(issued.document, number="") if wanted.dry_run else issued.document
                self._tell(Made(account=id_, document=done))

    async def _receipts(self) -> None:
        wanted, after = self._wanted, 0
        end = datetime.combine(wanted.until + _DAY, time(), tzinfo=zone_named(wanted.time_zone)).astimezone(UTC)
        while True:
            async with self._pool.acquire() as connection:
                charges = await unclaimed(
                    connection, wanted.seller.id, until=end, after=after, language=wanted.language, limit=PAGE
                )
            if not charges:
                return
            after = max(charge.session.session for charge in charges)
            waiting = iter(charges)

            async def work() -> None:
                for charge in waiting:  # noqa: B023 - all of a page are done before the next is taken
                    try:
                        document = receipt_of(wanted.seller, charge, self._terms, language=wanted.language)
                    except (CannotBeInvoiced, CannotBeIssued) as why:
                        if _costs(charge):
                            self._leave_out(None, str(why), getattr(why, "next_step", "see csms session explain of it"))
                        continue
                    await self._issue(None, document)

            await _beside_each_other(work, self._workers)

    async def _borne(self) -> None:
        """What partners bear of documents, those of this run among them: on documents of their own."""
        until = self._wanted.until
        async with self._pool.acquire() as connection:
            waiting = await bearers(connection, **self._which(), until=until)
        for bearer in waiting:
            after = 0
            while True:
                async with self._pool.acquire() as connection:
                    found = await borne_by(connection, bearer, until=until, after=after)
                if found is None:
                    break
                owed, after = found
                await self._one(owed)

    async def _issue(self, account: str | None, document: Document, orders: tuple[str, ...] = ()) -> None:
        self._require_more()
        prepared = Prepared(seller=self._wanted.seller.id, document=document, orders=orders)
        async with self._place() as connection:
            try:
                issued = await issue(connection, prepared, now=self._clock(), actor=self._actor, reason=self._reason)
            except AlreadyDone:
                return  # another run was faster
            except NoLongerBillable as why:
                self._leave_out(account, str(why), why.next_step)
                return
        done = document if self._wanted.dry_run else issued.document
        self._tell(Made(account=account, document=done))

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[Any]]:
        """Where a document is issued, in a transaction of its own; a dry run takes each back, so that no series is locked."""
        async with self._pool.acquire() as connection:
            if not self._wanted.dry_run:
                yield connection
                return
            begun = connection.transaction()
            await begun.start()
            try:
                yield connection
            finally:
                await begun.rollback()

    def _require_more(self) -> None:
        if self._wanted.limit is not None and self.tally.documents >= self._wanted.limit:
            raise _Enough

    def _leave_out(self, account: str | None, why: str, next_step: str) -> None:
        self._tell(Made(account=account, document=None, left_out=why, next_step=next_step))

    def _tell(self, made: Made) -> None:
        self.tally.count(made)
        self._on_made(made)


def _costs(charge: Any) -> bool:
    parts = getattr(charge, "parts", None)
    return parts is None or any(part.gross_minor for part in parts)


async def _beside_each_other(work: Callable[[], Any], workers: int) -> None:
    """Some of them at once; the first that fails ends the others, and its own error is what is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
