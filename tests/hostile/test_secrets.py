"""S12, S13: secrets that pass through the server are nowhere to be found afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from tests.faults.world import commission, installation, until
from tests.hostile.peers import ask, charge_point, csms, dump
from tests.hostile.test_unaccepted_charge_points import BOOT

WRONG = "a-wrong-password-of-30-letters"
TOLD = "told-by-the-charge-point-itself"
ORDERED = "ordered-by-the-operator-12345678"
REPORT = {
    "requestId": 1,
    "seqNo": 0,
    "generatedAt": "2026-03-01T12:00:00Z",
    "reportData": [
        {
            "component": {"name": "SecurityCtrlr"},
            "variable": {"name": "BasicAuthPassword"},
            "variableAttribute": [{"type": "Actual", "value": TOLD}],
        }
    ],
}


def answer_16(action: str, payload: Any) -> Any:
    """A charge point that tells its key to whoever asks for anything."""
    if action == "GetConfiguration":
        key = {"key": "AuthorizationKey", "readonly": False, "value": TOLD}
        return {"configurationKey": [key, {"key": "HeartbeatInterval", "readonly": False, "value": "300"}]}
    return {"status": "Accepted"} if payload else {}


def answer_201(action: str, payload: Any) -> Any:
    if action == "GetVariables":
        return {
            "getVariableResult": [
                {**each, "attributeStatus": "Accepted", "attributeValue": TOLD} for each in payload["getVariableData"]
            ]
        }
    if action == "SetVariables":
        return {
            "setVariableResult": [
                {"component": each["component"], "variable": each["variable"], "attributeStatus": "Accepted"}
                for each in payload["setVariableData"]
            ]
        }
    return {"status": "Accepted"}


async def talk(socket: ClientConnection, protocol: str, seen: list[str]) -> None:
    """Answer everything, for ever; `seen` grows by the actions that were asked for."""
    async for message in socket:
        frame = json.loads(message)
        if frame[0] == 2:
            answer = (answer_16 if protocol == "ocpp1.6" else answer_201)(frame[2], frame[3])
            await socket.send(json.dumps([3, frame[1], answer]))
            seen.append(frame[2])


@pytest.mark.parametrize(
    ("protocol", "name"), [("ocpp1.6", "AuthorizationKey"), ("ocpp2.0.1", "SecurityCtrlr.BasicAuthPassword")]
)
async def test_no_secret_is_kept_anywhere(database: str, data_home: Path, protocol: str, name: str) -> None:
    async with installation(data_home / "data", dsn=database, log_level="debug") as server:
        keys = await commission(database, server.data_dir, ["CP-1"])
        with pytest.raises(InvalidStatus):
            async with charge_point(server.url, "CP-1", WRONG, protocol):
                pass
        async with charge_point(server.url, "CP-1", keys["CP-1"], protocol) as socket:
            await ask(socket, "BootNotification", BOOT[protocol], "boot")
            if protocol == "ocpp2.0.1":
                await ask(socket, "NotifyReport", REPORT, "report")
            seen: list[str] = []
            talking = asyncio.create_task(talk(socket, protocol, seen))
            changed = await csms(server, "cp", "config", "set", "CP-1", name, ORDERED)
            read = await csms(server, "cp", "config", "get", "CP-1", name)
            talking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talking

        async def kept() -> bool:
            return (await csms(server, "cp", "trace", "CP-1", "--last", "1000")).count(
                name.rsplit(".", maxsplit=1)[-1]
            ) >= 2

        await until(kept, what="the frames kept")
        shown = [await csms(server, "cp", each, "CP-1") for each in ("show", "trace")]
        listed = await csms(server, "cp", "list", "-o", "json")
        everything = {
            "log": server.log_path.read_text(), "database": await dump(database), "cp show": shown[0],
            "cp trace": shown[1], "cp list": listed, "cp config get": read, "cp config set": changed,
        }  # fmt: skip

    assert changed.startswith("0 ")
    assert read.startswith("0 ")
    assert "(hidden)" in read
    secrets = {"its password": keys["CP-1"], "a wrong one": WRONG, "what it told": TOLD, "what was ordered": ORDERED}
    assert [
        (what, where) for what, secret in secrets.items() for where, text in everything.items() if secret in text
    ] == []
