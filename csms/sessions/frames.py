"""Raw frames as evidence: written behind the traffic in batches, never in its way."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import asyncpg
import structlog
from prometheus_client import Counter

from csms.database.pool import is_unavailable
from csms.gateway.application import SocketInfo
from csms.protocol.redaction import redacted, without_customer_information
from csms.sessions.store import SQL

PENDING_MAX = 20_000
PENDING_LENGTH_MAX = 16 * 1024 * 1024
"""Characters of frames that wait to be written, all together: what a slow database may cost in memory."""
BATCH_MAX = 1000
PAUSE_S = 0.2
FRAME_LENGTH_MAX = 64 * 1024
"""Longer frames are evidence of nothing but their length; the rest is cut off."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

lost = Counter("csms_frames_not_kept_total", "Frames that were not kept as evidence because the database was too slow")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Frame:
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
        self._wake = asyncio.Event()

    def observe(self, socket: SocketInfo, direction: Literal["in", "out"], frame: str, action: str | None) -> None:
        if len(self._pending) >= PENDING_MAX or self._pending_length + len(frame) > PENDING_LENGTH_MAX:
            lost.inc()
            return
        self._pending_length += len(frame)
        self._pending.append(_Frame(socket.charge_point.id, direction, action, frame, socket.id, datetime.now(UTC)))
        self._wake.set()

    async def quarantine(self, socket: SocketInfo, frame: str, reason: str) -> None:
        """Commit a frame that became no fact."""
        async with self._pool.acquire() as connection:
            await SQL.insert_quarantine.execute(
                connection,
                charge_points=[socket.charge_point.id],
                frames=[_storable(without_customer_information(frame))],
                reasons=[_storable(reason)[:1000]],
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
        batch = [self._pending.popleft() for _ in range(min(BATCH_MAX, len(self._pending)))]
        self._pending_length -= sum(len(frame.body) for frame in batch)
        try:
            async with self._pool.acquire() as connection:
                await SQL.insert_frames.execute(
                    connection,
                    charge_points=[frame.charge_point for frame in batch],
                    directions=[frame.direction for frame in batch],
                    actions=[None if frame.action is None else _storable(frame.action)[:100] for frame in batch],
                    bodies=[_storable(redacted(frame.body)) for frame in batch],
                    sockets=[frame.socket for frame in batch],
                    received_ats=[frame.at for frame in batch],
                )
        except Exception as error:
            if not is_unavailable(error):
                log.exception("frames_not_kept", count=len(batch))
            lost.inc(len(batch))
            await asyncio.sleep(PAUSE_S)


def _storable(text: str) -> str:
    """Postgres refuses U+0000 and lone surrogates; both are shown as replacement characters."""
    cut = text[:FRAME_LENGTH_MAX].replace("\x00", "\ufffd")
    return cut.encode("utf-8", "replace").decode() if _LONE_SURROGATE.search(cut) else cut
