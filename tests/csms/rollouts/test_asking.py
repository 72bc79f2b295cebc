"""Whom the server asks in a roll-out, by what stands in the database, and that it asks soon or never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from csms.protocol.blocks.firmware import LogKind
from csms.protocol.vocabulary import Command, Outcome
from csms.rollouts.plan import Plan, plan_to_json
from csms.rollouts.runner import Runner
from csms.rollouts.store import SQL, LogWish, log_to_json
from csms.settings import load_settings

SETTINGS = load_settings({})


class Port:
    """Where commands leave the server: keeps what comes, and accepts it."""

    def __init__(self) -> None:
        self.sent: list[Command] = []

    async def send(self, _charge_point: str, command: Command) -> Outcome:
        self.sent.append(command)
        return Outcome(accepted=True, status="Accepted")


async def collecting(pool: asyncpg.Pool[Any], registration: str) -> UUID:
    """A collection of the log of one charge point, which is connected; the node."""
    node = uuid4()
    async with pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO site (id, name, country, time_zone, currency) VALUES ('s', 's', 'DE', 'UTC', 'EUR')"
        )
        await connection.execute(
            "INSERT INTO charge_point (id, site, registration) VALUES ('CP-1', 's', $1)", registration
        )
        await connection.execute("INSERT INTO node (id, pid, host, lease) VALUES ($1, 1, 'test', '1 hour')", node)
        await connection.execute(
            "INSERT INTO socket (id, charge_point, node, protocol, opened_at) VALUES ($1, 'CP-1', $2, 'ocpp2.0.1', now())",
            uuid4(), node,
        )  # fmt: skip
        plan = {**plan_to_json(Plan()), "log": log_to_json(LogWish(kind=LogKind.DIAGNOSTICS))}
        rollout = await SQL.insert_rollout.fetchval(connection, kind="log", image=None, plan=plan, actor="test")
        await SQL.insert_members.execute(
            connection, rollout=rollout, charge_points=["CP-1"], waves=[1], exclusive=False
        )
    return node


async def test_nothing_is_entered_for_one_that_is_connected_though_its_registration_is_rejected(
    pool: asyncpg.Pool[Any],
) -> None:
    node = await collecting(pool, "Rejected")
    runner = Runner(pool, SETTINGS, node=node, send=Port().send, base="https://files.example/")
    asks = [await runner.sweep() for _ in range(3)]

    assert asks == [[], [], []]
    assert await pool.fetchval("SELECT count(*) FROM transfer_request") == 0
    assert await pool.fetchval("SELECT reason FROM rollout_member") == "its registration is Rejected"
    assert await pool.fetchval("SELECT count(*) FROM rollout_event") == 1


@pytest.mark.parametrize("late", [False, True])
async def test_what_was_not_sent_soon_is_not_sent_and_the_books_say_so(pool: asyncpg.Pool[Any], late: bool) -> None:
    node = await collecting(pool, "Accepted")
    port = Port()
    runner = Runner(pool, SETTINGS, node=node, send=port.send, base="https://files.example/")
    [ask] = await runner.sweep()
    await runner._ask(replace(ask, until=0.0) if late else ask)
    answer = await pool.fetchrow("SELECT accepted, answer FROM transfer_request")

    assert answer is not None
    assert (len(port.sent), tuple(answer)) == ((0, (False, "offline")) if late else (1, (True, "Accepted")))
