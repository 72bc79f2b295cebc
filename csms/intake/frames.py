"""Raw frames as evidence: written behind the traffic in batches, never in its way."""

from __future__ import annotations

import asyncio
import re
from collections import Counter as Counts
from collections import OrderedDict, deque
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, NamedTuple

import asyncpg
import structlog
from prometheus_client import Counter

from csms.database.pool import is_unavailable
from csms.gateway.application import SocketInfo
from csms.intake.statements import SQL
from csms.protocol.redaction import FRAME_LENGTH_MAX, bounded, evidence, redacted, without_description

PENDING_MAX = 20_000
PENDING_LENGTH_MAX = 16 * 1024 * 1024
"""Characters of frames that wait to be written, all together: what a slow database may cost in memory."""
SHARE = 8
"""One charge point may take this part of both, so that none throws away the evidence of all."""
BATCH_MAX = 1000
PAUSE_S = 0.2
TURN_LENGTH = 16 * 1024
"""Characters of frames that are searched for secrets before others get their turn on the event loop."""
SECRET_CALLS_MAX = 1000
"""Calls of ours with a secret that are remembered until they are refused, as the refusal may quote it."""

_CALL_ID = re.compile(r'\[\s{0,9}([24])\s{0,9},\s{0,9}"([^"\\]{0,255})"\s{0,9},')
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

lost = Counter("csms_frames_not_kept_total", "Frames that were not kept as evidence because the database was too slow")
log = structlog.get_logger()


class _Frame(NamedTuple):
    charge_point: str
    direction: Literal["in", "out"]
    action: str | None
    body: str
    socket: str
    at: datetime


class FrameLog:
    """Keeps frames of both directions. Facts do not depend on it: they are committed before their answers."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._pending: deque[_Frame] = deque()
        self._pending_length = 0
        self._shares: Counts[str] = Counts()  # frames that wait, by charge point
        self._shares_length: Counts[str] = Counts()  # and their characters
        self._secret_calls: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._wake = asyncio.Event()

    def observe(self, socket: SocketInfo, direction: Literal["in", "out"], frame: str, action: str | None) -> None:
        charge_point, body = socket.charge_point.id, bounded(frame)
        if not self._has_room(charge_point, len(body)):
            lost.inc()
            return
        self._pending_length += len(body)
        self._shares[charge_point] += 1
        self._shares_length[charge_point] += len(body)
        self._pending.append(_Frame(charge_point, direction, action, body, socket.id, datetime.now(UTC)))
        self._wake.set()

    def _has_room(self, charge_point: str, length: int) -> bool:
        return (
            len(self._pending) < PENDING_MAX
            and self._pending_length + length <= PENDING_LENGTH_MAX
            and self._shares[charge_point] < PENDING_MAX // SHARE
            and self._shares_length[charge_point] + length <= PENDING_LENGTH_MAX // SHARE
        )

    async def quarantine(self, socket: SocketInfo, frame: str, reason: str) -> None:
        """Commit a frame that became no fact."""
        async with self._pool.acquire() as connection:
            await SQL.insert_quarantine.execute(
                connection,
                charge_points=[socket.charge_point.id],
                frames=[storable(evidence(frame))],
                reasons=[storable(reason)[:1000]],
                sockets=[socket.id],
                received_ats=[datetime.now(UTC)],
            )

    async def run(self) -> None:
        """Write what is pending, forever; on cancellation, what is left once more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._pending:
                    await self._write_some()
                await asyncio.sleep(PAUSE_S)
        finally:
            if self._pending:
                async with asyncio.timeout(2):
                    await self._write_some()

    async def _write_some(self) -> None:
        batch = list(islice(self._pending, BATCH_MAX))
        bodies = await self._bodies(batch)
        for frame in batch:  # only now, so that a stop on the way leaves them to the last write
            self._pending.popleft()
            self._drop(frame)
        try:
            async with self._pool.acquire() as connection:
                await SQL.insert_frames.execute(
                    connection,
                    charge_points=[frame.charge_point for frame in batch],
                    directions=[frame.direction for frame in batch],
                    actions=[None if frame.action is None else storable(frame.action)[:100] for frame in batch],
                    bodies=bodies,
                    sockets=[frame.socket for frame in batch],
                    received_ats=[frame.at for frame in batch],
                )
        except Exception as error:
            if not is_unavailable(error):
                log.exception("frames_not_kept", count=len(batch))
            lost.inc(len(batch))
            await asyncio.sleep(PAUSE_S)

    def _drop(self, frame: _Frame) -> None:
        self._pending_length -= len(frame.body)
        for shares, amount in ((self._shares, 1), (self._shares_length, len(frame.body))):
            shares[frame.charge_point] -= amount
            if not shares[frame.charge_point]:
                del shares[frame.charge_point]

    async def _bodies(self, batch: list[_Frame]) -> list[str]:
        """The frames as they are kept. Others get their turn in between."""
        bodies: list[str] = []
        length = 0
        for frame in batch:
            if length >= TURN_LENGTH:
                await asyncio.sleep(0)
                length = 0
            length += len(frame.body)
            bodies.append(storable(self._redacted(frame)))
        return bodies

    def _redacted(self, frame: _Frame) -> str:
        """Without secrets, and without the words of a refusal that may quote one of ours."""
        kept = redacted(frame.body)
        head = _CALL_ID.match(frame.body)
        if head is None:
            return kept
        call = (frame.socket, head[2])
        if frame.direction == "out" and head[1] == "2" and kept != frame.body:
            self._secret_calls[call] = None
            if len(self._secret_calls) > SECRET_CALLS_MAX:
                self._secret_calls.popitem(last=False)
        if frame.direction == "in" and head[1] == "4" and call in self._secret_calls:
            return without_description(kept)
        return kept


def storable(text: str) -> str:
    """Postgres refuses U+0000 and lone surrogates; both are shown as replacement characters."""
    cut = text[:FRAME_LENGTH_MAX].replace("\x00", "\ufffd")
    if cut.isascii():  # as most frames are; to search one takes as long as to read its values
        return cut
    return cut.encode("utf-8", "replace").decode() if _LONE_SURROGATE.search(cut) else cut
