"""Scenarios: checked when read, played alike in both versions, and the same twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from simulators.scenarios import ScenarioError, load, run_scenario, shipped
from tests.simulators.central_system import CentralSystem, central_system

NAMES = sorted(shipped())
BOTH = ["ocpp1.6", "ocpp2.0.1"]


def test_every_mistake_of_a_scenario_is_reported_at_once() -> None:
    broken = {
        "title": "Broken",
        "protocol": "ocpp1.5",
        "steps": [{"do": "chrge"}, {"do": "charge", "kwh": "much", "evse": 2}, {"do": "wait", "for": "soon"}],
    }
    with pytest.raises(ScenarioError) as failed:
        load(broken)

    assert len(failed.value.mistakes) == 6


def test_a_missing_scenario_names_those_that_exist() -> None:
    with pytest.raises(ScenarioError, match="zero_baseline"):
        load("no-such-scenario")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scenario_says_what_it_is_about(name: str) -> None:
    scenario = load(name)

    assert scenario.about
    assert scenario.start is not None


async def told(
    name: str, protocol: str
) -> tuple[list[tuple[str, str, dict[str, Any]]], list[Decimal], list[Decimal | None]]:
    async with central_system() as central:
        result = await run_scenario(name, central.url, "CP-1", central.password, protocol=protocol)
        assert result.ok, result.unmet
        sessions = result.truth.sessions
        return central.heard, [one.energy_wh for one in sessions], [one.declared_wh for one in sessions]


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("name", NAMES)
async def test_a_scenario_says_the_same_twice(name: str, protocol: str) -> None:
    assert await told(name, protocol) == await told(name, protocol)


@pytest.mark.parametrize("name", NAMES)
async def test_the_truth_of_a_scenario_does_not_depend_on_the_version(name: str) -> None:
    _, energy_16, declared_16 = await told(name, "ocpp1.6")
    _, energy_201, declared_201 = await told(name, "ocpp2.0.1")

    assert energy_16 == energy_201
    assert declared_16 == declared_201


def registers(central: CentralSystem) -> list[Any]:
    return [
        sample["value"]
        for event in central.payloads("TransactionEvent")
        for reading in event.get("meterValue", [])
        for sample in reading["sampledValue"]
        if sample["measurand"] == "Energy.Active.Import.Register"
    ]


async def test_the_zero_baseline_is_told_as_it_was_seen_in_the_field(central: CentralSystem) -> None:
    result = await run_scenario("zero_baseline", central.url, "CP-1", central.password)

    assert central.payloads("StartTransaction")[0]["meterStart"] == 0
    assert central.payloads("MeterValues")[0]["meterValue"][0]["sampledValue"][0]["value"] == "909948"
    assert central.payloads("StopTransaction")[0]["meterStop"] == 910031
    assert result.truth.sessions[0].energy_wh == 83


async def test_the_register_keeps_its_decimals_in_2_0_1(central: CentralSystem) -> None:
    story = {
        "title": "Decimals",
        "register_wh": "1000.125",
        "sample_every": "20m",
        "steps": [
            {"do": "boot"},
            {"do": "plug"},
            {"do": "start"},
            {"do": "charge", "kwh": "1", "for": "1h"},
            {"do": "stop"},
        ],
    }
    await run_scenario(story, central.url, "CP-1", central.password, protocol="ocpp2.0.1")

    assert registers(central) == [1000.125, 1333.458, 1666.792, 2000.125, 2000.125]


async def test_a_cost_in_an_answer_is_what_the_driver_saw(central: CentralSystem) -> None:
    central.total_cost = 4.05
    result = await run_scenario("normal", central.url, "CP-1", central.password, protocol="ocpp2.0.1")

    assert result.truth.sessions[0].displayed == Decimal("4.05")


async def test_an_expectation_that_does_not_hold_is_named_with_its_step(central: CentralSystem) -> None:
    central.unknown_tokens = {"CARD-9"}
    story = {
        "title": "Expectations",
        "steps": [{"do": "boot"}, {"do": "authorize", "token": "CARD-9"}, {"do": "expect", "token_status": "Accepted"}],
    }
    result = await run_scenario(story, central.url, "CP-1", central.password)

    assert result.unmet == ("step 3: expected token_status = Accepted, saw Invalid",)
    assert not result.ok


async def test_a_scenario_moves_to_the_time_base(central: CentralSystem) -> None:
    base = datetime(2026, 7, 1, 6, tzinfo=UTC)
    result = await run_scenario("normal", central.url, "CP-1", central.password, time_base=base)

    assert central.payloads("StartTransaction")[0]["timestamp"] == "2026-07-01T06:00:00.000Z"
    assert result.ended_at - base == timedelta(minutes=92)


async def test_a_wrong_clock_and_a_raw_frame_reach_the_wire(central: CentralSystem) -> None:
    story = {
        "title": "Oddities",
        "steps": [
            {"do": "boot"},
            {"do": "clock_off", "to": "1970-01-01T00:00:00Z"},
            {"do": "plug"},
            {"do": "start"},
            {"do": "clock_right"},
            {"do": "send", "frame": "[2,"},
            {"do": "heartbeat"},
        ],
    }
    await run_scenario(story | {"start": "2026-03-02T08:00:00Z"}, central.url, "CP-1", central.password)

    assert central.payloads("StartTransaction")[0]["timestamp"] == "1970-01-01T00:00:00.000Z"
    assert central.payloads("broken") == [{"text": "[2,"}]


async def test_a_reboot_ends_what_ran_and_boots_again(central: CentralSystem) -> None:
    steps = [
        {"do": "boot"},
        {"do": "plug"},
        {"do": "start"},
        {"do": "charge", "kwh": "1", "for": "10m"},
        {"do": "reboot"},
    ]
    result = await run_scenario({"title": "Reboot", "steps": steps}, central.url, "CP-1", central.password)

    assert central.actions().count("BootNotification") == 2
    assert central.payloads("StopTransaction")[0]["reason"] == "Reboot"
    assert result.truth.sessions[0].end_told
