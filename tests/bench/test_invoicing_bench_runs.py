"""The measurement of the invoice run comes to its end; how good the figures are is no matter of a test."""

from __future__ import annotations

from tests.bench.invoicing import measure


async def test_a_month_is_invoiced_and_has_its_figures() -> None:
    figures = await measure(customers=5, bills=3, workers=2, directory=None)

    assert (figures["documents"], figures["bills"]) == (5, 15)
    assert figures["documents/s"]
