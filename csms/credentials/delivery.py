"""A change of a password on the node that holds the socket: opened, sent, and settled by what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import structlog

from csms.credentials.sealing import opened
from csms.credentials.service import settle
from csms.database.pool import is_unavailable
from csms.protocol.blocks.credentials import ChangePassword
from csms.protocol.vocabulary import Command, Outcome

log = structlog.get_logger()


async def give_password(
    pool: asyncpg.Pool[Any],
    charge_point: str,
    command: ChangePassword,
    send: Callable[[str, Command], Awaitable[Outcome]],
    *,
    key: bytes,
) -> Outcome:
    """Settled here, so that it is also where whoever asked has gone away. While the database is away it stays as it is:
    both passwords are taken until the charge point comes with one of them.

    Raises:
        ValueError: the command cannot be opened here, or not be written in this version of OCPP; it was not sent.
    """
    try:
        password = opened(command.sealed, key=key, context=charge_point)
        outcome = await send(charge_point, replace(command, password=password, sealed=""))
    except ValueError as never_sent:
        await _settle(pool, charge_point, command, Outcome(accepted=False, status="invalid", detail=str(never_sent)))
        raise
    if not outcome.unsent:  # else it may go on another socket, and is under way until it is answered or given up
        await _settle(pool, charge_point, command, outcome)
    return outcome


async def _settle(pool: asyncpg.Pool[Any], charge_point: str, command: ChangePassword, outcome: Outcome) -> None:
    try:
        async with pool.acquire() as connection:
            await settle(connection, charge_point, command.change, outcome)
    except Exception as error:
        if not is_unavailable(error):
            raise
        log.warning("password_change_not_settled", charge_point=charge_point, outcome=outcome.status)
