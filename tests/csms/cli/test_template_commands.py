"""Templates of settings and differences between charge points: kept, given to charge points of all versions, looked after."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from cli_room import Installation, following, interrupted, until
from ocpp.exceptions import InternalError

from csms.charge_points import service as charge_points
from simulators.charge_point import SimulatedChargePoint

SETS = {
    "ocpp1.6": {
        "taken": "ConnectionTimeOut", "same": "LocalPreAuthorize", "reboot": "StopTxnSampledData",
        "fixed": "ReserveConnectorZeroSupported", "unknown": "NoSuchThing", "wrong": "HeartbeatInterval",
    },
    "ocpp2.0.1": {
        "taken": "OCPPCommCtrlr.WebSocketPingInterval", "same": "AuthCtrlr.LocalPreAuthorize",
        "reboot": "OCPPCommCtrlr.NetworkConfigurationPriority", "fixed": "ReservationCtrlr.NonEvseSpecific",
        "unknown": "NoSuchCtrlr.Thing", "wrong": "OCPPCommCtrlr.HeartbeatInterval",
    },
}  # fmt: skip
SETS["ocpp2.1"] = SETS["ocpp2.0.1"]
WANTED = {"taken": "77", "same": "False", "reboot": "1", "fixed": "false", "unknown": "1", "wrong": "soon"}


def wanted(protocol: str) -> dict[str, Any]:
    section = "ocpp1.6" if protocol == "ocpp1.6" else "ocpp2"
    return {section: {SETS[protocol][what]: value for what, value in WANTED.items()}}


async def keep(shop: Installation, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(settings).encode()
    made: dict[str, Any] = await shop.data("template", "create", "-", "--name", name, stdin=body)
    return made


def value(station: SimulatedChargePoint, name: str) -> str:
    found = station.dialect.settings.find(name)
    assert found is not None
    return found[1].value


async def away(shop: Installation, station: SimulatedChargePoint) -> None:
    """Offline, and the server has noticed."""
    await station.offline()

    async def is_noticed() -> bool:
        async with shop.connection() as connection:
            [listed] = await charge_points.list_charge_points(connection, identity=station.identity)
        return not listed["online"]

    await until(is_noticed)


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_template_is_set_setting_by_setting_and_looked_after_later(shop: Installation, protocol: str) -> None:
    name, id_, names = f"whole-{protocol}", f"TPL-{protocol}", SETS[protocol]
    first = await keep(shop, name, wanted(protocol))
    async with shop.simulated(id_, protocol) as station:
        foreseen = await shop.data("template", "diff", name, id_, "--read")
        applied = await shop.csms("template", "apply", name, "--cp", id_, "-o", "json")
        again = await shop.csms("template", "apply", name, "--cp", id_, "-o", "json")
        waiting = await shop.csms("template", "drift", name, id_, "-o", "json")
        taken = value(station, names["taken"])

        await station.reboot(reason="RemoteReset", stop_reason="Reboot")
        await shop.data("cp", "config", "set", id_, names["taken"], "33")
        second = await keep(shop, name, {**wanted(protocol), "description": "says the same in other words"})
        later = await shop.csms("template", "drift", name, "--read", "-o", "json")

    fixed = "ReadOnly" if protocol == "ocpp1.6" else "Rejected"  # 2.0.1 says only in reports what is read-only
    assert (first["version"], second["version"]) == (1, 2)
    assert {each["name"]: each["step"] for each in foreseen} == {
        names["taken"]: "set",
        names["reboot"]: "set",
        names["fixed"]: "read_only" if protocol == "ocpp1.6" else "set",
        names["unknown"]: "not_supported",
        names["wrong"]: "set",
    }
    assert (applied.code, applied.json["outcome"]) == (5, "refused")
    assert {each["name"]: each["status"] for each in applied.json["settings"]} == {
        names["taken"]: "Accepted",
        names["same"]: "unchanged",
        names["reboot"]: "RebootRequired",
        names["fixed"]: fixed,
        names["unknown"]: "NotSupported",
        names["wrong"]: "Rejected",
    }
    assert (applied.json["in_force"], applied.json["reboot_required"], applied.json["refused"]) == (2, 1, 3)
    assert (again.code, again.json["detail"]) == (5, "done before")
    assert taken == "77"
    assert (waiting.code, [(each["name"], each["drift"]) for each in waiting.json]) == (
        6,
        [(names["reboot"], "awaits_reboot")],
    )
    assert (later.code, [(each["name"], each["value"], each["drift"]) for each in later.json]) == (
        6,
        [(names["taken"], "33", "changed"), (None, None, "outdated")],
    )


async def test_a_fleet_of_all_versions_is_given_a_template_and_who_was_away_gets_it_later(shop: Installation) -> None:
    fleet = {"FLEET-16": "ocpp1.6", "FLEET-201": "ocpp2.0.1", "FLEET-21": "ocpp2.1", "FLEET-AWAY": "ocpp1.6"}
    of_the_model = ("--model", "fleet pump", "-o", "json")
    names = {id_: SETS[protocol]["taken"] for id_, protocol in fleet.items()}
    await keep(shop, "fleet", {"ocpp1.6": {names["FLEET-16"]: "45"}, "ocpp2": {names["FLEET-21"]: "45"}})
    async with contextlib.AsyncExitStack() as stack:
        stations = {
            id_: await stack.enter_async_context(shop.simulated(id_, protocol, model="Fleet Pump"))
            for id_, protocol in fleet.items()
        }
        await away(shop, stations["FLEET-AWAY"])
        dry = await shop.csms("template", "apply", "fleet", *of_the_model, "--dry-run")
        untouched = {id_: value(station, names[id_]) for id_, station in stations.items()}
        partly = await shop.csms("template", "apply", "fleet", *of_the_model)
        await stations["FLEET-AWAY"].online_again()
        rest = await shop.csms("template", "apply", "fleet", *of_the_model)
        set_ = {id_: value(station, names[id_]) for id_, station in stations.items()}
    drifted = await shop.csms("template", "drift", "fleet", "-o", "json")
    shown = await shop.data("template", "show", "fleet")
    [listed] = [each for each in await shop.data("template", "list") if each["name"] == "fleet"]

    assert {(each["id"], each["wanted"], each["step"]) for each in dry.json} == {(id_, "45", "set") for id_ in fleet}
    assert "45" not in untouched.values()
    assert (partly.code, {each["id"]: each["outcome"] for each in partly.json}) == (
        8,
        {"FLEET-16": "applied", "FLEET-201": "applied", "FLEET-21": "applied", "FLEET-AWAY": "offline"},
    )
    done = {id_: ("applied", None if id_ == "FLEET-AWAY" else "done before") for id_ in fleet}
    assert (rest.code, {each["id"]: (each["outcome"], each["detail"]) for each in rest.json}) == (0, done)
    assert set_ == dict.fromkeys(fleet, "45")
    assert (drifted.code, drifted.json) == (0, [])
    assert {each["id"]: each["outcome"] for each in shown["charge_points"]} == dict.fromkeys(fleet, "applied")
    assert (listed["applied"], listed["unfinished"], listed["ocpp1.6"], listed["ocpp2"]) == (4, 0, 1, 1)


async def test_an_interrupted_template_goes_on_where_it_was(shop: Installation) -> None:
    id_, asked, stuck, failing = "TPL-BROKEN-OFF", list[str](), asyncio.Event(), asyncio.Event()
    wanted = {"ConnectionTimeOut": "61", "LocalPreAuthorize": "true", "ResetRetries": "3"}
    await keep(shop, "broken-off", {"ocpp1.6": wanted})
    async with shop.simulated(id_, "ocpp1.6") as station:
        answer = station.dialect._handlers()["ChangeConfiguration"]

        async def change(key: str, value: str, **more: Any) -> Any:
            if key in wanted:  # after a boot the server sets some of its own
                asked.append(key)
            if key == "ResetRetries" and not stuck.is_set():
                stuck.set()
                await failing.wait()
                raise InternalError
            return answer(key=key, value=value, **more)

        station.dialect._change_configuration = change  # type: ignore[method-assign,union-attr,assignment]
        await station.offline()
        await station.online_again()
        async with following(shop, "template", "apply", "broken-off", "--cp", id_) as process:
            async with asyncio.timeout(60):
                await stuck.wait()
            code, _ = await interrupted(process)
        failing.set()
        [unfinished] = (await shop.data("template", "show", "broken-off"))["charge_points"]
        done = await shop.data("template", "apply", "broken-off", "--cp", id_)

    assert code != 0
    assert (unfinished["outcome"], unfinished["completed_at"]) == ("unfinished", None)
    assert asked == ["ConnectionTimeOut", "LocalPreAuthorize", "ResetRetries", "ResetRetries"]
    assert (done["outcome"], done["in_force"], done["unanswered"]) == ("applied", 3, 0)


async def test_differences_are_shown_where_they_can_be_compared(shop: Installation) -> None:
    async with (
        shop.simulated("DIFF-1", "ocpp2.0.1") as one,
        shop.simulated("DIFF-2", "ocpp2.1") as two,
        shop.simulated("DIFF-3", "ocpp1.6"),
    ):
        unknown = await shop.csms("cp", "config", "diff", "DIFF-1", "DIFF-3")
        one.dialect.settings.entries["OCPPCommCtrlr.WebSocketPingInterval"].value = "31"
        one.dialect.settings.entries["SampledDataCtrlr.TxUpdatedMeasurands"].value = "Power.Active.Import"
        two.dialect.settings.entries["SmartChargingCtrlr.RateUnit"].value = "W"
        del two.dialect.settings.entries["ReservationCtrlr.Enabled"]
        differ = await shop.csms("cp", "config", "diff", "DIFF-1", "DIFF-2", "--read", "-o", "json")
        settable = await shop.data("cp", "config", "diff", "DIFF-1", "DIFF-2", "--settable")
        await shop.data("cp", "config", "get", "DIFF-3")
        foreign = await shop.csms("cp", "config", "diff", "DIFF-1", "DIFF-3")
        made = await shop.data(
            "template", "create", "--from", "DIFF-1", "--name", "as-diff-1", "--match", "ocppcommctrlr.*",
            "--match", "*password", "--match", "evse*",
        )  # fmt: skip
        twice = await shop.csms(
            "template", "create", "-", "-o", "json", stdin=json.dumps(made | {"version": 9}).encode()
        )
        of_template = await shop.data("cp", "config", "diff", "DIFF-2", "--template", "as-diff-1")
    shown = await shop.data("cp", "config", "show", "DIFF-1", "OCPPCommCtrlr.WebSocket*")
    wrong = await shop.csms("template", "create", "-", "--name", "x", stdin=b"[ocpp2]\nX = 1\n'A.Password' = 'hunter2'")

    assert (unknown.code, unknown.error["code"]) == (5, "refused")
    rows = {each["name"]: (each["difference"], each["first"], each["second"], each["settable"]) for each in differ.json}
    assert rows["OCPPCommCtrlr.WebSocketPingInterval"] == ("differs", "31", "30", True)
    assert rows["SmartChargingCtrlr.RateUnit"] == ("differs", "A,W", "W", False)
    assert rows["ReservationCtrlr.Enabled"] == ("only_first", "true", None, False)
    assert "SecurityCtrlr.BasicAuthPassword (secret)" in differ.err
    assert "ChargingStation.Model (what it is)" in differ.err
    assert "OCPPCommCtrlr.WebSocketPingInterval" in {each["name"] for each in settable}
    assert "SmartChargingCtrlr.RateUnit" not in {each["name"] for each in settable}
    assert (foreign.code, "their settings have other names" in foreign.error["message"]) == (5, True)
    assert made["ocpp2"]["OCPPCommCtrlr.WebSocketPingInterval"] == "31"
    assert {name.partition(".")[0] for name in made["ocpp2"]} == {"OCPPCommCtrlr"}
    assert twice.code == 7
    assert [(each["name"], each["first"], each["second"]) for each in of_template] == [
        ("OCPPCommCtrlr.WebSocketPingInterval", "30", "31")
    ]
    assert [(each["name"], each["value"], each["mutability"], each["data_type"]) for each in shown] == [
        ("OCPPCommCtrlr.WebSocketPingInterval", "31", "ReadWrite", "integer")
    ]
    assert (wrong.code, len(wrong.error["details"]["problems"])) == (2, 2)
    assert "hunter2" not in wrong.err
