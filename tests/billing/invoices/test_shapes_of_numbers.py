"""No two series of a seller can ever give the same number."""

from __future__ import annotations

from datetime import date
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import Refused
from billing.invoices import service
from billing.invoices.document import DocumentForm, DocumentKind
from billing.invoices.numbering import DEFAULTS, could_meet, mistake_in_pattern, number_of, year_of
from tests.billing.invoices.books import Books

INVOICE, CREDIT_NOTE = DocumentKind.INVOICE, DocumentKind.CREDIT_NOTE
FULL = DocumentForm.FULL
SHAPES = st.builds(
    "{}{}{}{}".format,
    st.text("R12", max_size=2), st.sampled_from(["", "{year}-", "{year}2"]), st.text("-2", max_size=1),
    st.sampled_from(["{n}", "{n:2}", "{n:6}"]),
).filter(lambda shape: mistake_in_pattern(shape) is None)  # fmt: skip


async def give(books: Books, pattern: str, kind: DocumentKind = INVOICE, form: DocumentForm = FULL) -> None:
    async with books.pool.acquire() as connection:
        await service.set_pattern(
            connection, "north", kind, form, pattern, now=books.clock.now, actor="ada", reason="ours"
        )


def test_the_usual_shapes_never_meet() -> None:
    assert not [pair for pair in combinations(DEFAULTS.values(), 2) if could_meet(*pair)]


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("R{year}-{n}", "R{year}-{n:6}", True),
        ("R{year}-{n}", "R2026-{n}", True),
        ("R{year}-{n}", "R26-{n}", False),
        ("R{n}", "R1{n}", True),
        ("R{n}", "R{year}-{n}", False),
        ("1{n:6}", "2{n:6}", False),
        ("{n}", "C{year}-{n:6}", False),
    ],
)
def test_shapes_meet_where_a_number_could_fit_both(one: str, other: str, meet: bool) -> None:
    assert could_meet(one, other) is could_meet(other, one) is meet


@given(st.tuples(SHAPES, SHAPES), st.tuples(st.integers(2020, 2040), st.integers(2020, 2040)), st.data())
def test_shapes_that_do_not_meet_give_no_number_twice(
    shapes: tuple[str, str], years: tuple[int, int], data: st.DataObject
) -> None:
    if could_meet(*shapes):
        return
    given_numbers = [
        number_of(shape, year_of(shape, date(year, 1, 1)), data.draw(st.integers(1, 10**7)))
        for shape, year in zip(shapes, years, strict=True)
    ]

    assert given_numbers[0] != given_numbers[1]


@pytest.mark.parametrize(
    ("pattern", "whose"),
    [
        ("C{year}-{n:6}", "series full credit_note of north, whose shape is C{year}-{n:6}"),
        ("C{year}-{n}", "series full credit_note of north, whose shape is C{year}-{n:6}"),
        ("C2026-{n}", "series full credit_note of north, whose shape is C{year}-{n:6}"),
        ("B{year}-{n:3}", "series simplified invoice of north, whose shape is B{year}-{n:6}"),
    ],
)
async def test_a_shape_whose_numbers_another_series_has_without_anybody_saying_so_is_refused(
    books: Books, pattern: str, whose: str
) -> None:
    with pytest.raises(Refused) as refused:
        await give(books, pattern)

    assert whose in str(refused.value)


async def test_what_was_said_for_another_series_counts_in_place_of_what_is_usual(books: Books) -> None:
    await give(books, "N{n:4}", CREDIT_NOTE)
    await give(books, "C{year}-{n:6}")
    with pytest.raises(Refused, match="series full credit_note of north"):
        await give(books, "N{n}", form=DocumentForm.SIMPLIFIED)


async def test_a_series_that_has_begun_keeps_its_numbers_from_others_and_from_itself(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run()
    await give(books, "R{year}-{n:4}")
    await give(books, "INV{year}-{n:4}")
    with pytest.raises(Refused, match="series full invoice of north, whose shape is R2026-"):
        await give(books, "R{year}-{n}", CREDIT_NOTE)
    with pytest.raises(Refused, match="series full invoice of north, whose shape is R2026-"):
        await give(books, "R2026-{n}")
