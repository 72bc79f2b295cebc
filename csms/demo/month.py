"""The closed month of the demo as a person sees it, and whether it is what was worked out by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from billing import ClosedMonth
from csms.demo.world import FLEET, PRIVATE

DOCUMENTS: Final = (
    (PRIVATE, "invoice", "17.49"),  # 3 x 5.83, and the session that cost nothing
    (FLEET, "invoice", "12.85"),  # without tax 5.90 + 4.90 = 10.80; x 0.19 = 2.052
    (None, "invoice", "3.21"),
    (None, "invoice", "1.17"),
    (PRIVATE, "credit_note", "1.00"),
)
"""To whom, what, and how much with tax."""
BALANCES: Final = {
    ("receivable", ""): "4.38",  # 3.21 + 1.17
    ("receivable", PRIVATE): "16.49",  # 17.49 - 1.00
    ("receivable", FLEET): "12.85",
    ("revenue", "session:DE:S:19"): "-28.34",  # 14.70 + 10.80 + 2.70 + 0.98 - 0.84
    ("tax_payable", "DE:S:19"): "-5.38",  # 2.79 + 2.05 + 0.51 + 0.19 - 0.16
}


def problems(closed: ClosedMonth) -> list[str]:
    """Where the books are not what they must be; all of it."""
    documents = [(row["account"], str(row["kind"]), row["gross"]) for row in closed.documents]
    booked = {(str(row["account"]), row["owner"]): row["balance"] for row in closed.balances}
    found = [*closed.left_out, *closed.findings]
    if Counter(documents) != Counter(DOCUMENTS):  # receipts go by the order in which the sessions came
        found.append(f"the documents are {documents}, not {DOCUMENTS}")
    if booked != BALANCES:
        found.append(f"the balances are {booked}, not {BALANCES}")
    return found


def picture(closed: ClosedMonth) -> Group:
    """The documents, the ledger and the lock."""
    return Group(
        Text(
            f"The operator of the demo sells to {PRIVATE}, a private customer, and to {FLEET}, a fleet; others get receipts."
        ),
        Text(),
        _table(
            f"Invoices, receipts and a credit note of {closed.month:%B %Y}, in EUR", [*map(_named, closed.documents)],
            {"number": "number", "what": "what", "to": "account", "issued on": "issued_on", "corrects": "corrects"},
            {"net": "net", "tax": "tax", "gross": "gross"},
        ),
        Text(),
        _table(
            f"Trial balance at the end of {closed.month:%B %Y}, in EUR", [*closed.balances, _sums(closed.balances)],
            {"account": "account", "of": "owner"}, {"debit": "debit", "credit": "credit", "balance": "balance"},
        ),
        Text(),
        Text(_lock(closed)),
        Text("\nOn paper (PDF/A-3):"),
        *(Text(f"  {path}", overflow="fold") for path in closed.papers),
    )  # fmt: skip


def _table(
    title: str, rows: Sequence[Mapping[str, object]], words: Mapping[str, str], figures: Mapping[str, str]
) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in words:
        table.add_column(name)
    for name in figures:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(_cell(row[field]) for field in (*words.values(), *figures.values())))
    return table


def _named(row: Mapping[str, object]) -> Mapping[str, object]:
    """With what people call it: an invoice without a customer is a receipt."""
    is_receipt = row["kind"] == "invoice" and row["form"] == "simplified"
    return {**row, "what": "receipt" if is_receipt else str(row["kind"]).replace("_", " ")}


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _sums(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, object]:
    """The last line: what was debited was credited."""
    sums = {name: sum((Decimal(row[name]) for row in rows), Decimal(0)) for name in ("debit", "credit", "balance")}
    return {"account": "together", "owner": "", **sums}


def _lock(closed: ClosedMonth) -> str:
    done = sum(row["state"] == "done" for row in closed.checks)
    waiting = [f"{row['check']} ({row['open']}) may wait" for row in closed.checks if row["state"] != "done"]
    return (
        f"{', '.join([f'{closed.month:%B %Y} is locked: {done} of {len(closed.checks)} checks are done', *waiting])}.\n"
        "What comes to be known of it later is booked in the first open month, with its own date."
    )
