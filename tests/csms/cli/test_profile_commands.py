"""Charging profiles from the command line: through the server, to simulated charge points of both versions."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cli_room import BOTH, TOKEN, Installation
from ocpp.v201 import call as call201

from simulators.charge_point import SimulatedChargePoint
from simulators.charge_point.smart_charging import imposed, lifted, means_to_charge, needs

PROTOCOLS = pytest.mark.parametrize("protocol", BOTH)
BEGIN = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
FEATURES = {"ocpp1.6": "SupportedFeatureProfiles", "ocpp2.0.1": "SmartChargingCtrlr.Available"}
WITHOUT = {"ocpp1.6": "Core,RemoteTrigger", "ocpp2.0.1": "false"}


def profile(id_: int = 7, **given: Any) -> dict[str, Any]:
    """A default for each session: 16 A on three phases for an hour, then 8.5 A."""
    periods = given.pop("periods", [{"start_s": 0, "limit": 16, "phases": 3}, {"start_s": 3600, "limit": 8.5}])
    schedule = {"unit": given.pop("unit", "A"), "periods": periods, "start": BEGIN.isoformat()}
    if given.get("kind") == "relative":
        del schedule["start"]
    usual = {"id": id_, "purpose": "tx_default", "kind": "absolute", "stack_level": 1, "schedule": schedule}
    return {**usual, **given}


async def put(shop: Installation, name: str, wanted: dict[str, Any], *options: object) -> Any:
    return await shop.csms("profile", "set", name, "-", *options, "-o", "json", stdin=json.dumps(wanted).encode())


async def composite(shop: Installation, name: str, *options: object) -> list[tuple[int, str, str]]:
    rows = await shop.data("profile", "composite", name, *options)
    return [(row["start_s"], row["limit"], row["unit"]) for row in rows]


@PROTOCOLS
async def test_a_profile_is_set_listed_obeyed_and_cleared(shop: Installation, protocol: str) -> None:
    name = f"PRO-{protocol}"
    async with shop.simulated(name, protocol, at=BEGIN) as station:
        done = await put(shop, name, profile())
        [listed] = await shop.data("profile", "list", name)
        table = await shop.csms("profile", "list", name)
        amperes = await composite(shop, name, "--evse", 1, "--duration", 7200)
        watts = await composite(shop, name, "--evse", 1, "--duration", 60, "--unit", "W")
        power = await charged(station)
        nobody = await shop.csms("profile", "clear", name, "--stack-level", 5, "-o", "json")
        cleared = await shop.csms("profile", "clear", name, "--id", 7, "-o", "json")
        again = await shop.csms("profile", "clear", name, "--id", 7, "-o", "json")
        none = await shop.csms("profile", "list", name, "-o", "json")
        station_holds = station.profiles.held

    assert (done.code, done.json) == (0, {"outcome": "Accepted", "profile": 7, "evse": 0})
    assert {"id": 7, "evse": 0, "purpose": "tx_default", "kind": "absolute", "source": "CSO"}.items() <= listed.items()
    assert listed["limits"] == "0 s: 16 A, 3600 s: 8.5 A"
    assert listed["schedules"][0]["periods"][1]["limit"] == "8.5"
    assert table.out.splitlines()[0].split("\t")[:4] == ["id", "evse", "purpose", "kind"]
    assert amperes == [(0, "16", "A"), (3600, "8.5", "A")]
    assert watts == [(0, "11040", "W")]
    assert power == [Decimal(11_000), Decimal("5865.0")]  # what the battery wants, then 8.5 A x 3 x 230 V
    assert (nobody.code, nobody.json["outcome"]) == (5, "Unknown")
    assert (cleared.code, cleared.json) == (0, {"outcome": "Accepted"})
    assert again.code == 5
    assert (none.code, none.json) == (0, [])
    assert station_holds == []


async def charged(station: SimulatedChargePoint) -> list[Decimal]:
    """The power that flows at once, and after the first hour."""
    await station.plug()
    await station.start(token=TOKEN)
    await station.draw(1)
    first = station.evses[1].power_w
    await station.advance(HOUR + timedelta(minutes=1))
    second = station.evses[1].power_w
    await station.stop()
    await station.unplug()
    return [first, second]


@PROTOCOLS
async def test_a_profile_for_a_session_ends_with_it(shop: Installation, protocol: str) -> None:
    name = f"PRO-TX-{protocol}"
    wanted = profile(3, purpose="tx", kind="relative", unit="W", periods=[{"start_s": 0, "limit": 4140.5}])
    async with shop.simulated(name, protocol, at=BEGIN) as station:
        lone = await put(shop, name, wanted)
        await station.plug(2)
        await station.start(2, token=TOKEN)
        await station.draw(2)
        session = await shop.await_session(name, "open")
        elsewhere = await put(shop, name, wanted, "--session", session["id"], "--evse", 1)
        done = await put(shop, name, wanted, "--session", session["id"])
        [listed] = await shop.data("profile", "list", name)
        limited = station.evses[2].power_w
        on_the_other = await composite(shop, name, "--evse", 1, "--duration", 60, "--unit", "W")
        await station.stop(2)
        await shop.await_session(name, "rated")
        after = await shop.data("profile", "list", name)
        late = await put(shop, name, wanted, "--session", session["id"])

    assert (lone.code, lone.error["details"]["problems"][0]["path"]) == (2, "purpose")
    assert elsewhere.code == 2
    assert (done.code, done.json["evse"]) == (0, 2)
    assert (listed["evse"], listed["transaction"]) == (2, session["transaction_id"])
    assert limited == Decimal("4140.5")
    assert on_the_other == [(0, "22080", "W")]
    assert after == []
    assert (late.code, late.error["code"]) == (5, "refused")


@PROTOCOLS
async def test_what_was_asked_and_answered_stays_in_the_books(shop: Installation, protocol: str) -> None:
    name = f"PRO-BOOKS-{protocol}"
    async with shop.simulated(name, protocol):
        await put(shop, name, profile(1))
        refused = await put(shop, name, profile(2), "--evse", 9)
        no_composite = await shop.csms("profile", "composite", name, "--evse", 9, "--duration", 60, "-o", "json")
    shown = await shop.data("profile", "show", name)

    assert (refused.code, refused.json["outcome"]) == (5, "Rejected")
    assert (no_composite.code, no_composite.json) == (5, [])
    told = [(each["command"], each["accepted"], each["status"]) for each in reversed(shown["requests"])]
    assert told == [
        ("SetChargingProfile", True, "Accepted"),
        ("SetChargingProfile", False, "Rejected"),
        ("GetCompositeSchedule", False, "Rejected"),
    ]
    assert shown["requests"][-1]["body"]["profile"]["schedules"][0]["periods"][1]["limit"] == "8.5"
    async with shop.connection() as connection:
        with pytest.raises(Exception, match=r"append-only|permission denied"):
            await connection.execute("UPDATE profile_answer SET accepted = true")


@PROTOCOLS
async def test_every_mistake_of_a_file_is_told_at_once(shop: Installation, protocol: str) -> None:
    name = f"PRO-WRONG-{protocol}"
    shape = {**profile(), "level": 1, "schedule": {"unit": "kW", "periods": [{"start_s": 0}]}}
    rules = profile(
        stack_level=9, purpose="charge_point_max", periods=[{"start_s": 1, "limit": 1}, {"start_s": 1, "limit": 0.25}]
    )
    async with shop.simulated(name, protocol) as station:
        unshaped = await put(shop, name, shape)
        unruly = await put(shop, name, rules, "--evse", 1)
        too_high = await put(shop, name, profile(stack_level=9))
        too_long = await put(shop, name, profile(periods=[{"start_s": n, "limit": n} for n in range(25)]))
        held = station.profiles.held
    missing = await shop.csms("profile", "set", name, "no-such-file.json")

    def places(said: Any) -> list[str]:
        assert (said.code, said.out) == (2, "")
        return [each["path"] for each in said.error["details"]["problems"]]

    assert sorted(places(unshaped)) == ["level", "schedule.periods.0.limit", "schedule.unit"]
    assert places(unruly) == [
        "purpose",
        "schedule.periods.0.start_s",
        "schedule.periods.1.start_s",
        "schedule.periods.1.limit",
    ]
    assert places(too_high) == ["stack_level"]
    assert places(too_long) == ["schedule.periods"]
    assert missing.code == 2
    assert held == []


@PROTOCOLS
async def test_a_charge_point_that_does_not_announce_smart_charging_is_not_asked(
    shop: Installation, protocol: str
) -> None:
    name = f"PRO-NONE-{protocol}"
    async with shop.simulated(name, protocol) as station:
        station.dialect.settings.entries[FEATURES[protocol]].value = WITHOUT[protocol]
        said = await put(shop, name, profile())
        shown = await shop.data("profile", "show", name)

    assert (said.code, said.error["code"]) == (5, "refused")
    assert FEATURES[protocol] in said.error["message"]
    assert shown["requests"] == []


@PROTOCOLS
async def test_a_charge_point_that_does_not_know_the_messages_says_so(shop: Installation, protocol: str) -> None:
    name = f"PRO-OLD-{protocol}"
    async with shop.simulated(name, protocol) as station:
        for action in ("SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule", "GetChargingProfiles"):
            station.link._peer.route_map.pop(action, None)
        said = [
            await put(shop, name, profile()),
            await shop.csms("profile", "clear", name, "--id", 1, "-o", "json"),
            await shop.csms("profile", "composite", name, "--evse", 1, "--duration", 60, "-o", "json"),
        ]
        listed = await shop.csms("profile", "list", name, "-o", "json")

    assert [each.code for each in said] == [5, 5, 5]
    assert [each.json.get("outcome") for each in said[:2]] == ["not_supported", "not_supported"]
    assert listed.code == (0 if protocol == "ocpp1.6" else 5)
    assert listed.json == []


@PROTOCOLS
async def test_who_is_offline_cannot_be_asked(shop: Installation, protocol: str) -> None:
    name = f"PRO-OFF-{protocol}"
    await shop.charge_point(name, "--protocol", protocol)
    said = [
        await put(shop, name, profile()),
        await shop.csms("profile", "clear", name, "--id", 1),
        await shop.csms("profile", "composite", name, "--evse", 1, "--duration", 60),
    ]
    listed = await shop.csms("profile", "list", name, "-o", "json")
    unknown = await shop.csms("profile", "show", "PRO-NOBODY")

    assert [(each.code, each.error["code"]) for each in said] == [(1, "offline")] * 3
    assert listed.code == (0 if protocol == "ocpp1.6" else 1)
    assert (unknown.code, unknown.error["code"]) == (3, "not_found")


async def test_clearing_says_what(shop: Installation) -> None:
    async with shop.simulated("PRO-CLEAR-1", "ocpp1.6"), shop.simulated("PRO-CLEAR-2", "ocpp2.0.1"):
        both = await shop.csms("profile", "clear", "PRO-CLEAR-1", "--id", 1, "--evse", 1)
        nothing = await shop.csms("profile", "clear", "PRO-CLEAR-2")
        for number, purpose in enumerate(("tx_default", "charge_point_max")):
            await put(shop, "PRO-CLEAR-1", profile(number, purpose=purpose))
        one = await shop.csms("profile", "clear", "PRO-CLEAR-1", "--purpose", "charge_point_max")
        left = await shop.data("profile", "list", "PRO-CLEAR-1")
        rest = await shop.csms("profile", "clear", "PRO-CLEAR-1")
        none = await shop.data("profile", "list", "PRO-CLEAR-1")

    assert (both.code, nothing.code) == (2, 2)
    assert (one.code, [each["id"] for each in left]) == (0, [0])
    assert (rest.code, none) == (0, [])


async def test_a_report_in_parts_is_put_together(shop: Installation) -> None:
    async with shop.simulated("PRO-PARTS", "ocpp2.0.1", at=BEGIN) as station:
        await put(shop, "PRO-PARTS", profile(1, purpose="charge_point_max"))
        await put(shop, "PRO-PARTS", profile(2), "--evse", 1)
        await put(shop, "PRO-PARTS", profile(3), "--evse", 2)
        await imposed(station, 10)
        listed = await shop.data("profile", "list", "PRO-PARTS")
        below = await composite(shop, "PRO-PARTS", "--evse", 2, "--duration", 60, "--unit", "A")

    told = [(each["evse"], each["source"], each["purpose"]) for each in listed]
    assert told == [
        (0, "CSO", "charge_point_max"),
        (0, "EMS", "external_constraints"),
        (1, "CSO", "tx_default"),
        (2, "CSO", "tx_default"),
    ]
    assert below == [(0, "10", "A")]


async def test_a_report_without_its_last_part_is_told_as_partial(shop: Installation) -> None:
    async with shop.simulated("PRO-PARTIAL", "ocpp2.0.1") as station:
        await put(shop, "PRO-PARTIAL", profile(1), "--evse", 1)
        await put(shop, "PRO-PARTIAL", profile(2), "--evse", 2)

        ask = station.ask

        async def lose_the_last(payload: Any) -> Any:
            if isinstance(payload, call201.ReportChargingProfiles) and not payload.tbc:
                return None
            return await ask(payload)

        station.ask = lose_the_last  # type: ignore[method-assign]  # a station that falls silent half way
        said = await shop.csms("profile", "list", "PRO-PARTIAL", "--timeout", 2, "-o", "json")

    assert (said.code, said.error["code"]) == (8, "partial")
    assert [each["id"] for each in said.json] == [1]


async def test_what_others_limit_and_what_vehicles_need_is_shown(shop: Installation) -> None:
    async with shop.simulated("PRO-TOLD", "ocpp2.0.1", at=BEGIN) as station:
        await imposed(station, 10)
        await imposed(station, 6, evse=1, source="SO")
        needed = await needs(station, evse=1, energy_wh=20_000, departure_at=BEGIN + 8 * HOUR)
        meant = await means_to_charge(station, evse=1, limit_a=16)
        first = await shop.data("profile", "show", "PRO-TOLD")
        await lifted(station)
        second = await shop.data("profile", "show", "PRO-TOLD")

    assert [(each["source"], each["evse"]) for each in first["limits"]] == [("EMS", 0), ("SO", 1)]
    assert first["limits"][0]["schedules"][0]["periods"][0]["limit"] == "10"
    assert (needed.status, meant.status) == ("Rejected", "Accepted")
    [need] = first["needs"]
    assert (need["energy_wh"], need["current_max_a"], need["transfer"]) == (20_000, 32, "AC_three_phase")
    assert [each["evse"] for each in first["ev_schedules"]] == [1]
    assert [(each["source"], each["evse"]) for each in second["limits"]] == [("SO", 1)]


async def test_what_a_charge_point_can_is_asked_once_after_each_boot(shop: Installation) -> None:
    async with shop.simulated("PRO-ONCE", "ocpp1.6") as station:
        handler = station.link._peer.route_map["GetConfiguration"]["_on_action"]
        asked = []

        def count(**payload: Any) -> Any:
            asked.append("ChargeProfileMaxStackLevel" in (payload.get("key") or []))
            return handler(**payload)

        station.link._peer.route_map["GetConfiguration"]["_on_action"] = count
        await put(shop, "PRO-ONCE", profile(1))
        await put(shop, "PRO-ONCE", profile(2, stack_level=2))

    assert sum(asked) == 1


async def test_a_slow_charge_point_is_not_waited_for_longer_than_asked(shop: Installation) -> None:
    async with shop.simulated("PRO-SLOW", "ocpp2.0.1") as station:
        route = station.link._peer.route_map["GetCompositeSchedule"]
        answer, enough = route["_on_action"], asyncio.Event()

        async def late(**payload: Any) -> Any:
            await enough.wait()
            return answer(**payload)

        route["_on_action"] = late
        said = await shop.csms("profile", "composite", "PRO-SLOW", "--evse", 1, "--duration", 60, "--timeout", 1)
        [asked] = (await shop.data("profile", "show", "PRO-SLOW"))["requests"]
        enough.set()

    assert (said.code, said.error["code"]) == (124, "timeout")
    assert (asked["accepted"], asked["status"]) == (False, "timeout")


async def test_facts_are_kept_before_they_are_answered(shop: Installation) -> None:
    async with shop.simulated("PRO-KEPT", "ocpp2.0.1") as station, shop.connection() as connection:
        await imposed(station, 12)  # returns with the answer
        rows = await connection.fetch("SELECT kind FROM smart_charging_fact WHERE charge_point = 'PRO-KEPT'")

    assert [row["kind"] for row in rows] == ["limit"]
