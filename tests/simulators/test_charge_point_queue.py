"""What a simulated charge point does with its transaction messages when the central system or the network fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from simulators.charge_point import (
    Build,
    Credentials,
    HandshakeRefusedError,
    ModelClock,
    ReconnectPolicy,
    RetryPolicy,
    SimulatedChargePoint,
)
from tests.simulators.central_system import CentralSystem

EIGHT = datetime(2026, 3, 2, 8, tzinfo=UTC)
QUICK = ReconnectPolicy(wait_s=0.01, range_s=0.01, doublings=1)
BOTH = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])


def charge_point(central: CentralSystem, protocol: str = "ocpp1.6", **overrides: Any) -> SimulatedChargePoint:
    build: dict[str, Any] = {
        "protocol": protocol,
        "register_wh": Decimal(1000),
        "reconnect": QUICK,
        "retry": RetryPolicy(attempts=3, interval_s=0.01),
        "call_timeout_s": 0.2,
        "boot_wait_max_s": 5.0,
        "settle_timeout_s": 5.0,
        "sample_every": timedelta(minutes=15),
    }
    credentials = Credentials(url=central.url, identity="CP-1", password=central.password)
    return SimulatedChargePoint(credentials, ModelClock(EIGHT), Build(**(build | overrides)))


async def charge(station: SimulatedChargePoint, energy_wh: int = 1000) -> None:
    await station.plug()
    await station.start(token="CARD-1")
    await station.charge(energy_wh=Decimal(energy_wh), duration=timedelta(hours=1))
    await station.stop()
    await station.unplug()


def transaction_actions(central: CentralSystem) -> list[str]:
    wanted = {"StartTransaction", "MeterValues", "StopTransaction", "TransactionEvent"}
    return [action for action in central.actions() if action in wanted]


@BOTH
async def test_what_happens_offline_is_told_in_order_once_online_again(central: CentralSystem, protocol: str) -> None:
    async with charge_point(central, protocol) as station:
        await station.boot()
        await station.offline()
        await charge(station)
        assert transaction_actions(central) == []
        await station.online_again()
        assert await station.outbox.emptied(5)

    [session] = station.truth.sessions
    assert session.energy_wh == session.declared_wh == Decimal(1000)
    assert session.start_told
    assert session.end_told
    assert len(station.truth.told) == len(transaction_actions(central))
    assert central.actions().count("BootNotification") == 1
    if protocol == "ocpp1.6":
        assert transaction_actions(central) == ["StartTransaction", *["MeterValues"] * 4, "StopTransaction"]
        [stop] = central.payloads("StopTransaction")
        assert (stop["transactionId"], stop["meterStop"]) == (7001, 2000)
    else:
        events = central.payloads("TransactionEvent")
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        assert all(event["offline"] for event in events)


async def test_a_callerror_counts_as_an_attempt_and_the_retry_has_a_new_message_id(central: CentralSystem) -> None:
    central.mood["StopTransaction"] = ["error", "silent"]
    async with charge_point(central) as station:
        await station.boot()
        await charge(station)
        assert await station.outbox.emptied(5)

    assert len(central.payloads("StopTransaction")) == 3
    assert len(set(central.message_ids)) == len(central.message_ids)
    assert station.truth.discarded == []
    assert station.truth.told[-1].attempts == 3


async def test_after_the_last_attempt_the_message_is_gone_and_counted(central: CentralSystem) -> None:
    central.mood["StopTransaction"] = ["error", "silent", "error"]
    async with charge_point(central) as station:
        await station.boot()
        await charge(station)
        assert await station.outbox.emptied(5)

    [gone] = station.truth.discarded
    assert (gone.action, gone.attempts, gone.transaction_id) == ("StopTransaction", 3, 7001)
    assert not station.truth.sessions[0].end_told
    assert station.truth.sessions[0].energy_wh == 1000


async def test_a_lost_connection_is_no_attempt(central: CentralSystem) -> None:
    central.mood["StartTransaction"] = ["cut", "cut", "cut", "cut", "cut"]
    async with charge_point(central) as station:
        await station.boot()
        await charge(station)
        assert await station.outbox.emptied(5)

    assert station.truth.discarded == []
    assert len(central.payloads("StartTransaction")) == 6
    assert station.truth.told[0].attempts == 1
    assert station.link.counts.handshakes == 6


async def test_a_stop_whose_start_was_thrown_away_carries_minus_one(central: CentralSystem) -> None:
    central.mood["StartTransaction"] = ["error", "error", "error"]
    async with charge_point(central) as station:
        await station.boot()
        await charge(station)
        assert await station.outbox.emptied(5)

    assert [gone.action for gone in station.truth.discarded] == ["StartTransaction"]
    assert central.payloads("StopTransaction")[0]["transactionId"] == -1


async def test_a_503_is_waited_out_and_nothing_is_lost(central: CentralSystem) -> None:
    async with charge_point(central) as station:
        await station.boot()
        central.refuse = [(503, "0.1"), (503, None)]
        await central.sockets["CP-1"].close(1013)
        await charge(station)
        assert await station.outbox.emptied(5)

    assert station.link.counts.refused == {"503": 2}
    assert station.link.counts.closed[1013] == 1
    assert station.truth.sessions[0].end_told


async def test_a_wrong_password_is_named_in_the_error(central: CentralSystem) -> None:
    central.password = "another-password-altogether"
    station = charge_point(central, boot_wait_max_s=600)
    station.link.credentials = Credentials(url=central.url, identity="CP-1", password="wrong")
    async with station:
        with pytest.raises(HandshakeRefusedError, match="401 Unauthorized: who are you") as refused:
            await station.boot()

    assert station.link.counts.refused == {"401": 1}
    assert refused.value.exit_code == 4
    assert "password" in refused.value.next_step


@pytest.mark.parametrize(("status", "exit_code"), [(400, 1), (403, 4), (404, 3)])
async def test_a_refusal_for_good_ends_what_goes_on(central: CentralSystem, status: int, exit_code: int) -> None:
    async with charge_point(central) as station:
        await station.boot()
        central.refuse = [(status, None)]
        await central.sockets["CP-1"].close(1012)
        with pytest.raises(HandshakeRefusedError) as refused:
            await station.link.unless_refused(asyncio.Event().wait())

    assert (refused.value.status, refused.value.exit_code) == (status, exit_code)


async def test_a_charge_point_that_is_refused_may_try_again_later(central: CentralSystem) -> None:
    central.refuse = [(401, None)]
    async with charge_point(central) as station:
        with pytest.raises(HandshakeRefusedError):
            await station.boot()
        await station.boot()

    assert station.link.counts.handshakes == 1


async def test_a_charge_point_that_never_gives_up_bears_refusals(central: CentralSystem) -> None:
    central.refuse = [(401, None), (404, None), (429, "0.05"), (403, None)]
    stubborn = ReconnectPolicy(wait_s=0.01, range_s=0.01, retry_refused=True)
    async with charge_point(central, reconnect=stubborn) as station:
        await station.boot()

    assert station.link.counts.refused == {"401": 1, "404": 1, "429": 1, "403": 1}


@BOTH
async def test_a_deauthorized_transaction_is_stopped_by_the_charge_point(central: CentralSystem, protocol: str) -> None:
    central.unknown_tokens = {"CARD-1"}
    async with charge_point(central, protocol) as station:
        await station.boot()
        await charge(station)

    assert station.truth.sessions[0].stop_reason == "DeAuthorized"


def test_a_simulator_refuses_other_machines() -> None:
    credentials = Credentials(url="ws://csms.example.com/ocpp", identity="CP-1", password="x")
    with pytest.raises(ValueError, match="this machine only"):
        SimulatedChargePoint(credentials, ModelClock(EIGHT))
