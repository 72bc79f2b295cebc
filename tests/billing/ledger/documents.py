"""Documents for tests of the ledger: valid unless the test says otherwise."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from billing.invoices.document import (
    Address,
    Document,
    DocumentForm,
    DocumentKind,
    Line,
    LineKind,
    Party,
    Reference,
    Tax,
    TaxGroup,
    TaxMode,
)

STANDARD = Tax("S", Decimal(19))
ISSUED = date(2026, 3, 31)
ACME = Party(name="Acme Charging GmbH", address=Address(street="Sample Way 1", city="Sampletown", country="DE"))


def line(net: int, tax: int, kind: LineKind = LineKind.SESSION, of: Tax = STANDARD, position: int = 1) -> Line:
    return Line(
        position=position, kind=kind, source=f"{kind}:{position}", name="Charging", quantity=Decimal(1), unit="C62",
        unit_price=None, tax=of, net_minor=net, tax_minor=tax, gross_minor=net + tax,
    )  # fmt: skip


def document(*lines: Line, groups: tuple[TaxGroup, ...] | None = None, **more: Any) -> Document:
    """An invoice with these lines; its tax groups are their sums unless they are given."""
    lines = lines or (line(1000, 190),)
    if groups is None:
        taxes = sorted({each.tax for each in lines}, key=lambda tax: tax.order)
        groups = tuple(
            TaxGroup(
                tax=tax,
                net_minor=sum(each.net_minor for each in lines if each.tax == tax),
                tax_minor=sum(each.tax_minor for each in lines if each.tax == tax),
            )
            for tax in taxes
        )
    given: dict[str, Any] = {
        "kind": DocumentKind.INVOICE, "form": DocumentForm.FULL, "number": "R-2026-000017", "issued_on": ISSUED,
        "days": (date(2026, 3, 1), ISSUED), "currency": "EUR", "tax_mode": TaxMode.SUM_THEN_ROUND, "language": "en",
        "seller": ACME, "buyer": Party(name="Ada Example", address=None), "due_on": date(2026, 4, 14), "account": "C-1",
        **more,
    }  # fmt: skip
    return Document(lines=lines, tax_groups=groups, **given)


def credit_note(*lines: Line, number: str = "CN-1", corrects: str = "R-2026-000017", **more: Any) -> Document:
    given: dict[str, Any] = {"due_on": None, **more}
    return document(
        *lines,
        kind=DocumentKind.CREDIT_NOTE,
        number=number,
        corrects=Reference(number=corrects, issued_on=ISSUED),
        **given,
    )
