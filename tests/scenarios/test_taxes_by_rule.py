"""Taxes by rule over real sockets: by country, customer and day; what no rule decides waits for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing.rating.rating import ComponentName
from billing.taxes import service as taxes
from billing.taxes.store import Bearer
from billing.taxes.tax_rule import Category, CustomerKind, TaxRule, VatIdAsked
from csms.tokens import service as tokens
from tests.faults.wire import boot, start_16, stop_16, wire
from tests.world import LONG_AGO, World, in_the_past, until, usual_world

GUEST, VAN = "CARD-0001", "VAN-0001"
HOUR = timedelta(hours=1)


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """0.49 EUR/kWh plus a VAT that the tariff names, 19 %."""
    async with usual_world(database, tmp_path) as opened:
        yield opened


def rule(id_: str, rate: str, **more: Any) -> TaxRule:
    given: dict[str, Any] = {"country": "DE", "category": Category.STANDARD, "valid_from": date(2020, 1, 1), **more}
    return TaxRule(id=id_, rate=Decimal(rate), **given)


async def enter(world: World, *rules: TaxRule) -> None:
    await taxes.add_rules(world.connection, rules, now=in_the_past(), actor="operator")


async def charged(world: World, cp: str, token: str, start: datetime) -> int:
    """5 kWh in half an hour."""
    key = await world.charge_point(cp)
    async with wire(world.ocpp_url, key.id, key.password) as station:
        await boot(station)
        answer = await station.call("StartTransaction", start_16(start, token=token))
        session: int = answer.payload["transactionId"]
        await station.call("StopTransaction", stop_16(session, start + timedelta(minutes=30)))
    await world.quiet()
    return session


async def test_a_session_is_taxed_by_the_rule_of_its_country_and_customer(world: World) -> None:
    await tokens.issue(world.connection, VAN, group="VANS", expires_at=None, actor="operator")
    await enter(
        world,
        rule("DE-7", "7"),
        rule("DE-AE", "0", category=Category.REVERSE_CHARGE, vat_id=VatIdAsked.FOREIGN, note="Reverse charge"),
    )
    await taxes.set_customer(
        world.connection, Bearer(token=None, token_group="VANS"), kind=CustomerKind.BUSINESS,
        vat_id="NL123456789B01", valid_from=LONG_AGO, now=in_the_past(), actor="operator",
    )  # fmt: skip
    start = in_the_past()

    guest = await world.show(await charged(world, "ONE", GUEST, start - HOUR))
    van = await world.show(await charged(world, "TWO", VAN, start - timedelta(minutes=30)))

    # 5 x 0.49 = 2.45; x 1.07 = 2.6215
    assert (guest["state"], guest["total_excl_tax"], guest["total_incl_tax"]) == ("rated", "2.45", "2.62")
    assert (van["state"], van["total_excl_tax"], van["total_incl_tax"]) == ("rated", "2.45", "2.45")


async def test_what_no_rule_decides_is_billed_once_a_rule_does(world: World) -> None:
    await enter(world, rule("DE-FEE", "7", supply=ComponentName.FLAT))
    session = await charged(world, "ONE", GUEST, in_the_past(hours=1))
    held = await world.show(session)
    assert (held["state"], held["hold_reasons"], held["total_incl_tax"]) == ("held", ["tax_undecided"], None)

    await enter(world, rule("DE-22", "22"))

    async def is_rated() -> bool:
        return bool((await world.show(session))["state"] == "rated")

    await until(is_rated)
    shown = await world.show(session)
    # 2.45 x 1.22 = 2.989
    assert (shown["total_excl_tax"], shown["total_incl_tax"], shown["hold_reasons"]) == ("2.45", "2.99", [])
    assert [bill.kind.value for bill in await world.bills(session)] == ["final"]
