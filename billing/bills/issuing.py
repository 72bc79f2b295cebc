"""Bills that are stored, and what follows from each in the same transaction: uses of rules, claims on third parties, and that
some customers get an invoice with each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billing.bills import store
from billing.bills.bill import BillKind, BillSummary
from billing.bills.billable import BillableSession
from billing.bills.store import DraftBill
from billing.bills.terms import subject_of
from billing.discounts.service import Booked, book
from billing.sql import Connection


async def issue(
    connection: Connection, drafts: Sequence[DraftBill], sessions: Mapping[int, BillableSession]
) -> dict[tuple[int, int], BillSummary]:
    """Store bills of these sessions; gives those that were not there yet, by session and seq."""
    stored = await store.insert_bills(connection, drafts)
    booked = [
        Booked(subject=subject, seq=draft.seq, rating=draft.rating, is_correction=draft.kind is BillKind.CORRECTION)
        for draft in drafts
        if draft.kind is not BillKind.INTERIM
        and (draft.session, draft.seq) in stored
        and (subject := subject_of(sessions[draft.session], draft.rating.tariff_id)) is not None
    ]
    final = [each.session for each in drafts if each.kind is BillKind.FINAL and (each.session, each.seq) in stored]
    if final:
        await store.SQL.note_invoices_due.execute(connection, sessions=final, now=drafts[0].created_at)
    if booked:
        await book(connection, booked, created_at=drafts[0].created_at)
    return stored
