"""Entries as CSV: one row for each posting. And what every form of export has. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from billing.ledger.account_map import AccountMap
from billing.ledger.entry import BookedEntry
from billing.money import Money

COLUMNS: Final = (
    "entry", "posting", "booked_on", "fact_on", "fact", "document", "item", "due_on", "account", "owner", "number", "debit",
    "credit", "currency", "text", "reverses", "key",
)  # fmt: skip


class Layout(Protocol):
    """A form in which entries leave the house: the same entries give the same bytes, always."""

    def head(self) -> bytes:
        """What stands before the first entry."""

    def entry(self, booked: BookedEntry) -> bytes:
        """One entry."""


class CsvLayout:
    """Comma-separated, UTF-8, a header line; amounts in major units with a decimal point, debit and credit apart."""

    def __init__(self, numbers: AccountMap) -> None:
        self._numbers = numbers

    def head(self) -> bytes:
        return csv_bytes([COLUMNS])

    def entry(self, booked: BookedEntry) -> bytes:
        draft = booked.entry
        return csv_bytes(
            (
                booked.number,
                n,
                booked.booked_on,
                draft.fact_on,
                draft.fact,
                draft.document,
                posting.document,
                posting.due_on,
                posting.account.kind,
                posting.account.owner,
                self._numbers.number(posting.account),
                Money(posting.amount_minor, posting.currency).text if posting.amount_minor > 0 else None,
                Money(-posting.amount_minor, posting.currency).text if posting.amount_minor < 0 else None,
                posting.currency,
                draft.text,
                draft.reverses,
                draft.key,
            )
            for n, posting in enumerate(draft.postings, start=1)
        )


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows of cells; None is empty."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
