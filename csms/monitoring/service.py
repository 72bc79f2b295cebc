"""What charging stations watch for us: what was asked and answered, the monitors that are known, and what was told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from billing import Queries
from csms.protocol.blocks.monitoring_facts import Monitor, MonitoringEvent, MonitoringFact, MonitoringReported
from csms.protocol.vocabulary import Acknowledged, Decision, Outcome

SQL = Queries.load(__package__)
EVENTS_KEPT = 10_000
"""So many of each charge point."""
PARTS_MAX = 1_000
"""A report has so many parts at most."""
MONITORS_MAX = 10_000
"""So many of each charge point are remembered."""
POLL_S = 0.3
UNKNOWN_ANSWERS = frozenset({"timeout", "invalid_answer"})
"""Outcomes after which nobody knows what the charge point does."""


# --- what charging stations tell -------------------------------------------------------------------------------------


async def record(connection: Any, charge_point: str, fact: MonitoringFact, *, at: datetime) -> Decision:
    """Keep what was told before it is acknowledged."""
    if isinstance(fact, MonitoringReported):
        await _record_events(connection, charge_point, fact.events, at=at)
        return Acknowledged()
    async with connection.transaction():
        kept = await SQL.insert_report.execute(
            connection, charge_point=charge_point, request=fact.request, seq_no=fact.seq_no, more=fact.more,
            monitors=[asdict(monitor) for monitor in fact.monitors], received_at=at, parts_max=PARTS_MAX,
        )  # fmt: skip
        if kept != "INSERT 0 0":
            await remember(connection, charge_point, fact.monitors)
    return Acknowledged()


async def _record_events(
    connection: Any, charge_point: str, events: Sequence[MonitoringEvent], *, at: datetime
) -> None:
    newest = events[-EVENTS_KEPT:]
    if not newest:
        return
    async with connection.transaction():
        await SQL.insert_events.execute(
            connection,
            charge_point=charge_point,
            received_at=at,
            keys=[event.key for event in newest],
            events=[event.id for event in newest],
            ats=[event.at for event in newest],
            names=[event.name for event in newest],
            values=[event.value for event in newest],
            triggers=[event.trigger for event in newest],
            kinds=[event.kind for event in newest],
            monitors=[event.monitor for event in newest],
            are_cleared=[event.is_cleared for event in newest],
            causes=[event.cause for event in newest],
            tech_codes=[event.tech_code for event in newest],
            tech_infos=[event.tech_info for event in newest],
            transactions=[event.transaction for event in newest],
        )
        await SQL.drop_oldest_events.execute(connection, charge_point=charge_point, kept=EVENTS_KEPT)


async def newest_events(
    connection: Any, *, charge_point: str | None = None, since: datetime | None = None, most: int
) -> list[dict[str, object]]:
    """Events, newest first."""
    rows = await SQL.newest_events.fetch(connection, charge_point=charge_point, since=since, most=most)
    return [dict(row) for row in rows]


# --- what we ask -----------------------------------------------------------------------------------------------------


async def open_request(connection: Any, *, charge_point: str, message: str, wish: dict[str, Any], actor: str) -> int:
    """What is about to be asked for, in the books before it is sent and without its secrets; its id."""
    id_: int = await SQL.insert_request.fetchval(
        connection, charge_point=charge_point, message=message, wish=wish, actor=actor
    )
    return id_


async def record_answer(connection: Any, request: int, outcome: Outcome) -> None:
    accepted = None if outcome.status in UNKNOWN_ANSWERS else outcome.accepted
    await SQL.insert_answer.execute(
        connection, request=request, accepted=accepted, status=outcome.status, detail=outcome.detail, data=outcome.data
    )


# --- the monitors that are known -------------------------------------------------------------------------------------


async def remember(connection: Any, charge_point: str, monitors: Sequence[Monitor]) -> None:
    """Monitors as they were told last, while there is room for more."""
    room = MONITORS_MAX - await SQL.count_monitors.fetchval(connection, charge_point=charge_point)
    kept = sorted({monitor.id: monitor for monitor in monitors}.values(), key=lambda monitor: monitor.id)[
        : max(room, 0)
    ]
    await SQL.upsert_monitors.execute(
        connection,
        charge_point=charge_point,
        ids=[monitor.id for monitor in kept],
        names=[monitor.name for monitor in kept],
        types=[monitor.type for monitor in kept],
        values=[monitor.value for monitor in kept],
        severities=[monitor.severity for monitor in kept],
        during_transactions=[monitor.during_transaction for monitor in kept],
    )


async def forget(connection: Any, charge_point: str, monitors: Sequence[int]) -> None:
    """These are no more."""
    await SQL.forget_monitors.execute(connection, charge_point=charge_point, ids=list(monitors))


async def forget_others(connection: Any, charge_point: str, monitors: Sequence[int]) -> None:
    """Only these are left, by the charge point's own whole report."""
    await SQL.forget_others.execute(connection, charge_point=charge_point, ids=list(monitors))


# --- reports ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class MonitoringReport:
    """The parts of one report by seqNo, as far as they have come: (whether another follows, its monitors)."""

    parts: dict[int, tuple[bool, list[dict[str, Any]]]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        last = next((seq_no for seq_no, (more, _) in sorted(self.parts.items()) if not more), None)
        return last is not None and all(seq_no in self.parts for seq_no in range(last))

    def rows(self) -> list[dict[str, Any]]:
        """One for each monitor, in the order of the report."""
        told = {row["id"]: row for _, (_, monitors) in sorted(self.parts.items()) for row in monitors}
        return list(told.values())


async def collect(connection: Any, request: int, *, timeout_s: float) -> MonitoringReport:
    """The report, complete, or what had come of it when time was over."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        rows = await SQL.parts_of.fetch(connection, request=request)
        report = MonitoringReport(parts={row["seq_no"]: (row["more"], row["monitors"]) for row in rows})
        if report.complete or asyncio.get_running_loop().time() >= deadline:
            return report
        await asyncio.sleep(POLL_S)
