"""Monitors, their events, reports of some of the device model and network profiles, with simulated charge points."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_room import Installation, until
from ocpp.v201 import call as call201

V16, V201 = "ocpp1.6", "ocpp2.0.1"
INTERVAL = "SampledDataCtrlr.TxUpdatedInterval"
SEVERE = ("--severity", 4)
PING = "OCPPCommCtrlr.WebSocketPingInterval"
APN_PASSWORD = "hunter2-hunter2"


async def set_monitor(shop: Installation, cp: str, name: str, kind: str, value: object) -> dict[str, Any]:
    made: dict[str, Any] = await shop.data("monitor", "set", cp, name, "--type", kind, "--value", value, *SEVERE)
    return made


async def until_events(shop: Installation, cp: str, count: int) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = await shop.data("monitor", "events", "--cp", cp)
        return found if len(found) >= count else None

    found: list[dict[str, Any]] = await until(look)
    return found


async def test_a_threshold_that_is_passed_is_told_and_its_end_as_well(shop: Installation) -> None:
    async with shop.simulated("MON-1", V201):
        made = await set_monitor(shop, "MON-1", PING, "UpperThreshold", 500)
        await shop.data("cp", "config", "set", "MON-1", PING, 600)
        await until_events(shop, "MON-1", 1)
        await shop.data("cp", "config", "set", "MON-1", PING, 60)
        [cleared, passed] = await until_events(shop, "MON-1", 2)

    assert (made["outcome"], made["id"]) == ("Accepted", 1)
    assert (passed["name"], passed["value"], passed["trigger"]) == (PING, "600", "Alerting")
    assert (passed["monitor"], passed["severity"], passed["is_cleared"]) == (1, 4, False)
    assert (cleared["value"], cleared["is_cleared"]) == ("60", True)


async def test_differences_and_intervals_are_told_and_levels_keep_them_back(shop: Installation) -> None:
    async with shop.simulated("MON-2", V201) as station:
        await set_monitor(shop, "MON-2", PING, "Delta", 100)
        await shop.data("cp", "config", "set", "MON-2", PING, 100)
        await shop.data("cp", "config", "set", "MON-2", PING, 135)
        [delta] = await until_events(shop, "MON-2", 1)
        await set_monitor(shop, "MON-2", "ChargingStation.SupplyPhases", "Periodic", 60)
        await station.advance(timedelta(seconds=150))
        told = await until_events(shop, "MON-2", 3)
        level = await shop.data("monitor", "level", "MON-2", 3)
        await station.advance(timedelta(seconds=150))
        after = await shop.data("monitor", "events", "--cp", "MON-2")
        later = await shop.data("monitor", "events", "--since", (datetime.now(UTC) + timedelta(days=1)).isoformat())

    assert (delta["trigger"], delta["value"]) == ("Delta", "135")
    assert [event["trigger"] for event in told] == ["Periodic", "Periodic", "Delta"]
    assert level["outcome"] == "Accepted"
    assert after == told
    assert later == []


async def test_monitors_are_listed_part_by_part_and_cleared(shop: Installation) -> None:
    async with shop.simulated("MON-3", V201):
        empty = await shop.data("monitor", "list", "MON-3")
        names = [f"OCPPCommCtrlr.{name}" for name in ("HeartbeatInterval", "WebSocketPingInterval")]
        for name in [*names, INTERVAL]:
            await set_monitor(shop, "MON-3", name, "UpperThreshold", "9999.5")
            await set_monitor(shop, "MON-3", name, "Delta", 5)
        listed = await shop.data("monitor", "list", "MON-3")
        deltas = await shop.data("monitor", "list", "MON-3", "--criteria", "DeltaMonitoring")
        of_component = await shop.data("monitor", "list", "MON-3", "--component", "OCPPCommCtrlr")
        said = await shop.csms("monitor", "clear", "MON-3", 1, 99, "-o", "json")
        based = await shop.data("monitor", "base", "MON-3", "HardWiredOnly")
        left = await shop.data("monitor", "list", "MON-3")
        await shop.trace("MON-3", "NotifyMonitoringReport")

    assert empty == left == []
    assert [row["id"] for row in listed] == [1, 2, 3, 4, 5, 6]
    assert listed[0] == {
        "id": 1, "name": names[0], "type": "UpperThreshold", "value": "9999.5", "severity": 4, "during_transaction": False,
    }  # fmt: skip
    assert [row["id"] for row in deltas] == [2, 4, 6]
    assert [row["id"] for row in of_component] == [1, 2, 3, 4]
    assert said.code == 8
    assert said.json == [{"id": 1, "outcome": "Accepted"}, {"id": 99, "outcome": "NotFound"}]
    assert based == {"outcome": "Accepted"}
    async with shop.connection() as connection:
        asked = await connection.fetch(
            "SELECT r.message, a.status FROM monitoring_request r JOIN monitoring_answer a ON a.request = r.id "
            "WHERE r.charge_point = 'MON-3' ORDER BY r.id DESC LIMIT 3"
        )
        known = await connection.fetchval("SELECT count(*) FROM monitor WHERE charge_point = 'MON-3'")
    assert [tuple(row) for row in asked] == [
        ("GetMonitoringReport", "EmptyResultSet"),
        ("SetMonitoringBase", "Accepted"),
        ("ClearMonitors", "NotFound"),
    ]
    assert known == 0


async def test_a_report_that_stops_half_way_is_shown_as_far_as_it_came(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop.simulated("MON-4", V201) as station:
        for severity in range(5):
            await shop.data("monitor", "set", "MON-4", PING, "--type", "Delta", "--value", 5, "--severity", severity)
        speak = station.ask

        async def without_last_part(payload: Any) -> Any:
            is_lost = isinstance(payload, call201.NotifyMonitoringReport) and not payload.tbc
            return None if is_lost else await speak(payload)

        monkeypatch.setattr(station, "ask", without_last_part)
        said = await shop.csms("monitor", "list", "MON-4", "--timeout", 5, "-o", "json")

    assert said.code == 8
    assert [row["id"] for row in said.json] == [1, 2, 3, 4]
    assert "1 part(s)" in said.error["message"]


@pytest.mark.parametrize(
    "command",
    [
        ("monitor", "set", "MON-16", INTERVAL, "--type", "Delta", "--value", 5, *SEVERE),
        ("monitor", "clear", "MON-16", 1),
        ("monitor", "base", "MON-16", "All"),
        ("monitor", "level", "MON-16", 5),
        ("cp", "config", "network", "MON-16", 1, "--url", "ws://csms.example/ocpp"),
    ],
)
async def test_1_6_has_none_of_it(shop: Installation, command: tuple[object, ...]) -> None:
    cp = f"MON-16-{command[1]}"
    async with shop.simulated(cp, V16):
        said = await shop.csms(*(cp if each == "MON-16" else each for each in command), "-o", "json")

    assert said.code == 5
    assert said.json["outcome"] == "not_supported"
    assert "ocpp1.6" in said.json["detail"]


async def test_an_absent_charge_point_and_what_cannot_be_watched_are_named(shop: Installation) -> None:
    await shop.charge_point("MON-5")
    away = await shop.csms("monitor", "level", "MON-5", 5, "-o", "json")
    async with shop.simulated("MON-6", V201):
        unknown = await shop.csms(
            "monitor", "set", "MON-6", "Fan.Speed", "--type", "Delta", "--value", 1, *SEVERE, "-o", "json"
        )
        words = await shop.csms(
            "monitor", "set", "MON-6", "ChargingStation.Model", "--type", "UpperThreshold", "--value", 1, *SEVERE,
            "-o", "json",
        )  # fmt: skip
        unsound = await shop.csms("monitor", "set", "MON-6", INTERVAL, "--type", "Delta", "--value", 0, *SEVERE)

    assert away.error["code"] == "offline"
    assert (unknown.code, unknown.json["outcome"]) == (5, "UnknownComponent")
    assert words.json["outcome"] == "UnsupportedMonitorType"
    assert unsound.code == 2
    assert "difference above 0" in unsound.error["message"]


async def test_some_of_the_device_model_is_read_by_component_and_criterion(shop: Installation) -> None:
    async with shop.simulated("MON-7", V201):
        sampled = await shop.data("cp", "config", "report", "MON-7", "--component", "SampledDataCtrlr")
        one = await shop.data("cp", "config", "report", "MON-7", "--component", INTERVAL, "--criteria", "Enabled")
        problems = await shop.data("cp", "config", "report", "MON-7", "--criteria", "Problem")
        nothing = await shop.csms("cp", "config", "report", "MON-7")

    assert len(sampled) == 5
    assert {row["component"] for row in sampled} == {"SampledDataCtrlr"}
    assert [row["name"] for row in one] == [INTERVAL]
    assert problems == []
    assert nothing.code == 2


async def test_a_network_profile_is_never_lowered_and_its_password_kept_nowhere(
    shop: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "apn"
    file.write_text(APN_PASSWORD)
    network = ("cp", "config", "network", "MON-8", 1, "-o", "json")
    async with shop.simulated("MON-8", V201) as station:
        stored = await shop.csms(
            *network, "--url", "ws://csms.example/ocpp", "--interface", "Wireless0", "--apn", "internet.example",
            "--apn-password-file", file,
        )  # fmt: skip
        lower = await shop.csms(*network, "--url", "ws://csms.example/ocpp", "--security-profile", 0)
        plain = await shop.csms(*network, "--url", "ws://csms.example/ocpp", "--security-profile", 2)
        kept = dict(station.monitors.networks)

    assert stored.code == 0, stored.err
    assert stored.json["security_profile"] == 1
    assert kept[1]["apn"]["apn_password"] == APN_PASSWORD
    assert lower.code == 5
    assert "would lower it" in lower.error["message"]
    assert plain.code == 2
    assert "wss://" in plain.error["message"]
    async with shop.connection() as connection:
        for table in ("command", "frame", "monitoring_request", "monitoring_answer"):
            rows = await connection.fetch(f"SELECT * FROM {table}")
            assert APN_PASSWORD not in json.dumps([dict(row) for row in rows], default=str)
