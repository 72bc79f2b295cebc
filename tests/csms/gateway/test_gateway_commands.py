"""Our own calls over real sockets: C14-C16, one at a time, outcomes."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from gateway_room import a_charge_point, eventually, rss_bytes, running

from csms.protocol.vocabulary import (
    AskTransactionStatus,
    ChangeAvailability,
    Command,
    Registration,
    Reset,
    ShowCost,
    StopCharging,
    TriggerMessage,
    UnlockConnector,
)

STOP = {"transactionId": 1, "meterStop": 900, "timestamp": "2026-03-01T20:30:00Z"}


@pytest.mark.parametrize(
    ("answer", "accepted", "status"),
    [
        ([3, "ID", {"status": "Accepted"}], True, "Accepted"),
        ([3, "ID", {"status": "Rejected"}], False, "Rejected"),
        ([4, "ID", "NotImplemented", "", {}], False, "not_supported"),
        ([4, "ID", "NotSupported", "", {}], False, "not_supported"),
        ([4, "ID", "InternalError", "dead\nbattery", {}], False, "call_error"),
        ([4, "ID"], False, "call_error"),
        ([3, "ID", [1]], False, "invalid_answer"),
        ([3, "ID"], False, "invalid_answer"),
    ],
)
@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_what_a_charge_point_answers_becomes_an_outcome(
    protocol: str, answer: list[Any], accepted: bool, status: str
) -> None:
    async with running() as room, room.station(offered=[protocol]) as station, asyncio.TaskGroup() as tasks:
        command = tasks.create_task(room.gateway.command("CP-1", Reset()))
        question = await station.receive()
        assert (question[0], question[2]) == (2, "Reset")
        await station.send(json.dumps(answer).replace("ID", question[1]))

        outcome = await command
        assert (outcome.accepted, outcome.status) == (accepted, status)


async def test_a_cost_leaves_after_the_answers_that_may_name_an_older_one() -> None:
    event = {
        "eventType": "Updated",
        "timestamp": "2026-03-01T20:30:00Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 1,
        "transactionInfo": {"transactionId": "T-1"},
    }
    async with running() as room, room.station(offered=["ocpp2.0.1"]) as station, asyncio.TaskGroup() as tasks:
        room.application.gate.clear()  # the event is being committed, and its answer worked out
        await station.send(json.dumps([2, "event", "TransactionEvent", event]))
        await eventually(lambda: len(room.application.seen) > 0)
        showing = tasks.create_task(room.gateway.command("CP-1", ShowCost(transaction="T-1", total_cost=Decimal(3))))
        asking = tasks.create_task(room.gateway.command("CP-1", AskTransactionStatus(transaction="T-1")))
        (kind, asked, action, _) = await station.receive()
        assert (kind, action) == (2, "GetTransactionStatus"), "other calls do not wait for answers"
        await station.send(json.dumps([3, asked, {"messagesInQueue": False}]))
        assert (await asking).accepted

        room.application.gate.set()
        answer, call = await station.receive(), await station.receive()
        assert answer[:2] == [3, "event"]
        assert (call[2], call[3]["totalCost"]) == ("CostUpdated", 3)
        await station.send(json.dumps([3, call[1], {}]))
        assert (await showing).accepted


@pytest.mark.parametrize(
    ("protocol", "disputes"),
    [
        ("ocpp1.6", []),
        ("ocpp2.0.1", []),
        ("ocpp2.1", [[5, "OccurrenceConstraintViolation", "status is required", {}]]),
    ],
)
async def test_a_result_that_nobody_can_use_is_disputed_where_the_version_has_words_for_it(
    protocol: str, disputes: list[Any]
) -> None:
    async with (
        running() as room,
        room.station(offered=[protocol]) as station,
        asyncio.TaskGroup() as tasks,
    ):
        asking = tasks.create_task(room.gateway.command("CP-1", Reset()))
        asked = await station.receive()
        await station.send(json.dumps([3, asked[1], {}]))
        outcome = await asking
        heard = []
        await station.send(json.dumps([2, "beat", "Heartbeat", {}]))
        while (message := await station.receive())[0] != 3:
            heard.append(message)

    assert (outcome.accepted, outcome.status) == (False, "invalid_answer")
    assert [[message[0], *message[2:]] for message in heard] == disputes
    assert all(message[1] == asked[1] for message in heard)


async def test_a_command_that_the_version_has_no_message_for_is_not_supported() -> None:
    async with running() as room, room.station():
        assert (await room.gateway.command("CP-1", AskTransactionStatus())).status == "not_supported"


async def test_commands_go_one_after_the_other() -> None:
    commands: list[Command] = [Reset(), StopCharging(transaction="7"), UnlockConnector(evse=1)]
    async with running() as room, room.station() as station, asyncio.TaskGroup() as tasks:
        outcomes = [tasks.create_task(room.gateway.command("CP-1", command)) for command in commands]
        asked = []
        for _ in commands:
            question = await station.receive()
            asked.append(question[2])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await station.websocket.recv()
            status = "Unlocked" if question[2] == "UnlockConnector" else "Accepted"
            await station.send(json.dumps([3, question[1], {"status": status}]))

        assert asked == ["Reset", "RemoteStopTransaction", "UnlockConnector"]
        assert [(await outcome).accepted for outcome in outcomes] == [True] * 3


async def test_calls_that_cross_are_both_answered() -> None:
    """C14, with the same id on both sides."""
    async with running() as room, room.station() as station, asyncio.TaskGroup() as tasks:
        command = tasks.create_task(room.gateway.command("CP-1", Reset()))
        question = await station.receive()
        answer = await station.call("StopTransaction", STOP, message_id=question[1])
        assert answer[:2] == [3, question[1]]
        await station.send(json.dumps([3, question[1], {"status": "Accepted"}]))

        assert (await command).accepted


async def test_a_slow_commit_does_not_hold_up_the_answer_to_a_command() -> None:
    async with running() as room, room.station() as station, asyncio.TaskGroup() as tasks:
        room.application.gate.clear()
        await station.send(json.dumps([2, "1", "StopTransaction", STOP]))
        command = tasks.create_task(room.gateway.command("CP-1", Reset()))
        question = await station.receive()
        await station.send(json.dumps([3, question[1], {"status": "Accepted"}]))

        assert (await command).accepted
        room.application.gate.set()
        assert (await station.receive())[1] == "1"


async def test_wrong_and_late_answers_are_dropped_and_the_next_call_is_right() -> None:
    """C15, with the call timeout of 30 s divided by 100."""
    async with running(call_timeout_s=0.3) as room, room.station() as station, asyncio.TaskGroup() as tasks:
        unanswered = tasks.create_task(room.gateway.command("CP-1", Reset()))
        question = await station.receive()
        for wrong in ('[3,"other",{"status":"Accepted"}]', "[3]", "[3,null,{}]", '[4,"other","X","",{}]', "[3,5,{}]"):
            await station.send(wrong)
        assert (await unanswered).status == "timeout"
        await station.send(json.dumps([3, question[1], {"status": "Accepted"}]))

        right = tasks.create_task(room.gateway.command("CP-1", ChangeAvailability(operative=True)))
        frame = await station.receive()
        while frame[0] != 2:  # [3] is no call and no answer: it got its CALLERROR
            frame = await station.receive()
        await station.send(json.dumps([3, frame[1], {"status": "Scheduled"}]))
        assert (await right).status == "Scheduled"


async def test_a_command_that_waits_behind_one_without_answer_gets_its_turn() -> None:
    async with running(call_timeout_s=0.2) as room, room.station() as station, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(room.gateway.command("CP-1", Reset()))
        await station.receive()
        second = tasks.create_task(room.gateway.command("CP-1", StopCharging(transaction="7"), timeout_s=2))
        question = await station.receive()
        assert (await first).status == "timeout"
        await station.send(json.dumps([3, question[1], {"status": "Accepted"}]))

        assert (await second).accepted


async def test_a_command_whose_asker_went_away_does_not_block_the_next() -> None:
    async with running(call_timeout_s=0.3) as room, room.station() as station, asyncio.TaskGroup() as tasks:
        abandoned = tasks.create_task(room.gateway.command("CP-1", Reset()))
        await station.receive()
        abandoned.cancel()
        following = tasks.create_task(room.gateway.command("CP-1", StopCharging(transaction="7"), timeout_s=2))
        question = await station.receive()
        assert question[2] == "RemoteStopTransaction"
        await station.send(json.dumps([3, question[1], {"status": "Accepted"}]))

        assert (await following).accepted


async def test_answers_that_nobody_asked_for_take_no_memory() -> None:
    """C16: 20,000 unknown CALLRESULTs of 1 kB."""
    async with running() as room, room.station(compression=None) as station:
        text = json.dumps([3, "nobody", {"data": "x" * 1000}])
        for _ in range(500):
            await station.send(text)
        await station.heartbeat()
        before = rss_bytes()
        for _ in range(20_000):
            await station.send(text)
        await station.heartbeat()

        assert rss_bytes() - before <= 2 * 1024 * 1024


async def test_a_command_to_a_charge_point_that_leaves_is_not_answered_and_a_later_one_is_not_sent() -> None:
    async with running() as room, asyncio.TaskGroup() as tasks:
        async with room.station() as station:
            command = tasks.create_task(room.gateway.command("CP-1", Reset()))
            await station.receive()
            waiting = tasks.create_task(room.gateway.command("CP-1", Reset()))
            await asyncio.sleep(0.05)
            station.websocket.transport.abort()
        asked, unsent = await command, await waiting
        assert (asked.status, asked.unsent) == ("timeout", False)  # it may have been done
        assert (unsent.status, unsent.unsent) == ("offline", True)
        await eventually(lambda: room.gateway.connected() == {})
        later = await room.gateway.command("CP-1", Reset())
        assert (later.status, later.unsent) == ("offline", True)


async def test_nothing_is_asked_of_a_fresh_socket_before_its_boot_is_answered() -> None:
    async with (
        running(first_call_delay_s=60) as room,
        room.station() as station,
        asyncio.TaskGroup() as tasks,
    ):
        command = tasks.create_task(room.gateway.command("CP-1", Reset()))
        await station.heartbeat()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await station.websocket.recv()
        booted = await station.call("BootNotification", {"chargePointVendor": "F", "chargePointModel": "M"})
        assert booted[0] == 3

        question = await station.receive()
        assert question[2] == "Reset"
        await station.send(json.dumps([3, question[1], {"status": "Accepted"}]))
        assert (await command).accepted


async def test_a_charge_point_that_never_boots_is_asked_after_a_while() -> None:
    async with running(first_call_delay_s=0.1) as room, room.station() as station, asyncio.TaskGroup() as tasks:
        command = tasks.create_task(room.gateway.command("CP-1", TriggerMessage(message="BootNotification")))
        question = await station.receive()
        await station.send(json.dumps([3, question[1], {"status": "Accepted"}]))

        assert (await command).accepted


async def test_a_held_command_ends_with_the_socket() -> None:
    async with running(first_call_delay_s=60) as room, asyncio.TaskGroup() as tasks:
        async with room.station() as station:
            await station.heartbeat()
            command = tasks.create_task(room.gateway.command("CP-1", Reset()))
            await asyncio.sleep(0.05)
        ended = await command
    assert (ended.status, ended.unsent) == ("offline", True)


async def test_nothing_is_asked_of_a_rejected_charge_point() -> None:
    async with running(a_charge_point(registration=Registration.REJECTED)) as room, room.station():
        outcome = await room.gateway.command("CP-1", Reset())

    assert (outcome.accepted, outcome.status) == (False, "offline")


async def test_more_commands_than_the_queue_holds_are_refused() -> None:
    async with running(queue_length_max=2, call_timeout_s=0.5) as room, room.station():
        outcomes = await asyncio.gather(*(room.gateway.command("CP-1", Reset()) for _ in range(4)))

    assert [outcome.status for outcome in outcomes] == ["timeout"] * 4
    assert "calls wait" in str(outcomes[3].detail)
