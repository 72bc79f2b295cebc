"""Messages on displays between us and charging stations: what was asked and answered, what was told. All of it stays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from billing import Queries, Refused
from csms.nodes.routing import command_to_json
from csms.protocol.blocks.display_facts import DisplayMessage, DisplayMessagesReported
from csms.protocol.blocks.displays import ClearDisplayMessage, GetDisplayMessages, SetDisplayMessage
from csms.protocol.vocabulary import Acknowledged, Command, Decision, Outcome

SQL = Queries.load(__package__)
POLL_S = 0.2
UNKNOWN_ANSWERS = frozenset({"timeout", "invalid_answer"})
"""Outcomes after which nobody knows what the charge point does."""


@dataclass(slots=True, kw_only=True)
class Held:
    """The messages of a report by their ids, as far as they have come."""

    parts: int = 0
    complete: bool = False
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)


async def record(connection: Any, charge_point: str, fact: DisplayMessagesReported, *, at: datetime) -> Decision:
    """Keep what was told before it is acknowledged."""
    messages = TypeAdapter(tuple[DisplayMessage, ...]).dump_python(fact.messages, mode="json")
    await SQL.insert_report.execute(
        connection, charge_point=charge_point, request=fact.request, more=fact.more, messages=messages,
        quirks=",".join(fact.quirks), received_at=at,
    )  # fmt: skip
    return Acknowledged()


async def numbered(connection: Any, charge_point: str, message: DisplayMessage) -> DisplayMessage:
    """The message under the next number that is free at the charge point; to be opened in the same transaction.

    Raises:
        Refused: no number is left above those in use.
    """
    await SQL.lock_messages.execute(connection, charge_point=charge_point)
    number = await SQL.next_message.fetchval(connection, charge_point=charge_point)
    if number is None:
        raise Refused(f"{charge_point} has no number left for a message", "name one to replace with --id")
    return replace(message, id=number)


async def next_request(connection: Any) -> int:
    """The number of a request that is about to be opened, never given twice."""
    number: int = await SQL.next_request.fetchval(connection)
    return number


async def open_request(connection: Any, charge_point: str, request: int, command: Command, *, actor: str) -> None:
    """What is about to be sent, in the books before it is."""
    await SQL.insert_request.execute(
        connection, id=request, charge_point=charge_point, message=_message_of(command),
        body=command_to_json(command.kept()), actor=actor,
    )  # fmt: skip


def _message_of(command: Command) -> int | None:
    match command:
        case SetDisplayMessage():
            return command.message.id
        case ClearDisplayMessage():
            return command.message
        case _:
            assert isinstance(command, GetDisplayMessages)
            return None


async def record_answer(connection: Any, request: int, outcome: Outcome) -> None:
    accepted = None if outcome.status in UNKNOWN_ANSWERS else outcome.accepted
    await SQL.insert_answer.execute(
        connection, request=request, accepted=accepted, status=outcome.status, detail=outcome.detail
    )


async def collect(connection: Any, charge_point: str, *, request: int, timeout_s: float) -> Held:
    """The messages that came for a request: all, or those that had come when time was over."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        held = Held()
        for row in await SQL.reports_of.fetch(connection, charge_point=charge_point, request=request):
            held.parts += 1
            held.complete = held.complete or not row["more"]
            held.messages |= {message["id"]: message for message in row["messages"]}
        if held.complete or asyncio.get_running_loop().time() >= deadline:
            return held
        await asyncio.sleep(POLL_S)
