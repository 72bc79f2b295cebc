"""Charge points that come, boot and go: booked many at once, each told after the commit in which it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import asyncpg

from billing import NotFound
from csms.charge_points import service as charge_points
from csms.charge_points.service import Boot, Registered
from csms.credentials import service as credentials
from csms.database.group_commit import GroupCommit
from csms.database.pool import in_transaction
from csms.gateway.admission import STUCK_S, TOGETHER_MAX
from csms.gateway.application import SocketInfo
from csms.nodes.service import Node, Opened, SocketEnd, book_ends

GAP_S = 0.02
"""From where one transaction begins to where the next does, while few wait."""


@dataclass(frozen=True, slots=True)
class _Item:
    charge_point: str
    told: SocketInfo | Boot | SocketEnd


@dataclass(slots=True)
class _Lane:
    """`begun_at`: since when it is at its present transaction, by the loop's clock; None: at none."""

    writer: GroupCommit[_Item, Registered | None]
    begun_at: float | None = None


class Comings:
    """`run()` in a TaskGroup. One transaction after the other, at most `at_once` of them while some are stuck."""

    def __init__(self, pool: asyncpg.Pool[Any], node: Node, *, at_once: int, patience_s: float) -> None:
        """`patience_s`: as in GroupCommit."""
        self._pool = pool
        self._node = node
        self._lanes: list[_Lane] = []
        for place in range(at_once):
            flush = partial(self._flush, place)
            writer = GroupCommit[_Item, Registered | None](
                flush, of="comings", batch_max=TOGETHER_MAX, patience_s=patience_s, gap_s=GAP_S
            )
            self._lanes.append(_Lane(writer))

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(lane.writer.run())

    async def came(self, socket: SocketInfo) -> None:
        """Book a socket that was opened.

        Raises:
            DatabaseUnavailable: it was not committed, or nobody knows.
        """
        await self._submit(socket.charge_point.id, socket)

    async def booted(self, boot: Boot) -> Registered:
        """Note what a charge point says it is, and tell how it is registered.

        Raises:
            DatabaseUnavailable: it was not committed, or nobody knows.
            NotFound: there is no such charge point any more.
        """
        return cast("Registered", await self._submit(boot.charge_point, boot))

    async def went(self, charge_point: str, end: SocketEnd) -> None:
        """Book the end of a socket. Where the database is away this raises, and the node's next beat books it."""
        try:
            await self._submit(charge_point, end)
        except Exception:
            self._node.book_later(end)
            raise

    async def _submit(self, charge_point: str, told: SocketInfo | Boot | SocketEnd) -> Registered | None:
        return await self._first_that_moves().writer.submit(_Item(charge_point, told))

    def _first_that_moves(self) -> _Lane:
        """One for all, so that as many as can be share a transaction. Whoever holds a row that one of them needs keeps all
        of them waiting: those who come after STUCK_S go another way.
        """
        since = asyncio.get_running_loop().time() - STUCK_S
        for lane in self._lanes:
            if lane.begun_at is None or lane.begun_at > since:
                return lane
        return self._lanes[-1]

    async def _flush(self, place: int, items: list[_Item]) -> list[Registered | Exception | None]:
        lane = self._lanes[place]
        lane.begun_at = asyncio.get_running_loop().time()
        try:
            return await in_transaction(self._pool, lambda connection: self._book(connection, items))
        finally:
            lane.begun_at = None

    async def _book(self, connection: Any, items: Sequence[_Item]) -> list[Registered | Exception | None]:
        """In the order of their names, so that no two transactions lock each other out."""
        by_name = sorted(range(len(items)), key=lambda place: items[place].charge_point)
        sockets = [told for place in by_name if isinstance(told := items[place].told, SocketInfo)]
        await self._node.book(connection, [_opened(each) for each in sockets])
        for socket in sockets:
            if credentials.is_undecided(socket.charge_point):
                await credentials.shown(connection, socket.charge_point, socket.proof, at=socket.opened_at)
        answers = await _boots(connection, items, by_name)
        await book_ends(connection, [each.told for each in items if isinstance(each.told, SocketEnd)])
        return answers


def _opened(socket: SocketInfo) -> Opened:
    return Opened(
        socket=socket.id,
        charge_point=socket.charge_point.id,
        protocol=str(socket.protocol),
        remote=socket.remote,
        at=socket.opened_at,
    )


async def _boots(connection: Any, items: Sequence[_Item], places: Iterable[int]) -> list[Registered | Exception | None]:
    """The answers to all items. Of two boots of one charge point, the later one is recorded after the other."""
    answers: list[Registered | Exception | None] = [None] * len(items)
    left = [(place, told) for place in places if isinstance(told := items[place].told, Boot)]
    while left:
        now: dict[str, tuple[int, Boot]] = {}
        later = []
        for place, boot in left:
            if boot.charge_point in now:
                later.append((place, boot))
            else:
                now[boot.charge_point] = (place, boot)
        registered = await charge_points.record_boots(connection, [boot for _, boot in now.values()])
        for name, (place, _) in now.items():
            answers[place] = registered.get(name) or NotFound(f"no charge point {name}", "see csms cp list")
        left = later
    return answers
