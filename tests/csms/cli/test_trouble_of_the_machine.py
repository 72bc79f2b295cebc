"""What stands in the way of a command is named, and never called a defect."""

from __future__ import annotations

import importlib
import os
import socket
from pathlib import Path

import asyncpg
import click
import pytest

from billing import CliError
from csms.cli.main import Root, csms
from tests.csms.cli.cli_room import environment, run

NOBODY = 65534
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


READERS = (
    ("site", "list"), ("cp", "show", "CP-1"), ("cp", "set", "CP-1", "--max-kw", "11"), ("session", "list"),
    ("review", "release", "1", "--reason", "r"), ("review", "release", "1", "--reason", "r", "--dry-run"),
    ("bill", "list"), ("token", "list"), ("token", "block", "CARD"), ("tariff", "list"), ("db", "status"),
    ("db", "psql", "-c", "SELECT 1"), ("cp", "create", "CP-1", "--site", "pier"),
    ("sim", "run", "normal", "--url", "ws://127.0.0.1:1/ocpp"),
)  # fmt: skip


async def test_a_mistyped_data_directory_is_named_and_stays_empty(data_home: Path) -> None:
    mistyped = data_home / "dta"
    backup = await run(environment(mistyped), "db", "backup", data_home / "csms.dump")
    said = [backup, *[await run(environment(mistyped), *each) for each in READERS]]

    assert [(each.code, each.out, each.error["code"]) for each in said] == [(1, "", "no_installation")] * len(said)
    assert {each.error["message"] for each in said} == {f"no installation in {mistyped}"}
    assert all(f"csms serve --data-dir {mistyped}" in each.error["next"] for each in said)
    assert not mistyped.exists()


FIRST = pytest.mark.parametrize(
    "first", [("db", "migrate"), (*SITE, "--currency", "EUR"), ("token", "issue", "CARD-0001")], ids=lambda it: it[0]
)


@FIRST
async def test_what_may_be_entered_first_makes_the_installation(data_home: Path, first: tuple[str, ...]) -> None:
    begun = await run(environment(data_home / "new"), *first)
    listed = await run(environment(data_home / "new"), "token", "list", "-o", "json")

    assert (begun.code, listed.code) == (0, 0), begun.err + listed.err


async def test_a_data_directory_that_is_a_file_is_wrong_usage(data_home: Path) -> None:
    file = data_home / "data"
    file.write_text("")
    read = await run(environment(file), "site", "list")
    served = await run(environment(file), "serve", "--ocpp-port", 0, "--http-port", 0)

    assert (read.code, served.code) == (2, 2)
    assert read.error["message"] == served.error["message"] == f"{file} is no directory"


def as_nobody(*arguments: str) -> CliError:
    """What a command is refused with under another account."""
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        with pytest.raises(CliError) as refused:
            csms(list(arguments), standalone_mode=False)
        return refused.value
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
@pytest.mark.parametrize("command", [("site", "list"), ("serve", "--ocpp-port", "0", "--http-port", "0")])
def test_a_data_directory_of_another_account_is_not_permitted(data_home: Path, command: tuple[str, ...]) -> None:
    theirs = data_home / "theirs"
    theirs.mkdir(mode=0o700)
    # Python itself may lie below a home that is closed to others: what a command imports is imported before it is theirs.
    csms([*command, "--help"], standalone_mode=False)
    said = as_nobody("--data-dir", str(theirs), *command)
    while isinstance(missing := said.__cause__ or said.__context__, ModuleNotFoundError):
        assert missing.name is not None
        importlib.invalidate_caches()
        importlib.import_module(missing.name)
        said = as_nobody("--data-dir", str(theirs), *command)

    assert said.status == 4
    assert str(theirs) in said.message


async def test_a_place_where_nothing_can_be_stored_is_no_defect() -> None:
    said = await run(environment(Path("/proc/csms")), "session", "list")

    assert said.code in {1, 4}
    assert "defect" not in said.error["next"]


class _Ending(Root):
    """A command that ends as its tasks do."""

    trouble: BaseException

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx, cmd_name

        @click.command()
        def serve() -> None:
            raise self.trouble

        return serve


@pytest.mark.parametrize(
    ("trouble", "code", "next_step"),
    [
        (
            asyncpg.InternalClientError("got result for unknown protocol state"),
            "database_unavailable",
            "csms db status",
        ),
        (
            ExceptionGroup(
                "tasks", [asyncpg.AdminShutdownError("terminated"), ExceptionGroup("inner", [ConnectionResetError()])]
            ),
            "database_unavailable",
            "csms db status",
        ),
        (
            ExceptionGroup("tasks", [asyncpg.AdminShutdownError("terminated"), KeyError("x")]),
            "failed",
            "defect of csms",
        ),
    ],
    ids=["between two steps of the driver", "in several tasks", "and a defect beside it"],
)
def test_a_database_that_goes_away_while_a_command_runs_is_named(trouble: Exception, code: str, next_step: str) -> None:
    ending = _Ending("csms")
    ending.trouble = trouble
    with pytest.raises(CliError) as said:
        ending(["serve"], standalone_mode=False)

    assert (said.value.status, said.value.code) == (1, code)
    assert next_step in said.value.next_step
