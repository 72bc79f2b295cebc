"""What a socket answers: R3, R4, broken frames, trouble of ours."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from gateway_room import a_charge_point, eventually, running

from csms.charge_points.charge_point import ChargePoint
from csms.database.errors import DatabaseUnavailable
from csms.protocol import vocabulary
from csms.protocol.blocks.customer_information import CustomerInformation
from csms.protocol.blocks.displays import GetDisplayMessages
from csms.protocol.blocks.monitoring import GetMonitoringReport, GetReport
from csms.protocol.blocks.smart_charging import GetChargingProfiles
from csms.protocol.vocabulary import Command, Protocol, Registration, TriggerMessage

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T19:30:00Z"}
STOP = {"transactionId": 1, "meterStop": 900, "timestamp": "2026-03-01T20:30:00Z"}
METER = {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T20:00:00Z", "sampledValue": [{"value": "5"}]}]}
EVENT = {
    "eventType": "Started",
    "timestamp": "2026-03-01T19:30:00Z",
    "triggerReason": "Authorized",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "tx-1"},
}
TRANSACTION_CALLS = [
    ("ocpp1.6", "StartTransaction", START),
    ("ocpp1.6", "StopTransaction", STOP),
    ("ocpp1.6", "MeterValues", METER),
    ("ocpp2.0.1", "TransactionEvent", EVENT),
    ("ocpp2.1", "TransactionEvent", EVENT),
]
BOOTS = {
    "ocpp1.6": {"chargePointVendor": "Fictitious", "chargePointModel": "One"},
    "ocpp2.0.1": {"reason": "PowerUp", "chargingStation": {"vendorName": "Fictitious", "model": "Two"}},
}
BOOTS["ocpp2.1"] = BOOTS["ocpp2.0.1"]
PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [
        {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}]}
    ],
}


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_boot_heartbeat_and_status_are_answered(protocol: str) -> None:
    status = (
        {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        if protocol == "ocpp1.6"
        else {"timestamp": "2026-03-01T20:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
    )
    async with running() as room, room.station(offered=[protocol]) as station:
        booted = await station.call("BootNotification", BOOTS[protocol])
        assert (booted[0], booted[2]["status"]) == (3, "Accepted")
        await station.heartbeat()
        assert (await station.call("StatusNotification", status))[2] == {}

        assert [action for direction, _, action in room.application.seen if direction == "out"] == [
            "BootNotification",
            "Heartbeat",
            "StatusNotification",
        ]


async def test_answers_are_compact_json() -> None:
    async with running() as room, room.station() as station:
        await station.send('[2, "1", "BootNotification", {"chargePointVendor": "F", "chargePointModel": "M"}]')
        text = await station.websocket.recv()

    assert isinstance(text, str)
    assert '"status":"Accepted"' in text


@pytest.mark.parametrize(("protocol", "action", "payload"), TRANSACTION_CALLS)
async def test_a_transaction_message_is_answered_only_after_it_is_committed(
    protocol: str, action: str, payload: dict[str, Any]
) -> None:
    async with running() as room, room.station(offered=[protocol]) as station:
        room.application.gate.clear()
        await station.send(json.dumps([2, "1", action, payload]))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await station.websocket.recv()

        room.application.gate.set()
        assert (await station.receive())[:2] == [3, "1"]


@pytest.mark.parametrize(("protocol", "action", "payload"), TRANSACTION_CALLS)
async def test_a_transaction_message_that_cannot_be_committed_closes_the_socket_without_an_answer(
    protocol: str, action: str, payload: dict[str, Any]
) -> None:
    async with running() as room, room.station(offered=[protocol]) as station:
        room.application.failure = DatabaseUnavailable("no commit")
        for number in range(3):
            await station.send(json.dumps([2, str(number), action, payload]))

        with pytest.raises(Exception, match="1013"):
            await station.receive()
        assert room.application.received == []


async def test_while_nothing_can_be_committed_no_socket_stays_open() -> None:
    async with running(a_charge_point("CP-1"), a_charge_point("CP-2")) as room:
        async with room.station("CP-1") as one, room.station("CP-2") as two:
            room.health.available = False
            assert await one.closed() == 1013
            assert await two.closed() == 1013
            await eventually(lambda: room.gateway.connected() == {})
        room.health.available = True
        async with room.station("CP-1") as again:
            await again.heartbeat()


@pytest.mark.parametrize(("protocol", "action", "payload"), TRANSACTION_CALLS)
async def test_a_bug_of_ours_puts_a_transaction_message_in_quarantine_and_answers_it(
    protocol: str, action: str, payload: dict[str, Any]
) -> None:
    async with running() as room, room.station(offered=[protocol]) as station:
        room.application.failure = ZeroDivisionError("a bug")
        answer = await station.call(action, payload, "1")

        assert answer[:2] == [3, "1"]
        ((frame, reason),) = room.application.quarantine
        assert json.loads(frame)[3] == payload
        assert "ZeroDivisionError" in reason
        room.application.failure = None
        await station.heartbeat()


async def test_a_start_in_quarantine_gets_a_positive_transaction_id() -> None:
    async with running() as room, room.station() as station:
        room.application.failure = ZeroDivisionError("a bug")
        answer = await station.call("StartTransaction", START)

    assert answer[2]["transactionId"] >= 2**30
    assert answer[2]["idTagInfo"] == {"status": "Accepted"}


@pytest.mark.parametrize("failure", [DatabaseUnavailable("no commit"), ZeroDivisionError("another bug")])
async def test_what_cannot_even_be_quarantined_is_not_answered(failure: Exception) -> None:
    async with running() as room, room.station() as station:
        room.application.failure = ZeroDivisionError("a bug")
        room.application.quarantine_failure = failure
        await station.send(json.dumps([2, "1", "StopTransaction", STOP]))

        assert await station.closed() == 1013


async def test_a_bug_of_ours_in_another_message_is_an_internal_error() -> None:
    async with running() as room, room.station() as station:
        room.application.failure = ZeroDivisionError("a bug")
        assert (await station.call("Authorize", {"idTag": "TAG"}, "1"))[:3] == [4, "1", "InternalError"]
        room.application.failure = None
        await station.heartbeat()


async def test_the_traceback_of_a_bug_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    class OnlyHere(Exception):
        pass

    async with running() as room, room.station() as station:
        room.application.failure = OnlyHere("a bug")
        for _ in range(3):
            await station.call("Authorize", {"idTag": "TAG"})
    captured = capsys.readouterr()

    assert (captured.out + captured.err).count("message_failed") == 1


@pytest.mark.parametrize(
    ("protocol", "text", "answer"),
    [
        ("ocpp1.6", "hello", [4, "-1", "GenericError"]),
        ("ocpp2.0.1", "hello", [4, "-1", "RpcFrameworkError"]),
        ("ocpp1.6", "[]", [4, "-1", "GenericError"]),
        ("ocpp1.6", '[2,"1","Heartbeat"]', [4, "1", "FormationViolation"]),
        ("ocpp2.0.1", '[2,"1","Heartbeat",{},{}]', [4, "1", "FormatViolation"]),
        ("ocpp1.6", '[2,"1",{},{}]', [4, "1", "FormationViolation"]),
        ("ocpp1.6", '[2,"1","Heartbeat",{"a":,}]', [4, "1", "GenericError"]),
        ("ocpp2.0.1", '[9,"1","x",{}]', [4, "1", "MessageTypeNotSupported"]),
        ("ocpp2.0.1", '[6,"1","NotifyPeriodicEventStream",{}]', [4, "1", "MessageTypeNotSupported"]),
        ("ocpp2.1", '[9,"1","x",{}]', [4, "1", "MessageTypeNotSupported"]),
        ("ocpp2.1", '[2,"1","Heartbeat",{},{}]', [4, "1", "FormatViolation"]),
        ("ocpp1.6", '[2,"1","CustomOperation",{}]', [4, "1", "NotImplemented"]),
        ("ocpp2.0.1", '[2,"1","Reset",{"type":"OnIdle"}]', [4, "1", "NotSupported"]),
        ("ocpp1.6", '[2,"1","Authorize",{}]', [4, "1", "ProtocolError"]),
        ("ocpp2.0.1", '[2,"1","Authorize",{}]', [4, "1", "OccurrenceConstraintViolation"]),
        ("ocpp1.6", "[" * 5000 + "]" * 5000, [4, "-1", "GenericError"]),
        ("ocpp1.6", '[2,77,"Heartbeat"]', [4, "77", "FormationViolation"]),
    ],
)
async def test_a_frame_that_is_no_message_gets_the_code_of_its_version(
    protocol: str, text: str, answer: list[Any]
) -> None:
    async with running() as room, room.station(offered=[protocol]) as station:
        await station.send(text)
        assert (await station.receive())[:3] == answer
        await station.heartbeat()


@pytest.mark.parametrize(
    "text", ['[9,"1","x",{}]', '[3,"nobody",{}]', "[3,null,{}]", '[4,"nobody","GenericError","",{}]']
)
async def test_what_1_6_has_no_answer_for_is_ignored(text: str) -> None:
    async with running() as room, room.station() as station:
        await station.send(text)
        await station.heartbeat()


@pytest.mark.parametrize(
    ("text", "noticed"),
    [
        ('[6,"","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-03-01T20:00:00Z","data":[]}]', ""),
        ('[6,"x","TransactionEvent",{}]', ""),
        ('[6,"x"]', ""),
        ('[5,"abc","FormatViolation","currentTime has no zone",{}]', "currentTime has no zone"),
        ("[5,null]", ""),
    ],
)
async def test_sends_and_disputed_results_of_2_1_are_noticed_and_never_answered(
    text: str, noticed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running() as room, room.station(offered=["ocpp2.1"]) as station:
        await station.send(text)
        await station.heartbeat()

        assert text in [frame for direction, frame, _ in room.application.seen if direction == "in"]
        assert room.application.facts() == [vocabulary.HeartbeatReceived()]
    logged = "".join(capsys.readouterr())
    assert noticed in logged
    assert ("answer_disputed" in logged) == bool(noticed)


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ("ocpp1.6", '[2,"1","StartTransaction",{"connectorId":1,"idTag":"TAG","meterStart":,}]'),
        ("ocpp1.6", '[2,"1","StopTransaction",{"transactionId":,"meterStop":12}]'),
        ("ocpp1.6", '[2,"1","MeterValues",{"connectorId":1,"meterValue":['),
        ("ocpp1.6", '[2,"1","StopTransaction"]'),
        ("ocpp1.6", '[2,"1","StopTransaction",null]'),
        ("ocpp1.6", f'[2,"1","StopTransaction",{json.dumps(STOP)},"more"]'),
        ("ocpp2.0.1", '[2,"1","TransactionEvent",{"eventType":"Ended",'),
        ("ocpp2.0.1", '[2,"1","TransactionEvent",[]]'),
        ("ocpp2.0.1", '[2,"1","MeterValues",{"evseId":1,"meterValue":[{"sampledValue":[{"value":NaN}]}]}]'),
        ("ocpp1.6", f'[2,"1","MeterValues",{"[" * 5000}{"]" * 5000}]'),
    ],
)
async def test_a_broken_transaction_message_is_kept_and_gets_a_result(protocol: str, text: str) -> None:
    async with running() as room, room.station(offered=[protocol]) as station:
        await station.send(text)
        assert (await station.receive())[:2] == [3, "1"]

        kept = [frame for _, _, frame in room.application.received] + [
            frame for frame, _ in room.application.quarantine
        ]
        assert kept == [text]


async def test_in_strict_mode_a_broken_transaction_message_is_refused() -> None:
    async with running(a_charge_point(strict=True)) as room, room.station() as station:
        await station.send('[2,"1","StopTransaction",{"transactionId":,"meterStop":12}]')

        assert (await station.receive())[:3] == [4, "1", "GenericError"]


async def test_a_repeated_message_id_is_no_error() -> None:
    """R3: same id same bytes, same id other bytes; what is a repeat is decided by content, behind the gateway."""
    async with running() as room, room.station() as station:
        same = [await station.call("StartTransaction", START, "1") for _ in range(2)]
        other = await station.call("StopTransaction", STOP, "1")

        assert [answer[:2] for answer in (*same, other)] == [[3, "1"]] * 3
        keys = [fact.key for fact in room.application.facts() if isinstance(fact, vocabulary.ChargingEvent)]
        assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
@pytest.mark.parametrize(("protocol", "action", "payload"), [*TRANSACTION_CALLS, ("ocpp1.6", "Heartbeat", {})])
async def test_before_it_is_accepted_a_charge_point_may_only_boot(
    registration: Registration, protocol: str, action: str, payload: dict[str, Any]
) -> None:
    async with (
        running(a_charge_point(registration=registration)) as room,
        room.station(offered=[protocol]) as station,
    ):
        room.application.registrations["CP-1"] = registration
        assert (await station.call(action, payload))[2] == "SecurityError"
        assert (await station.call("BootNotification", BOOTS[protocol]))[2]["status"] == registration
        assert (await station.call(action, payload))[2] == "SecurityError"
        assert [type(fact) for fact in room.application.facts()] == [vocabulary.Booted]

        room.application.registrations["CP-1"] = Registration.ACCEPTED
        assert (await station.call("BootNotification", BOOTS[protocol]))[2]["status"] == "Accepted"
        assert (await station.call(action, payload))[0] == 3


async def test_what_we_triggered_may_come_before_acceptance() -> None:
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
    async with (
        running(a_charge_point(registration=Registration.PENDING)) as room,
        room.station() as station,
        asyncio.TaskGroup() as tasks,
    ):
        command = tasks.create_task(room.gateway.command("CP-1", TriggerMessage(message="StatusNotification")))
        asked = await station.receive()
        await station.send(json.dumps([3, asked[1], {"status": "Accepted"}]))
        assert (await command).accepted

        assert (await station.call("StatusNotification", status))[0] == 3
        assert (await station.call("Heartbeat", {}))[2] == "SecurityError"


ASKED_FOR: list[tuple[Command, str, dict[str, Any]]] = [
    (
        GetChargingProfiles(request=5),
        "ReportChargingProfiles",
        {"requestId": 5, "chargingLimitSource": "CSO", "evseId": 0, "chargingProfile": [PROFILE]},
    ),
    (GetDisplayMessages(request=5), "NotifyDisplayMessages", {"requestId": 5}),
    (
        CustomerInformation(request=5, token="TAG-A", report=True, clear=False),
        "NotifyCustomerInformation",
        {"data": "", "seqNo": 0, "generatedAt": "2026-03-01T20:00:00Z", "requestId": 5},
    ),
    (
        GetReport(request=5, names=("OCPPCommCtrlr",)),
        "NotifyReport",
        {"requestId": 5, "generatedAt": "2026-03-01T20:00:00Z", "seqNo": 0},
    ),
    (
        GetMonitoringReport(request=5),
        "NotifyMonitoringReport",
        {"requestId": 5, "generatedAt": "2026-03-01T20:00:00Z", "seqNo": 0},
    ),
]


@pytest.mark.parametrize("protocol", ["ocpp2.0.1", "ocpp2.1"])
@pytest.mark.parametrize(("command", "action", "payload"), ASKED_FOR, ids=[action for _, action, _ in ASKED_FOR])
async def test_while_pending_a_charge_point_may_tell_what_it_was_asked_for(
    protocol: str, command: Command, action: str, payload: dict[str, Any]
) -> None:
    """OCPP 2.0.1 B02.FR.02."""
    async with (
        running(a_charge_point(registration=Registration.PENDING)) as room,
        room.station(offered=[protocol]) as station,
        asyncio.TaskGroup() as tasks,
    ):
        assert (await station.call(action, payload))[2] == "SecurityError"

        asking = tasks.create_task(room.gateway.command("CP-1", command))
        asked = await station.receive()
        await station.send(json.dumps([3, asked[1], {"status": "Accepted"}]))
        assert (await asking).accepted

        assert (await station.call(action, payload))[0] == 3
        assert (await station.call("Heartbeat", {}))[2] == "SecurityError"


async def test_a_known_charge_point_needs_no_boot() -> None:
    async with running() as room, room.station() as station:
        assert (await station.call("StartTransaction", START))[0] == 3


async def test_what_the_operator_changes_holds_for_the_open_socket() -> None:
    async with running() as room, room.station() as station:
        pending: ChargePoint = a_charge_point(registration=Registration.PENDING)
        room.gateway.update(pending)
        assert (await station.call("Heartbeat", {}))[2] == "SecurityError"

        room.gateway.update(replace(pending, registration=Registration.REJECTED))
        assert await station.closed() == 1008


async def test_messages_of_one_charge_point_are_handled_in_order_and_all_answered() -> None:
    """A slow commit does not stop reading, and beyond the queue's length nothing is lost either."""
    async with running(queue_length_max=5) as room, room.station() as station:
        room.application.gate.clear()
        for number in range(200):
            await station.send(
                json.dumps([2, f"id-{number}", "StopTransaction", {**STOP, "transactionId": number + 1}])
            )
        await asyncio.sleep(0.1)
        assert len(room.application.received) == 0

        room.application.gate.set()
        answers = [(await station.receive())[1] for _ in range(200)]
        assert answers == [f"id-{number}" for number in range(200)]
        transactions = [
            fact.transaction for fact in room.application.facts() if isinstance(fact, vocabulary.ChargingEvent)
        ]
        assert transactions == [str(number + 1) for number in range(200)]


async def test_a_slow_commit_of_one_charge_point_does_not_delay_another() -> None:
    async with (
        running(a_charge_point("CP-1"), a_charge_point("CP-2")) as room,
        room.station("CP-1") as slow,
        room.station("CP-2") as other,
    ):
        room.application.gate.clear()
        await slow.send(json.dumps([2, "1", "StopTransaction", STOP]))
        await other.heartbeat()
        room.application.gate.set()
        assert (await slow.receive())[1] == "1"


async def test_what_was_read_before_the_socket_was_lost_is_still_stored() -> None:
    async with running() as room:
        room.application.gate.clear()
        async with room.station() as station:
            for number in range(5):
                await station.send(
                    json.dumps([2, str(number), "StopTransaction", {**STOP, "transactionId": number + 1}])
                )
            station.websocket.transport.abort()
        await asyncio.sleep(0.1)
        room.application.gate.set()
        await eventually(lambda: len(room.application.received) == 5)
        await eventually(lambda: len(room.application.events) == 2)
