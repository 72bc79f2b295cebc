"""O3: whatever we are told to send fits the schema or is refused with the clause; and one call at a time on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csms.database.pool import connect_once
from csms.nodes.routing import ask
from csms.protocol.outgoing import CommandInvalid
from csms.protocol.translator import COMMANDS, translator
from csms.protocol.vocabulary import Command, Outcome, Protocol
from tests.conformance.asking import asking
from tests.conformance.commands import asked, examples, random_command
from tests.conformance.schemas import PROTOCOLS, broken_rules, owed
from tests.conformance.station import Keep_silent, Refuse
from tests.conftest import LONG

OPERATORS = 4
VARIANTS = 1000 if LONG else 40
"""Of each command."""
CLAUSE_MAX = 500
INTEGER_MAX = 2**31 - 1
THOROUGH = settings(
    max_examples=VARIANTS, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
KINDS = [COMMANDS[name] for name in sorted(COMMANDS)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_command_fits_the_schema_or_is_refused_with_the_clause(kind: type[Command]) -> None:
    @THOROUGH
    @given(random_command(kind) | st.sampled_from(examples(kind)))
    def claim(command: Command) -> None:
        for protocol in PROTOCOLS:
            _fits_or_is_refused(protocol, command)

    claim()


def _fits_or_is_refused(protocol: Protocol, command: Command) -> None:
    call = _call(protocol, command)
    if isinstance(call, CommandInvalid):
        assert str(call) == f"{call.action} cannot be sent: {call.problem}"
        assert 0 < len(call.problem) <= CLAUSE_MAX
        assert str(call).encode()
    elif call is not None:
        action, payload = call
        assert broken_rules(protocol, action, payload) == []
        assert json.loads(json.dumps(payload, allow_nan=False)) is not None
        integers = [each for each in _values(payload) if isinstance(each, int)]
        assert action == "DataTransfer" or all(-INTEGER_MAX - 1 <= each <= INTEGER_MAX for each in integers)


def _call(protocol: Protocol, command: Command) -> tuple[str, dict[str, Any]] | CommandInvalid | None:
    try:
        return translator(protocol).command(command)
    except CommandInvalid as refused:
        return refused


def _values(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [value] if inner is None else [each for part in inner for each in _values(part)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_never_more_than_one_call_of_ours_is_unanswered(
    database: str, data_home: Path, protocol: Protocol
) -> None:
    """However many commands are given at once, and however wrongly, slowly or not at all they are answered."""
    chance = random.Random(20260301)
    commands = [command for action, command in asked(protocol).items() if owed(protocol, action)]
    replies = [{"status": "Accepted"}, {}, [], None, Refuse("GenericError")] * 5 + [Keep_silent()]

    async with asking(database, data_home, protocol) as asker, contextlib.AsyncExitStack() as stack:
        assert asker.station is not None
        asker.station.answer, asker.station.pause_s = lambda *_: chance.choice(replies), 0.002
        operators = [await stack.enter_async_context(connect_once(database)) for _ in range(OPERATORS)]

        async def operate(connection: Any) -> list[Outcome]:
            chosen = chance.sample(commands, k=len(commands))
            return [await ask(connection, asker.name, each, actor="operator", timeout_s=0.2) for each in chosen]

        told = await asyncio.gather(*(operate(each) for each in operators))
        asked_for = asker.station.asked

    assert [len(each) for each in told] == [len(commands)] * OPERATORS
    assert asker.station.together_max == 1
    assert len(commands) < len(asked_for) <= OPERATORS * len(commands)
