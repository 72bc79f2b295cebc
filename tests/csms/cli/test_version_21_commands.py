"""A charging station of OCPP 2.1 does what one of 2.0.1 does: each block is asked once, over the whole server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cli_room import TOKEN, Installation, Said

PROFILE = {
    "id": 7, "purpose": "tx_default", "kind": "relative", "stack_level": 1,
    "schedule": {"unit": "A", "periods": [{"start_s": 0, "limit": 16}]},
}  # fmt: skip
ASKED: dict[str, tuple[object, ...]] = {
    "availability": ("cp", "availability", "V21", "operative"),
    "unlock": ("cp", "unlock", "V21", "--evse", 2),
    "trigger": ("cp", "trigger", "V21", "StatusNotification", "--evse", 1),
    "report": ("cp", "config", "report", "V21", "--component", "SampledDataCtrlr"),
    "clear cache": ("cp", "clear-cache", "V21"),
    "local list": ("local-list", "send", "V21"),
    "profile": ("profile", "set", "V21", "-"),
    "profiles": ("profile", "list", "V21"),
    "display": ("display", "set", "V21", "Closed soon"),
    "displays": ("display", "list", "V21"),
    "monitor": (
        "monitor",
        "set",
        "V21",
        "OCPPCommCtrlr.WebSocketPingInterval",
        "--type",
        "Delta",
        "--value",
        100,
        "--severity",
        4,
    ),
    "monitors": ("monitor", "list", "V21"),
    "network": ("cp", "config", "network", "V21", 1, "--url", "ws://csms.example/ocpp"),
    "customer": ("cp", "customer-information", "V21", "--token", TOKEN, "--report"),
    "reservation": ("reservation", "create", "V21", "--token", TOKEN, "--minutes", 30, "--evse", 2),
}


async def test_what_both_versions_have_works_in_2_1(shop: Installation) -> None:
    async with shop.simulated("V21", "ocpp2.1", at=datetime.now(UTC) - timedelta(hours=2)) as station:
        assert (await shop.data("cp", "show", "V21"))["protocol"] == "ocpp2.1"
        said: dict[str, Said] = {}
        for what, arguments in ASKED.items():
            stdin = json.dumps(PROFILE).encode() if what == "profile" else b""
            said[what] = await shop.csms(*arguments, "-o", "json", stdin=stdin)
        full = await shop.data("cp", "config", "get", "V21")

        started = await shop.data("cp", "start", "V21", "--token", TOKEN, "--evse", 1, "--wait")
        await station.charge(1, energy_wh=Decimal(5000), duration=timedelta(minutes=30))
        stopped = await shop.data("cp", "stop", "V21", "--session", started["session"], "--wait")

    session = await shop.await_session("V21", "rated")
    assert {what: each.code for what, each in said.items()} == dict.fromkeys(ASKED, 0), {
        what: each.err for what, each in said.items() if each.code
    }
    assert [each["id"] for each in said["profiles"].json] == [7]
    assert [each["text"] for each in said["displays"].json] == ["Closed soon"]
    assert len(full) == len(station.dialect.settings.entries)
    assert (started["outcome"], stopped["outcome"]) == ("Accepted", "Accepted")
    assert (session["state"], session["energy_wh"]) == ("rated", 5000)
