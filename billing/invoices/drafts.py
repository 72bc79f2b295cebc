"""Drafts: what an invoice would be, kept for somebody to look at before it is issued or given up. Callers hold the connection.

A draft is worked out anew whenever it is looked at, from what it is for; what it was when it was made is known by a hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.seller import Seller
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.bills.transaction import one_act
from billing.errors import AlreadyDone, NotFound, Refused
from billing.invoices.charge import BilledCharge
from billing.invoices.composition import CannotBeInvoiced
from billing.invoices.document import Document, LineKind
from billing.invoices.document_json import line_texts
from billing.invoices.drafting import CannotBeIssued, Charge, Terms, invoice_of
from billing.invoices.gathering import Owed, owed_by
from billing.invoices.issuing import Prepared, issue
from billing.invoices.store import SQL, Issued
from billing.sql import Connection

_OF_CONTRACTS: Final = frozenset({LineKind.SUBSCRIPTION, LineKind.ITEM, LineKind.MILESTONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """`document` has no number; its day of issue is that on which it was looked at."""

    id: int
    account: str
    until: date
    state: str
    document: Document


async def create(
    connection: Connection,
    account: str,
    *,
    currency: str | None,
    until: date,
    issued_on: date,
    now: datetime,
    actor: str,
    reason: str,
) -> list[Draft]:
    """Make a draft of what an account has to pay for what ended up to a day; one per currency.

    Raises:
        NotFound: no such account, or it has nothing to pay.
        Refused: it could not be issued as it stands, or somebody else pays for it.
        AlreadyDone: a draft is open.
    """
    async with connection.transaction():
        payer = await accounts.get(connection, account)
        if payer.payer is not None:
            raise Refused(f"{payer.payer} pays for account {account}", f"csms invoice draft create {payer.payer}")
        await SQL.lock_account.fetchval(connection, id=account)
        owed = [
            each
            for each in await owed_by(connection, [account], until=until)
            if each.charges and currency in (None, each.currency)
        ]
        if not owed:
            raise NotFound(f"account {account} has nothing to pay up to {until}", "see csms account show of it")
        made = [await _kept(connection, each, until, issued_on, now, actor) for each in owed]
        said = {"drafts": [each.id for each in made], "until": until.isoformat(), "currency": currency}
        change = Change(noun="draft", subject=account, action="create", after=said)
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)
    return made


async def _kept(connection: Connection, owed: Owed, until: date, issued_on: date, now: datetime, actor: str) -> Draft:
    if owed.draft is not None:
        raise AlreadyDone(
            f"draft {owed.draft} of account {owed.account.id} is open", f"csms invoice draft show {owed.draft}"
        )
    document = await _document(connection, owed, list(owed.charges), until, issued_on)
    id_ = await SQL.insert_draft.fetchval(
        connection,
        account=owed.account.id,
        currency=owed.currency,
        sources=sorted({line.source for line in document.lines if line.kind is not LineKind.ROUNDING}),
        until=until,
        hash=_hash(document),
        actor=actor,
        now=now,
    )
    return Draft(id=id_, account=owed.account.id, until=until, state="open", document=document)


async def _document(
    connection: Connection, owed: Owed, charges: list[Charge], until: date, issued_on: date
) -> Document:
    seller = await sellers.get(connection, owed.account.seller)
    try:
        return invoice_of(seller, owed.account, charges, Terms(issued_on=issued_on, until=until))
    except CannotBeInvoiced as why:
        raise Refused(str(why), "see csms session explain of it") from why
    except CannotBeIssued as why:
        raise Refused(str(why), why.next_step) from why


def _hash(document: Document) -> bytes:
    return hashlib.sha256("\n".join(line_texts(document.lines)).encode()).digest()


async def look_at(connection: Connection, id_: int, *, issued_on: date) -> Draft:
    """An open draft, worked out anew.

    Raises:
        NotFound: no such draft.
        AlreadyDone: it was issued or given up.
        Refused: it would no longer be what it was.
    """
    async with connection.transaction():
        row = await _locked(connection, id_)
        return await _anew(connection, row, issued_on)


async def seller_of(connection: Connection, id_: int) -> Seller:
    """Whose document an open draft would be.

    Raises:
        NotFound, AlreadyDone: see look_at().
    """
    row = await _locked(connection, id_)
    return await sellers.get(connection, (await accounts.get(connection, row["account"])).seller)


async def _locked(connection: Connection, id_: int) -> Any:
    row = await SQL.lock_draft.fetchrow(connection, id=id_)
    if row is None:
        raise NotFound(f"no draft {id_}", "list them with csms invoice draft list")
    if row["state"] != "open":
        raise AlreadyDone(f"draft {id_} is {row['state']}", "list those that are open with csms invoice draft list")
    return row


async def _anew(connection: Connection, row: Any, issued_on: date) -> Draft:
    sources = set(row["sources"])
    owed = [
        each
        for each in await owed_by(connection, [row["account"]], until=row["until"])
        if each.currency == row["currency"]
    ]
    charges = [charge for each in owed for charge in each.charges if _source(charge) in sources]
    gone = sources - {_source(charge) for charge in charges}
    if gone:
        raise Refused(
            f"draft {row['id']} is for {', '.join(sorted(gone)[:5])}, which is invoiced elsewhere, held, or billed anew",
            f"csms invoice draft void {row['id']}, then make another",
        )
    document = await _document(connection, owed[0], charges, row["until"], issued_on)
    if _hash(document) != row["hash"]:
        raise Refused(
            f"draft {row['id']} would no longer be what it was: customer, language or taxes have changed since",
            f"csms invoice draft void {row['id']}, then make another",
        )
    return Draft(id=row["id"], account=row["account"], until=row["until"], state=row["state"], document=document)


def _source(charge: Charge) -> str:
    return charge.source if isinstance(charge, BilledCharge) else charge.charge.source


@one_act
async def issue_draft(
    connection: Connection, id_: int, *, issued_on: date, now: datetime, actor: str, reason: str
) -> Issued:
    """Issue a draft as it was looked at.

    Raises:
        NotFound, AlreadyDone, Refused: see look_at() and issue().
    """
    async with connection.transaction():
        row = await _locked(connection, id_)
        await SQL.lock_account.fetchval(connection, id=row["account"])
        draft = await _anew(connection, row, issued_on)
        account = await accounts.get(connection, draft.account)
        orders = tuple({line.source for line in draft.document.lines if line.kind in _OF_CONTRACTS})
        prepared = Prepared(seller=account.seller, document=draft.document, orders=orders)
        issued = await issue(connection, prepared, now=now, actor=actor, reason=reason)
        await SQL.close_draft.execute(connection, id=id_, state="issued", invoice=issued.id)
        said = {"draft": id_, "number": issued.document.number, "gross_minor": issued.document.gross_minor}
        change = Change(noun="draft", subject=draft.account, action="issue", after=said)
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)
    return issued


async def void(connection: Connection, id_: int, *, now: datetime, actor: str, reason: str) -> None:
    """Give a draft up; what it was for is taken by the next run.

    Raises:
        NotFound: no such draft.
        AlreadyDone: it was issued or given up.
    """
    async with connection.transaction():
        row = await _locked(connection, id_)
        await SQL.close_draft.execute(connection, id=id_, state="void", invoice=None)
        change = Change(noun="draft", subject=row["account"], action="void", before={"draft": id_})
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)


async def list_drafts(connection: Connection, *, every: bool) -> list[dict[str, Any]]:
    return [dict(row) for row in await SQL.drafts.fetch(connection, every=every)]
