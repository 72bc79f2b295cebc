"""A bill is never changed: an operator's act puts a correction in its place, and says who, why and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from billing.bills import history
from billing.bills.rerating import Rerated, TariffChoice, rerate
from billing.bills.service import BillingService
from billing.errors import AlreadyDone, NotFound, Refused
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import NOON, TableSource, World, tariff_file


@dataclass
class Operator:
    world: World
    source: TableSource
    clock: Clock

    async def rerates(
        self, session: int, choice: TariffChoice | None = None, *, reason: str = "asked for", stays: bool = True
    ) -> Rerated:
        async with self.world.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                return await rerate(
                    connection, self.source, session, now=self.clock.now, reason=reason, actor="ada", choice=choice
                )
            finally:
                await (transaction.commit() if stays else transaction.rollback())

    async def flags(self, session: int) -> list[str]:
        return list((await self.world.rating(session))["flags"])


@pytest.fixture
def operator(world: World, source: TableSource, clock: Clock) -> Operator:
    return Operator(world, source, clock)


async def test_facts_that_came_late_are_billed_by_a_correction_that_names_the_bill(
    world: World, billing: BillingService, operator: Operator
) -> None:
    await world.tariff(tariff_file(price="0.50"))
    session = await world.session(energy_wh=10_000)
    await billing.drain()
    await world.change(session, energy_wh=Decimal(12_000))
    await billing.drain()
    late = await operator.flags(session)

    tried = await operator.rerates(session, stays=False)
    bills_then = await world.bills(session)
    done = await operator.rerates(session, reason="the readings of the tunnel")
    await world.tell_billing(session)
    await billing.drain()

    assert late == ["late_fact"]
    assert bills_then == [("final", 1, "5.00")]
    assert (tried.difference.text, done.difference.text) == ("1.00", "1.00")
    assert (done.after.kind, done.after.corrects, done.after.total_incl.text) == ("correction", 1, "6.00")
    assert await world.bills(session) == [("final", 1, "5.00"), ("correction", 2, "6.00")]
    assert await operator.flags(session) == []
    async with world.pool.acquire() as connection:
        [act] = await history.reratings_of(connection, session)
        explained = await history.explain_bill(connection, session, None)
    assert (act["seq"], act["corrects"], act["reason"], act["actor"]) == (2, 1, "the readings of the tunnel", "ada")
    assert explained.bill.seq == 2


async def test_a_correction_may_be_corrected_in_its_turn_and_a_bill_only_once(
    world: World, billing: BillingService, operator: Operator
) -> None:
    await world.tariff(tariff_file("day", "0.50"))
    await world.tariff(tariff_file("night", "0.30"), default=False)
    session = await world.session(energy_wh=10_000)
    await billing.drain()

    down = await operator.rerates(session, ("night", None))
    with pytest.raises(AlreadyDone):
        await operator.rerates(session, ("night", 1))
    with pytest.raises(AlreadyDone):
        await operator.rerates(session)  # by the tariff that it has now
    up = await operator.rerates(session, ("day", 1))

    assert (down.difference.text, up.difference.text) == ("-2.00", "2.00")
    assert [each.after.corrects for each in (down, up)] == [1, 2]
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.pool.execute(
            "INSERT INTO bill SELECT session, 9, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor,"
            " total_incl_minor, total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version,"
            " engine_version, inputs_hash, inputs, detail, corrects, created_at FROM bill WHERE session = $1 AND seq = 2",
            session,
        )


async def test_a_session_that_had_no_tariff_gets_its_final_bill_by_the_one_that_is_named(
    world: World, billing: BillingService, operator: Operator
) -> None:
    session = await world.session(energy_wh=10_000)
    await billing.drain()
    held = (await world.rating(session))["holds"]
    await world.tariff(tariff_file("night", "0.30"), default=False)

    with pytest.raises(Refused, match="has no tariff"):
        await operator.rerates(session)
    done = await operator.rerates(session, ("night", None))

    assert held == ["no_tariff"]
    assert (done.before, done.difference.text) == (None, "3.00")
    assert await world.bills(session) == [("final", 1, "3.00")]
    assert (await world.rating(session))["holds"] == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"ended_at": None, "complete_at": None}, "is running"),
        ({"complete_at": NOON + timedelta(days=30)}, "waits for facts"),
        ({"holds": ["energy_over_power"]}, "is held: energy_over_power"),
        ({"token": None}, "never both known"),
    ],
)
async def test_what_may_not_be_billed_is_not_rated_anew(
    world: World, billing: BillingService, operator: Operator, given: dict[str, Any], why: str
) -> None:
    await world.tariff(tariff_file())
    session = await world.session(**given)
    await billing.drain()
    before = await world.bills(session)

    with pytest.raises(Refused, match=why):
        await operator.rerates(session, ("day", None))

    assert await world.bills(session) == before


async def test_what_is_named_must_exist_and_be_in_the_currency_of_the_site(
    world: World, billing: BillingService, operator: Operator
) -> None:
    await world.tariff(tariff_file())
    await world.tariff(tariff_file("francs", currency="CHF"), default=False)
    session = await world.session()
    await billing.drain()

    for missing in ((4711, None), (session, ("nothing", None)), (session, ("day", 9))):
        with pytest.raises(NotFound):
            await operator.rerates(*missing)
    with pytest.raises(Refused, match="in CHF"):
        await operator.rerates(session, ("francs", None))
    with pytest.raises(Refused, match="reason"):
        await operator.rerates(session, reason=" ")
