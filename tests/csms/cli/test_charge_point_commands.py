"""Commands to charge points: through the server, to simulated charge points of both versions."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from cli_room import TOKEN, Installation, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from csms.charge_points import service as charge_points

PROTOCOLS = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
INTERVAL = {"ocpp1.6": "MeterValueSampleInterval", "ocpp2.0.1": "SampledDataCtrlr.TxUpdatedInterval"}
LEDS = {"ocpp1.6": "NumberOfConnectors", "ocpp2.0.1": "DeviceDataCtrlr.ItemsPerMessage"}


@PROTOCOLS
async def test_a_session_is_started_and_stopped_from_afar(shop: Installation, protocol: str) -> None:
    name = f"CMD-{protocol}"
    async with shop.simulated(name, protocol) as station:
        started = await shop.csms("cp", "start", name, "--token", TOKEN, "--evse", "2", "--wait", "-o", "json")
        busy = await shop.csms("cp", "start", name, "--token", TOKEN, "--evse", "2", "-o", "json")
        session = started.json["session"]
        [running] = await shop.sessions("--cp", name, "--state", "open")
        other = await shop.csms("cp", "stop", "CMD-NONE", "--session", session)
        stopped = await shop.csms("cp", "stop", name, "--session", session, "--wait", "-o", "json")
        late = await shop.csms("cp", "stop", name, "--session", session, "-o", "json")

    assert (started.code, started.json) == (0, {"outcome": "Accepted", "session": running["id"]})
    assert (running["evse"], running["token"]) == (2, TOKEN)
    assert (busy.code, busy.json["outcome"], busy.json["session"]) == (5, "Rejected", None)
    assert other.code == 3
    assert (stopped.code, stopped.json) == (0, {"outcome": "Accepted", "session": session})
    assert (late.code, late.json["outcome"]) == (5, "Rejected")
    assert station.truth.sessions[0].stop_reason == "Remote"


async def test_a_session_of_another_charge_point_is_not_stopped(shop: Installation) -> None:
    async with shop.simulated("CMD-A", "ocpp1.6"), shop.simulated("CMD-B", "ocpp1.6"):
        started = await shop.data("cp", "start", "CMD-A", "--token", TOKEN, "--wait")
        crossed = await shop.csms("cp", "stop", "CMD-B", "--session", started["session"])

    assert (crossed.code, crossed.error["code"]) == (3, "not_found")


@PROTOCOLS
async def test_a_reset_reboots(shop: Installation, protocol: str) -> None:
    name = f"CMD-RESET-{protocol}"
    async with shop.simulated(name, protocol) as station:
        said = await shop.csms("cp", "reset", name, "--hard", "-o", "json")

        async def rebooted() -> bool:
            return [each.what for each in station.truth.log].count("boot") == 2

        await until(rebooted)

    assert (said.code, said.json) == (0, {"outcome": "Accepted"})


@PROTOCOLS
async def test_what_a_charge_point_is_asked_it_does(shop: Installation, protocol: str) -> None:
    name = f"CMD-ASK-{protocol}"
    async with shop.simulated(name, protocol):
        unlocked = await shop.csms("cp", "unlock", name, "--evse", "2", "-o", "json")
        nothing = await shop.csms("cp", "unlock", name, "--evse", "9", "-o", "json")
        closed = await shop.csms("cp", "availability", name, "inoperative", "--evse", "2", "-o", "json")
        [out_of_order] = await until_status(shop, name, "Unavailable")
        opened = await shop.csms("cp", "availability", name, "operative", "-o", "json")
        await until_status(shop, name, "Available", count=2)
        triggered = await shop.csms("cp", "trigger", name, "StatusNotification", "--evse", "1", "-o", "json")

    assert (unlocked.code, unlocked.json) == (0, {"outcome": "Unlocked"})
    assert (nothing.code, nothing.json["outcome"]) in [(5, "NotSupported"), (5, "UnknownConnector")]
    assert (closed.code, closed.json, out_of_order) == (0, {"outcome": "Accepted"}, 2)
    assert (opened.code, opened.json) == (0, {"outcome": "Accepted"})
    assert (triggered.code, triggered.json) == (0, {"outcome": "Accepted"})


async def until_status(shop: Installation, name: str, status: str, *, count: int = 1) -> list[int]:
    """The EVSEs that report a status, once there are so many."""

    async def look() -> bool:
        [row] = await charge_points.list_charge_points(connection, identity=name)
        return [each["status"] for each in row["evses"]].count(status) >= count

    async with shop.connection() as connection:
        await until(look)
    return [each["evse"] for each in (await shop.data("cp", "show", name))["evses"] if each["status"] == status]


@PROTOCOLS
async def test_settings_are_read_and_changed(shop: Installation, protocol: str) -> None:
    name, key = f"CMD-CONF-{protocol}", INTERVAL[protocol]
    async with shop.simulated(name, protocol):
        changed = await shop.csms("cp", "config", "set", name, key, "90", "-o", "json")
        read = await shop.csms("cp", "config", "get", name, key, "-o", "json")
        unknown = await shop.csms("cp", "config", "get", name, key, "NoSuchCtrlr.NoSuchKey", "-o", "json")
        refused = await shop.csms("cp", "config", "set", name, LEDS[protocol], "9", "-o", "json")

    assert (changed.code, changed.json) == (0, {"outcome": "Accepted"})
    assert (read.code, read.json) == (0, [{"name": key, "value": "90", "mutability": None}])
    assert [each["name"] for each in unknown.json] == [key]
    assert "NoSuchCtrlr.NoSuchKey" in unknown.err
    assert refused.code == 5
    assert refused.json["outcome"] in {"Rejected", "NotSupported", "UnknownComponent", "UnknownVariable"}


async def test_all_settings_are_read_where_none_is_named(shop: Installation) -> None:
    async with shop.simulated("CMD-CONF-ALL", "ocpp1.6"):
        read = await shop.data("cp", "config", "get", "CMD-CONF-ALL")

    assert {"NumberOfConnectors", "MeterValueSampleInterval"} <= {each["name"] for each in read}
    assert [each["mutability"] for each in read if each["name"] == "NumberOfConnectors"] == ["ReadOnly"]


async def test_a_charge_point_that_is_not_there_is_not_waited_for(shop: Installation) -> None:
    await shop.charge_point("CMD-OFF")
    said = await shop.csms("cp", "start", "CMD-OFF", "--token", TOKEN, "--wait", "--timeout", "3600")

    assert (said.code, said.out) == (1, "")
    assert (said.error["code"], said.error["message"]) == ("offline", "CMD-OFF is offline")


@contextlib.asynccontextmanager
async def deaf(shop: Installation, name: str, *, answers: bool) -> AsyncIterator[ClientConnection]:
    """A charge point that does nothing that it is asked for, whether it `answers` Accepted or not at all."""
    password = await shop.charge_point(name, "--no-template")
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    async with connect(
        f"{shop.url}/{name}",
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:

        async def listen() -> None:
            async for message in socket:
                _, id_, *_ = json.loads(message)
                if answers:
                    await socket.send(json.dumps([3, id_, {"status": "Accepted"}]))

        listening = asyncio.create_task(listen())
        try:
            yield socket
        finally:
            listening.cancel()


async def test_a_charge_point_that_does_not_answer_is_waited_for_so_long(shop: Installation) -> None:
    async with deaf(shop, "CMD-DEAF", answers=False):
        said = await shop.csms("cp", "reset", "CMD-DEAF", "--timeout", "1")

    assert (said.code, said.out, said.error["code"]) == (124, "", "timeout")


async def test_a_charge_point_that_only_promises_is_waited_for_so_long(shop: Installation) -> None:
    async with deaf(shop, "CMD-LAZY", answers=True):
        promised = await shop.csms("cp", "start", "CMD-LAZY", "--token", TOKEN, "-o", "json")
        waited = await shop.csms("cp", "start", "CMD-LAZY", "--token", TOKEN, "--wait", "--timeout", "1")

    assert (promised.code, promised.json) == (0, {"outcome": "Accepted", "session": None})
    assert (waited.code, waited.out, waited.error["code"]) == (124, "", "timeout")
    assert "no session" in waited.error["message"]


async def test_what_the_version_cannot_say_is_a_mistake_of_the_caller(shop: Installation) -> None:
    wrong = [
        ("trigger", "CMD-WRONG", "NoSuchMessage"),
        ("start", "CMD-WRONG", "--token", "x" * 100),
        ("config", "set", "CMD-WRONG", "k" * 60, "1"),
    ]
    async with shop.simulated("CMD-WRONG", "ocpp1.6"):
        answers = [await shop.csms("cp", *arguments) for arguments in wrong]

    assert [(each.code, each.out) for each in answers] == [(2, "")] * 3, answers
    assert all(each.error["message"] for each in answers)
