"""Fleets: everybody charges, everything is counted."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from simulators.charge_point import RetryPolicy
from simulators.fleet import FleetPlan, run_fleet
from tests.simulators.central_system import CentralSystem

PLAN = FleetPlan(sessions=2, energy_wh=Decimal(1500), duration=timedelta(minutes=15), deadline_s=20)


async def test_a_mixed_fleet_tells_everything(central: CentralSystem) -> None:
    credentials = [(f"CP-{number}", central.password) for number in range(6)]
    seen: list[int] = []
    report = await run_fleet(6, central.url, credentials, PLAN, on_done=seen.append)

    assert report.ok, report.failures
    assert seen == [1, 2, 3, 4, 5, 6]
    assert len(report.sessions) == 12
    assert report.energy_wh == Decimal(18_000)
    assert {socket.subprotocol for socket in central.sockets.values()} == {"ocpp1.6", "ocpp2.0.1"}
    assert report.told == sum(len(central.payloads(action)) for action in TRANSACTION_MESSAGES)
    assert report.latency_ms(0.5) is not None


async def test_what_a_fleet_throws_away_is_counted(central: CentralSystem) -> None:
    central.mood = {"StopTransaction": ["error"] * 4}
    plan = FleetPlan(share_201=0, retry=RetryPolicy(attempts=2, interval_s=0.001), deadline_s=20)
    report = await run_fleet(3, central.url, [(f"CP-{number}", central.password) for number in range(3)], plan)

    assert sum(report.discarded.values()) >= 1
    assert not report.ok


async def test_a_charge_point_that_cannot_connect_is_named(central: CentralSystem) -> None:
    credentials = [("CP-1", central.password), ("CP-2", "wrong")]
    report = await run_fleet(2, central.url, credentials, FleetPlan(deadline_s=600))

    assert report.finished == 1
    assert [(refusal.status, refusal.exit_code) for refusal in report.refusals] == [(401, 4)]
    assert [failure.split()[0] for failure in report.failures] == ["CP-2"]


async def test_a_fleet_without_enough_credentials_is_refused(central: CentralSystem) -> None:
    with pytest.raises(ValueError, match="--provision"):
        await run_fleet(2, central.url, [("CP-1", central.password)])


TRANSACTION_MESSAGES = ("StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent")
