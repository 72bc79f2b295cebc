"""Every statement of every queries.sql is one that the migrated database understands."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from csms.database.sql import Queries

ROOT = Path(__file__).parents[3]
QUERY_FILES = sorted(path for package in ("csms", "billing") for path in (ROOT / package).rglob("queries.sql"))


@pytest.mark.parametrize("path", QUERY_FILES, ids=lambda path: str(path.relative_to(ROOT)))
async def test_every_named_statement_can_be_prepared(path: Path, database: str) -> None:
    # As the owner: some statements of the database room are not for the application.
    connection = await asyncpg.connect(database)
    refused: dict[str, str] = {}
    try:
        for query in _queries(path).values():
            try:
                await connection.prepare(query.sql)
            except asyncpg.PostgresError as error:
                refused[query.name] = str(error)
    finally:
        await connection.close()

    assert refused == {}


def _queries(path: Path) -> Queries:
    return Queries.parse(path.read_text(), source=str(path.relative_to(ROOT)))
