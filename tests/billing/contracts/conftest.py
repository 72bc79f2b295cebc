"""What every test of contracts starts from."""

from __future__ import annotations

import asyncpg
import pytest

from tests.billing.contracts.contract_world import ContractWorld


@pytest.fixture
async def world(pool: asyncpg.Pool) -> ContractWorld:
    """A customer of one seller, in Berlin, and a plan of 29.90 a month in advance."""
    world = ContractWorld(pool)
    await world.account()
    await world.plan()
    return world
