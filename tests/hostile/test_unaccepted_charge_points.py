"""R4: what a charge point that is Pending or Rejected may do, until its operator accepts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.faults.world import commission, installation
from tests.hostile.peers import ask, charge_point, csms

BOOT: dict[str, dict[str, Any]] = {
    "ocpp1.6": {"chargePointVendor": "Fictitious Chargers", "chargePointModel": "Hostile"},
    "ocpp2.0.1": {
        "reason": "PowerUp",
        "chargingStation": {"vendorName": "Fictitious Chargers", "model": "Hostile"},
    },
}
CALLS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ocpp1.6": [
        ("Heartbeat", {}),
        ("Authorize", {"idTag": "CARD-0001"}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
        (
            "StartTransaction",
            {"connectorId": 1, "idTag": "CARD-0001", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"},
        ),
        ("StopTransaction", {"transactionId": 1, "meterStop": 10, "timestamp": "2026-03-01T13:00:00Z"}),
    ],
    "ocpp2.0.1": [
        ("Heartbeat", {}),
        ("Authorize", {"idToken": {"idToken": "CARD-0001", "type": "ISO14443"}}),
        (
            "TransactionEvent",
            {
                "eventType": "Started",
                "timestamp": "2026-03-01T12:00:00Z",
                "triggerReason": "Authorized",
                "seqNo": 0,
                "transactionInfo": {"transactionId": "T-1"},
                "evse": {"id": 1, "connectorId": 1},
                "idToken": {"idToken": "CARD-0001", "type": "ISO14443"},
            },
        ),
    ],
}


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
@pytest.mark.parametrize("registration", ["Pending", "Rejected"])
async def test_a_charge_point_does_nothing_before_it_is_accepted(
    database: str, data_home: Path, protocol: str, registration: str
) -> None:
    async with installation(data_home / "data", dsn=database) as server:
        keys = await commission(database, server.data_dir, ["NEW"])
        await csms(server, "cp", "set", "NEW", "--registration", registration)
        async with charge_point(server.url, "NEW", keys["NEW"], protocol) as socket:
            unannounced = [await ask(socket, *call, f"u-{number}") for number, call in enumerate(CALLS[protocol])]
            booted = await ask(socket, "BootNotification", BOOT[protocol], "boot")
            refused = [await ask(socket, *call, f"r-{number}") for number, call in enumerate(CALLS[protocol])]
            nothing = await facts(database)
            await csms(server, "cp", "set", "NEW", "--registration", "Accepted")
            accepted = await ask(socket, "BootNotification", BOOT[protocol], "boot-2")
            answered = [await ask(socket, *call, f"a-{number}") for number, call in enumerate(CALLS[protocol])]

    assert [(frame[0], frame[2]) for frame in unannounced + refused] == [(4, "SecurityError")] * len(
        CALLS[protocol]
    ) * 2
    assert (booted[0], booted[2]["status"]) == (3, registration)
    assert booted[2]["interval"] > 0
    assert nothing == 0
    assert (accepted[0], accepted[2]["status"]) == (3, "Accepted")
    assert [frame[0] for frame in answered] == [3] * len(CALLS[protocol])
    assert await facts(database) > 0


async def facts(dsn: str) -> int:
    """What is kept of sessions and of connectors."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(
            await connection.fetchval(
                "SELECT (SELECT count(*) FROM charging_event) + (SELECT count(*) FROM reading)"
                " + (SELECT count(*) FROM status_report) + (SELECT count(*) FROM quarantine)"
            )
        )
    finally:
        await connection.close()
