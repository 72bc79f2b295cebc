"""Drivers read what they will pay when they present their token, in every version of OCPP that has words for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing.rating.rating import ComponentName
from billing.taxes import service as taxes
from billing.taxes.tax_rule import Category, TaxRule
from simulators.charge_point.link import Credentials
from simulators.charge_point.settings import Setting
from simulators.charge_point.station import SimulatedChargePoint
from simulators.clock import ModelClock
from simulators.scenarios.runner import QUICK
from tests.faults.wire import event_201, wire
from tests.scenarios.spoken import ask
from tests.world import LONG_AGO, TOKENS, World, in_the_past, open_world, tariff_document, until

GROSS = "0.5831 EUR"  # 0.49 and 19 % on top
FREE = tariff_document("FREE", {"price_components": [{"type": "ENERGY", "price": "0", "step_size": 1}]})
TEXTS = [{"language": "de", "text": "49 Cent je kWh, zuzüglich Steuer"}]


@asynccontextmanager
async def _world(database: str, data_home: Path, document: dict[str, Any] | None, **given: Any) -> AsyncIterator[World]:
    async with open_world(database, data_home, **given) as world:
        await world.site()
        await world.token(TOKENS[0])
        if document is not None:
            await world.tariff(document)
        yield world


@asynccontextmanager
async def _station(world: World, protocol: str, **settings: str) -> AsyncIterator[SimulatedChargePoint]:
    key = await world.charge_point("PRICES", max_power_w=Decimal(22_000))
    credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
    build = replace(QUICK, protocol=protocol, register_wh=Decimal(40_000))
    async with SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), build) as station:
        for name, value in settings.items() if protocol == "ocpp1.6" else ():
            station.dialect.settings.entries[name] = Setting(value, readonly=True)
        await station.boot()
        for name in settings if protocol == "ocpp1.6" else ():
            await until(lambda name=name: _is_known(world, name))
        yield station


async def _is_known(world: World, name: str) -> bool:
    return bool(await world.connection.fetchval("SELECT count(*) FROM device_setting WHERE name = $1", name))


def _read(station: SimulatedChargePoint) -> list[tuple[str, str]]:
    return [(each.by, each.text) for each in station.truth.prices_read]


@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp2.1"])
async def test_the_answers_to_a_token_and_to_its_start_say_the_price(
    database: str, data_home: Path, protocol: str
) -> None:
    async with (
        _world(database, data_home, tariff_document()) as world,
        _station(world, protocol) as station,
    ):
        await station.authorize(TOKENS[0])
        await station.plug()
        await station.start(token=TOKENS[0])
        told = _read(station)

    assert [by for by, _ in told] == ["Authorize", "TransactionEvent"]
    assert {GROSS in text for _, text in told} == {True}


@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp1.6"])
async def test_what_costs_nothing_is_said_to_be_free(database: str, data_home: Path, protocol: str) -> None:
    async with (
        _world(database, data_home, FREE) as world,
        _station(world, protocol, CustomDisplayCostAndPrice="true") as station,
    ):
        await station.authorize(TOKENS[0])
        await until(lambda: _some(station))
        told = _read(station)

    assert ["free" in text for _, text in told] == [True]


async def _some(station: SimulatedChargePoint) -> bool:
    return bool(station.truth.prices_read)


@pytest.mark.parametrize(
    ("document", "token", "given"),
    [
        pytest.param(None, TOKENS[0], {}, id="no tariff"),
        pytest.param(tariff_document(), "NOBODY", {}, id="unknown token"),
        pytest.param(tariff_document(), TOKENS[0], {"tell_prices": False}, id="switched off"),
    ],
)
@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp1.6"])
async def test_nothing_is_said_where_there_is_no_price_to_say(
    database: str, data_home: Path, protocol: str, document: dict[str, Any] | None, token: str, given: dict[str, Any]
) -> None:
    async with (
        _world(database, data_home, document, **given) as world,
        _station(world, protocol, CustomDisplayCostAndPrice="true") as station,
    ):
        await station.authorize(token)
        await asyncio.sleep(0.3)
        told = _read(station)

    assert told == []


async def test_a_price_that_was_changed_is_told_to_the_next_who_asks(database: str, data_home: Path) -> None:
    async with _world(database, data_home, tariff_document()) as world, _station(world, "ocpp2.0.1") as station:
        await station.authorize(TOKENS[0])
        await world.tariff(FREE, assigned=False)
        await world.assign("FREE", valid_from=in_the_past(seconds=1))
        await asyncio.sleep(0.3)  # the notification's way
        await station.authorize(TOKENS[0])
        told = [text for _, text in _read(station)]

    assert GROSS in told[0]
    assert "free" in told[1]


async def test_a_repeated_start_is_answered_with_the_price_that_was_told_first(database: str, data_home: Path) -> None:
    async with _world(database, data_home, tariff_document()) as world:
        key = await world.charge_point("REPEATS")
        event = event_201("Started", 0, datetime.now(UTC), meter_wh=1000, transaction="again")
        event["idToken"] = {"idToken": TOKENS[0], "type": "ISO14443"}
        async with wire(world.ocpp_url, key.id, key.password, "ocpp2.0.1") as opened:
            first = await ask(opened, "TransactionEvent", event)
            await world.tariff(FREE, assigned=False)
            await world.assign("FREE", valid_from=LONG_AGO)
            await asyncio.sleep(0.3)
            again = await ask(opened, "TransactionEvent", event | {"offline": True})

    assert GROSS in first["idTokenInfo"]["personalMessage"]["content"]
    assert again == first


async def _messages(world: World, *actions: str) -> list[tuple[str, str]]:
    """Direction and action of frames, a call to the charge point by its message's name."""
    rows = await world.connection.fetch("SELECT direction, action, body FROM frame ORDER BY received_at, ctid")
    row = []
    for each in rows:
        body = json.loads(each["body"])
        if each["action"] == "DataTransfer" and body[0] == 2:
            row.append((each["direction"], body[3]["messageId"]))
        elif each["action"] in actions:
            row.append((each["direction"], each["action"]))
    return row


async def test_a_1_6_display_is_told_the_price_once_its_token_is_answered(database: str, data_home: Path) -> None:
    async with (
        _world(database, data_home, tariff_document(tariff_alt_text=TEXTS)) as world,
        _station(world, "ocpp1.6", CustomDisplayCostAndPrice="true") as station,
    ):
        await station.authorize(TOKENS[0].lower())
        await until(lambda: _some(station))
        await station.plug()
        await station.start(token=TOKENS[0].lower())
        await asyncio.sleep(0.3)
        [read] = station.truth.prices_read

        async def is_kept() -> bool:
            return ("out", "SetUserPrice") in await _messages(world)

        await until(is_kept)
        order = await _messages(world, "Authorize")

    assert order == [("in", "Authorize"), ("out", "Authorize"), ("out", "SetUserPrice")]
    assert read.token == TOKENS[0].lower()  # as the charge point knows it
    assert GROSS in read.text
    assert read.texts == ()


async def test_a_start_without_a_question_before_it_is_told_the_price_as_well(database: str, data_home: Path) -> None:
    async with (
        _world(database, data_home, tariff_document(tariff_alt_text=TEXTS)) as world,
        _station(world, "ocpp1.6", CustomDisplayCostAndPrice="true", CustomMultiLanguageMessages="true") as station,
    ):
        await station.plug()
        await station.start(token=TOKENS[0])
        await until(lambda: _some(station))
        [read] = station.truth.prices_read

    assert GROSS in read.text
    assert read.texts == (("de", TEXTS[0]["text"]),)


async def test_a_1_6_charge_point_that_shows_no_prices_is_sent_none(database: str, data_home: Path) -> None:
    async with _world(database, data_home, tariff_document()) as world, _station(world, "ocpp1.6") as station:
        await station.authorize(TOKENS[0])
        await asyncio.sleep(0.3)

        assert station.truth.prices_read == []
        assert "SetUserPrice" not in [name for _, name in await _messages(world)]


PRICE_SETTINGS = {
    "DefaultPrice": "",
    "TimeOffset": "+00:00",
    "NextTimeOffsetTransitionDateTime": "",
    "TimeOffsetNextTransition": "",
    "CustomIdleFeeAfterStop": "true",
}


def _settings(station: SimulatedChargePoint) -> dict[str, str]:
    return {name: station.dialect.settings.entries[name].value for name in PRICE_SETTINGS}


async def test_a_1_6_display_has_the_price_of_whoever_comes_and_the_time_of_its_site(
    database: str, data_home: Path
) -> None:
    async with _world(database, data_home, tariff_document()) as world:
        key = await world.charge_point("PRICES", max_power_w=Decimal(22_000))
        credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
        build = replace(QUICK, protocol="ocpp1.6")
        async with SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), build) as station:
            entries = station.dialect.settings.entries
            entries["CustomDisplayCostAndPrice"] = Setting("true", readonly=True)
            entries |= {name: Setting(value) for name, value in PRICE_SETTINGS.items()}
            await station.boot()
            await until(lambda: _has(station, "CustomIdleFeeAfterStop", "false"))
            first = _settings(station)
            await world.tariff(FREE, assigned=False)
            await world.assign("FREE", valid_from=in_the_past(seconds=1))
            await until(lambda: _has(station, "DefaultPrice", "free"))
            then = json.loads(_settings(station)["DefaultPrice"])

    price = json.loads(first["DefaultPrice"], parse_float=Decimal)
    assert GROSS in price["priceText"]
    assert price["priceTextOffline"] == price["priceText"]
    assert price["chargingPrice"] == {"kWhPrice": Decimal("0.5831")}
    assert {first["TimeOffset"], first["TimeOffsetNextTransition"]} == {"+01:00", "+02:00"}
    assert datetime.fromisoformat(first["NextTimeOffsetTransitionDateTime"]) > datetime.now(UTC)
    assert then["chargingPrice"] == {"kWhPrice": 0}


async def _has(station: SimulatedChargePoint, name: str, value: str) -> bool:
    return value in station.dialect.settings.entries[name].value.lower()


async def test_a_default_price_that_is_refused_is_not_sent_again(database: str, data_home: Path) -> None:
    async with _world(database, data_home, tariff_document()) as world:
        key = await world.charge_point("REFUSES")
        credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
        async with SimulatedChargePoint(
            credentials, ModelClock(datetime.now(UTC)), replace(QUICK, protocol="ocpp1.6")
        ) as station:
            entries = station.dialect.settings.entries
            entries["CustomDisplayCostAndPrice"] = Setting("true", readonly=True)
            entries["DefaultPrice"] = Setting("", readonly=True)
            await station.boot()
            await until(lambda: _asked(world, "DefaultPrice", 1))
            await world.assign("PLAIN", valid_from=in_the_past(seconds=1))  # says nothing new
            await asyncio.sleep(2)

            assert await _asked(world, "DefaultPrice", 1)


async def _asked(world: World, name: str, times: int) -> bool:
    rows = await world.connection.fetch(
        "SELECT body FROM frame WHERE direction = 'out' AND action = 'ChangeConfiguration'"
    )
    return [json.loads(row["body"])[3]["key"] for row in rows].count(name) == times


async def test_a_charge_point_whose_stays_cost_is_set_to_say_when_vehicles_leave(
    database: str, data_home: Path
) -> None:
    async with _world(database, data_home, tariff_document()) as world:
        key = await world.charge_point("STAYS", max_power_w=Decimal(22_000), idle_after_stop=True)
        credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
        build = replace(QUICK, protocol="ocpp1.6")
        async with SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), build) as station:
            entries = station.dialect.settings.entries
            entries["CustomDisplayCostAndPrice"] = Setting("true", readonly=True)
            entries["CustomIdleFeeAfterStop"] = Setting("false")
            await station.boot()
            await until(lambda: _has(station, "CustomIdleFeeAfterStop", "true"))
            await station.plug()
            await station.start(token=TOKENS[0])
            await station.stop()
            await station.unplug()
            await station.settle()
            await world.quiet()
            told = await world.connection.fetch("SELECT session, at FROM charging_event WHERE trigger = 'EVDeparted'")
            [session] = await world.sessions()

    assert [row["session"] for row in told] == [session["id"]]


NET = tariff_document("NET", {"price_components": [{"type": "ENERGY", "price": "0.40", "step_size": 1}]})
"""Whose rate only the rules of the country say."""


async def _tax(world: World, **more: Any) -> None:
    given: dict[str, Any] = {"id": "DE-19", "country": "DE", "category": Category.STANDARD, **more}
    rule = TaxRule(rate=Decimal(19), valid_from=date(2021, 1, 1), **given)
    await taxes.add_rules(world.connection, [rule], now=datetime.now(UTC), actor="ada")


async def test_prices_are_told_with_the_tax_that_a_rule_says_from_its_entry_on(database: str, data_home: Path) -> None:
    async with _world(database, data_home, NET) as world:
        key = await world.charge_point("TAXED")
        credentials = Credentials(url=world.ocpp_url, identity=key.id, password=key.password)
        build = replace(QUICK, protocol="ocpp1.6")
        async with SimulatedChargePoint(credentials, ModelClock(datetime.now(UTC)), build) as station:
            entries = station.dialect.settings.entries
            entries["CustomDisplayCostAndPrice"] = Setting("true", readonly=True)
            entries["DefaultPrice"] = Setting("")
            await station.boot()
            await until(lambda: _has(station, "DefaultPrice", "plus tax"))
            await _tax(world, id="FEES", supply=ComponentName.FLAT)
            await until(lambda: _has(station, "DefaultPrice", '"chargingprice":{}'))
            await _tax(world)
            await until(lambda: _has(station, "DefaultPrice", "incl. 19 % vat"))
            then = json.loads(entries["DefaultPrice"].value, parse_float=Decimal)
            await station.authorize(TOKENS[0])
            await until(lambda: _some(station))
            [read] = station.truth.prices_read

    assert then["chargingPrice"] == {"kWhPrice": Decimal("0.476")}
    assert "0.476 EUR" in then["priceText"]
    assert "0.476 EUR; incl. 19 % VAT" in read.text


async def test_an_answer_tells_the_price_with_the_tax_of_a_rule(database: str, data_home: Path) -> None:
    async with _world(database, data_home, NET) as world, _station(world, "ocpp2.0.1") as station:
        await _tax(world)
        await asyncio.sleep(0.3)  # the notification's way
        await station.authorize(TOKENS[0])
        told = [text for _, text in _read(station)]

    assert ["0.476 EUR; incl. 19 % VAT" in text for text in told] == [True]
