"""What every test of invoices starts from: a seller in Hamburg, its depot, a tariff of 0.50 a kWh with 19 % in it."""

from __future__ import annotations

import asyncpg
import pytest

from tests.billing.invoices.books import Books


@pytest.fixture
async def books(pool: asyncpg.Pool) -> Books:
    books = Books(pool)
    await books.open()
    return books
