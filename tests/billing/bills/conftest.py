"""What every test of bills starts from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import pytest

from billing.bills.bill import CommittedBill
from billing.bills.service import BillingService, BillingSettings
from tests.billing.bills.world import NOON, TableSource, World


@dataclass
class Clock:
    """The time that the service sees."""

    now: datetime = NOON + timedelta(hours=2)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> TableSource:
    return TableSource()


@pytest.fixture
def announced() -> list[CommittedBill]:
    return []


@pytest.fixture
async def world(pool: asyncpg.Pool) -> World:
    """A site and a charge point in euros, no tariff yet."""
    world = World(pool)
    await world.site()
    await world.charge_point()
    return world


@pytest.fixture
def billing(world: World, source: TableSource, clock: Clock, announced: list[CommittedBill]) -> BillingService:
    settings = BillingSettings(sweep_interval_s=0.01, batch_size=20)
    return BillingService(world.pool, source, settings, on_bill=announced.append, clock=clock)
