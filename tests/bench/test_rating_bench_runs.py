"""The measurements of rating run to their end; how good the figures are is no matter of a test."""

from __future__ import annotations

from tests.bench.rating import cases


def test_every_rating_case_has_its_figure() -> None:
    figures = cases(seconds=0.01)

    assert len(figures) == 8
    assert all(figure > 0 for figure in figures.values())
