"""What stands in the way of a command is named, and never called a defect."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.csms.cli.cli_room import environment, run

SITE = ("site", "create", "pier", "--name", "Example Pier", "--country", "DE", "--time-zone", "Europe/Berlin")


async def test_a_port_that_is_in_use_is_named(data_home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ocpp = await run(environment(data_home), "serve", "--ocpp-host", "127.0.0.1", "--ocpp-port", port)
        http = await run(environment(data_home), "serve", "--ocpp-port", 0, "--http-port", port)

    assert (ocpp.code, http.code) == (7, 7)
    assert str(port) in ocpp.error["message"]
    assert "--http-port" in http.error["next"]


async def test_another_password_key_than_that_of_the_stored_hashes_is_refused(data_home: Path) -> None:
    mine = environment(data_home)
    other = environment(data_home, CSMS_PASSWORD_KEY="somebody-else-s-key")
    site = await run(mine, *SITE, "--currency", "EUR")
    first = await run(mine, "cp", "create", "EX-1", "--site", "pier")

    created = await run(other, "cp", "create", "EX-2", "--site", "pier")
    served = await run(other, "serve", "--ocpp-port", 0, "--http-port", 0)

    assert (site.code, first.code) == (0, 0)
    assert (created.code, served.code) == (5, 5)
    assert "password.key" in created.error["next"]
    assert "password.key" in served.error["next"]


async def test_a_place_where_nothing_can_be_stored_is_no_defect() -> None:
    said = await run(environment(Path("/proc/csms")), "session", "list")

    assert said.code in {1, 4}
    assert "defect" not in said.error["next"]
