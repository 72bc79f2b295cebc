"""Migrations do nothing that the server of the release before would notice, or everybody would have to wait for."""

from __future__ import annotations

import pytest

from csms.database.migration import ONLINE_SINCE, Migration, own_migrations
from tests.csms.database.migration_rules import examine, unexcused

STOCK = Migration(
    version=0,
    name="stock",
    sql="""
    CREATE TABLE stock (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, pieces int,
                        price numeric NOT NULL DEFAULT 0);
    CREATE FUNCTION worth(pieces int) RETURNS int LANGUAGE sql RETURN pieces * 2;
    """,
)


def candidate(sql: str) -> Migration:
    return Migration(version=ONLINE_SINCE + 1, name="candidate", sql=sql)


async def findings(dsn: str, sql: str) -> list[str]:
    found = await examine(dsn, [STOCK], [candidate(sql)])
    return [f"{each.kind} on {each.target}" for each in found[candidate(sql).label]]


async def test_every_migration_from_now_on_keeps_to_the_rules(empty_database: str) -> None:
    own = own_migrations()
    bound = [each for each in own if each.version >= ONLINE_SINCE]

    found = await examine(empty_database, [each for each in own if each.version < ONLINE_SINCE], bound)

    told = {each.label: unexcused(each, found[each.label]) for each in bound}
    assert {label: lines for label, lines in told.items() if lines} == {}


async def test_the_rules_find_what_an_older_migration_did(empty_database: str) -> None:
    own = own_migrations()

    found = await examine(empty_database, own[:20], own[20:21])

    assert [(each.kind, each.target) for each in found["0020_unused_reservations"]] == [
        ("added_constraint", "session.session_has_one_cause"),
        ("added_constraint", "session.session_reservation_fkey"),
        ("added_constraint", "session.session_reservation_key"),
    ]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DROP TABLE stock", ["dropped_table on stock"]),
        ("ALTER TABLE stock DROP COLUMN pieces", ["dropped_column on stock.pieces"]),
        ("ALTER TABLE stock RENAME COLUMN pieces TO count", ["dropped_column on stock.pieces"]),
        (
            "ALTER TABLE stock ALTER COLUMN pieces TYPE bigint",
            ["changed_type on stock.pieces", "rewritten_table on stock"],
        ),
        ("ALTER TABLE stock ADD COLUMN place text NOT NULL", ["required_column on stock.place"]),
        ("ALTER TABLE stock ALTER COLUMN pieces SET NOT NULL", ["required_column on stock.pieces"]),
        ("ALTER TABLE stock ALTER COLUMN price DROP DEFAULT", ["required_column on stock.price"]),
        ("ALTER TABLE stock ADD COLUMN at timestamptz DEFAULT clock_timestamp()", ["rewritten_table on stock"]),
        ("ALTER TABLE stock ADD CONSTRAINT few CHECK (pieces > 0)", ["added_constraint on stock.few"]),
        ("CREATE INDEX stock_name ON stock (name)", ["added_index on stock.stock_name"]),
        (
            "CREATE UNIQUE INDEX stock_name ON stock (name)",
            ["added_constraint on stock.stock_name", "added_index on stock.stock_name"],
        ),
        ("UPDATE stock SET pieces = 0 WHERE pieces IS NULL", ["changed_rows on stock"]),
        ("DELETE FROM stock", ["changed_rows on stock"]),
        ("LOCK TABLE stock", ["changed_rows on stock"]),
        ("DO $$ BEGIN PERFORM 1; END $$", ["opaque_block on DO"]),
        ("DROP FUNCTION worth(int)", ["dropped_function on worth(integer)"]),
        (
            "-- outside a transaction\nALTER TABLE stock ADD COLUMN place text",
            ["not_repeatable on ALTER"],
        ),
    ],
)
async def test_what_others_would_notice_or_wait_for_is_found(
    empty_database: str, sql: str, expected: list[str]
) -> None:
    assert await findings(empty_database, sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE stock ADD COLUMN place text",
        "ALTER TABLE stock ADD COLUMN place text NOT NULL DEFAULT 'here'",
        "ALTER TABLE stock ALTER COLUMN name DROP NOT NULL",
        "-- outside a transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS stock_name ON stock (name)",
        "CREATE TABLE shelf (id int, stock bigint REFERENCES stock); CREATE INDEX shelf_id ON shelf (id)",
        "CREATE TABLE shelf (id int PRIMARY KEY); UPDATE shelf SET id = 1",
        "CREATE FUNCTION worth(pieces int, price int) RETURNS int LANGUAGE sql RETURN pieces * price",
    ],
)
async def test_what_nobody_notices_is_not_found(empty_database: str, sql: str) -> None:
    assert await findings(empty_database, sql) == []


async def test_a_finding_is_excused_in_the_file_with_a_reason(empty_database: str) -> None:
    sql = "-- allows added_index on stock.stock_name: it has ten rows\nCREATE INDEX stock_name ON stock (name)"
    found = (await examine(empty_database, [STOCK], [candidate(sql)]))[candidate(sql).label]

    assert unexcused(candidate(sql), found) == []
    assert "CONCURRENTLY" in unexcused(candidate(sql.replace(": it has ten rows", ":")), found)[0]
    assert unexcused(candidate(sql), []) == ["nothing is there to allow: added_index on stock.stock_name"]


async def test_what_a_release_no_longer_uses_is_dropped_by_a_later_one_that_says_so(empty_database: str) -> None:
    sql = f"-- needs code {ONLINE_SINCE:04}: nobody writes it since\nALTER TABLE stock DROP COLUMN pieces"
    found = (await examine(empty_database, [STOCK], [candidate(sql)]))[candidate(sql).label]

    assert unexcused(candidate(sql), found) == []
    itself = candidate(sql.replace(f"{ONLINE_SINCE:04}", f"{ONLINE_SINCE + 1:04}"))
    assert unexcused(itself, found) != []
    assert unexcused(candidate(sql), []) == ["nothing is there that needs newer code"]
