"""Passwords, security profiles and security events on the command line, with simulated charge points."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_room import BOTH, Installation, following, interrupted, line_of, until
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from simulators.charge_point import SimulatedChargePoint
from simulators.charge_point.settings import whole

TWENTY = "twenty-bytes-of-text"
FIFTEEN, FORTY_ONE = "fifteen-letters", "x" * 41
SITE = ("--name", "Security Yard", "--country", "DE", "--time-zone", "Europe/Berlin", "--currency", "EUR")


def password_of(station: SimulatedChargePoint) -> bytes:
    password = station.link.credentials.password
    return password if isinstance(password, bytes) else password.encode()


def now() -> str:
    return datetime.now(UTC).isoformat()


def security_event(type_: str, tech_info: str | None = None) -> Any:
    return call201.SecurityEventNotification(type=type_, timestamp=now(), tech_info=tech_info)


@pytest.mark.parametrize("protocol", BOTH)
async def test_a_charge_point_takes_a_new_password_and_comes_with_it(shop: Installation, protocol: str) -> None:
    name = f"SEC-ROTATE-{protocol}"
    async with shop.simulated(name, protocol) as station:
        rotated = await shop.csms("cp", "password", "rotate", name, "-o", "json")
        await station.offline()
        await station.online_again()
        new = password_of(station)
        station.secrets.rejects = True
        refused = await shop.csms("cp", "password", "set", name, "--password", "-", "-o", "json", stdin=TWENTY.encode())
        listed = await shop.data("cp", "password", "list", name)
        shown = await shop.data("cp", "show", name)

    row = rotated.json
    assert (rotated.code, row["outcome"], row["state"]) == (0, "Accepted", "in_use")
    assert new in {row["password"].encode(), bytes.fromhex(row["password"])}
    assert (refused.code, refused.json["outcome"], refused.json["state"]) == (5, "Rejected", "refused")
    assert [each["state"] for each in listed] == ["refused", "in_use"]
    assert row["password"] not in json.dumps([listed, shown]) + refused.out
    assert (shown["online"], shown["passwords_waiting"]) == (True, 0)


async def test_a_password_of_ones_choice_comes_by_file_or_stdin_and_is_checked(
    shop: Installation, tmp_path: Path
) -> None:
    """S4: 15 and 41 characters are refused, 20 bytes and 40 characters are not."""
    raw = bytes([0x00, 0x3A, 0xFF, *range(17)])
    umlauts = "äöü-" * 10
    files = {name: tmp_path / name for name in ("short", "long", "umlauts", "key")}
    for name, text in (("short", FIFTEEN), ("long", FORTY_ONE), ("umlauts", umlauts), ("key", raw.hex() + "\n")):
        files[name].write_text(text, encoding="utf-8")
    set_ = ("cp", "password", "set")
    async with shop.simulated("SEC-OLD", "ocpp1.6") as old, shop.simulated("SEC-NEW", "ocpp2.0.1") as new:
        wrong = await asyncio.gather(
            shop.csms(*set_, "SEC-NEW", "--password-file", files["short"]),
            shop.csms(*set_, "SEC-NEW", "--password", "-", stdin=FORTY_ONE.encode()),
            shop.csms(*set_, "SEC-OLD", "--password-file", files["umlauts"]),
            shop.csms(*set_, "SEC-OLD", "--password", TWENTY, "--password-file", files["key"]),
            shop.csms(*set_, "SEC-OLD"),
        )
        right = await asyncio.gather(
            shop.csms(*set_, "SEC-OLD", "--password-file", files["key"]),
            shop.csms(*set_, "SEC-NEW", "--password-file", files["umlauts"]),
        )
        for station in (old, new):
            await station.offline()
            await station.online_again()
        held = (password_of(old), password_of(new))
        here = await shop.data(*set_, "SEC-OLD", "--here-only", "--password", "-", stdin=TWENTY.encode())

    assert [each.code for each in wrong] == [5, 5, 2, 2, 2]
    assert "20 bytes" in wrong[2].error["message"]
    assert "no terminal" in wrong[4].error["message"]
    assert [(each.code, each.err) for each in right] == [(0, ""), (0, "")]
    assert held == (raw, umlauts.encode())
    assert here == {"id": "SEC-OLD", "outcome": "taken here", "state": "in_use"}


async def test_a_fleet_is_rotated_and_goes_on_where_it_was_left(shop: Installation) -> None:
    await shop.csms("site", "create", "security-yard", *SITE)
    rotate = ("cp", "password", "rotate", "--site", "security-yard", "--max-age", "0", "-o", "jsonl")

    def rows(out: str) -> dict[str, Any]:
        return {each["id"]: each for each in map(json.loads, out.splitlines())}

    async with AsyncExitStack() as stack:
        for number, protocol in enumerate((*BOTH, "ocpp1.6"), 1):
            made = await stack.enter_async_context(shop.simulated(f"YARD-{number}", protocol))
            made.secrets.rejects = number == 3
            async with shop.connection() as connection:
                await connection.execute("UPDATE charge_point SET site = 'security-yard' WHERE id = $1", made.identity)
        await shop.data("cp", "create", "YARD-OFF", "--site", "security-yard")
        sealed = await shop.data(
            "cp", "create", "YARD-CERT", "--site", "security-yard", "--security-profile", "3", "--serial", "SN-1"
        )
        foreseen = await shop.csms(*rotate, "--dry-run")
        first = await shop.csms(*rotate)
        again = await shop.csms(*rotate[:-4], "-o", "jsonl")
    nobody = await shop.csms("cp", "password", "rotate", "YARD-CERT")

    assert {name: row["outcome"] for name, row in rows(foreseen.out).items()} == {
        "YARD-1": "would_change", "YARD-2": "would_change", "YARD-3": "would_change", "YARD-OFF": "offline",
        "YARD-CERT": "uses_a_certificate",
    }  # fmt: skip
    assert first.code == 8
    assert {name: (row["outcome"], row["password"] is not None) for name, row in rows(first.out).items()} == {
        "YARD-1": ("Accepted", True), "YARD-2": ("Accepted", True), "YARD-3": ("Rejected", False),
        "YARD-OFF": ("offline", False), "YARD-CERT": ("uses_a_certificate", False),
    }  # fmt: skip
    assert {name: row["outcome"] for name, row in rows(again.out).items()}["YARD-1"] == "up_to_date"
    assert (sealed["password"], sealed["security_profile"]) == (None, 3)
    assert (nobody.code, "certificate" in nobody.error["message"]) == (5, True)


@pytest.mark.parametrize("protocol", BOTH)
async def test_a_charge_point_is_brought_to_a_higher_profile_and_never_lower(shop: Installation, protocol: str) -> None:
    name = f"SEC-PROFILE-{protocol}"
    network = () if protocol == "ocpp1.6" else ("--url", shop.url)
    async with shop.simulated(name, protocol) as station:
        station.dialect.settings.entries.setdefault("SecurityProfile", whole("0"))
        await shop.data("cp", "set", name, "--security-profile", "0")
        raised = await shop.data("cp", "security-profile", name, "1", *network)

        async def reached() -> bool:
            async with shop.connection() as connection:
                return await connection.fetchval("SELECT security_profile FROM charge_point WHERE id = $1", name) == 1

        await until(reached)
        lower = await shop.csms("cp", "security-profile", name, "1", *network)
        tls = await shop.csms("cp", "security-profile", name, "2", "--url", "ws://csms.example/ocpp")
        given_up = await shop.data("cp", "security-profile", name, "--give-up")

    assert raised["outcome"] in {"Accepted", "RebootRequired"}
    assert (lower.code, "no message lowers it" in lower.error["message"]) == (5, True)
    assert tls.code == (0 if protocol == "ocpp1.6" else 2)
    assert (given_up["security_profile"], given_up["wanted"]) == (1, None)


async def test_what_charge_points_tell_of_security_is_listed_counted_and_followed(shop: Installation) -> None:
    name = "SEC-EVENT"
    info = "techInfo of 255 characters ".ljust(255, "x")
    async with (
        shop.simulated(name, "ocpp2.0.1") as station,
        shop.simulated("SEC-EVENT-OLD", "ocpp1.6") as old,
        following(shop, "security", "list", "--cp", name, "--follow", "-o", "jsonl") as stream,
    ):
        first = await station.ask(security_event("TamperDetectionActivated", info))
        followed = await line_of(stream)
        for type_ in ("InvalidMessages", "VendorSpecific"):
            await station.ask(security_event(type_))
        more = [await line_of(stream), await line_of(stream)]
        code, err = await interrupted(stream)
        before = await old.ask(call16.SecurityEventNotification(type="ResetOrReboot", timestamp=now(), tech_info=None))
    listed = await shop.data("security", "list", "--cp", name)
    critical = await shop.data("security", "list", "--cp", name, "--critical")
    summary = await shop.data("security", "summary", "--cp", name)
    [of_old] = await shop.data("security", "list", "--cp", "SEC-EVENT-OLD")
    shown = await shop.data("security", "show", followed["number"])
    missing = await shop.csms("security", "show", 999_999_999)
    log = shop.log_path.read_text()

    assert None not in [first, before]
    assert (of_old["type"], of_old["critical"], of_old["count"], of_old["remote"]) == ("ResetOrReboot", True, 1, None)
    assert (followed["type"], followed["critical"], followed["tech_info"]) == ("TamperDetectionActivated", True, info)
    assert {each["type"] for each in more} == {"InvalidMessages", "VendorSpecific"}
    assert (code, err) == (0, "")
    assert {each["type"] for each in listed} == {followed["type"], *(each["type"] for each in more)}
    assert critical == [shown] == [followed]
    assert next((each["type"], each["critical"], each["count"]) for each in summary) == (
        "TamperDetectionActivated",
        True,
        1,
    )
    assert missing.code == 3
    assert any(f'"charge_point":"{name}"' in line and "TamperDetectionActivated" in line for line in log.splitlines())


async def test_a_burst_of_wrong_passwords_is_one_event_of_ours(shop: Installation) -> None:
    await shop.charge_point("SEC-BURST")
    port = int(shop.url.rpartition(":")[2].partition("/")[0])
    request = (
        "GET /ocpp/SEC-BURST HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for _ in range(25):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def noted() -> list[Any] | None:
        found: list[Any] = await shop.data("security", "list", "--cp", "SEC-BURST", "--critical")
        return found if sum(each["count"] for each in found) == 15 else None

    event = (await until(noted))[0]  # of an hour that ended just now there is another one

    assert (event["source"], event["type"], event["remote"]) == ("csms", "FailedAuthenticationBurst", "127.0.0.1")
