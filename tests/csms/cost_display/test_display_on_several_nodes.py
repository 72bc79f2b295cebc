"""Bills of one session are made on whatever node comes first: each is shown once, and none after a newer one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from billing import BillingService, BillingSettings, CommittedBill
from csms.cost_display.display import Display
from csms.protocol.vocabulary import Command, Outcome, ShowCost
from tests.billing.bills.world import NOON, TableSource, World, tariff_file

NODES = 3
ACCEPTED = Outcome(accepted=True, status="Accepted")


class Node:
    """Billing and display of one node; what it shows stands in `shown`, which all nodes share."""

    def __init__(self, pool: asyncpg.Pool, shown: list[Decimal]) -> None:
        self._shown = shown
        self.bills: list[CommittedBill] = []
        self.display = Display(pool, self._send)
        self.billing = BillingService(
            pool, TableSource(), BillingSettings(), on_bill=self.bills.append, clock=lambda: NOON + timedelta(hours=2)
        )

    async def _send(self, _charge_point: str, command: Command) -> Outcome:
        assert isinstance(command, ShowCost)
        self._shown.append(command.total_cost)
        return ACCEPTED

    def show_bills(self) -> None:
        for each in self.bills:
            self.display.show(each.bill.session, each.bill.seq)
        self.bills.clear()


@pytest.fixture
def shown() -> list[Decimal]:
    return []


@pytest.fixture
async def nodes(pool: asyncpg.Pool, shown: list[Decimal]) -> AsyncIterator[list[Node]]:
    made = [Node(pool, shown) for _ in range(NODES)]
    running = [asyncio.create_task(each.display.run()) for each in made]
    yield made
    for each in running:
        each.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await each


@pytest.fixture
async def world(pool: asyncpg.Pool) -> World:
    made = World(pool)
    await made.site()
    await made.charge_point()
    await made.tariff(tariff_file(price="0.50"))
    await pool.execute(
        "INSERT INTO socket (id, charge_point, node, protocol, opened_at) "
        "VALUES (gen_random_uuid(), 'CP-1', gen_random_uuid(), 'ocpp2.0.1', now())"
    )
    return made


async def settled(nodes: list[Node]) -> None:
    async with asyncio.timeout(10):
        while any(each.display._waiting or each.display._being_shown for each in nodes):  # noqa: ASYNC110 - they do not call
            await asyncio.sleep(0.01)


async def test_a_bill_is_shown_once_however_many_nodes_look_for_work(
    world: World, nodes: list[Node], shown: list[Decimal]
) -> None:
    session = await world.session(energy_wh=10_000)
    await world.tell_billing(*[session] * 5)

    await asyncio.gather(*(each.billing.drain() for each in nodes))
    for each in nodes:
        each.show_bills()
    await settled(nodes)

    assert await world.bills(session) == [("final", 1, "5.00")]
    assert shown == [Decimal("5.00")]


async def test_a_node_that_is_late_with_its_bill_leaves_the_display_to_the_newer_one(
    world: World, nodes: list[Node], shown: list[Decimal]
) -> None:
    session = await world.running(energy_wh=5_000)
    await nodes[0].billing.drain()
    await world.change(
        session, ended_at=NOON + timedelta(hours=1), complete_at=NOON + timedelta(hours=1), energy_wh=10_000
    )
    await nodes[1].billing.drain()
    for node in (nodes[1], nodes[0]):  # the older bill is announced last
        node.show_bills()
        await settled(nodes)

    assert [kind for kind, _, _ in await world.bills(session)] == ["interim", "final"]
    assert shown == [Decimal("5.00")]


async def test_a_final_cost_is_told_once_though_every_node_wants_to(
    world: World, nodes: list[Node], shown: list[Decimal]
) -> None:
    session = await world.session(energy_wh=10_000)
    await world.tell_billing(session)
    await nodes[0].billing.drain()
    for each in nodes:
        each.display.show(session, 1)
    await settled(nodes)

    assert shown == [Decimal("5.00")]


async def test_a_final_cost_that_no_socket_took_may_be_told_by_the_next_node(
    world: World, pool: asyncpg.Pool, shown: list[Decimal]
) -> None:
    session = await world.session(energy_wh=10_000)
    await world.tell_billing(session)
    outcomes = [Outcome(accepted=False, status="offline", unsent=True), ACCEPTED]

    async def send(_charge_point: str, command: Command) -> Outcome:
        assert isinstance(command, ShowCost)
        shown.append(command.total_cost)
        return outcomes[len(shown) - 1]

    await Node(pool, shown).billing.drain()
    for _ in range(3):
        display = Display(pool, send)
        task = asyncio.create_task(display.run())
        display.show(session, 1)
        async with asyncio.timeout(10):
            while display._waiting or display._being_shown:  # noqa: ASYNC110 - it does not call
                await asyncio.sleep(0.01)
        task.cancel()

    assert len(shown) == len(outcomes)
    assert await pool.fetchval("SELECT status FROM cost_told") == "Accepted"


async def test_what_a_third_party_pays_is_not_on_the_display(
    world: World, pool: asyncpg.Pool, nodes: list[Node], shown: list[Decimal]
) -> None:
    session = await world.session(energy_wh=10_000)
    await world.tell_billing(session)
    await nodes[0].billing.drain()
    await pool.execute(
        """
        INSERT INTO bill
        SELECT session, 2, 'correction', as_of, energy_wh, currency, total_excl_minor, total_tax_minor,
               total_incl_minor, total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version,
               engine_version, inputs_hash, inputs, detail || '{"payable": "3.00"}', 1, created_at
          FROM bill WHERE session = $1
        """,
        session,
    )
    nodes[0].display.show(session, 2)
    await settled(nodes)

    assert shown == [Decimal("3.00")]
