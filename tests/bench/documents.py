"""How fast documents are made, on one core and without a database: python -m tests.bench.documents."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count

from billing.documents.samples import SampleKind, sample, sample_brand
from billing.documents.typst_pdf import Typesetter
from billing.invoices.document import Document
from tests.bench.rating import per_s


def ten_plain_lines() -> Document:
    """One page: ten lines without sessions, and a code to pay by."""
    document = sample(SampleKind.INVOICE, "de")
    fee = document.lines[-1]
    lines = tuple(replace(fee, position=n, source=f"item:{n}", name=f"Posten {n}") for n in range(1, 11))
    return replace(document, lines=lines)


def cases(*, seconds: float) -> dict[str, float]:
    """PDFs per second of CPU time; no two have the same number, so that nothing is taken from a cache."""
    typesetter, brand = Typesetter(), sample_brand("de")
    found: dict[str, float] = {}
    for name, document in (
        ("receipt of one session", sample(SampleKind.RECEIPT, "de")),
        ("ten lines on one page", ten_plain_lines()),
        ("six sessions and a fee on one page", sample(SampleKind.INVOICE, "de")),
        ("sixty sessions in groups on six pages", sample(SampleKind.FLEET, "de")),
    ):
        numbers = count()
        found[f"PDF/A-3b, {name}: per core s"] = per_s(
            lambda document=document, numbers=numbers: typesetter.pdf(
                replace(document, number=f"RE-{next(numbers)}"), brand
            ),
            seconds=seconds,
        )
    return found


if __name__ == "__main__":
    for name, figure in cases(seconds=3).items():
        sys.stdout.write(f"{name:64}{figure:12.4g}\n")
