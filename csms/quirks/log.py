"""Counts deviations behind the traffic: noted in memory, added up, written by one statement now and then.

The facts carry their deviations themselves; what is counted here is for whoever looks after charge points. A crash loses
what was noted within the last second.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog
from prometheus_client import Counter

from csms.charge_points.charge_point import ChargePoint
from csms.database.pool import is_unavailable
from csms.protocol.quirks import Seen
from csms.protocol.redaction import REDACTED, bounded, redacted
from csms.protocol.salvage import mend
from csms.quirks.service import SQL

PAUSE_S = 0.5
PENDING_MAX = 20_000
"""So many pairs of charge point and name wait to be written; others are only counted as a metric."""
PROOF_LENGTH_MAX = 8 * 1024
MODELS_MAX = 100
"""So many models have a time series of their own; all others are `other`."""
MODEL_LENGTH_MAX = 40
ADDRESSES_MAX = 20
"""So many addresses whose TLS handshakes failed are looked up at once; an attack may come from many more."""
CHARGE_POINTS_OF_ADDRESS_MAX = 20
UNKNOWN_MODEL = "unknown"
OTHER_MODEL = "other"

QUIRKS = Counter("csms_quirks", "Deviations of charge points from OCPP, by name and model", ["quirk", "model"])
log = structlog.get_logger()


@dataclass(slots=True)
class _Seen:
    count: int
    first_at: datetime
    last_at: datetime
    action: str | None
    frame: str


class QuirkLog:
    """`note` is called for messages that deviate, and costs a look-up; `run` writes."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._pending: dict[tuple[str, str], _Seen] = {}
        self._addresses: dict[str, tuple[str, datetime]] = {}
        self._models: set[str] = set()
        self._wake = asyncio.Event()

    def note(self, charge_point: ChargePoint, names: Iterable[str], *, action: str | None, frame: str) -> None:
        """`frame`, or the head of a handshake, shows all of `names`."""
        at, frame = datetime.now(UTC), bounded(frame)
        model = self._label(charge_point.model)
        for name in names:
            QUIRKS.labels(str(name), model).inc()
            key = (charge_point.id, str(name))
            seen = self._pending.get(key)
            if seen is not None:
                seen.count += 1
                seen.last_at, seen.action, seen.frame = at, action, frame
            elif len(self._pending) < PENDING_MAX:
                self._pending[key] = _Seen(1, at, at, action, frame)
        self._wake.set()

    def note_address(self, remote: str, why: str) -> None:
        """A TLS handshake from an address failed; whose it was is looked up when it is written."""
        if remote in self._addresses or len(self._addresses) < ADDRESSES_MAX:
            self._addresses[remote] = (why, datetime.now(UTC))
            self._wake.set()

    def _label(self, model: str | None) -> str:
        """Peers must not make time series as they like."""
        name = (model or "").strip()[:MODEL_LENGTH_MAX]
        if not name:
            return UNKNOWN_MODEL
        if name not in self._models:
            if len(self._models) >= MODELS_MAX:
                return OTHER_MODEL
            self._models.add(name)
        return name

    async def run(self) -> None:
        """Write what is pending, forever; on cancellation, what is left once more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._write_to_the_end()
                await asyncio.sleep(PAUSE_S)
        finally:
            if self._pending:
                async with asyncio.timeout(2):
                    await self._write()

    async def _write_to_the_end(self) -> None:
        """A write that is cut short by the server's stop would be counted twice, or not at all."""
        writing = asyncio.ensure_future(self._write())
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing}, timeout=2)
            raise

    async def _write(self) -> None:
        pending, self._pending = self._pending, {}
        addresses, self._addresses = self._addresses, {}
        try:
            async with self._pool.acquire() as connection:
                await self._add_addresses(connection, pending, addresses)
                if pending:
                    await _count(connection, pending)
        except Exception as error:
            if not is_unavailable(error):
                log.exception("quirks_not_counted", count=len(pending))

    async def _add_addresses(
        self, connection: Any, pending: dict[tuple[str, str], _Seen], addresses: dict[str, tuple[str, datetime]]
    ) -> None:
        for remote, (why, at) in addresses.items():
            rows = await SQL.charge_points_of_address.fetch(
                connection, remote=remote, most=CHARGE_POINTS_OF_ADDRESS_MAX
            )
            for row in rows:
                QUIRKS.labels(str(Seen.TLS_REFUSED), UNKNOWN_MODEL).inc()
                frame = f"TLS handshake from {remote}: {why}"
                pending.setdefault((row["id"], str(Seen.TLS_REFUSED)), _Seen(1, at, at, None, frame))


async def _count(connection: Any, pending: dict[tuple[str, str], _Seen]) -> None:
    keys = sorted(pending)
    seen = [pending[key] for key in keys]
    await SQL.count_seen.execute(
        connection,
        charge_points=[charge_point for charge_point, _ in keys],
        names=[name for _, name in keys],
        counts=[each.count for each in seen],
        first_ats=[each.first_at for each in seen],
        last_ats=[each.last_at for each in seen],
        actions=[None if each.action is None else _storable(each.action)[:100] for each in seen],
        frames=[_storable(proof_of(each.frame)) for each in seen],
    )


def proof_of(frame: str) -> str:
    """A frame as it may be kept. One that is not JSON shows itself only where its mended form holds no secret."""
    kept = redacted(frame)
    if kept != REDACTED:
        return kept
    mended = mend(frame)
    if mended is None:
        return kept
    text = json.dumps(mended)  # which writes integers of any length
    cleaned = redacted(text)
    return frame if cleaned == text else cleaned


def _storable(text: str) -> str:
    """Postgres refuses U+0000 and half surrogate pairs."""
    return text[:PROOF_LENGTH_MAX].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
