"""The device model report of a 2.x charge point, put together from its NotifyReport parts as they were kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from asyncpg import Record

from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.device_model import description
from csms.charge_points.service import SQL
from csms.protocol.salvage import salvage
from csms.protocol.translator import translator
from csms.protocol.vocabulary import Protocol, SettingsReported

ACTION = "NotifyReport"
POLL_S = 0.3
FRAMES_MAX = 1000


@dataclass(slots=True, kw_only=True)
class Report:
    """The parts of one report by seqNo, as far as they have come."""

    request: int
    parts: dict[int, SettingsReported] = field(default_factory=dict)

    @property
    def last(self) -> int | None:
        """The seqNo of the part that says that none follows."""
        return next((seq_no for seq_no, part in self.parts.items() if not part.more), None)

    @property
    def missing(self) -> list[int]:
        """Parts before the last one (or before the newest, while that has not come) that were not seen."""
        end = max(self.parts, default=-1) if self.last is None else self.last
        return [seq_no for seq_no in range(end) if seq_no not in self.parts]

    @property
    def complete(self) -> bool:
        return self.last is not None and not self.missing

    def take(self, part: SettingsReported) -> None:
        """One part; those of other reports are none of ours."""
        if part.request == self.request:
            self.parts[part.seq_no] = part

    def rows(self) -> list[dict[str, object]]:
        """One for each variable, in the order of the report; `name` is what settings are read and changed by."""
        parts = [part for _, part in sorted(self.parts.items())]
        told = {name: (value, mutability) for part in parts for name, value, mutability in part.settings}
        described = {each.name: description(each) for part in parts for each in part.described}
        return [
            {
                "name": name,
                "component": name.rpartition(".")[0],
                "variable": name.rpartition(".")[2],
                "value": value,
                "mutability": mutability,
                **described.get(name, {}),
            }
            for name, (value, mutability) in told.items()
        ]


async def newest_frame_at(connection: Any, charge_point: ChargePoint) -> datetime:
    """From when on frames are new, by the clock of those who keep them."""
    newest = await SQL.latest_frames.fetchrow(connection, charge_point=charge_point.id, most=1)
    at: datetime = datetime.now(UTC) - timedelta(days=1) if newest is None else newest["received_at"]
    return at


async def collect(
    connection: Any, charge_point: ChargePoint, *, request: int, since: datetime, timeout_s: float
) -> Report:
    """The report, complete, or what had come of it when time was over. Reads what is kept after `since`."""
    report = Report(request=request)
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        rows = await SQL.frames_since.fetch(connection, charge_point=charge_point.id, since=since, most=FRAMES_MAX)
        for row in rows:
            since = row["received_at"]
            part = _part(charge_point, row)
            if part is not None:
                report.take(part)
        if report.complete or asyncio.get_running_loop().time() >= deadline:
            return report
        if len(rows) < FRAMES_MAX:
            await asyncio.sleep(POLL_S)


def _part(charge_point: ChargePoint, row: Record) -> SettingsReported | None:
    """What a kept frame tells, None where it is no part of a report.

    Of a frame that was too long only the head is kept: nobody knows whether another part follows, and the report does
    not count as complete. What the part told is kept as settings all the same.
    """
    if row["direction"] != "in" or row["action"] != ACTION:
        return None
    try:
        payload = orjson.loads(row["body"])[3]
    except (orjson.JSONDecodeError, IndexError, TypeError, KeyError):
        payload = {"tbc": True} | salvage(row["body"])
    lenient = replace(charge_point, strict=False)  # it was judged by the rules of its version when it came
    fact = translator(Protocol.V201).read(ACTION, payload, charge_point=lenient, received_at=row["received_at"])
    return fact if isinstance(fact, SettingsReported) else None
