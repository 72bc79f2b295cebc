"""Invoices at the end of sessions, for customers who want one with each: from the row that its final bill has left.

The row is written with the bill and deleted with the invoice, so that neither a crash nor another node makes one too many or
too few. What cannot be invoiced stays, and is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog

from billing.accounts import sellers
from billing.accounts.account import Rhythm
from billing.accounts.seller import Seller, today_of
from billing.errors import AlreadyDone, Refused
from billing.invoices.charge import BilledCharge
from billing.invoices.composition import CannotBeInvoiced, TaxedCharge
from billing.invoices.drafting import CannotBeIssued, Terms, invoice_of
from billing.invoices.gathering import Owed, owed_for
from billing.invoices.issuing import Prepared, issue
from billing.invoices.store import Issued
from billing.office import metrics
from billing.office.trouble import is_database_trouble
from billing.sql import Connection, Queries
from billing.turns import Turns

log = structlog.get_logger(__name__)

SQL: Final = Queries.load("billing.office")
AT_A_TIME: Final = 50
"""Sessions that are looked at together."""
ACTOR: Final = "csms"
REASON: Final = "the session has ended"


class SessionInvoices:
    """Invoices what is due. `sends`: their documents are to be sent as well."""

    def __init__(self, pool: asyncpg.Pool[Any], *, sends: bool, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._sends = sends
        self._clock = clock

    async def sweep(self) -> int:
        """Look at everything that is due now, a document in each transaction; how many documents were made."""
        made = 0
        while True:
            now = self._clock()
            async with self._pool.acquire() as connection:
                rows = await SQL.sessions_due.fetch(connection, now=now, limit=AT_A_TIME)
                sessions = [row["session"] for row in rows]
                owed = await self._owed(connection, sessions, now)
                await self._forget_settled(connection, [each for each in sessions if each not in owed], now)
            made += await self._invoice(owed, now)
            if len(rows) < AT_A_TIME:
                return made

    async def _owed(self, connection: Connection, sessions: list[int], now: datetime) -> dict[int, Owed]:
        """What they owe; a session that cannot even be read is put off by itself, and holds up no other."""
        if not sessions:
            return {}
        try:
            return await owed_for(connection, sessions)
        except Exception as defect:
            if is_database_trouble(defect):
                raise
            if len(sessions) > 1:
                found: dict[int, Owed] = {}
                for session in sessions:
                    found |= await self._owed(connection, [session], now)
                return found
            await self._put_off(connection, sessions[0], defect, now)
            return {}

    async def _put_off(self, connection: Connection, session: int, defect: Exception, now: datetime) -> None:
        metrics.FAILURES.labels(what="sessions").inc()
        log.error("session_failed", session=session, exc_info=defect)
        await self._postpone(connection, session, f"a defect: {type(defect).__name__}", now)

    async def _forget_settled(self, connection: Connection, sessions: Sequence[int], now: datetime) -> None:
        """What is invoiced or dropped; the rest is held by somebody who looks into it, and waits."""
        if not sessions:
            return
        settled = [row["id"] for row in await SQL.which_are_settled.fetch(connection, sessions=sessions)]
        await SQL.settle_sessions.execute(connection, sessions=settled)
        for session in set(sessions) - set(settled):
            await self._postpone(connection, session, "it is held, or nobody's account pays for it any more", now)

    async def _invoice(self, owed: dict[int, Owed], now: datetime) -> int:
        turns, known, made = Turns(), dict[str, Seller](), 0
        for session, each in owed.items():
            await turns.give()
            async with self._pool.acquire() as connection:
                seller = known.get(each.account.seller)
                if seller is None:
                    seller = known[each.account.seller] = await sellers.get(connection, each.account.seller)
                try:
                    made += await self._one(connection, session, each, seller, now)
                except Exception as defect:  # of one session, which is not to hold up the others
                    if is_database_trouble(defect):
                        raise
                    await self._put_off(connection, session, defect, now)
        return made

    async def _one(self, connection: Connection, session: int, owed: Owed, seller: Seller, now: datetime) -> bool:
        if owed.account.rhythm is not Rhythm.SESSION:  # it has another one since: then it takes it
            await SQL.settle_sessions.execute(connection, sessions=[session])
            return False
        if owed.draft is not None:
            why = f"account {owed.account.id} has an open draft {owed.draft}"
            await self._postpone(connection, session, why, now)
            return False
        try:
            issued = await issue_now(connection, seller, owed, sends=self._sends, now=now, reason=REASON)
        except AlreadyDone:  # an invoice run was faster
            await SQL.settle_sessions.execute(connection, sessions=[session])
            return False
        except CannotBeIssued as why:
            if is_free(owed):  # it goes with the next that is not
                await SQL.settle_sessions.execute(connection, sessions=[session])
            else:
                await self._postpone(connection, session, f"{why}; next: {why.next_step}", now)
            return False
        except (CannotBeInvoiced, Refused) as why:
            await self._postpone(connection, session, str(why), now)
            return False
        log.info("session_invoiced", session=session, number=issued.document.number, account=owed.account.id)
        return True

    async def _postpone(self, connection: Connection, session: int, why: str, now: datetime) -> None:
        await SQL.postpone_session.execute(connection, session=session, problem=why, now=now)
        log.warning("session_not_invoiced", session=session, why=why)


async def issue_now(
    connection: Connection, seller: Seller, owed: Owed, *, sends: bool, now: datetime, reason: str
) -> Issued:
    """Issue a document on what a customer owes; its sessions wait no longer, and it waits to be sent if it is.

    Raises:
        AlreadyDone, CannotBeInvoiced, CannotBeIssued, Refused: nothing was done.
    """
    today = today_of(seller, now)
    document = invoice_of(seller, owed.account, owed.charges, Terms(issued_on=today, until=today))
    sessions = [each.session.session for each in owed.charges if isinstance(each, BilledCharge)]
    async with connection.transaction():
        prepared = Prepared(seller=seller.id, document=document, orders=owed.orders)
        issued = await issue(connection, prepared, now=now, actor=ACTOR, reason=reason)
        await SQL.settle_sessions.execute(connection, sessions=sessions)
        if sends:
            await SQL.note_document_due.execute(connection, invoice=issued.id, now=now)
    metrics.INVOICES.inc()
    return issued


def is_free(owed: Owed) -> bool:
    """Whether nothing in it costs anything: it goes with the next that does."""
    return not any(
        part.gross_minor for each in owed.charges if isinstance(each, BilledCharge) for part in each.parts
    ) and not any(isinstance(each, TaxedCharge) for each in owed.charges)
