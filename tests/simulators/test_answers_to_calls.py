"""What a simulated charge point answers when the central system asks something of it, and does afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import ocpp.messages
import pytest
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from simulators import schemas
from simulators.charge_point import Build, Credentials, ModelClock, Phase, ReconnectPolicy, SimulatedChargePoint
from simulators.scenarios.runner import Play
from simulators.scenarios.story import load
from tests.simulators.central_system import CentralSystem

QUICK = ReconnectPolicy(wait_s=0.01, range_s=0.01, doublings=1)
BOTH = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])


@contextlib.asynccontextmanager
async def booted(central: CentralSystem, protocol: str) -> AsyncIterator[SimulatedChargePoint]:
    credentials = Credentials(url=central.url, identity="CP-1", password=central.password)
    build = Build(protocol=protocol, evses=2, reconnect=QUICK, boot_wait_max_s=5, register_wh=Decimal(5000))
    async with SimulatedChargePoint(credentials, ModelClock(datetime(2026, 3, 2, 8, tzinfo=UTC)), build) as station:
        await station.boot()
        yield station


async def ask(central: CentralSystem, payload: Any) -> Any:
    return await central.peers["CP-1"].call(payload, suppress=False)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not met():  # noqa: ASYNC110 - the simulator has no event for every small thing
            await asyncio.sleep(0.005)


def remote_start(protocol: str, evse: int = 2) -> Any:
    if protocol == "ocpp1.6":
        return call16.RemoteStartTransaction(id_tag="CARD-1", connector_id=evse)
    token = {"id_token": "CARD-1", "type": "ISO14443"}
    return call201.RequestStartTransaction(id_token=token, remote_start_id=77, evse_id=evse)


def remote_stop(protocol: str, transaction_id: Any) -> Any:
    if protocol == "ocpp1.6":
        return call16.RemoteStopTransaction(transaction_id=transaction_id)
    return call201.RequestStopTransaction(transaction_id=transaction_id)


@BOTH
async def test_a_remote_start_and_stop_make_a_session(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        assert (await ask(central, remote_start(protocol))).status == "Accepted"
        await until(lambda: station.evses[2].phase is Phase.CHARGING)
        assert (await ask(central, remote_start(protocol))).status == "Rejected"
        await station.advance(timedelta(minutes=30))
        [session] = station.truth.sessions
        assert (await ask(central, remote_stop(protocol, session.transaction_id))).status == "Accepted"
        await until(lambda: session.end_told)
        unknown = 999 if protocol == "ocpp1.6" else "no-such-transaction"
        assert (await ask(central, remote_stop(protocol, unknown))).status == "Rejected"

    assert session.energy_wh == Decimal(5500)
    assert session.stop_reason == "Remote"
    if protocol == "ocpp2.0.1":
        started, *_, ended = central.payloads("TransactionEvent")
        assert started["transactionInfo"]["remoteStartId"] == 77
        assert ended["triggerReason"] == "RemoteStop"


@BOTH
async def test_a_reset_ends_what_runs_and_boots_again(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        await station.plug()
        await station.start(token="CARD-1")
        reset = call16.Reset(type="Hard") if protocol == "ocpp1.6" else call201.Reset(type="Immediate")
        assert (await ask(central, reset)).status == "Accepted"
        await until(lambda: central.actions().count("BootNotification") == 2)
        await until(lambda: station.truth.sessions[0].end_told)

    assert station.truth.sessions[0].stop_reason == "HardReset"


@BOTH
async def test_an_evse_out_of_order_takes_no_session(central: CentralSystem, protocol: str) -> None:
    async with booted(central, protocol) as station:
        if protocol == "ocpp1.6":
            off: Any = call16.ChangeAvailability(connector_id=1, type="Inoperative")
        else:
            off = call201.ChangeAvailability(operational_status="Inoperative", evse={"id": 1})
        assert (await ask(central, off)).status == "Accepted"
        await until(lambda: station.evses[1].phase is Phase.UNAVAILABLE)
        assert await station.start(1, token="CARD-1") is None
        assert (await ask(central, remote_start(protocol, 1))).status == "Rejected"


async def test_configuration_keys_say_no_where_real_ones_do(central: CentralSystem) -> None:
    async with booted(central, "ocpp1.6") as station:
        asked = call16.GetConfiguration(key=["numberofconnectors", "NoSuchKey", "AuthorizationKey"])
        answer = await ask(central, asked)
        assert answer.configuration_key == [
            {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
            {"key": "AuthorizationKey", "readonly": False},
        ]
        assert answer.unknown_key == ["NoSuchKey"]
        statuses = {}
        for key, value in {
            "MeterValueSampleInterval": "60",
            "HeartbeatInterval": "soon",
            "NumberOfConnectors": "9",
            "StopTxnSampledData": "Energy.Active.Import.Register",
            "NoSuchKey": "1",
        }.items():
            statuses[key] = (await ask(central, call16.ChangeConfiguration(key=key, value=value))).status

        assert list(statuses.values()) == ["Accepted", "Rejected", "Rejected", "RebootRequired", "NotSupported"]
        assert station.dialect.sample_interval_s() == 60
        whole = await ask(central, call16.GetConfiguration())
        assert len(whole.configuration_key) == len(station.dialect.settings.entries)


def variable(component: str, name: str, **more: str) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name, **more}}


async def test_variables_are_read_set_and_reported_in_parts(central: CentralSystem) -> None:
    attempts = variable("OCPPCommCtrlr", "MessageAttempts", instance="TransactionEvent")
    async with booted(central, "ocpp2.0.1") as station:
        unknown = [variable("Nope", "Nope"), variable("TxCtrlr", "Nope")]
        read = await ask(central, call201.GetVariables(get_variable_data=[attempts, *unknown]))
        statuses = [result["attribute_status"] for result in read.get_variable_result]
        assert statuses == ["Accepted", "UnknownComponent", "UnknownVariable"]
        wishes = [attempts | {"attribute_value": "10"}, variable("TxCtrlr", "TxStartPoint") | {"attribute_value": "x"}]
        changed = await ask(central, call201.SetVariables(set_variable_data=wishes))
        assert [result["attribute_status"] for result in changed.set_variable_result] == ["Accepted", "Rejected"]
        assert station.dialect.retry_policy().attempts == 10
        report = call201.GetBaseReport(request_id=5, report_base="FullInventory")
        assert (await ask(central, report)).status == "Accepted"
        await until(lambda: any(not part["tbc"] for part in central.payloads("NotifyReport")))

    parts = central.payloads("NotifyReport")
    assert len(parts) > 1
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert sum(len(part["reportData"]) for part in parts) == len(station.dialect.settings.entries)


async def test_the_status_of_a_transaction_is_told_truthfully(central: CentralSystem) -> None:
    async with booted(central, "ocpp2.0.1") as station:
        await station.plug()
        running = await station.start(token="CARD-1")
        assert running is not None
        status = await ask(central, call201.GetTransactionStatus(transaction_id=str(running.transaction_id)))
        assert (status.ongoing_indicator, status.messages_in_queue) == (True, False)
        await station.stop()
        status = await ask(central, call201.GetTransactionStatus(transaction_id=str(running.transaction_id)))
        assert status.ongoing_indicator is False


async def test_a_cost_is_displayed_in_both_versions(central: CentralSystem) -> None:
    async with booted(central, "ocpp2.0.1") as station:
        await station.plug()
        await station.start(token="CARD-1")
        known = str(station.truth.sessions[0].transaction_id)
        await ask(central, call201.CostUpdated(total_cost=1.23, transaction_id=known))
        assert station.truth.sessions[0].displayed == Decimal("1.23")
    async with booted(central, "ocpp1.6") as station:
        await station.plug()
        await station.start(token="CARD-1")
        data = f'{{"transactionId":{station.truth.sessions[0].transaction_id},"cost":4.56}}'
        vendor = "org.openchargealliance.costmsg"
        await ask(central, call16.DataTransfer(vendor_id=vendor, message_id="RunningCost", data=data))
        assert station.truth.sessions[0].displayed == Decimal("4.56")
        stranger = await ask(central, call16.DataTransfer(vendor_id="org.example"))
        assert stranger.status == "UnknownVendorId"


def heard_again(central: CentralSystem, action: str, before: int) -> bool:
    return central.actions().count(action) == before + 1


@BOTH
async def test_a_trigger_sends_what_was_asked_for(central: CentralSystem, protocol: str) -> None:
    trigger = (call16 if protocol == "ocpp1.6" else call201).TriggerMessage
    async with booted(central, protocol):
        for message in ("FirmwareStatusNotification", "Heartbeat", "MeterValues", "StatusNotification"):
            before = central.actions().count(message)
            assert (await ask(central, trigger(requested_message=message))).status == "Accepted"
            await until(partial(heard_again, central, message, before))
        sign: Any = call16.ExtendedTriggerMessage(requested_message="SignChargePointCertificate")
        if protocol == "ocpp2.0.1":
            sign = trigger(requested_message="SignV2GCertificate")
        assert (await ask(central, sign)).status == "Accepted"
        await until(partial(heard_again, central, "SignCertificate", 0))


@BOTH
async def test_an_installation_fails_where_the_story_says_so_and_succeeds_the_next_time(
    central: CentralSystem, protocol: str
) -> None:
    at, url = "2026-03-02T08:00:00Z", "https://files.example/pump-2.1.0.bin"
    if protocol == "ocpp1.6":
        update: Any = call16.UpdateFirmware(location=url, retrieve_date=at)
    else:
        update = call201.UpdateFirmware(request_id=5, firmware={"location": url, "retrieve_date_time": at})
    async with booted(central, protocol) as station:
        story = {"title": "fails", "steps": [{"do": "fail_transfer", "status": "InstallationFailed"}]}
        for step in load(story).steps:
            await Play(station, "CARD-1").perform(step)
        await ask(central, update)
        await until(lambda: "InstallationFailed" in str(central.payloads("FirmwareStatusNotification")))
        version = station.transfers.version
        await ask(central, update)
        await until(lambda: "Installed" in str(central.payloads("FirmwareStatusNotification")))
        await until(lambda: central.actions().count("BootNotification") == 2)

    booted_with = str(central.payloads("BootNotification")[-1])
    assert version == "1.0.0"
    assert "2.1.0" in booted_with


async def test_a_charge_point_lives_by_itself_at_a_speed(central: CentralSystem) -> None:
    credentials = Credentials(url=central.url, identity="CP-1", password=central.password)
    clock = ModelClock(datetime(2026, 3, 2, 8, tzinfo=UTC), speed=100_000)
    build = Build(reconnect=QUICK, sample_every=timedelta(minutes=1))
    async with SimulatedChargePoint(credentials, clock, build) as station:
        await station.boot()
        station.spawn(station.live(tick=timedelta(seconds=30)))
        await ask(central, remote_start("ocpp1.6", 1))
        await until(lambda: len(central.payloads("MeterValues")) >= 3)
        await until(lambda: station.evses[1].phase is Phase.CHARGING)

    assert station.truth.sessions[0].energy_wh > 0


async def test_a_battery_takes_less_the_fuller_it_is_and_stops_when_full(central: CentralSystem) -> None:
    async with booted(central, "ocpp1.6") as station:
        await station.plug()
        await station.start(token="CARD-1")
        await station.draw(1)
        powers = []
        for _ in range(6):
            await station.advance(timedelta(hours=1))
            powers.append(station.evses[1].power_w)
        await station.advance(timedelta(hours=12))

    assert powers == sorted(powers, reverse=True)
    assert powers[-1] < powers[0]
    assert abs(station.truth.sessions[0].energy_wh - Decimal(48_000)) < Decimal("0.01")


def test_looking_at_a_schema_leaves_the_packages_own_reading_of_it_alone() -> None:
    """It keeps what was read first for everybody, and answers with tenths of an ampere need it read with decimals."""
    ocpp.messages._validators.pop("GetCompositeScheduleResponse_1.6", None)
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.5}]}
    answer = {"status": "Accepted", "connectorId": 1, "chargingSchedule": schedule}

    assert schemas.is_valid("ocpp1.6", "GetCompositeSchedule", answer, response=True)
    sent = ocpp.messages.CallResult("1", answer, action="GetCompositeSchedule")
    ocpp.messages._validate_payload(sent, "1.6")
