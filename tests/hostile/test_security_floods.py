"""S5, S11 and S14 against a whole server: floods are answered and leave few rows, and no URL of a stranger is fetched."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from csms.database.pool import connect_once
from csms.security.told import KEPT_MAX
from tests.faults.world import commission, furnish, serving, until
from tests.hostile.peers import ask, charge_point
from tests.hostile.test_unaccepted_charge_points import BOOT

FLOOD = 1000
INFO = "x" * 255
AT = "2026-03-01T12:{:02d}:{:02d}Z"


async def events(dsn: str, where: str) -> list[tuple[str, int]]:
    """How often of each type; ours have a row for each hour."""
    async with connect_once(dsn) as connection:
        rows = await connection.fetch(
            f"SELECT type, sum(count) AS count FROM security_event WHERE {where} GROUP BY type ORDER BY min(number)"
        )
    return [(row["type"], int(row["count"])) for row in rows]


def a_security_event(number: int) -> dict[str, Any]:
    at = AT.format(number // 60 % 60, number % 60)
    return {"type": f"NobodyKnows{number}", "timestamp": at, "techInfo": INFO}


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_flood_of_security_events_is_answered_and_capped(database: str, data_home: Path, protocol: str) -> None:
    async with serving(database, data_home / "data") as running:
        await furnish(database)
        keys = await commission(database, data_home / "data", ["CP-1", "CP-2"])
        async with (
            charge_point(running.ocpp_url, "CP-1", keys["CP-1"], protocol) as flooding,
            charge_point(running.ocpp_url, "CP-2", keys["CP-2"], protocol) as honest,
        ):
            await ask(flooding, "BootNotification", BOOT[protocol], "boot")
            for number in range(FLOOD):
                await flooding.send(
                    json.dumps([2, f"f-{number}", "SecurityEventNotification", a_security_event(number)])
                )
            alarm = {"type": "TamperDetectionActivated", "timestamp": AT.format(59, 59)}
            await flooding.send(json.dumps([2, "alarm", "SecurityEventNotification", alarm]))
            beats = [await ask(honest, "Heartbeat", {}, f"h-{number}") for number in range(5)]
            answers = await answers_until(flooding, "alarm")
            repeated = await ask(flooding, "SecurityEventNotification", a_security_event(0), "again")

        async def capped() -> bool:
            return bool(await events(database, "source = 'csms'"))

        await until(capped, what="the flood counted")
        kept = await events(database, "source = 'charge_point' AND type LIKE 'NobodyKnows%'")
        critical = await events(database, "critical")
        ours = await events(database, "source = 'csms'")

    assert {each[0] for each in beats} == {3}
    assert answers == {f"f-{number}": {} for number in range(FLOOD)} | {"alarm": {}}
    assert repeated[:1] + repeated[2:] == [3, {}]
    assert len(kept) == KEPT_MAX
    assert critical == [("TamperDetectionActivated", 1)]
    assert ours == [("SecurityEventFlood", FLOOD - KEPT_MAX)]


async def answers_until(socket: ClientConnection, last: str) -> dict[str, Any]:
    """Results by message id; what the server asks meanwhile is refused."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while last not in found:
            frame = json.loads(await socket.recv())
            if frame[0] == 2:
                await socket.send(json.dumps([4, frame[1], "NotSupported", "", {}]))
            elif frame[1].startswith("f-") or frame[1] == last:
                assert frame[0] == 3, frame
                found[frame[1]] = frame[2]
    return found


async def test_guessing_leaves_one_row_and_the_genuine_charge_point_comes_in(database: str, data_home: Path) -> None:
    """S5 with the database behind it."""

    async def guess(url: str) -> None:
        with pytest.raises(InvalidStatus):
            async with charge_point(url, "CP-1", "wrong-wrong-wrong-wrong"):
                pass

    async with serving(database, data_home / "data") as running:
        await furnish(database)
        keys = await commission(database, data_home / "data", ["CP-1"])
        for _ in range(3):
            await asyncio.gather(*(guess(running.ocpp_url) for _ in range(40)))
            async with charge_point(running.ocpp_url, "CP-1", keys["CP-1"]) as genuine:
                assert (await ask(genuine, "Heartbeat", {}, "h"))[0] == 3

        async def counted() -> bool:
            return await events(database, "true") == [("FailedAuthenticationBurst", 110)]

        await until(counted, what="the guesses counted")


# --- S14 -------------------------------------------------------------------------------------------------------------

_watched: list[list[tuple[str, Any]]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and event in {"socket.connect", "socket.getaddrinfo", "open", "urllib.Request", "subprocess.Popen"}:
        _watched[-1].append((event, repr(arguments)))


@contextmanager
def what_is_opened() -> Iterator[list[tuple[str, Any]]]:
    """Connections, look-ups and files of this process while the block runs; a hook can never be removed, only idle."""
    if not getattr(sys, "_csms_audited", False):
        sys.addaudithook(_audit)
        sys._csms_audited = True  # type: ignore[attr-defined]  # once for the process
    seen: list[tuple[str, Any]] = []
    _watched.append(seen)
    try:
        yield seen
    finally:
        _watched.remove(seen)


def calls_with(url: str, protocol: str) -> list[tuple[str, dict[str, Any]]]:
    """Whatever a charge point can put a URL into."""
    event = {"type": "FirmwareUpdated", "timestamp": AT.format(0, 0), "techInfo": url}
    either = [
        ("DataTransfer", {"vendorId": url[:255], "messageId": url[:50], "data": url}),
        (
            "DataTransfer",
            {"vendorId": "org.openchargealliance.costmsg", "messageId": "Url", "data": json.dumps({"url": url})},
        ),
        ("SecurityEventNotification", event),
    ]
    if protocol == "ocpp1.6":
        status = {"connectorId": 1, "errorCode": "OtherError", "status": "Faulted", "info": url[:50]}
        return [
            *either,
            (
                "BootNotification",
                {"chargePointVendor": url[:20], "chargePointModel": url[:20], "firmwareVersion": url[:50]},
            ),
            ("StatusNotification", {**status, "vendorId": url[:255], "vendorErrorCode": url[:50]}),
            ("FirmwareStatusNotification", {"status": "Downloaded"}),
            ("DiagnosticsStatusNotification", {"status": "Uploaded"}),
        ]
    variable = {"component": {"name": "Any"}, "variable": {"name": "Url"}}
    told = {
        "eventId": 1,
        "timestamp": AT.format(0, 1),
        "trigger": "Delta",
        "actualValue": url,
        "eventNotificationType": "CustomMonitor",
    }
    return [
        *either,
        ("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": url[:50], "model": url[:20]}}),
        ("NotifyEvent", {"generatedAt": AT.format(0, 1), "seqNo": 0, "eventData": [{**told, **variable, "techInfo": url}]}),
        (
            "NotifyReport",
            {"requestId": 1, "generatedAt": AT.format(0, 1), "seqNo": 0,
             "reportData": [{**variable, "variableAttribute": [{"value": url}]}]},
        ),
        ("PublishFirmwareStatusNotification", {"status": "Published", "location": [url], "requestId": 1}),
    ]  # fmt: skip


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_no_url_that_a_charge_point_gives_is_fetched(database: str, data_home: Path, protocol: str) -> None:
    """S14. One trap listens, as a server of ours would; the others must not even be tried."""
    trapped: list[str] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trapped.append(repr(await reader.read(100)))
        writer.close()

    listening = await asyncio.start_server(trap, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    bait = data_home / "bait.txt"
    bait.write_text("nobody reads this")
    async with listening, serving(database, data_home / "data") as running:
        await furnish(database)
        keys = await commission(database, data_home / "data", ["CP-1"])
        urls = [
            f"http://127.0.0.1:{port}/own-host", "http://169.254.169.254/latest/meta-data/", f"file://{bait}",
            running.http_url + "/metrics", "ftp://169.254.169.254/x", f"gopher://127.0.0.1:{port}/1",
        ]  # fmt: skip
        async with charge_point(running.ocpp_url, "CP-1", keys["CP-1"], protocol) as socket:
            await ask(socket, "BootNotification", BOOT[protocol], "boot")
            with what_is_opened() as seen:
                answers = [
                    await ask(socket, action, payload, f"{number}-{count}")
                    for number, url in enumerate(urls)
                    for count, (action, payload) in enumerate(calls_with(url, protocol))
                ]
                await asyncio.sleep(0.5)
                control = await asyncio.open_connection("127.0.0.1", port)
                control[1].close()
        http = running.http_url.rpartition(":")[2]

    opened = [what for what in seen if "169.254" in what[1] or "bait" in what[1] or f"{http})" in what[1]]
    assert {answer[0] for answer in answers} == {3}, answers
    assert opened == []
    assert [what[0] for what in seen if f"{port})" in what[1]] == ["socket.connect"], (
        "the control was seen, and no other"
    )
    assert trapped in ([], ["b''"])
