"""Display, interim bills, final bill and explanation: one figure, to the cent (RULES.md 17, 19)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from billing.bills import history, store
from billing.bills.bill import BillKind, BillSummary
from billing.policies import store as policy_store
from billing.rating.engine import rate
from billing.rating.rating import PER_PRICE, Rating
from billing.tariffs.store import TariffCache
from billing.tariffs.tariff import TaxIncluded
from simulators.charge_point.link import Credentials
from simulators.charge_point.settings import Setting
from simulators.charge_point.station import SimulatedChargePoint
from simulators.clock import ModelClock, stamp
from simulators.scenarios.runner import QUICK
from tests.world import TOKENS, World, in_the_past, open_world, tariff_document, until


def _priced(type_: str, price: str, step: int = 1) -> dict[str, Any]:
    return {"price_components": [{"type": type_, "price": price, "vat": "19", "step_size": step}]}


TARIFFS = {
    "by energy": tariff_document("ENERGY", _priced("ENERGY", "0.4900")),
    "steps, fee and parking": tariff_document(
        "STEPS", _priced("ENERGY", "0.333", 1000), _priced("FLAT", "0.35"), _priced("PARKING_TIME", "6.10", 900)
    ),
    "a least price": tariff_document("LEAST", _priced("ENERGY", "0.49"), min_price={"before_taxes": "25.00"}),
    "a highest price": tariff_document("MOST", _priced("ENERGY", "0.49"), max_price={"before_taxes": "4.00"}),
    "gross": tariff_document("GROSS", _priced("ENERGY", "0.59", 500), _priced("TIME", "1.15"), tax_included="YES"),
}


@dataclass(frozen=True)
class Told:
    """What a session with interims left behind."""

    session: dict[str, Any]
    bills: list[BillSummary]
    shown: list[Decimal]


async def _charge(world: World) -> Told:
    """Two and a half hours in which the display is looked at: charging, a pause of the car, charging again."""
    key = await world.charge_point("DISPLAY", max_power_w=Decimal(22_000))
    credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
    build = replace(QUICK, protocol="ocpp2.0.1", register_wh=Decimal(40_000), sample_every=timedelta(minutes=10))
    async with SimulatedChargePoint(credentials, ModelClock(in_the_past(minutes=150)), build) as station:
        await station.boot()
        await station.plug()
        await station.start(token=TOKENS[0])
        for _ in range(4):
            await station.charge(energy_wh=Decimal("3333.3"), duration=timedelta(minutes=20))
            await world.quiet()
        await station.suspend()
        await station.advance(timedelta(minutes=40))
        await world.quiet()
        await station.charge(energy_wh=Decimal("1700.7"), duration=timedelta(minutes=20))
        await world.quiet()
        await station.stop()
        await world.quiet()
        (session,) = await world.sessions()
        bills = await world.bills(session["id"])

        async def final_is_shown() -> bool:
            shown = station.truth.displayed
            return bool(shown) and shown[-1].total == bills[-1].total_incl.decimal

        await until(final_is_shown)
        return Told(session, bills, [each.total for each in station.truth.displayed])


def _surplus(rating: Rating) -> tuple[Fraction, Fraction]:
    """What rounding up to whole steps adds: net and gross."""
    net = gross = Fraction(0)
    for segment in rating.segments:
        if segment.unit_price is None:
            continue
        more = Fraction(segment.quantity_billed - segment.quantity_used) / PER_PRICE[segment.unit]
        amount, tax = more * Fraction(segment.unit_price), 1 + Fraction(segment.vat or 0) / 100
        included = rating.tax_included is TaxIncluded.YES
        net += amount / tax if included else amount
        gross += amount if included else amount * tax
    return net, gross


async def _rated_both_ways(world: World, final: BillSummary) -> tuple[Rating, Rating]:
    """The stored inputs of the final bill, as an interim at the end and as final."""
    inputs, _ = await store.bill_body(world.connection, final.session, final.seq)
    key = (final.tariff, final.tariff_version)
    tariff = (await TariffCache().get(world.connection, [key]))[key].tariff
    policy = await policy_store.rating_policy(world.connection, final.policy_version)
    return rate(inputs.usage, tariff, policy, final=False), rate(inputs.usage, tariff, policy, final=True)


@pytest.mark.parametrize("in_reply", [False, True], ids=["by CostUpdated", "in replies too"])
@pytest.mark.parametrize("name", TARIFFS)
async def test_display_bills_and_explanation_agree_to_the_cent(
    database: str, data_home: Path, name: str, in_reply: bool
) -> None:
    async with open_world(database, data_home, cost_in_updated_reply=in_reply) as world:
        await world.site()
        await world.token(TOKENS[0])
        await world.tariff(TARIFFS[name])
        told = await _charge(world)
        *interims, final = told.bills

        assert final.kind is BillKind.FINAL
        assert {each.kind for each in interims} == {BillKind.INTERIM}
        assert [each.seq for each in told.bills] == list(range(1, len(told.bills) + 1))
        # Every figure that the driver saw is a committed bill's, the last one the final's.
        assert set(told.shown) <= {each.total_incl.decimal for each in told.bills}
        assert told.shown[-1] == final.total_incl.decimal
        assert (told.session["total_incl_tax"], told.session["energy_wh"]) == (final.total_incl.text, 15034)
        for bill in told.bills:
            again = await history.require_recomputable(world.connection, bill)
            explained = await history.explain_bill(world.connection, bill.session, bill.seq)
            totals = [line for line in explained.lines if line.what == "total"]
            assert again.total_incl == bill.total_incl
            assert [line.incl_tax for line in totals] == [bill.total_incl.text]

        interim, rated = await _rated_both_ways(world, final)
        net, gross = _surplus(rated)
        limits = [(1, each) for each in rated.adjustments] + [(-1, each) for each in interim.adjustments]
        assert interim.excl_tax + net + sum(sign * each.excl_tax for sign, each in limits) == rated.excl_tax
        assert interim.incl_tax + gross + sum(sign * each.incl_tax for sign, each in limits) == rated.incl_tax
        assert rated.total_incl == final.total_incl


async def _cost_messages(world: World) -> list[tuple[str, dict[str, Any]]]:
    """Name and content of every cost message of 1.6 that was sent."""
    rows = await world.connection.fetch(
        "SELECT body FROM frame WHERE direction = 'out' AND action = 'DataTransfer' AND body LIKE '[2,%' ORDER BY received_at"
    )
    calls = [json.loads(row["body"])[3] for row in rows]
    assert {call["vendorId"] for call in calls} <= {"org.openchargealliance.costmsg"}
    return [(call["messageId"], json.loads(call["data"], parse_float=Decimal)) for call in calls]


@pytest.mark.parametrize("announced", ["true", "false", None])
async def test_a_display_of_1_6_is_told_costs_if_its_charge_point_says_that_it_shows_them(
    database: str, data_home: Path, announced: str | None
) -> None:
    async with open_world(database, data_home) as world:
        await world.site()
        await world.token(TOKENS[0])
        await world.tariff(TARIFFS["steps, fee and parking"])
        key = await world.charge_point("DISPLAY", max_power_w=Decimal(22_000))
        credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
        build = replace(QUICK, protocol="ocpp1.6", register_wh=Decimal(40_000), sample_every=timedelta(minutes=10))
        async with SimulatedChargePoint(credentials, ModelClock(in_the_past(minutes=60)), build) as station:
            if announced is not None:
                station.dialect.settings.entries["CustomDisplayCostAndPrice"] = Setting(announced, readonly=True)
            await station.boot()
            await until(lambda: _is_set_up(world))
            await station.plug()
            await station.start(token=TOKENS[0])
            for _ in range(2):
                await station.charge(energy_wh=Decimal("3333.3"), duration=timedelta(minutes=20))
                await world.quiet()
            await station.stop()
            await world.quiet()
            (session,) = await world.sessions()
            *interims, final = await world.bills(session["id"])
            if announced == "true":

                async def final_is_shown() -> bool:
                    return [name for name, _ in await _cost_messages(world)][-1:] == ["FinalCost"]

                await until(final_is_shown)
            told = await _cost_messages(world)

    if announced != "true":
        assert told == []
        return
    *running, (_, last) = told
    assert {name for name, _ in running} == {"RunningCost"}
    assert {cost["cost"] for _, cost in running} <= {each.total_incl.decimal for each in interims}
    assert all(cost["transactionId"] == session["id"] for _, cost in told)
    _, newest = running[-1]
    assert newest["state"] == "Charging"
    assert newest["chargingPrice"] == {"kWhPrice": Decimal("0.39627"), "flatFee": Decimal("0.4165")}  # 19 % on top
    assert newest["meterValue"] > 40_000
    assert last["cost"] == final.total_incl.decimal
    assert last["priceText"] == "3.19 EUR for 6.667 kWh: energy 2.33, fee 0.35, tax 0.51"  # 7 steps of a kWh at 0.333


async def _is_set_up(world: World) -> bool:
    return bool(
        await world.connection.fetchval("SELECT count(*) FROM device_setting WHERE name = 'WebSocketPingInterval'")
    )


AFTER_TWO_HOURS = tariff_document(
    "LONGER",
    {"price_components": [{"type": "TIME", "price": "3", "step_size": 1}], "restrictions": {"min_duration": 7200}},
    {"price_components": [{"type": "ENERGY", "price": "0.50", "step_size": 1}]},
    {"price_components": [{"type": "PARKING_TIME", "price": "6", "step_size": 1, "x_idle": {"grace_s": 900}}]},
)
BY_ENERGY = tariff_document(
    "MORE",
    {"price_components": [{"type": "ENERGY", "price": "0.30", "step_size": 1}], "restrictions": {"min_kwh": 20}},
    {"price_components": [{"type": "ENERGY", "price": "0.50", "step_size": 1}]},
)


async def _running_cost(database: str, data_home: Path, tariff: dict[str, Any]) -> dict[str, Any]:
    """The newest RunningCost of a session that began 60 minutes ago and has charged for 20 of them."""
    async with open_world(database, data_home) as world:
        await world.site()
        await world.token(TOKENS[0])
        await world.tariff(tariff)
        key = await world.charge_point("DISPLAY", max_power_w=Decimal(22_000))
        credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
        build = replace(QUICK, protocol="ocpp1.6", register_wh=Decimal(40_000), sample_every=timedelta(minutes=10))
        async with SimulatedChargePoint(credentials, ModelClock(in_the_past(minutes=60)), build) as station:
            station.dialect.settings.entries["CustomDisplayCostAndPrice"] = Setting("true", readonly=True)
            await station.boot()
            await until(lambda: _is_set_up(world))
            await station.plug()
            await station.start(token=TOKENS[0])
            await station.charge(energy_wh=Decimal("3333.3"), duration=timedelta(minutes=20))

            async def is_told() -> bool:
                return bool(await _cost_messages(world))

            await until(is_told)
            [session] = await world.sessions()
            started_at = await world.connection.fetchval("SELECT started_at FROM session WHERE id = $1", session["id"])
            told = [cost for name, cost in await _cost_messages(world) if name == "RunningCost"]
    return {**told[-1], "started_at": started_at}


async def test_a_1_6_display_is_told_what_a_session_pays_next(database: str, data_home: Path) -> None:
    told = await _running_cost(database, data_home, AFTER_TWO_HOURS)
    then = stamp(told["started_at"] + timedelta(hours=2))

    assert told["state"] == "Charging"
    assert told["chargingPrice"] == {"hourPrice": 0, "kWhPrice": Decimal("0.5")}
    assert told["idlePrice"] == {"graceMinutes": 15, "hourPrice": 6}
    assert told["nextPeriod"] == {
        "atTime": then,
        "chargingPrice": {"hourPrice": 3, "kWhPrice": Decimal("0.5")},
        "idlePrice": {"graceMinutes": 15, "hourPrice": 6},
    }
    assert told["triggerMeterValue"]["atTime"] == then


async def test_a_1_6_charge_point_is_asked_for_its_meter_where_the_price_turns(database: str, data_home: Path) -> None:
    told = await _running_cost(database, data_home, BY_ENERGY)

    assert "nextPeriod" not in told
    assert told["triggerMeterValue"] == {"atEnergykWh": 60}  # the register began at 40
