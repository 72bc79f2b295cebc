"""The act of issuing: one document, one transaction, its number taken last. Callers hold the connection.

Lines and sources are written first, then the number is taken, which locks the series until the commit, and the document is
entered in the books; whatever fails, at whatever moment, rolls back all of it, the number too. So numbers have no gap,
nobody waits for a series longer than one document's last statements take, and there is no document without its entry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg

from billing.contracts.handover import mark_invoiced
from billing.errors import AlreadyDone, Refused
from billing.invoices import store
from billing.invoices.credit import CreditNote
from billing.invoices.document import Document, Line, LineKind
from billing.invoices.document_json import line_texts, texts_of
from billing.invoices.numbering import DEFAULTS, number_of, year_of
from billing.invoices.store import SQL, Issued
from billing.ledger import service as ledger
from billing.ledger.posting_rules import entry_of
from billing.sql import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document about to be issued. `corrects`: the invoice that it takes back, and `credit` what of it.

    `orders`: the sources of its lines that fell due of contracts.
    """

    seller: str
    document: Document
    corrects: int | None = None
    credit: CreditNote | None = None
    orders: tuple[str, ...] = ()


async def issue(connection: Connection, prepared: Prepared, *, now: datetime, actor: str, reason: str) -> Issued:
    """Issue a document: from here on it stands.

    Raises:
        AlreadyDone: something on it has been invoiced.
        Refused: the last document of its series was issued on a later day.
    """
    document = prepared.document
    try:
        async with connection.transaction():
            id_: int = await SQL.next_id.fetchval(connection)
            lines = line_texts(document.lines)
            await store.write_lines(connection, id_, document.lines, lines)
            if prepared.corrects is None:
                await _claim(connection, id_, document)
            else:
                await _allocate(connection, id_, prepared)
            series = await _take_number(connection, prepared)
            numbered = replace(document, number=number_of(series.pattern, series.year, series.n))
            texts = texts_of(numbered, lines)
            await store.write_invoice(
                connection, id_, numbered, seller=prepared.seller, year=series.year, n=series.n,
                corrects=prepared.corrects, texts=texts, chain=store.chain_after(series.chain, texts.hash), now=now,
                actor=actor, reason=reason,
            )  # fmt: skip
            if prepared.orders:
                await mark_invoiced(connection, prepared.orders, document=numbered.number, actor=actor, now=now)
            await ledger.post(connection, [entry_of(numbered, prepared.seller)], now=now, actor=actor)
    except asyncpg.UniqueViolationError as twice:
        if twice.constraint_name != "invoice_source_pkey":
            raise
        raise AlreadyDone(
            f"something on this document has been invoiced already: {twice.detail}", "see csms invoice list"
        ) from twice
    return Issued(
        id=id_, seller=prepared.seller, document=numbered, hash=texts.hash, corrects=prepared.corrects, issued_at=now,
        actor=actor, reason=reason,
    )  # fmt: skip


async def _claim(connection: Connection, id_: int, document: Document) -> None:
    sources = {line.source: _session(line) for line in document.lines if line.kind is not LineKind.ROUNDING}
    await SQL.insert_sources.execute(connection, invoice=id_, sources=list(sources), sessions=list(sources.values()))


def _session(line: Line) -> int | None:
    return None if line.session is None else line.session.session


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


async def _take_number(connection: Connection, prepared: Prepared) -> _Place:
    document = prepared.document
    which = {"seller": prepared.seller, "kind": document.kind, "form": document.form}
    pattern = await SQL.pattern_of.fetchval(connection, **which) or DEFAULTS[document.kind, document.form]
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
