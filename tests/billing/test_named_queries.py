"""The reader of queries.sql files."""

from __future__ import annotations

import pytest

from billing import Queries, QueryFileInvalid

TEXT = """
-- Statements about parcels.

-- name: parcel
-- One parcel; `:id` in a comment is no parameter.
SELECT id::text, ':not_me', "a:b" FROM parcel WHERE id = :id AND owner = :owner OR giver = :owner;

-- name: count
-- How many there are.
SELECT count(*) FROM parcel
"""


def test_named_parameters_become_numbered_in_order_of_appearance() -> None:
    query = Queries.parse(TEXT, source="test").parcel

    assert query.args({"owner": "ada", "id": 7}) == [7, "ada"]
    assert query.purpose == "One parcel; `:id` in a comment is no parameter."
    assert query.sql.startswith("""SELECT id::text, ':not_me', "a:b" FROM parcel WHERE id = $1 AND owner = $2 OR gi""")


def test_missing_and_superfluous_arguments_are_refused() -> None:
    queries = Queries.parse(TEXT, source="test")

    with pytest.raises(TypeError, match="parcel: missing"):
        queries.parcel.args({"id": 7})
    with pytest.raises(TypeError, match="unknown parameters"):
        queries["count"].args({"id": 7})


def test_queries_are_a_mapping_by_name() -> None:
    queries = Queries.parse(TEXT, source="test")

    assert list(queries) == ["parcel", "count"]
    with pytest.raises(AttributeError, match="no query is named 'letter'"):
        _ = queries.letter


@pytest.mark.parametrize(
    "text",
    [
        "-- name: a\n-- One.\nSELECT 1\n-- name: a\n-- Two.\nSELECT 2",
        "-- name: a\n-- No statement.\n",
        "-- name: a\nSELECT 'no purpose'",
        "-- name: two-words\n-- Bad name.\nSELECT 1",
    ],
)
def test_a_block_needs_its_own_name_a_purpose_and_a_statement(text: str) -> None:
    with pytest.raises(QueryFileInvalid, match="test"):
        Queries.parse(text, source="test")
