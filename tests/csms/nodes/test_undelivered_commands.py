"""What stays in the books of a command that nobody could deliver: that it was asked, and none of its secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from csms.nodes.routing import GRACE, SQL, command_to_json, command_to_keep
from csms.protocol.blocks.credentials import ChangePassword
from csms.protocol.blocks.local_lists import ListEntry, SendLocalList
from csms.protocol.blocks.monitoring import AccessPoint, SetNetworkProfile
from csms.protocol.vocabulary import Command, SetSettings

SECRET = "made-up-4711"
COMMANDS: dict[str, Command] = {
    "a setting": SetSettings(values=(("AuthorizationKey", SECRET),)),
    "a network": SetNetworkProfile(
        slot=1,
        url=f"wss://user:{SECRET}@example.com/ocpp",
        security_profile=2,
        interface="Wired0",
        message_timeout_s=30,
        access_point=AccessPoint(name="internet", user="user", password=SECRET, authentication="CHAP"),
    ),
    "a password": ChangePassword(change=1, sealed=SECRET),
    "a list": SendLocalList(version=1, entries=(ListEntry(token=SECRET, verdict=None),), full=True),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_that_was_given_up_keeps_no_secret(pool: asyncpg.Pool, command: Command) -> None:
    id_ = uuid4()
    async with pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO site (id, name, country, time_zone, currency) VALUES ('s', 's', 'DE', 'UTC', 'EUR')"
        )
        await connection.execute("INSERT INTO charge_point (id, site) VALUES ('CP-1', 's')")
        await SQL.insert_command.execute(
            connection, id=id_, charge_point="CP-1", body=command_to_json(command), kept=command_to_keep(command),
            actor="operator", patience=-2 * GRACE,
        )  # fmt: skip
        asked = await connection.fetchval("SELECT body FROM command WHERE id = $1", id_)
        await SQL.give_up_commands.execute(connection, grace=GRACE)
        row = await connection.fetchrow("SELECT * FROM command WHERE id = $1", id_)

    assert row is not None
    assert SECRET in json.dumps(asked)
    assert SECRET not in json.dumps(dict(row), default=str)
    assert (row["body"], row["kept"]["command"]) == (None, type(command).__name__)
    assert row["done_at"] - datetime.now(UTC) < timedelta(seconds=1)
