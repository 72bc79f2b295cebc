"""What customers who are invoiced with each session owe beside it: what fell due of contracts, and sessions whose bill came
before they were their customer's. Looked for with the contracts; a document for each customer and currency.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import structlog

from billing.accounts import sellers
from billing.accounts.seller import Seller, today_of
from billing.errors import AlreadyDone, Refused
from billing.invoices.composition import CannotBeInvoiced
from billing.invoices.drafting import CannotBeIssued
from billing.invoices.gathering import Owed, owed_by
from billing.invoices.taking_back import TakenBack, by_invoice, take_back
from billing.office import metrics
from billing.office.session_invoices import ACTOR, SQL, is_free, issue_now
from billing.office.trouble import is_database_trouble
from billing.sql import Connection

log = structlog.get_logger(__name__)

PAGE: Final = 100
"""Customers looked at together."""
REASON: Final = "what fell due, beside the sessions"


async def invoice_the_rest(connection: Connection, *, sends: bool, now: datetime) -> int:
    """Invoice it, each document in a transaction of its own; how many. What cannot be is told, and tried the next time.

    `sends`: the documents are to be sent as well.
    """
    known: dict[str, Seller] = {}
    made, after = 0, ""
    while True:
        rows = await SQL.customers_by_session.fetch(connection, after=after, limit=PAGE)
        if not rows:
            return made
        after, by_seller = rows[-1]["id"], dict[str, list[str]]()
        for row in rows:
            by_seller.setdefault(row["seller"], []).append(row["id"])
        for id_, ids in by_seller.items():
            seller = known.get(id_)
            if seller is None:
                seller = known[id_] = await sellers.get(connection, id_)
            for owed in await owed_by(connection, ids, until=today_of(seller, now)):
                made += await _one(connection, owed, seller, sends=sends, now=now)


async def _one(connection: Connection, owed: Owed, seller: Seller, *, sends: bool, now: datetime) -> int:
    account = owed.account.id
    for why in owed.undecided:
        log.warning("customer_not_invoiced", account=account, why=why, next="csms tax rule add --supply")
    if owed.draft is not None:
        log.warning("customer_not_invoiced", account=account, why=f"draft {owed.draft} is open")
        return 0
    made = 0
    for taken in by_invoice(owed.taken_back):
        made += await _take_back(connection, seller, taken, account, sends=sends, now=now)
    return made + (await _invoice(connection, seller, owed, sends=sends, now=now) if owed.charges else 0)


async def _take_back(
    connection: Connection, seller: Seller, taken: tuple[TakenBack, ...], account: str, *, sends: bool, now: datetime
) -> bool:
    try:
        async with connection.transaction():
            issued = await take_back(connection, taken, issued_on=today_of(seller, now), now=now, actor=ACTOR)
            if issued is not None and sends:
                await SQL.note_document_due.execute(connection, invoice=issued.id, now=now)
    except AlreadyDone:  # a run was faster
        return False
    except Refused as why:
        log.warning("customer_not_credited", account=account, why=str(why), next=why.next_step)
        return False
    except Exception as defect:  # of one document, which is not to hold up the others
        if is_database_trouble(defect):
            raise
        metrics.FAILURES.labels(what="customers").inc()
        log.exception("customer_failed", account=account)
        return False
    if issued is None:
        return False
    log.info("customer_credited", account=account, number=issued.document.number)
    return True


async def _invoice(connection: Connection, seller: Seller, owed: Owed, *, sends: bool, now: datetime) -> bool:
    account = owed.account.id
    try:
        issued = await issue_now(connection, seller, owed, sends=sends, now=now, reason=REASON)
    except AlreadyDone:  # the look at sessions, or a run, was faster
        return False
    except (CannotBeIssued, CannotBeInvoiced, Refused) as why:
        if not is_free(owed):
            log.warning("customer_not_invoiced", account=account, why=str(why))
        return False
    except Exception as defect:  # of one customer, who is not to hold up the others
        if is_database_trouble(defect):
            raise
        metrics.FAILURES.labels(what="customers").inc()
        log.exception("customer_failed", account=account)
        return False
    log.info("customer_invoiced", account=account, number=issued.document.number)
    return True
