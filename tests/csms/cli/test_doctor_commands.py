"""csms cp doctor, csms cp quirks and csms quirk, on charge points that deviate."""

from __future__ import annotations

import json
from typing import Any

from cli_room import Installation, until

from simulators.charge_point import stamp
from tests.faults.wire import Wire, start_16, wire
from tests.world import in_the_past

ABOUT = {"chargePointVendor": "Growatt", "chargePointModel": "THOR Example"}
ZONELESS = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "2026-01-02T11:00:00"}


async def _sick(shop: Installation, identity: str, opened: Wire) -> None:
    """A boot of a known make, local times, a secret among settings, a start that is not JSON."""
    assert (await opened.call("BootNotification", ABOUT)).payload["status"] == "Accepted"
    assert (await opened.call("StatusNotification", ZONELESS)).error is None
    opened.answers["GetConfiguration"] = lambda _payload: {
        "configurationKey": [{"key": "AuthorizationKey", "value": "0123456789abcdef", "readonly": False}]
    }
    await shop.data("cp", "config", "get", identity, "AuthorizationKey")


async def test_the_doctor_names_findings_with_proof_and_whose_move_it_is(shop: Installation) -> None:
    password = await shop.charge_point("SICK-1")
    async with wire(shop.url, "SICK-1", password) as opened:
        await _sick(shop, "SICK-1", opened)

        async def named() -> list[dict[str, Any]]:
            found = await shop.data("cp", "doctor", "SICK-1", "--seen")
            names = {each["name"] for each in found}
            return found if {"time_without_zone", "secret_in_settings"} <= names else []

        found: list[dict[str, Any]] = await until(named)
    by_name = {each["name"]: each for each in found}
    zone, secret = by_name["time_without_zone"], by_name["secret_in_settings"]
    assert (zone["severity"], zone["how"], zone["count"], zone["active"], zone["move"]) == (
        "warning", "seen", 1, True, "operator",
    )  # fmt: skip
    assert zone["next"] == "csms cp set SICK-1 --time-zone Europe/Berlin"
    assert json.loads(zone["frame"])[3] == ZONELESS
    assert zone["billing"].startswith("If its zone")
    assert "0123456789abcdef" not in json.dumps(found)
    assert "AuthorizationKey" in secret["frame"]
    assert [each["severity"] for each in found] == sorted(
        (each["severity"] for each in found), key=["error", "warning", "info"].index
    )

    known = await shop.data("cp", "doctor", "SICK-1", "--name", "reservation_zero")
    table = await shop.csms("cp", "doctor", "SICK-1", "--seen")
    everybody = await shop.data("cp", "doctor", "--site", "harbour")
    assert [(each["how"], each["severity"]) for each in known] == [("known", "info")]
    assert table.out.splitlines()[0].split("\t")[:4] == ["severity", "name", "count", "last_at"]
    row = next(each for each in everybody if each["charge_point"] == "SICK-1")
    assert (row["vendor"], row["error"]) == ("Growatt", 0)
    assert {"time_without_zone", "secret_in_settings"} <= set(row["gravest"])


async def test_a_repair_is_switched_off_while_the_socket_is_open(shop: Installation) -> None:
    password = await shop.charge_point("SWITCHED-1")
    zoneless = start_16(in_the_past()) | {"timestamp": stamp(in_the_past()).removesuffix("Z")}
    async with wire(shop.url, "SWITCHED-1", password) as opened:
        assert (await opened.call("StatusNotification", ZONELESS)).error is None
        switched = await shop.data("cp", "quirks", "set", "SWITCHED-1", "time_without_zone", "off", "--actor", "tester")

        async def refused() -> bool:
            return (await opened.call("StatusNotification", ZONELESS)).error == "PropertyConstraintViolation"

        await until(refused)
        assert (await opened.call("StartTransaction", zoneless)).error == "PropertyConstraintViolation"

        async def named() -> list[dict[str, Any]]:
            return list(await shop.data("cp", "doctor", "SWITCHED-1", "--name", "refused_messages"))

        [kept] = await until(named)

        async def counted() -> list[dict[str, Any]]:  # they are written down now and then
            listed = await shop.data("cp", "quirks", "list", "SWITCHED-1")
            return [each for each in listed if each["name"] == "time_without_zone" and each["count"] >= 2]

        [row] = await until(counted)
    assert switched == {
        "charge_point": "SWITCHED-1", "name": "time_without_zone", "choice": "off", "active": False,
    }  # fmt: skip
    assert json.loads(kept["frame"])[2:] == ["StartTransaction", zoneless]
    assert (row["choice"], row["active"]) == ("off", False)


async def test_the_catalogue_is_listed_and_shown_and_says_what_cannot_be_done(shop: Installation) -> None:
    whole = await shop.data("quirk", "list")
    work_arounds = await shop.data("quirk", "list", "--kind", "work_around", "--switchable")
    shown = await shop.data("quirk", "show", "time_without_zone")
    unknown = await shop.csms("quirk", "show", "no_such")
    fixed = await shop.csms("cp", "quirks", "set", "SICK-0", "boot_loop", "off")
    nobody = await shop.csms("cp", "doctor", "SICK-0")
    both = await shop.csms("cp", "doctor", "SICK-0", "--all")
    empty = await shop.csms("cp", "doctor", "--site", "nowhere")

    assert len(whole) > 130
    assert {each["kind"] for each in work_arounds} == {"work_around"}
    assert (shown["refused_as"], shown["switchable"]) == ("property", True)
    assert "growatt*/*" in shown["models"]
    assert shown["sources"][0].startswith("https://github.com/")
    assert [(each.code, each.out) for each in (unknown, fixed, nobody, both, empty)] == [
        (3, ""), (3, ""), (3, ""), (2, ""), (3, ""),
    ]  # fmt: skip
    assert unknown.error["next"] == "see csms quirk list"
