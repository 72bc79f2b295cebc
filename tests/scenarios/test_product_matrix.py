"""Who pays by which tariff where: location group x customer x product, as it stood when the session began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing import Scope, UserClass
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import EVERYBODY, Audience
from csms.sites import service as sites
from csms.tokens import service as tokens
from tests.faults.wire import boot, start_16, stop_16, wire
from tests.world import LONG_AGO, SITE, Key, World, in_the_past, tariff_document, until, usual_world

VAN, GUEST = "VAN-0001", "CARD-0001"


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """0.49 for everybody; 0.30 for fleets at sites of the coast; 0.79 for what is fast."""
    async with usual_world(database, tmp_path) as opened:
        for name, price in (("FLEET", "0.30"), ("FAST", "0.79")):
            part = {"type": "ENERGY", "price": price, "vat": "19", "step_size": 1}
            await opened.tariff(tariff_document(name, {"price_components": [part]}), assigned=False)
        yield opened


async def assign(world: World, tariff: str, *, scope: Scope, target: str | None = None, **given: Any) -> None:
    audience = given.pop("audience", EVERYBODY)
    await world.connection.execute(
        "INSERT INTO tariff_assignment (tariff, scope, target, token_group, user_class, product, valid_from, entered_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        tariff, scope, target, audience.token_group, audience.user_class, audience.product, LONG_AGO,
    )  # fmt: skip


async def issued(world: World, uid: str, since: timedelta, user_class: UserClass | None) -> None:
    await world.connection.execute(
        "INSERT INTO token_event (uid, kind, at, user_class) VALUES ($1, 'issued', $2, $3)",
        uid, in_the_past() - since, user_class,
    )  # fmt: skip


async def charged(world: World, key: Key, token: str, *, begun: timedelta) -> str:
    """The price excluding tax of 5 kWh."""
    start = in_the_past() - begun
    async with wire(world.ocpp_url, key.id, key.password) as station:
        await boot(station)
        answer = await station.call("StartTransaction", start_16(start, token=token))
        session = answer.payload["transactionId"]
        await station.call("StopTransaction", stop_16(session, start + timedelta(minutes=30)))

    async def is_rated() -> bool:
        return bool((await world.show(session))["state"] == "rated")

    await until(is_rated)
    return str((await world.show(session))["total_excl_tax"])


HOUR = timedelta(hours=1)


async def test_group_class_and_product_decide_as_they_stood_when_the_session_began(world: World) -> None:
    await issued(world, VAN, 10 * HOUR, UserClass.FLEET)
    await issued(world, VAN, 2 * HOUR, UserClass.MEMBER)
    await world.connection.execute(
        "INSERT INTO location_group_event (site, location_group, is_member, actor, at) VALUES"
        " ($1, 'coast', true, 'operator', $2), ($1, 'coast', false, 'operator', $3)",
        SITE, in_the_past(hours=9), in_the_past(hours=4),
    )  # fmt: skip
    await assign(
        world, "FLEET", scope=Scope.LOCATION_GROUP, target="coast", audience=Audience(user_class=UserClass.FLEET)
    )
    await assign(world, "FAST", scope=Scope.DEFAULT, audience=Audience(product="HPC"))
    slow = await world.charge_point("SLOW")
    fast = await world.charge_point("QUICK", product="HPC")

    assert await charged(world, slow, VAN, begun=6 * HOUR) == "1.50"  # of the fleet, at the coast
    assert await charged(world, slow, VAN, begun=3 * HOUR) == "2.45"  # the site had left the coast
    assert await charged(world, slow, GUEST, begun=6 * HOUR - timedelta(minutes=40)) == "2.45"
    assert await charged(world, fast, GUEST, begun=6 * HOUR) == "3.95"
    assert await charged(world, fast, VAN, begun=6 * HOUR - timedelta(minutes=40)) == "1.50"  # place before product
    assert await charged(world, fast, VAN, begun=HOUR) == "3.95"  # no fleet any more


async def test_whatever_operators_enter_is_what_prices_from_then_on(world: World) -> None:
    key = await world.charge_point("DAY", product="DC")
    await sites.join(world.connection, "coast", SITE, actor="operator")
    await tokens.issue(
        world.connection, VAN, group="VANS", expires_at=None, actor="operator", user_class=UserClass.FLEET
    )
    now = in_the_past()
    await tariffs.assign(
        world.connection, "FLEET", scope=Scope.LOCATION_GROUP, target="coast", now=now - HOUR, valid_from=now - HOUR,
        audience=Audience(token_group="VANS", product="DC"),
    )  # fmt: skip

    async with wire(world.ocpp_url, key.id, key.password) as station:
        await boot(station)
        start = in_the_past() + timedelta(seconds=1)
        answer = await station.call("StartTransaction", start_16(start, token=VAN, meter_wh=0))
        session = answer.payload["transactionId"]
        await asyncio.sleep((start - datetime.now(UTC)).total_seconds())  # it began before the site left
        await sites.leave(world.connection, "coast", SITE, actor="operator")
        await station.call("StopTransaction", stop_16(session, start + timedelta(minutes=4), meter_wh=1000))

    async def is_rated() -> bool:
        return bool((await world.show(session))["state"] == "rated")

    await until(is_rated)
    assert Decimal((await world.show(session))["total_excl_tax"]) == Decimal("0.30")
