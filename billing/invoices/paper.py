"""Documents on paper: typeset once, kept in the archive, and from then on always the same file. Callers hold the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from billing.archive.entry import Deposit, Entry
from billing.archive.service import Archive
from billing.documents.brand import Brand
from billing.documents.typst_pdf import Typesetter
from billing.invoices.document import Document, DocumentForm, Party
from billing.invoices.service import get
from billing.invoices.store import SQL, Issued
from billing.sql import Connection

PDF: Final = "application/pdf"
KIND: Final = "invoice_pdf"
"""What the archive calls the PDF of a document."""


async def brand_of(connection: Connection, issued: Issued) -> Brand:
    """In whose looks a document goes out: its brand's, or plainly in its seller's name."""
    row = None
    if issued.document.brand is not None:
        row = await SQL.brand_details.fetchrow(connection, id=issued.document.brand)
    details: Mapping[str, Any] = {} if row is None else json.loads(row["details"])
    plain = Brand(id=issued.document.brand or issued.seller, name=details.get("name") or _writer(issued.document).name)
    return replace(
        plain,
        accent=details.get("accent") or plain.accent,
        sender=tuple(details.get("sender") or ()),
        footer={language: tuple(lines) for language, lines in (details.get("footer") or {}).items()},
    )


def _writer(document: Document) -> Party:
    """Whose letterhead it has, and whose country says for how long it is kept: ours, also where a partner is the seller."""
    if document.form is DocumentForm.SELF_BILLED:
        assert document.buyer is not None, "we are the buyer"
        return document.buyer
    return document.seller


async def typeset(connection: Connection, issued: Issued, typesetter: Typesetter) -> bytes:
    """The PDF/A-3b of a document: the same document gives the same bytes."""
    brand = await brand_of(connection, issued)
    return (await asyncio.to_thread(typesetter.pdf, issued.document, brand)).pdf


async def archived(
    connection: Connection, archive: Archive, issued: Issued, typesetter: Typesetter, *, now: datetime, actor: str
) -> tuple[bytes, Entry]:
    """The PDF of a document and its place in the archive, where it is kept from the first time that somebody asks for it.

    Raises:
        Unavailable: the archive cannot be written.
    """
    pdf = await typeset(connection, issued, typesetter)
    document = issued.document
    address = _writer(document).address
    async with connection.transaction():
        [entry] = await archive.deposit(
            connection,
            [
                Deposit(
                    content=pdf, media_type=PDF, kind=KIND, subject=document.number, day=document.issued_on,
                    account=document.account, country=None if address is None else address.country,
                )
            ],
            actor=actor, now=now,
        )  # fmt: skip
    await archive.settle(connection)
    return pdf, entry


async def document_with_brand(connection: Connection, number: str) -> tuple[Document, Brand]:
    """A document and its looks, to try templates on.

    Raises:
        NotFound: there is no such document.
    """
    issued = await get(connection, number)
    return issued.document, await brand_of(connection, issued)
