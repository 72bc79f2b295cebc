"""Local lists: sent to charge points of both versions, kept, and found out about."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from cli_room import TOKEN, Installation, serving
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from csms.local_lists.service import SQL
from simulators.charge_point import SimulatedChargePoint
from tests.conftest import directory_for_everybody

PROTOCOLS = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
ITEMS_MAX = {"ocpp1.6": "SendLocalListMaxLength", "ocpp2.0.1": "LocalAuthListCtrlr.ItemsPerMessage"}
ENABLED = {"ocpp1.6": "LocalAuthListEnabled", "ocpp2.0.1": "LocalAuthListCtrlr.Enabled"}


@pytest.fixture(scope="module")
def depot() -> Iterator[Installation]:
    """An installation whose tokens are all issued here: a list holds every token there is."""
    for home in directory_for_everybody():
        with serving(home / "data") as made:
            asyncio.run(made.furnish())
            yield made


def listed(station: SimulatedChargePoint) -> dict[str, str]:
    return {token: entry.status for token, entry in station.dialect.known_tokens.listed.items()}


async def send(depot: Installation, name: str, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = await depot.data("local-list", "send", name, *options)
    return found


async def known(depot: Installation) -> dict[str, str]:
    return {each["id"]: each["status"] for each in await depot.data("token", "list")}


@PROTOCOLS
async def test_a_charge_point_is_sent_all_tokens_and_then_only_what_has_changed(
    depot: Installation, protocol: str
) -> None:
    name, mark = f"LIST-{protocol}", protocol[-3:]
    for n in range(3):
        await depot.data("token", "issue", f"{mark}-{n}", "--group", "FLEET-7")
    async with depot.simulated(name, protocol) as station:
        first = await send(depot, name)
        held = listed(station)
        await depot.data("token", "block", f"{mark}-0")
        await depot.data("token", "issue", f"{mark}-NEW", "--expires", "2020-01-01")
        second = await send(depot, name)
        third = await send(depot, name)
        again = await send(depot, name, "--force")
        await station.offline()
        by_itself = {uid: await station.authorize(f"{mark}-{uid}") for uid in ("0", "1", "NEW", "NOBODY")}

    everything = await known(depot)
    assert {**held, f"{mark}-0": "Blocked", f"{mark}-NEW": "Expired"} == everything
    assert held[f"{mark}-0"] == "Accepted"
    assert (first["outcome"], first["mode"], first["entries"]) == ("Accepted", "full", len(held))
    assert (second["outcome"], second["mode"], second["messages"]) == ("Accepted", "update", 1)
    assert (second["added"], second["changed"], second["removed"]) == (1, 1, 0)
    assert (third["outcome"], third["messages"], third["version"]) == ("up_to_date", 0, second["version"])
    assert (again["outcome"], again["mode"]) == ("Accepted", "full")
    assert again["version"] > second["version"] > first["version"]
    assert listed(station) == everything
    assert by_itself == {"0": "Blocked", "1": "Accepted", "NEW": "Expired", "NOBODY": "unanswered"}
    assert station.dialect.known_tokens.listed[f"{mark}-1"].group == "FLEET-7"


@PROTOCOLS
async def test_a_list_goes_in_as_many_messages_as_the_charge_point_takes(depot: Installation, protocol: str) -> None:
    name, mark = f"LIST-PARTS-{protocol}", f"PART{protocol[-1]}"
    for n in range(4):
        await depot.data("token", "issue", f"{mark}-{n}")
    async with depot.simulated(name, protocol) as station:
        station.dialect.settings.entries[ITEMS_MAX[protocol]].value = "2"
        sent = await send(depot, name)

    everything = await known(depot)
    assert listed(station) == everything
    assert sent["messages"] == sent["version"] == (len(everything) + 1) // 2 > 1


async def test_where_a_charge_point_has_no_room_those_that_may_charge_go_first(depot: Installation) -> None:
    await depot.csms("token", "issue", "ROOM-1")
    await depot.csms("token", "issue", "ROOM-2")
    async with depot.simulated("LIST-ROOM", "ocpp1.6") as station:
        station.dialect.settings.entries["LocalAuthListMaxLength"].value = "2"
        said = await depot.csms("local-list", "send", "LIST-ROOM", "-o", "json")

    assert (said.code, said.json["outcome"], said.json["entries"]) == (6, "Accepted", 2)
    assert said.json["left_out"] == len(await known(depot)) - 2
    assert listed(station) == {"ROOM-1": "Accepted", "ROOM-2": "Accepted"}


async def test_one_without_room_that_says_nothing_of_it_holds_the_beginning_of_the_list(depot: Installation) -> None:
    """OCPP 2.0.1 has the room among the characteristics of a full report, not among what can be asked for."""
    held: list[str] = []
    for n in range(3):
        await depot.csms("token", "issue", f"FULL-{n}")

    def answer(action: str, payload: dict[str, Any]) -> dict[str, Any] | str | None:
        match action:
            case "GetConfiguration":
                return {"configurationKey": [{"key": "SendLocalListMaxLength", "readonly": True, "value": "1"}]}
            case "GetLocalListVersion":
                return {"listVersion": len(held)}
            case _ if payload["updateType"] == "Differential" and len(held) > 1:
                return {"status": "Failed"}
            case _:
                held.append(payload["localAuthorizationList"][0]["idTag"])
                return {"status": "Accepted"}

    async with difficult(depot, "LIST-FULL", answer) as lists:
        said = await depot.csms("local-list", "send", "LIST-FULL", "-o", "json")
    shown = await depot.data("local-list", "show", "LIST-FULL")

    assert (said.code, said.json["outcome"], said.json["messages"]) == (5, "Failed", 3)
    assert f"2 of {len(await known(depot))} tokens" in said.json["detail"]
    assert kinds(lists) == [("Full", 1), ("Differential", 2), ("Differential", 3)]
    assert {each["token"] for each in shown["tokens"]} == set(held)
    assert (shown["version"], shown["up_to_date"]) == (2, False)


@PROTOCOLS
async def test_a_charge_point_that_holds_another_version_gets_the_whole_list(
    depot: Installation, protocol: str
) -> None:
    name = f"LIST-OTHER-{protocol}"
    await depot.data("token", "issue", f"OTHER-{protocol[-3:]}")  # an empty list has version 0
    async with depot.simulated(name, protocol) as station:
        await send(depot, name)
        station.dialect.known_tokens.version = 40
        station.dialect.known_tokens.listed.pop(TOKEN)
        shown = await depot.data("local-list", "show", name)
        [row] = [each for each in await depot.data("local-list", "list") if each["id"] == name]
        mended = await send(depot, name)
        now = await depot.data("local-list", "show", name)

    assert (shown["agrees"], shown["up_to_date"], shown["reported_version"]) == (False, False, 40)
    assert (row["up_to_date"], row["version"]) == (True, shown["version"])  # the books do not ask
    assert (mended["outcome"], mended["mode"], mended["version"] > 40) == ("Accepted", "full", True)
    assert listed(station) == await known(depot)
    assert (now["agrees"], now["up_to_date"], now["version"]) == (True, True, mended["version"])
    assert {each["token"]: each["status"] for each in now["tokens"]} == listed(station)


@PROTOCOLS
async def test_a_list_that_is_switched_off_is_refused_with_a_hint(depot: Installation, protocol: str) -> None:
    name = f"LIST-OFF-{protocol}"
    async with depot.simulated(name, protocol) as station:
        station.dialect.settings.change(ENABLED[protocol], "false")
        said = await depot.csms("local-list", "send", name, "-o", "json")
        [row] = [each for each in await depot.data("local-list", "list") if each["id"] == name]

    refusal = "NotSupported" if protocol == "ocpp1.6" else "Failed"
    assert (said.code, said.json["outcome"]) == (5, refusal)
    assert "NotEnabled" in said.json["detail"] or ENABLED[protocol] in said.json["detail"]
    assert (row["outcome"], row["up_to_date"], row["acknowledged_at"]) == (refusal, False, None)


async def test_a_charge_point_that_does_not_announce_lists_is_sent_none(depot: Installation) -> None:
    async with depot.simulated("LIST-CORE", "ocpp1.6") as station:
        station.dialect.settings.entries["SupportedFeatureProfiles"].value = "Core,RemoteTrigger"
        said = await depot.csms("local-list", "send", "LIST-CORE", "-o", "json")
        again = await depot.csms("local-list", "send", "LIST-CORE", "-o", "json")

    assert [(each.code, each.json["outcome"], each.json["messages"]) for each in (said, again)] == [
        (5, "not_supported", 0)
    ] * 2
    assert "SupportedFeatureProfiles" in said.json["detail"]
    assert station.dialect.known_tokens.version == 0


async def test_one_that_is_offline_is_not_waited_for(depot: Installation) -> None:
    await depot.charge_point("LIST-AWAY")
    said = await depot.csms("local-list", "send", "LIST-AWAY")
    shown = await depot.data("local-list", "show", "LIST-AWAY")

    assert (said.code, said.out, said.error["code"]) == (1, "", "offline")
    assert (shown["reported"], shown["version"], shown["up_to_date"]) == ("offline", None, False)
    assert shown["added"] == len(await known(depot))


async def test_two_commands_do_not_send_to_one_charge_point_at_once(depot: Installation) -> None:
    async with depot.simulated("LIST-BUSY", "ocpp1.6") as station, depot.connection() as other:
        assert await SQL.lock_list.fetchval(other, charge_point="LIST-BUSY")
        said = await depot.csms("local-list", "send", "LIST-BUSY", "-o", "json")

    assert (said.code, said.json["outcome"]) == (5, "busy")
    assert listed(station) == {}


async def test_a_fleet_is_gone_through_and_the_next_run_does_the_rest(depot: Installation) -> None:
    await depot.data(
        "site", "create", "yard", "--name", "Yard", "--country", "DE", "--time-zone", "Europe/Berlin",
        "--currency", "EUR",
    )  # fmt: skip
    late = await depot.charge_point("YARD-3")
    await depot.data("cp", "set", "YARD-3", "--site", "yard")
    async with depot.simulated("YARD-1", "ocpp1.6") as one, depot.simulated("YARD-2", "ocpp2.0.1") as two:
        for name in ("YARD-1", "YARD-2"):
            await depot.data("cp", "set", name, "--site", "yard")
        foreseen = await depot.csms("local-list", "send", "--site", "yard", "--dry-run", "-o", "json")
        untouched = (listed(one), listed(two))
        run = await depot.csms("local-list", "send", "--site", "yard", "-o", "json")
        await one.offline()
        rerun = await depot.csms("local-list", "send", "--site", "yard", "-o", "json")
        table = await depot.csms("local-list", "list", "--site", "yard")

    count = len(await known(depot))
    assert late
    assert (foreseen.code, untouched) == (0, ({}, {}))
    assert [(each["outcome"], each["mode"], each["added"]) for each in foreseen.json] == [("due", "full", count)] * 3
    assert (run.code, [each["outcome"] for each in run.json]) == (8, ["Accepted", "Accepted", "offline"])
    assert (rerun.code, [each["outcome"] for each in rerun.json]) == (8, ["up_to_date", "up_to_date", "offline"])
    assert "1 of 3" in rerun.err
    assert listed(one) == listed(two) == await known(depot)
    assert [line.split("\t")[4] for line in table.out.splitlines()] == ["up_to_date", "yes", "yes", "no"]


@pytest.mark.parametrize("arguments", [(), ("CP-1", "--all"), ("--site", "harbour", "--all")])
async def test_exactly_one_of_the_ways_to_choose_is_said(depot: Installation, arguments: tuple[str, ...]) -> None:
    said = await depot.csms("local-list", "send", *arguments)

    assert (said.code, said.error["code"]) == (2, "usage")


async def test_what_does_not_exist_is_not_sent_to(depot: Installation) -> None:
    answers = [await depot.csms("local-list", "send", *each) for each in (("NOBODY",), ("--site", "nowhere"))]

    assert [(each.code, each.error["code"]) for each in answers] == [(3, "not_found")] * 2


@PROTOCOLS
async def test_a_cache_is_cleared(depot: Installation, protocol: str) -> None:
    name = f"LIST-CACHE-{protocol}"
    async with depot.simulated(name, protocol) as station:
        await station.authorize(TOKEN)
        learnt = dict(station.dialect.known_tokens.cache)
        said = await depot.csms("cp", "clear-cache", name, "-o", "json")

    assert learnt == {TOKEN: "Accepted"}
    assert (said.code, said.json) == (0, {"outcome": "Accepted"})
    assert station.dialect.known_tokens.cache == {}


# --- charge points that are difficult


Answer = Callable[[str, dict[str, Any]], dict[str, Any] | str | None]


@contextlib.asynccontextmanager
async def difficult(depot: Installation, name: str, answer: Answer) -> AsyncIterator[list[dict[str, Any]]]:
    """A 1.6 charge point that answers as told: a payload, the code of a CALLERROR, or None for silence. Its lists."""
    password = await depot.charge_point(name, "--no-template")
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    lists: list[dict[str, Any]] = []
    async with connect(
        f"{depot.url}/{name}",
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:

        async def listen() -> None:
            async for message in socket:
                _, id_, action, payload = json.loads(message)
                if action == "SendLocalList":
                    lists.append(payload)
                said = answer(action, payload)
                if isinstance(said, str):
                    await socket.send(json.dumps([4, id_, said, "", {}]))
                elif said is not None:
                    await socket.send(json.dumps([3, id_, said]))

        listening = asyncio.create_task(listen())
        try:
            yield lists
        finally:
            listening.cancel()


def kinds(lists: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(each["updateType"], each["listVersion"]) for each in lists]


@pytest.mark.parametrize("refusal", ["VersionMismatch", "Failed"])
async def test_differences_that_are_refused_become_the_whole_list_once(depot: Installation, refusal: str) -> None:
    version = 0

    def answer(action: str, payload: dict[str, Any]) -> dict[str, Any] | str | None:
        nonlocal version
        match action:
            case "GetLocalListVersion":
                return {"listVersion": version}
            case "SendLocalList" if payload["updateType"] == "Full":
                version = payload["listVersion"]
                return {"status": "Accepted"}
            case "SendLocalList":
                return {"status": refusal}
            case _:
                return "InternalError"

    async with difficult(depot, f"LIST-{refusal}", answer) as lists:
        await send(depot, f"LIST-{refusal}")
        await depot.data("token", "issue", f"AFT-{refusal}")
        said = await send(depot, f"LIST-{refusal}")

    assert kinds(lists) == [("Full", 1), ("Differential", 2), ("Full", 3)]
    assert (said["outcome"], said["mode"], said["version"]) == ("Accepted", "full", 3)
    assert refusal in said["detail"]


async def test_a_whole_list_that_fails_leaves_nobody_sure_of_what_it_holds(depot: Installation) -> None:
    def answer(action: str, _payload: dict[str, Any]) -> dict[str, Any] | str | None:
        return {"listVersion": 0} if action == "GetLocalListVersion" else {"status": "Failed"}

    async with difficult(depot, "LIST-FAILS", answer) as lists:
        said = await depot.csms("local-list", "send", "LIST-FAILS", "-o", "json")
    [row] = [each for each in await depot.data("local-list", "list") if each["id"] == "LIST-FAILS"]

    assert (said.code, said.json["outcome"], said.json["entries"]) == (5, "Failed", None)
    assert kinds(lists) == [("Full", 1)]
    assert (row["outcome"], row["up_to_date"], row["acknowledged_at"]) == ("Failed", False, None)


@pytest.mark.parametrize("version", ["NotImplemented", "NotSupported", {"listVersion": -1}])
async def test_one_that_keeps_no_list_is_sent_none(depot: Installation, version: Any) -> None:
    name = f"LIST-NONE-{version if isinstance(version, str) else 'MINUS'}"
    async with difficult(depot, name, lambda *_: version) as lists:
        said = await depot.csms("local-list", "send", name, "-o", "json")

    assert (said.code, said.json["outcome"], lists) == (5, "not_supported", [])


async def test_one_that_falls_silent_gets_the_whole_list_the_next_time(depot: Installation) -> None:
    is_silent = True

    def answer(action: str, payload: dict[str, Any]) -> dict[str, Any] | str | None:
        match action:
            case "GetConfiguration":
                return {"configurationKey": [{"key": "SendLocalListMaxLength", "readonly": True, "value": "1"}]}
            case "GetLocalListVersion":
                return {"listVersion": 2 if lists else 0}
            case _:
                return None if is_silent and payload["listVersion"] == 2 else {"status": "Accepted"}

    await depot.csms("token", "issue", "SILENT-1")
    async with difficult(depot, "LIST-SILENT", answer) as lists:
        broken = await depot.csms("local-list", "send", "LIST-SILENT", "--timeout", "1", "-o", "json")
        told = len(lists)
        is_silent = False
        mended = await send(depot, "LIST-SILENT")

    assert (broken.code, broken.json["outcome"], broken.json["messages"], told) == (124, "timeout", 2, 2)
    assert kinds(lists)[2:4] == [("Full", 3), ("Differential", 4)]
    assert (mended["outcome"], mended["entries"]) == ("Accepted", len(await known(depot)))
