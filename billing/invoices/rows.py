"""What commands print of documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.invoices.document import Document, Line
from billing.invoices.document_json import document_to_json
from billing.invoices.store import Issued
from billing.money import Money

COLUMNS = (
    "number",
    "kind",
    "form",
    "account",
    "issued_on",
    "due_on",
    "net",
    "tax",
    "gross",
    "currency",
    "corrects",
    "seller",
)


def listed_row(row: Mapping[str, Any]) -> dict[str, object]:
    """A document in a list."""
    currency = row["currency"]
    return {
        "number": row["number"],
        "kind": row["kind"],
        "form": row["form"],
        "account": row["account"],
        "issued_on": row["issued_on"],
        "due_on": row["due_on"],
        **{name: Money(row[f"{name}_minor"], currency).text for name in ("net", "tax", "gross")},
        "currency": currency,
        "corrects": row["corrects"],
        "seller": row["seller"],
    }


def short_row(document: Document) -> dict[str, object]:
    """A document that was just made."""
    return {
        "number": document.number or None,
        "kind": document.kind,
        "form": document.form,
        "account": document.account,
        "issued_on": document.issued_on,
        "due_on": document.due_on,
        "net": document.money(document.net_minor).text,
        "tax": document.money(document.tax_minor).text,
        "gross": document.money(document.gross_minor).text,
        "currency": document.currency,
        "corrects": None if document.corrects is None else document.corrects.number,
    }


def document_row(issued: Issued, left: Mapping[int, int]) -> dict[str, object]:
    """A document with its lines. `creditable`: what of each line can still be credited, in the terms of its tax mode."""
    document = issued.document
    whole = document_to_json(document)
    return {
        **short_row(document),
        "seller": issued.seller,
        "issued_at": issued.issued_at,
        "actor": issued.actor,
        "reason": issued.reason,
        "due": document.money(document.due_minor).text,
        "days": list(document.days),
        "tax_mode": document.tax_mode,
        "language": document.language,
        "from": whole["seller"],
        "to": whole["buyer"],
        "lines": [_line_row(document, line, left.get(line.position)) for line in document.lines],
        "taxes": [
            {
                "category": group.tax.category,
                "rate": group.tax.rate,
                "net": document.money(group.net_minor).text,
                "tax": document.money(group.tax_minor).text,
                "note": group.tax.note,
            }
            for group in document.tax_groups
        ],
        "hash": issued.hash,
    }


def _line_row(document: Document, line: Line, left: int | None) -> dict[str, object]:
    return {
        "position": line.position,
        "name": line.name,
        "quantity": line.quantity,
        "unit": line.unit,
        "net": document.money(line.net_minor).text,
        "tax": document.money(line.tax_minor).text,
        "gross": document.money(line.gross_minor).text,
        "rate": line.tax.rate,
        "discount": document.money(line.discount_minor).text if line.discount_minor else None,
        "creditable": None if left is None else document.money(left).text,
        "source": line.source,
    }
