"""With a surcharge, a discount and an incentive: display, bill and explanation show one figure, what is payable."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing.bills import history
from billing.bills.bill import BillKind
from billing.discounts import entry
from billing.discounts.rule import Rule
from billing.rating.rating import Basis, ComponentName, Effect
from simulators.charge_point.link import Credentials
from simulators.charge_point.station import SimulatedChargePoint
from simulators.clock import ModelClock
from simulators.scenarios.runner import QUICK
from tests.world import LONG_AGO, TOKENS, World, in_the_past, open_world, tariff_document, until

PRICES = tariff_document(
    "DAY",
    {
        "price_components": [
            {"type": "ENERGY", "price": "0.4900", "vat": "19", "step_size": 1},
            {"type": "FLAT", "price": "0.35", "vat": "7", "step_size": 1},
        ]
    },
)


def _rule(effect: Effect, basis: Basis, value: str, **more: Any) -> Rule:
    return Rule(
        id=f"{effect}-{basis}", label=str(effect), effect=effect, basis=basis, value=Decimal(value), turn=100,
        valid_from=LONG_AGO, entered_at=LONG_AGO, **more,
    )  # fmt: skip


@pytest.mark.parametrize("in_reply", [False, True], ids=["by CostUpdated", "in replies too"])
async def test_the_figure_on_the_display_is_what_is_payable(database: str, data_home: Path, in_reply: bool) -> None:
    async with open_world(database, data_home, cost_in_updated_reply=in_reply) as world:
        await world.site()
        await world.token(TOKENS[0])
        await world.tariff(PRICES)
        for each in (
            _rule(Effect.SURCHARGE, Basis.FIXED, "0.50"),
            _rule(Effect.DISCOUNT, Basis.FREE_KWH, "2", component=ComponentName.ENERGY),
            _rule(Effect.DISCOUNT, Basis.PERCENT, "10"),
            _rule(Effect.INCENTIVE, Basis.PER_KWH, "0.07", party="Ministry"),
        ):
            await entry.add(world.connection, each, actor="ada")
        shown = await _charge(world)
        (session,) = await world.sessions()
        bills = await world.bills(session["id"])
        explained = await history.explain_bill(world.connection, session["id"], None)

        final = bills[-1]
        assert final.kind is BillKind.FINAL
        # 10 kWh x 0.49, 0.35 and a fee of 0.50 at the rates of both; 2 of 10 kWh are free; 10 % off all that is left
        energy, share = Decimal("4.90") * Decimal("0.8"), Decimal("0.50") / Decimal("5.25")
        net_19, net_7 = energy + Decimal("4.90") * share, Decimal("0.35") + Decimal("0.35") * share
        gross = (net_19 * Decimal("1.19") + net_7 * Decimal("1.07")) * Decimal("0.9")
        assert final.total_incl.decimal == round(gross, 2)
        assert final.payable.decimal == final.total_incl.decimal - Decimal("0.70")
        assert shown[-1] == final.payable.decimal
        assert set(shown) <= {Decimal(0)} | {bill.payable.decimal for bill in bills}
        assert shown == sorted(shown)
        assert explained.lines[-1].what == "payable"
        assert explained.lines[-1].incl_tax == final.payable.text
        claimed = await world.connection.fetch("SELECT party, amount_minor FROM claim")
        assert [tuple(row) for row in claimed] == [("Ministry", 70)]


async def _charge(world: World) -> list[Decimal]:
    """10 kWh in an hour; gives the figures that the display showed."""
    key = await world.charge_point("DISPLAY", max_power_w=Decimal(22_000))
    credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
    build = replace(QUICK, protocol="ocpp2.0.1", register_wh=Decimal(40_000), sample_every=timedelta(minutes=10))
    async with SimulatedChargePoint(credentials, ModelClock(in_the_past(minutes=150)), build) as station:
        await station.boot()
        await station.plug()
        await station.start(token=TOKENS[0])
        for _ in range(3):
            await station.charge(energy_wh=Decimal("3333.3"), duration=timedelta(minutes=20))
            await world.quiet()
        await station.charge(energy_wh=Decimal("0.1"), duration=timedelta(minutes=1))
        await station.stop()
        await world.quiet()
        (session,) = await world.sessions()
        bills = await world.bills(session["id"])

        async def final_is_shown() -> bool:
            shown = station.truth.displayed
            return bool(shown) and shown[-1].total == bills[-1].payable.decimal

        await until(final_is_shown)
        return [each.total for each in station.truth.displayed]
