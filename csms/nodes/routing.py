"""Commands to charge points, routed through Postgres to the node that holds the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from pydantic import TypeAdapter

from billing import Queries
from csms.nodes.disconnect import Disconnect
from csms.protocol.translator import COMMANDS as COMMAND_TYPES
from csms.protocol.vocabulary import Command, Outcome

SQL = Queries.load(__package__)
COMMANDS = "csms_command"
OUTCOMES = "csms_outcome"
GRACE = timedelta(seconds=2)
"""So much longer than the charge point the asker waits for the node."""


@cache
def _adapter(name: str) -> TypeAdapter[Command]:
    return TypeAdapter(Disconnect if name == Disconnect.__name__ else COMMAND_TYPES[name])


def command_to_json(command: Command) -> dict[str, Any]:
    """A command as it travels through the database; decimals and times are text."""
    name = type(command).__name__
    return {"command": name, **_adapter(name).dump_python(command, mode="json")}


def command_to_keep(command: Command) -> dict[str, Any]:
    """A command as it stays in the database once it is done: secrets that it carried are hidden."""
    return command_to_json(command.kept())


def command_from_json(body: Mapping[str, Any]) -> Command:
    """The inverse; a command of another version of csms raises KeyError or ValueError."""
    values = {name: value for name, value in body.items() if name != "command"}
    return _adapter(body["command"]).validate_python(values)


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome)


def outcome_from_json(body: Mapping[str, Any]) -> Outcome:
    return Outcome(accepted=body["accepted"], status=body["status"], data=body["data"], detail=body["detail"])


async def ask(
    connection: asyncpg.Connection[Any], charge_point: str, command: Command, *, actor: str, timeout_s: float
) -> Outcome:
    """Have the node that holds the socket send a command; its outcome, `offline` where no node does."""
    id_ = uuid4()
    done = asyncio.Event()

    def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        if payload == str(id_):
            done.set()

    await connection.add_listener(OUTCOMES, heard)
    try:
        await SQL.insert_command.execute(
            connection, id=id_, charge_point=charge_point, body=command_to_json(command), kept=command_to_keep(command),
            actor=actor, patience=timedelta(seconds=timeout_s),
        )  # fmt: skip
        await SQL.notify.execute(connection, channel=COMMANDS, payload=charge_point)
        return await _outcome(connection, id_, done, timeout_s=timeout_s)
    finally:
        await connection.remove_listener(OUTCOMES, heard)


async def _outcome(connection: asyncpg.Connection[Any], id_: UUID, done: asyncio.Event, *, timeout_s: float) -> Outcome:
    deadline = asyncio.get_running_loop().time() + timeout_s + GRACE.total_seconds()
    while True:
        row = await SQL.command_outcome.fetchrow(connection, id=id_)
        if row is not None and row["done_at"] is not None:
            return outcome_from_json(row["outcome"])
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            if row is not None and row["taken_at"] is not None:
                return Outcome(
                    accepted=False, status="timeout", detail="the node that took it has not said what became of it"
                )
            return Outcome(accepted=False, status="offline", detail="no node had a socket of it in time")
        try:
            async with asyncio.timeout(min(left_s, 1.0)):
                await done.wait()
        except TimeoutError:
            continue
