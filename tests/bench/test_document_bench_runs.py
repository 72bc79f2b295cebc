"""The measurements of documents run to their end; how good the figures are is no matter of a test."""

from __future__ import annotations

from tests.bench.documents import cases


def test_every_document_case_has_its_figure() -> None:
    figures = cases(seconds=0.01)

    assert len(figures) == 4
    assert all(figure > 0 for figure in figures.values())
