"""The act of issuing: one document, one transaction, its number taken last. Callers hold the connection.

Lines, taxes and sources are written and accounts opened first, then the number is taken, which locks the series until the
commit, and the document is entered in the books; whatever fails, at whatever moment, rolls back all of it, the number too. So
numbers have no gap, nobody waits for a series longer than one document's last statements take, nobody who has a number waits
for an account that another is opening, and there is no document without its entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

import asyncpg

from billing.bills.transaction import as_one_act
from billing.contracts.handover import mark_invoiced
from billing.errors import AlreadyDone, Refused
from billing.invoices import store
from billing.invoices.borne_due import note_borne, settle_borne
from billing.invoices.comparison import claims_of
from billing.invoices.credit import CreditNote
from billing.invoices.document import Document
from billing.invoices.document_json import line_texts, texts_of
from billing.invoices.numbering import DEFAULTS, number_of, year_of
from billing.invoices.store import SQL, Issued
from billing.ledger import service as ledger
from billing.ledger.posting_rules import entry_of
from billing.sql import Connection

_TWICE: Final = frozenset({"invoice_source_pkey", "invoice_source_after"})
"""What is violated where a source is on another document, or its session by another of its bills."""


class NoLongerBillable(Refused):
    """A bill on the document counts no longer, or its session is held since it was looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document about to be issued. `corrects`: the invoice that it takes back, and `credit` what of it.

    `orders`: the sources of its lines that fell due of contracts. `after`: of a document on a session that was invoiced
    before, by which source that was. `replaces`: of one that is issued anew, which it was, as `replacing` names it.
    """

    seller: str
    document: Document
    corrects: int | None = None
    credit: CreditNote | None = None
    orders: tuple[str, ...] = ()
    after: str = ""
    replaces: str = ""


async def issue(connection: Connection, prepared: Prepared, *, now: datetime, actor: str, reason: str) -> Issued:
    """Issue a document: from here on it stands.

    Raises:
        AlreadyDone: something on it has been invoiced.
        NoLongerBillable: of a session on it another bill counts by now, or it is held.
        Refused: the last document of its series was issued on a later day.
    """
    act = partial(_issue, connection, prepared, now=now, actor=actor, reason=reason)
    try:
        return await as_one_act(connection, act)
    except asyncpg.UniqueViolationError as twice:
        if twice.constraint_name not in _TWICE:
            raise
        raise AlreadyDone(
            f"something on this document has been invoiced already: {twice.detail}", "see csms invoice list"
        ) from twice


async def _issue(connection: Connection, prepared: Prepared, *, now: datetime, actor: str, reason: str) -> Issued:
    document = prepared.document
    lines = line_texts(document.lines)
    sources = claims_of(document) if prepared.corrects is None else {}
    id_, pattern = await store.write_parts(
        connection, document, lines, seller=prepared.seller, sources=sources, after=_afters(prepared, sources)
    )
    if prepared.corrects is None:
        await _require_billable(connection, document)
    else:
        await _allocate(connection, id_, prepared)
    books = await ledger.open_books(connection, [entry_of(document, prepared.seller)])
    series = await _take_number(connection, prepared, pattern)
    numbered = replace(document, number=number_of(series.pattern, series.year, series.n))
    texts = texts_of(numbered, lines)
    await store.write_invoice(
        connection, id_, numbered, seller=prepared.seller, year=series.year, n=series.n, corrects=prepared.corrects,
        texts=texts, chain=store.chain_after(series.chain, texts.hash), now=now, actor=actor, reason=reason,
    )  # fmt: skip
    if prepared.orders:
        await mark_invoiced(connection, prepared.orders, document=numbered.number, actor=actor, now=now)
    await note_borne(connection, id_, numbered, seller=prepared.seller)
    await settle_borne(connection, numbered)
    await ledger.post_in(books, connection, [entry_of(numbered, prepared.seller)], now=now, actor=actor)
    return Issued(
        id=id_, seller=prepared.seller, document=numbered, hash=texts.hash, corrects=prepared.corrects, issued_at=now,
        actor=actor, reason=reason,
    )  # fmt: skip


def replacing(seller: str, number: str) -> str:
    """How the document is named that another one replaces, where that claims what it was for."""
    return f"{seller}:{number}"


def _afters(prepared: Prepared, sources: Mapping[str, int | None]) -> list[str]:
    """Which claim each of these follows: that of the document that is replaced, or of the session that is corrected."""
    if prepared.replaces:
        return [prepared.replaces] * len(sources)
    return [prepared.after if session is not None else "" for session in sources.values()]


async def _require_billable(connection: Connection, document: Document) -> None:
    """Its bills were looked up a while ago, on another connection perhaps. From their claims on, nobody else invoices them."""
    bills = {line.session.session: line.session.bill for line in document.lines if line.session is not None}
    if not bills:
        return
    rows = await SQL.no_longer_billable.fetch(connection, sessions=list(bills), seqs=list(bills.values()))
    if not rows:
        return
    told = [
        f"session {row['session']} is held: {', '.join(row['holds'])}"
        if row["seq"] == row["newest"]
        else f"of session {row['session']} bill {row['newest']} counts by now, not bill {row['seq']}"
        for row in rows
    ]
    raise NoLongerBillable("; ".join(told), "do it again: what counts then is invoiced, and what is held waits")


async def _allocate(connection: Connection, id_: int, prepared: Prepared) -> None:
    assert prepared.credit is not None, "a credit note knows what it takes back"
    taken, nets = prepared.credit.taken, prepared.credit.nets
    await SQL.insert_allocations.execute(
        connection, credit_note=id_, invoice=prepared.corrects, positions=list(taken), bases=list(taken.values()),
        nets=[nets[position] for position in taken],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    year: int
    n: int
    pattern: str
    chain: bytes


async def _take_number(connection: Connection, prepared: Prepared, said: str | None) -> _Place:
    """The next number of the series; `said`: the shape that its seller gave it."""
    document = prepared.document
    which = {"seller": prepared.seller, "kind": document.kind, "form": document.form}
    pattern = said or DEFAULTS[document.kind, document.form]
    year = year_of(pattern, document.issued_on)
    row = await SQL.take_number.fetchrow(connection, **which, year=year, issued_on=document.issued_on)
    if row is None:
        await SQL.open_series.execute(connection, **which, year=year, pattern=pattern)
        row = await SQL.take_number.fetchrow(connection, **which, year=year, issued_on=document.issued_on)
    if row is None:
        last = await SQL.last_issued_on.fetchval(connection, **which, year=year)
        raise Refused(
            f"the last document of this series was issued on {last}: none can be on {document.issued_on}",
            f"issue it on {last} or later",
        )
    return _Place(year, row["last"], row["pattern"], row["chain"])
