"""The measurements of the ledger run to their end; how good the figures are is no matter of a test."""

from __future__ import annotations

from tests.bench.ledger import measure


async def test_every_step_of_the_ledger_has_its_figure() -> None:
    figures = await measure(entries=30, batch=7, connections=2, directory=None)

    assert (figures["entries"], figures["by connections"]) == (30, 2)
    assert len([name for name in figures if name.endswith(": s")]) == 6
