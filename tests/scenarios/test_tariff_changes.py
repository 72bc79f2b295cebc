"""A tariff changes while a vehicle charges: it keeps its price, until an operator says otherwise - and never upward alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from billing import OpenSessions, Recalculation, recalculate
from billing.bills import history
from billing.bills.recalculation import Recalculated
from billing.tariffs.publication import Act, Published, publish
from csms.database.pool import open_pool
from csms.sessions.service import Sessions
from simulators.charge_point.link import Credentials
from simulators.charge_point.station import SimulatedChargePoint
from simulators.clock import ModelClock
from simulators.scenarios.runner import QUICK
from tests.world import TOKENS, World, in_the_past, open_world, tariff_document, until

LAW = "terms of use 4.2, announced a month ago"


def by_energy(price: str, **top: Any) -> dict[str, Any]:
    part = {"type": "ENERGY", "price": price, "vat": "19", "step_size": 1}
    return tariff_document("DAY", {"price_components": [part]}, **{"tax_included": "YES", **top})


@dataclass
class Stage:
    """A vehicle that charges at 0.50 per kWh, tax included, and the operator."""

    world: World
    station: SimulatedChargePoint
    session: int

    async def charges(self, energy_wh: int) -> None:
        await self.station.charge(energy_wh=Decimal(energy_wh), duration=timedelta(minutes=20))
        await self.world.quiet()

    async def publishes(self, price: str, **top: Any) -> Published:
        connection = self.world.connection
        async with connection.transaction():
            document = json.dumps(by_energy(price, **top))
            return await publish(connection, document, Act(actor="ada"), now=datetime.now(UTC))

    async def recalculates(self, *, legal_basis: str | None = None) -> Recalculated:
        pool = await open_pool(self.world.dsn, size=2)
        try:
            sessions = Sessions(pool, self.world.settings)
            await sessions.prepare()
            act = Recalculation(reason="price change of today", actor="ada", legal_basis=legal_basis)
            [[done]] = [
                batch
                async for batch in recalculate(pool, sessions, OpenSessions(tariff="DAY"), act, now=datetime.now(UTC))
            ]
        finally:
            await pool.close()
        return done

    async def shows(self, amount: str) -> None:
        """The display does, at last."""

        async def is_shown() -> bool:
            shown = self.station.truth.displayed
            return bool(shown) and shown[-1].total == Decimal(amount)

        await until(is_shown)

    async def bill(self) -> tuple[str, int, str]:
        """Of the session that has stopped: kind, tariff version and amount."""
        await self.station.stop()
        await self.world.quiet()
        *_, last = await self.world.bills(self.session)
        assert (await history.require_recomputable(self.world.connection, last)).total_incl == last.total_incl
        return last.kind.value, last.tariff_version, last.total_incl.text


@asynccontextmanager
async def charging(database: str, data_home: Path) -> AsyncIterator[Stage]:
    async with open_world(database, data_home) as world:
        await world.site()
        await world.token(TOKENS[0])
        await world.tariff(by_energy("0.50"))
        key = await world.charge_point("CHANGING", max_power_w=Decimal(50_000))
        credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
        build = replace(QUICK, protocol="ocpp2.0.1", register_wh=Decimal(40_000), sample_every=timedelta(minutes=10))
        async with SimulatedChargePoint(credentials, ModelClock(in_the_past(minutes=90)), build) as station:
            await station.boot()
            await station.plug()
            await station.start(token=TOKENS[0])
            await station.charge(energy_wh=Decimal(10_000), duration=timedelta(minutes=20))
            await world.quiet()
            (session,) = await world.sessions()
            yield Stage(world, station, session["id"])


async def test_a_session_keeps_the_price_that_it_began_with(database: str, data_home: Path) -> None:
    async with charging(database, data_home) as stage:
        await stage.shows("5.00")
        done = await stage.publishes("0.30")
        await stage.charges(10_000)

        assert [(each.version, each.sessions) for each in done.kept] == [(1, 1)]
        await stage.shows("10.00")
        assert await stage.bill() == ("final", 1, "10.00")


async def test_downward_the_display_the_next_interim_and_the_bill_follow(database: str, data_home: Path) -> None:
    async with charging(database, data_home) as stage:
        await stage.shows("5.00")
        await stage.publishes("0.30")
        done = await stage.recalculates()

        assert (done.outcome, done.to_dict()["before_incl_tax"], done.to_dict()["after_incl_tax"]) == (
            "applied", "5.00", "3.00",
        )  # fmt: skip
        await stage.shows("3.00")
        await stage.charges(10_000)
        await stage.shows("6.00")
        assert await stage.bill() == ("final", 2, "6.00")
        [act] = (await stage.world.show(stage.session))["recalculations"]
        assert (act["version_before"], act["version_after"], act["actor"]) == (1, 2, "ada")


async def test_upward_is_refused_and_the_vehicle_charges_on_at_its_price(database: str, data_home: Path) -> None:
    async with charging(database, data_home) as stage:
        await stage.shows("5.00")
        await stage.publishes("0.70")
        done = await stage.recalculates()
        await stage.charges(10_000)

        assert (done.outcome, done.why_not) == ("upward", "it would cost 2.00 more")
        await stage.shows("10.00")
        assert await stage.bill() == ("final", 1, "10.00")
        assert (await stage.world.show(stage.session))["recalculations"] == []


async def test_upward_with_a_legal_basis_is_applied_and_says_which(database: str, data_home: Path) -> None:
    async with charging(database, data_home) as stage:
        await stage.shows("5.00")
        await stage.publishes("0.70")
        done = await stage.recalculates(legal_basis=LAW)

        assert done.outcome == "applied"
        await stage.shows("7.00")
        assert await stage.bill() == ("final", 2, "7.00")
        [act] = (await stage.world.show(stage.session))["recalculations"]
        assert act["legal_basis"] == LAW


async def test_what_seems_cheaper_and_turns_dearer_is_billed_as_before(database: str, data_home: Path) -> None:
    async with charging(database, data_home) as stage:
        await stage.shows("5.00")
        await stage.publishes("0.30", min_price={"before_taxes": "7.00", "after_taxes": "8.33"})
        done = await stage.recalculates()

        assert done.outcome == "applied"
        await stage.shows("3.00")
        assert await stage.bill() == ("final", 1, "5.00")
