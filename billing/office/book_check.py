"""Whether the books are what they were: documents, the log of changes, the archive with its files, the ledger. Changes nothing.

Each of them is a chain of hashes or can be worked out anew; what is found names the document, the row or the file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Final

from billing.archive import store as archive_store
from billing.archive import verification
from billing.archive.service import Archive
from billing.audit import service as audit
from billing.audit.entry import ChainCheck
from billing.invoices import service as invoices
from billing.ledger import check as ledger
from billing.sql import Connection

CHECKS: Final = ("invoices", "audit", "archive", "ledger")
"""In the order in which they are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFinding:
    """Something is not what it was. `check`: where; `subject`: the number of a document, a row, a file."""

    check: str
    subject: str
    problem: str


async def look_through(connection: Connection, archive: Archive) -> AsyncIterator[BookFinding]:
    """Look at everything, from beginning to end."""
    async for found in invoices.verify(connection):
        if isinstance(found, invoices.Finding):
            yield BookFinding(check="invoices", subject=found.number, problem=found.problem)
    async for finding in _audit(connection):
        yield finding
    for finding in await _archive(connection, archive):
        yield finding
    for wrong in await ledger.check(connection):
        yield BookFinding(check="ledger", subject=f"{wrong.seller} {wrong.subject}", problem=wrong.message)


async def _audit(connection: Connection) -> AsyncIterator[BookFinding]:
    check = ChainCheck()
    async for entry, personal in audit.entries(connection):
        check.see(entry, personal)
        for found in check.findings:
            yield BookFinding(check="audit", subject=f"audit entry {found.entry}", problem=found.problem)
        check.findings.clear()


async def _archive(connection: Connection, archive: Archive) -> list[BookFinding]:
    report = verification.Report()
    await verification.verify(connection, archive, report, lambda _: None)
    subjects = await _subjects(connection, {each.entry for each in report.findings if each.entry is not None})
    return [
        BookFinding(
            check="archive",
            subject=each.file or "the archive" if each.entry is None else subjects.get(each.entry, f"archive entry {each.entry}"),
            problem=f"{each.what}: {each.file or ''} {each.detail}",
        )
        for each in report.findings
    ]  # fmt: skip


async def _subjects(connection: Connection, entries: Collection[int]) -> dict[int, str]:
    """What entries of the archive are of, with their own number: R2026-000001 (archive entry 7)."""
    found = await archive_store.by_id(connection, entries)
    return {
        id_: f"{entry.subject} (archive entry {id_})" if entry.subject else f"archive entry {id_}"
        for id_, entry in found.items()
    }
