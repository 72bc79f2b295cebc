"""What a token will pay, told to 1.6 charge points that show prices, once the token's own message is answered.

An answer of 1.6 has no place for it: a message of its own follows, SetUserPrice. It holds up no answer, it is not sent
again where it fails, and it freezes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from csms.cost_display import metrics
from csms.cost_display.offers import Offers
from csms.cost_display.statements import SQL
from csms.database.pool import is_unavailable
from csms.protocol.v16.cost_messages import ANNOUNCED_BY, MANY_LANGUAGES, set_user_price
from csms.protocol.vocabulary import Command, Outcome, TokenStatus
from csms.tokens.service import tokens_at
from csms.tokens.token import canonical, verdict

log = structlog.get_logger()

WORKERS = 8
PENDING_MAX = 10_000
ANSWERED_BY = frozenset({"Authorize", "StartTransaction"})

Send = Callable[[str, Command], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class _Presented:
    charge_point: str
    token: str


class UserPrices:
    """`presented` and `started` say who stands there, `answered` that the charge point has its answer: then it is told."""

    def __init__(self, pool: asyncpg.Pool[Any], offers: Offers, send: Send) -> None:
        self._pool = pool
        self._offers = offers
        self._send = send
        self._expected: dict[str, _Presented] = {}
        self._told: dict[str, str] = {}
        self._queue: asyncio.Queue[_Presented] = asyncio.Queue(maxsize=PENDING_MAX)

    def presented(self, socket: str, charge_point: str, token: str) -> None:
        """An Authorize came on this socket and is about to be answered."""
        self._told[socket] = canonical(token)
        self._expected[socket] = _Presented(charge_point, token)

    def started(self, socket: str, charge_point: str, token: str) -> None:
        """A session begins; its driver knows the price already where an Authorize of the token came before."""
        if self._told.pop(socket, None) != canonical(token):
            self._expected[socket] = _Presented(charge_point, token)

    def answered(self, socket: str) -> None:
        """The answer to the newest of them leaves. Neither waits nor raises."""
        presented = self._expected.pop(socket, None)
        if presented is None:
            return
        if self._queue.full():
            metrics.user_prices.labels("left_out").inc()
            return
        self._queue.put_nowait(presented)

    def closed(self, socket: str) -> None:
        """Nobody stands there any more, as far as this socket can tell."""
        self._told.pop(socket, None)
        self._expected.pop(socket, None)

    async def run(self) -> None:
        """Tell each charge point in its own time."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            presented = await self._queue.get()
            try:
                result = await self._tell(presented)
            except Exception as error:
                result = "failed"
                if not is_unavailable(error):
                    log.exception("user_price_not_told", charge_point=presented.charge_point)
            metrics.user_prices.labels(result).inc()

    async def _tell(self, presented: _Presented) -> str:
        """What became of it, as it is counted."""
        now, key = datetime.now(UTC), canonical(presented.token)
        async with self._pool.acquire() as connection:
            if not await self._announces(connection, presented, ANNOUNCED_BY):
                return "no_display"
            [token] = (await tokens_at(connection, [(key, now)])).values()
            extra = await self._announces(connection, presented, MANY_LANGUAGES)
        if verdict(token, at=now).status is not TokenStatus.ACCEPTED:
            return "not_accepted"
        priced = await self._offers.look_up(presented.charge_point)
        offer = None if priced is None else priced.offer(token, now=now)
        if offer is None:
            return "no_tariff"
        command = set_user_price(presented.token, text=offer.text(), texts=offer.texts if extra else {})
        outcome = await self._send(presented.charge_point, command)
        if not outcome.accepted:
            log.info("user_price_refused", charge_point=presented.charge_point, status=outcome.status)
        return "told" if outcome.accepted else "refused"

    async def _announces(self, connection: Any, presented: _Presented, name: str) -> bool:
        return bool(await SQL.announces.fetchval(connection, charge_point=presented.charge_point, announced_by=name))
