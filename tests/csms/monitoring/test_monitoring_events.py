"""Events and reports as they are kept: once each, the newest of each charge point, and only what was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from csms.monitoring import service
from csms.protocol.blocks.monitoring_facts import Monitor, MonitoringEvent, MonitoringReported, MonitorsReported

AT = datetime(2026, 3, 1, 18, tzinfo=UTC)
FAN = Monitor(id=7, name="Fan.Speed", type="Delta", value="9.5", severity=2)


@pytest.fixture
async def connection(pool: asyncpg.Pool[Any]) -> Any:
    async with pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO site (id, name, country, time_zone, currency) "
            "VALUES ('harbour', 'Harbour', 'DE', 'Europe/Berlin', 'EUR')"
        )
        await connection.execute("INSERT INTO charge_point (id, site) VALUES ('CP-1', 'harbour'), ('CP-2', 'harbour')")
        yield connection


def event(number: int) -> MonitoringEvent:
    key = number.to_bytes(16)
    return MonitoringEvent(id=number, at=AT, name="Fan.Speed", value="9", trigger="Delta", key=key, monitor=7)


def told(numbers: Iterable[int]) -> MonitoringReported:
    return MonitoringReported(seq_no=0, more=False, events=tuple(event(number) for number in numbers))


async def test_events_are_kept_once_and_only_the_newest_of_each_charge_point(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "EVENTS_KEPT", 5)
    await service.record(connection, "CP-2", told(range(2)), at=AT)
    for _ in range(2):
        await service.record(connection, "CP-1", told(range(4)), at=AT)
    await service.record(connection, "CP-1", told(range(4, 7)), at=AT)

    rows = await service.newest_events(connection, charge_point="CP-1", most=100)
    others = await service.newest_events(connection, charge_point="CP-2", most=100)

    assert [row["event"] for row in rows] == [6, 5, 4, 3, 2]
    assert [row["event"] for row in others] == [1, 0]


async def test_an_event_has_the_severity_that_its_monitor_had_when_it_came(connection: Any) -> None:
    await service.record(connection, "CP-1", told(range(1)), at=AT)
    await service.remember(connection, "CP-1", [FAN])
    await service.record(connection, "CP-1", told(range(1, 2)), at=AT)
    await service.forget(connection, "CP-1", [FAN.id])

    rows = await service.newest_events(connection, charge_point="CP-1", most=100)

    assert [row["severity"] for row in rows] == [2, None]


async def test_only_a_report_that_this_charge_point_was_asked_for_is_kept(connection: Any) -> None:
    number = await service.open_request(
        connection, charge_point="CP-1", message="GetMonitoringReport", wish={}, actor="ada"
    )
    part = MonitorsReported(request=number, seq_no=0, more=False, monitors=(FAN,))
    await service.record(connection, "CP-2", part, at=AT)
    foreign = await service.collect(connection, number, timeout_s=0)
    for _ in range(2):
        await service.record(connection, "CP-1", part, at=AT)
    own = await service.collect(connection, number, timeout_s=0)

    assert foreign.parts == {}
    assert own.complete
    assert [row["id"] for row in own.rows()] == [FAN.id]


async def test_a_report_is_complete_when_every_part_up_to_the_last_has_come() -> None:
    first, last = (True, [{"id": 1}]), (False, [{"id": 2}])

    assert not service.MonitoringReport(parts={0: first}).complete
    assert not service.MonitoringReport(parts={1: last}).complete
    assert service.MonitoringReport(parts={1: last, 0: first}).complete
