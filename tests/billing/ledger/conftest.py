"""What every test of the ledger starts from."""

from __future__ import annotations

import asyncpg
import pytest

from tests.billing.ledger.books import OTHER, SELLER, Books


@pytest.fixture
async def books(pool: asyncpg.Pool) -> Books:
    """Two sellers and nothing booked."""
    await pool.execute(
        'INSERT INTO seller (id, details) SELECT unnest($1::text[]), \'{"party": {"name": "Example", "address": null}}\'',
        [SELLER, OTHER],
    )
    return Books(pool)
