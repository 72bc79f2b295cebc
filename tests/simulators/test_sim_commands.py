"""`sim run|fleet|replay` as scripts use them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from simulators.cli import sim_group
from tests.simulators.central_system import CentralSystem, central_system


@pytest.fixture
def served() -> Iterator[CentralSystem]:
    """A central system in a thread of its own: a command runs its own event loop."""
    started, stop = threading.Event(), threading.Event()
    holder: list[CentralSystem] = []

    async def serve() -> None:
        async with central_system() as central:
            holder.append(central)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    yield holder[0]
    stop.set()
    thread.join(10)


def invoke(*arguments: str) -> Result:
    made = sim_group(lambda n: [(f"MADE-{number}", "a-password-of-20-chars") for number in range(n)])
    return CliRunner().invoke(made, list(arguments))


@pytest.mark.parametrize("command", [[], ["run"], ["fleet"], ["replay"]])
def test_help_begins_with_examples(command: list[str]) -> None:
    helped = invoke(*command, "--help")

    assert helped.exit_code == 0
    assert "Examples:" in helped.output.split("Options:")[0]


def test_a_scenario_runs_as_a_charge_point_made_for_the_occasion(served: CentralSystem) -> None:
    played = invoke("run", "normal", "--url", served.url, "-o", "json")

    assert played.exit_code == 0, played.output
    data = json.loads(played.stdout)
    assert (data["charge_point"], data["ok"]) == ("MADE-0", True)
    assert data["sessions"][0]["declared_wh"] == "10000.000"


def test_a_scenario_prints_a_table(served: CentralSystem) -> None:
    played = invoke("run", "zero_energy", "--url", served.url, "--now", "-o", "table")

    assert played.exit_code == 0, played.output
    assert "CARD-0001" in played.stdout


def test_a_fleet_is_provisioned_and_reported(served: CentralSystem) -> None:
    ran = invoke("fleet", "3", "--url", served.url, "--provision", "-o", "json")

    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["sessions"] == 3


def test_a_fleet_without_credentials_is_a_usage_error(served: CentralSystem) -> None:
    ran = invoke("fleet", "3", "--url", served.url)

    assert ran.exit_code == 2
    assert "--provision" in ran.output


def test_a_replay_reports_as_json(served: CentralSystem, tmp_path: Path) -> None:
    capture = tmp_path / "capture.jsonl"
    capture.write_text(
        json.dumps({"t": 0, "ver": "1.6", "dir": "cp->cs", "frame": [2, "1", "Heartbeat", {}]}) + "\n", encoding="utf-8"
    )
    ran = invoke(
        "replay", str(capture), "--url", served.url, "--identity", "CP-1", "--password", served.password, "-o", "json"
    )

    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["answered"] == 1


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    capture = tmp_path / "capture.jsonl"
    capture.write_text('{"frame": [2, "1", "Heartbeat", {}]}\n', encoding="utf-8")
    ran = invoke("replay", str(capture), "--url", "ws://127.0.0.1:1/ocpp", "--identity", "CP-1", "--password", "x")

    assert ran.exit_code == 1
    assert "is the server up" in ran.output


def test_a_wrong_password_ends_a_scenario_at_once(served: CentralSystem) -> None:
    played = invoke("run", "normal", "--url", served.url, "--identity", "CP-1", "--password", "wrong")

    assert (played.exit_code, played.stdout) == (4, "")
    assert "401 Unauthorized: who are you?; correct the identity and the password" in played.stderr


def test_a_scenario_may_bear_a_refusal(served: CentralSystem, tmp_path: Path) -> None:
    served.refuse = [(401, None), (404, None)]
    story = tmp_path / "stubborn.toml"
    story.write_text('title = "A stubborn one"\nretry_refused = true\nsteps = [{ do = "boot" }]\n', encoding="utf-8")
    played = invoke("run", str(story), "--url", served.url, "-o", "json")

    assert played.exit_code == 0, played.output


def test_a_fleet_of_which_nobody_was_let_in_ends_as_the_refusal_says(served: CentralSystem, tmp_path: Path) -> None:
    wrong, mixed = tmp_path / "wrong.txt", tmp_path / "mixed.txt"
    wrong.write_text("CP-1:wrong\nCP-2:wrong\n", encoding="utf-8")
    mixed.write_text(f"CP-1:{served.password}\nCP-2:wrong\n", encoding="utf-8")
    nobody = invoke("fleet", "2", "--url", served.url, "--credentials", str(wrong), "-o", "json")
    some = invoke("fleet", "2", "--url", served.url, "--credentials", str(mixed), "-o", "json")

    assert (nobody.exit_code, json.loads(nobody.stdout)["finished"]) == (4, 0)
    assert "401" in nobody.stderr
    assert (some.exit_code, json.loads(some.stdout)["finished"]) == (8, 1)


def test_another_machine_is_refused() -> None:
    ran = invoke("run", "normal", "--url", "ws://csms.example.com/ocpp", "--identity", "CP-1", "--password", "x")

    assert ran.exit_code == 2
    assert "this machine only" in ran.output
