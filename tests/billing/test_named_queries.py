"""The reader of queries.sql files."""

from __future__ import annotations

import pytest

from billing import Queries, QueriesInvalid

TEXT = """
-- Statements about parcels.

-- name: parcel
-- One parcel; `:id` in a comment is no parameter.
SELECT id::text, ':not_me', "a:b" FROM parcel WHERE id = :id AND owner = :owner OR giver = :owner;

-- name: count
SELECT count(*) FROM parcel
"""


def test_named_parameters_become_numbered_in_order_of_appearance() -> None:
    text, *arguments = Queries(TEXT).bind("parcel", owner="ada", id=7)

    assert arguments == [7, "ada"]
    assert text.endswith("""SELECT id::text, ':not_me', "a:b" FROM parcel WHERE id = $1 AND owner = $2 OR giver = $2""")


def test_missing_and_superfluous_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="parcel takes"):
        Queries(TEXT).bind("parcel", id=7)
    with pytest.raises(TypeError, match="count takes"):
        Queries(TEXT).bind("count", id=7)


def test_queries_are_a_mapping_by_name() -> None:
    assert list(Queries(TEXT)) == ["parcel", "count"]
    assert len(Queries(TEXT)) == 2


@pytest.mark.parametrize(
    "text", ["SELECT 1", "SELECT 1\n-- name: a\nSELECT 2", "-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "-- name: a\n"]
)
def test_statements_without_a_name_or_with_the_same_are_refused(text: str) -> None:
    with pytest.raises(QueriesInvalid):
        Queries(text)
