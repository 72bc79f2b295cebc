"""`csms sim`: simulated charge points against the server, and what the server makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_room import TOKEN, Installation, until

from csms.sessions import listing

CAPTURE = Path(__file__).parents[2] / "scenarios" / "captures" / "vcp_16.jsonl"


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_scenario_that_is_played_is_a_session(shop: Installation, protocol: str) -> None:
    name = f"SIM-RUN-{protocol}"
    password = await shop.charge_point(name)
    played = await shop.csms(
        "sim", "run", "normal", "--url", shop.url, "--identity", name, "--password", password,
        "--protocol", protocol, "--token", TOKEN, "--now",
    )  # fmt: skip
    session = await shop.await_session(name, "rated")

    assert played.code == 0, played.err
    assert (played.json["charge_point"], played.json["protocol"], played.json["ok"]) == (name, protocol, True)
    [told] = played.json["sessions"]
    assert (told["declared_wh"], session["energy_wh"]) == ("10000.000", 10_000)
    assert datetime.now(UTC) - datetime.fromisoformat(session["ended_at"]) < timedelta(hours=1)


async def test_a_fleet_makes_its_own_charge_points(shop: Installation) -> None:
    ran = await shop.csms("sim", "fleet", "3", "--url", shop.url, "--provision", "-o", "json")
    made = await shop.data("cp", "list", "--site", "simulated")

    assert ran.code == 0, ran.err
    assert ran.json["sessions"] == 3
    assert [each["id"] for each in made] == ["SIM-00001", "SIM-00002", "SIM-00003"]
    for each in made:
        assert (await shop.await_session(each["id"], "rated"))["energy_wh"] == 5000


async def test_a_capture_is_replayed_as_another_charge_point(shop: Installation) -> None:
    password = await shop.charge_point("SIM-REPLAY")
    replayed = await shop.csms(
        "sim", "replay", CAPTURE, "--url", shop.url, "--identity", "SIM-REPLAY", "--password", password, "-o", "json"
    )

    async def ended() -> bool:
        found = await listing.list_sessions(connection, charge_point="SIM-REPLAY")
        return len(found) == 2 and all(each["ended_at"] for each in found)

    async with shop.connection() as connection:
        await until(ended)
    sessions = await shop.sessions("--cp", "SIM-REPLAY")

    assert replayed.code == 0, replayed.err
    assert [each["energy_wh"] for each in sessions] == [1500, 320]


@pytest.mark.parametrize("command", [("replay", str(CAPTURE)), ("run", "normal")], ids=lambda each: each[0])
async def test_credentials_that_the_server_refuses_end_a_simulation_with_its_answer(
    shop: Installation, command: tuple[str, ...]
) -> None:
    name = f"SIM-WRONG-{command[0]}"
    await shop.charge_point(name)
    url = ("--url", shop.url, "--password", "not-the-password")
    wrong = await shop.csms("sim", *command, *url, "--identity", name)
    unknown = await shop.csms("sim", *command, *url, "--identity", f"{name}-NEVER")

    assert (wrong.code, wrong.out, wrong.error["code"]) == (4, "", "permission")
    assert f"{name} was refused" in wrong.error["message"]
    assert "401 Unauthorized: Basic authentication" in wrong.error["message"]
    assert f"csms cp set {name} --new-password" in wrong.error["next"]
    assert (unknown.code, unknown.out, unknown.error["code"]) == (3, "", "not_found")
    assert "404 Not Found: no such charge point" in unknown.error["message"]
    assert f"csms cp create {name}-NEVER" in unknown.error["next"]
