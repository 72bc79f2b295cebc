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

from csms.database.pool import connect_once
from tests.faults.world import commission, installation, until
from tests.hostile.peers import ask, charge_point, csms, dump
from tests.hostile.test_unaccepted_charge_points import BOOT

WRONG = "a-wrong-password-of-30-letters"
TOLD = "told-by-the-charge-point-itself"
ORDERED = "ordered-by-operators"
FORBIDDEN = "set-behind-our-back-1"
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


def _is_secret(asked: Any) -> bool:
    """What else a server asks for, when it has time to, is no secret."""
    return bool(asked["variable"]["name"] == "BasicAuthPassword")


def answer_201(action: str, payload: Any) -> Any:
    if action == "GetVariables":
        return {
            "getVariableResult": [
                {**each, "attributeStatus": "Accepted", "attributeValue": TOLD if _is_secret(each) else "1"}
                for each in payload["getVariableData"]
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


async def http_answers(dsn: str) -> str:
    """All that the HTTP port says to whoever asks."""
    async with connect_once(dsn) as connection:
        url = str(await connection.fetchval("SELECT http_url FROM node"))
    texts = []
    for path in ("/healthz", "/readyz", "/metrics"):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        texts.append((await reader.read()).decode())
        writer.close()
    return "".join(texts)


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
        ordered = data_home / "ordered"
        ordered.write_text(ORDERED)
        async with charge_point(server.url, "CP-1", keys["CP-1"], protocol) as socket:
            await ask(socket, "BootNotification", BOOT[protocol], "boot")
            if protocol == "ocpp2.0.1":
                await ask(socket, "NotifyReport", REPORT, "report")
            seen: list[str] = []
            talking = asyncio.create_task(talk(socket, protocol, seen))
            refused = await csms(server, "cp", "config", "set", "CP-1", name, FORBIDDEN)
            changed = await csms(server, "cp", "password", "set", "CP-1", "--password-file", str(ordered))
            rotated = await csms(server, "cp", "password", "rotate", "CP-1", "-o", "json")
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
        listed += await csms(server, "cp", "password", "list") + await csms(server, "security", "list")
        everything = {
            "log": server.log_path.read_text(), "database": await dump(database), "cp show": shown[0],
            "cp trace": shown[1], "cp list": listed, "cp config get": read, "cp password set": changed,
            "cp config set": refused, "HTTP": await http_answers(database),
        }  # fmt: skip

    assert changed.startswith("0 ")
    assert refused.startswith("5 ")
    assert "csms cp password rotate" in refused
    assert "csms_security_events" in everything["HTTP"]
    new = json.loads(rotated.removeprefix("0 "))["password"]
    assert len(new) == 40
    assert read.startswith("0 ")
    assert "(hidden)" in read
    secrets = {
        "its password": keys["CP-1"], "a wrong one": WRONG, "what it told": TOLD, "what was ordered": ORDERED,
        "that in hex": ORDERED.encode().hex(), "the new one": new, "what was refused": FORBIDDEN,
    }  # fmt: skip
    assert [
        (what, where) for what, secret in secrets.items() for where, text in everything.items() if secret in text
    ] == []
