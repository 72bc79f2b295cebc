"""The files of documents: typeset once, kept in the archive, and from then on always the same. Callers hold the connection.

Files are made outside a transaction, since that takes long, and entered within one. A document has one file of each form:
its PDF, and the e-invoice of a profile, which for some profiles is a PDF as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from billing.accounts import sellers
from billing.accounts.brands import Looks
from billing.archive.entry import Deposit
from billing.archive.service import Archive
from billing.documents.brand import EVERY_LANGUAGE, Brand
from billing.e_invoices.profiles import Profile
from billing.invoices.document import Document
from billing.invoices.filed import PDF, PDF_FORM, FiledFile, MadeFile
from billing.invoices.service import get
from billing.invoices.store import SQL, Issued
from billing.sql import Connection

if TYPE_CHECKING:
    from billing.documents.press import Press

KIND: Final = "invoice_pdf"
"""What the archive calls the PDF of a document."""
E_INVOICE_KIND: Final = "e_invoice"
"""What it calls an e-invoice."""


async def brand_of(connection: Connection, issued: Issued, looks: Looks | None = None) -> Brand:
    """In whose looks a document goes out: its brand's, or plainly in its seller's name. `looks`: where brands are kept.

    Where the brand has no lines for the foot of a page the seller's stands there.
    """
    line = (await sellers.get(connection, issued.seller)).details.footer
    footer = {} if line is None else {EVERY_LANGUAGE: (line,)}
    if issued.document.brand is None:
        return Brand(id=issued.seller, name=issued.document.seller.name, footer=footer)
    brand = (await (looks or Looks()).of(connection, issued.document.brand))[1]
    return replace(brand, footer={**footer, **brand.footer})


async def typeset(connection: Connection, issued: Issued, press: Press) -> bytes:
    """The PDF/A-3b of a document, as its brand looks now."""
    brand = await brand_of(connection, issued)
    return await asyncio.to_thread(press.pdf, issued.document, brand)


def make(issued: Issued, brand: Brand, forms: Collection[str], press: Press) -> list[MadeFile]:
    """Files of a document; takes long.

    Raises:
        Refused: the template does not work, or a rule of the e-invoice is broken.
        Unavailable: see Press.pdf().
    """
    document = issued.document
    profiles = [Profile(form) for form in forms if form != PDF_FORM]
    wants_pdf = PDF_FORM in forms or any(profile.is_pdf for profile in profiles)
    pdf = press.pdf(document, brand) if wants_pdf else None
    made = [MadeFile(form=PDF_FORM, content=pdf, media_type=PDF)] if pdf is not None and PDF_FORM in forms else []
    for profile in profiles:
        from billing.e_invoices.service import e_invoice  # noqa: PLC0415 - lxml and drafthorse take long to load

        written = e_invoice(document, profile, pdf=pdf)
        made.append(MadeFile(form=profile.value, content=written.content, media_type=written.media_type))
    return made


async def files_of(connection: Connection, issued: Issued) -> dict[str, FiledFile]:
    """The files that a document has in the archive, by form."""
    rows = await SQL.files_of.fetch(connection, invoices=[issued.id])
    return {
        row["form"]: FiledFile(
            form=row["form"], entry=row["entry"], sha256=row["sha256"], media_type=row["media_type"]
        )
        for row in rows
    }  # fmt: skip


async def enter(
    connection: Connection, archive: Archive, issued: Issued, made: Sequence[MadeFile], *, now: datetime, actor: str
) -> dict[str, FiledFile]:
    """Put files into the archive, within the caller's transaction and as the last thing in it; gives all the document has.

    What somebody else has entered meanwhile stays. Call `archive.settle` when the transaction is committed.

    Raises:
        Unavailable: the archive cannot be written.
    """
    known = await files_of(connection, issued)
    fresh = [each for each in made if each.form not in known]
    if not fresh:
        return known
    entries = await archive.deposit(
        connection, [_deposit(issued.document, each) for each in fresh], actor=actor, now=now
    )
    for each, entry in zip(fresh, entries, strict=True):
        await SQL.insert_file.execute(connection, invoice=issued.id, form=each.form, entry=entry.id)
    return await files_of(connection, issued)


def _deposit(document: Document, made: MadeFile) -> Deposit:
    address = document.seller.address
    return Deposit(
        content=made.content,
        media_type=made.media_type,
        kind=KIND if made.form == PDF_FORM else E_INVOICE_KIND,
        subject=document.number,
        day=document.issued_on,
        account=document.account,
        country=None if address is None else address.country,
    )


async def archived(
    connection: Connection, archive: Archive, issued: Issued, press: Press, *, now: datetime, actor: str
) -> tuple[bytes, int]:
    """The PDF of a document and its entry in the archive, where it is kept from the first time that somebody asks for it.

    Raises:
        Unavailable: the archive cannot be written, or the file there has changed.
    """
    known = await files_of(connection, issued)
    if PDF_FORM not in known:
        pdf = await typeset(connection, issued, press)
        made = MadeFile(form=PDF_FORM, content=pdf, media_type=PDF)
        async with connection.transaction():
            known = await enter(connection, archive, issued, [made], now=now, actor=actor)
        await archive.settle(connection)
    entry = known[PDF_FORM].entry
    return (await archive.fetch(connection, entry))[1], entry


async def document_with_brand(connection: Connection, number: str) -> tuple[Document, Brand]:
    """A document and its looks, to try templates on.

    Raises:
        NotFound: there is no such document.
    """
    issued = await get(connection, number)
    return issued.document, await brand_of(connection, issued)
