"""What third parties bear of a document waits to be asked for: left with the document, settled with the claim."""

from __future__ import annotations

from billing.invoices.document import BornePart, Document, DocumentKind, LineKind, borne_source
from billing.invoices.store import SQL
from billing.sql import Connection


async def note_borne(connection: Connection, id_: int, document: Document, *, seller: str) -> None:
    """Leave what third parties bear of a document that is being issued, for the documents that ask them."""
    parts: dict[str, list[BornePart]] = {}
    for part in document.borne:
        parts.setdefault(part.party, []).append(part)
    sign = 1 if document.kind is DocumentKind.INVOICE else -1
    minors = {party: sign * sum(each.amount_minor for each in of_party) for party, of_party in parts.items()}
    parties = [party for party, minor in minors.items() if minor]
    if not parties:
        return
    await SQL.note_borne.execute(
        connection, seller=seller, currency=document.currency, invoice=id_, until=document.days[1], parties=parties,
        sources=[borne_source(seller, document.number, document.open_item, party) for party in parties],
        minors=[minors[party] for party in parties],
        labels=[", ".join(sorted({each.label for each in parts[party]})) for party in parties],
    )  # fmt: skip


async def settle_borne(connection: Connection, document: Document) -> None:
    """What a document that is being issued asks a party for: nobody is to be asked for it again."""
    sources = [line.source for line in document.lines if line.kind is LineKind.BORNE]
    if sources and document.corrects is None:
        await SQL.settle_borne.fetch(connection, sources=sources)
