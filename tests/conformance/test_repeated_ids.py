"""R3: the same message id with the same bytes, and with others. A message id decides nothing (RULES.md 1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from csms.protocol.vocabulary import Protocol
from tests.conformance.asking import asking
from tests.conformance.schemas import PROTOCOLS, Filler, incoming, owed
from tests.conformance.station import RESULT

ID = "1"
FACTS = ("charging_event", "reading", "security_event", "monitoring_event")
"""Tables in which a fact stands once, however often it is told."""
ANEW = {"BootNotification", "Heartbeat"}
"""Answered with the time, which is another one by then."""


async def _count(connection: Any) -> list[int]:
    return [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in FACTS]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_message_id_decides_nothing(database: str, data_home: Path, protocol: Protocol) -> None:
    """All calls here have the same id: a repeat gets its answer again and is no second fact, another call is one."""
    filler = Filler({"multiplier": 0})
    async with asking(database, data_home, protocol) as asker:
        assert asker.station is not None
        call, connection = asker.station.call, asker.world.connection
        told = []
        for action in (each for each in incoming(protocol) if owed(protocol, each)):
            first, other = filler.payload(protocol, action), filler.payload(protocol, action)
            answers = [await call(action, first, ID)]
            once = await _count(connection)
            answers.append(await call(action, first, ID))
            twice = await _count(connection)
            answers.append(await call(action, other, ID))
            told.append((action, answers, once, twice, await _count(connection)))

    for action, answers, once, twice, _ in told:
        assert [answer[:2] for answer in answers] == [[RESULT, ID]] * 3, action
        assert answers[0] == answers[1] or action in ANEW, action
        assert once == twice, action
    grown = {action for action, _, _, twice, thrice in told if thrice != twice}
    transactions = {"StartTransaction", "StopTransaction"} if protocol is Protocol.V16 else {"TransactionEvent"}
    assert grown >= {"MeterValues", "SecurityEventNotification"} | transactions
