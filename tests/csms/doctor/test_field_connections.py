"""Quirks 1 to 16: how charge points in the field connect and boot."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from ward import WIND, Habit, Habits, Patient, require
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode
from websockets.typing import Subprotocol

from csms.charge_points.charge_point import ChargePoint
from csms.doctor.examination import How
from csms.gateway.habits import BOOT_PATIENCE_S, first_call_delay_s
from csms.protocol.vocabulary import Protocol, TriggerMessage
from simulators.charge_point import Credentials, stamp
from tests.faults.wire import Wire, start_16
from tests.scenarios.spoken import ask
from tests.world import World, in_the_past, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HABITS = Habits()


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: f"{habit.number}-{habit.title}")
async def test_the_doctor_names_what_a_charge_point_does(world_of_all: World, habit: Habit) -> None:
    await require(world_of_all, habit)


async def _dial(patient: Patient, path: str, offered: list[str], **headers: str) -> ClientConnection:
    """A handshake as it is told, with the patient's credentials."""
    host = patient.world.ocpp_url.removesuffix("/ocpp")
    known = Credentials(url=patient.world.ocpp_url, identity=patient.key.id, password=patient.key.password)
    return await connect(
        f"{host}{path}", subprotocols=[Subprotocol(each) for each in offered] or None,
        additional_headers={**known.headers, **headers}, compression=None, close_timeout=1, ping_interval=None, proxy=None,
    )  # fmt: skip


async def _beats(socket: ClientConnection) -> None:
    await socket.send('[2,"b","Heartbeat",{}]')
    assert "currentTime" in str(await socket.recv())


@HABITS.shown_by(1, "subprotocol_missing", shows="GET /ocpp/", make=None)
async def no_subprotocol_at_all(patient: Patient, _: Wire) -> None:
    async with await _dial(patient, f"/ocpp/{patient.key.id}", []) as socket:
        await _beats(socket)


@HABITS.shown_by(2, "subprotocol_order", shows="ocpp9.9", make=None)
async def a_subprotocol_first_that_nobody_speaks(patient: Patient, _: Wire) -> None:
    async with await _dial(patient, f"/ocpp/{patient.key.id}", ["ocpp9.9", "ocpp1.6"]) as socket:
        assert socket.subprotocol == "ocpp1.6"
        await _beats(socket)


@HABITS.shown_by(3, "wrong_version_shape", protocol="ocpp2.0.1", shows="StopTransaction", make=None)
async def messages_of_1_6_on_a_socket_of_2_0_1(patient: Patient, opened: Wire) -> None:
    await patient.charge(opened)
    await patient.require_rated(5000)


@HABITS.shown_by(4, "path_repaired", shows="GET //ocpp//", make=None)
async def slashes_and_a_url_in_the_path(patient: Patient, _: Wire) -> None:
    for path in (f"/ocpp/ws://csms.example/ocpp/{patient.key.id}", f"//ocpp//{patient.key.id}/"):
        async with await _dial(patient, path, ["ocpp1.6"]) as socket:
            await _beats(socket)


@HABITS.shown_by(5, "identity_encoded", shows="%", make=None)
async def a_percent_encoded_identity(patient: Patient, _: Wire) -> None:
    encoded = "".join(f"%{ord(letter):02X}" for letter in patient.key.id)
    async with await _dial(patient, f"/ocpp/{encoded}", ["ocpp1.6"]) as socket:
        await _beats(socket)


async def test_a_proof_tells_neither_the_query_nor_the_credentials(world_of_all: World) -> None:
    patient = Patient(world_of_all, await world_of_all.charge_point("QUERY"))
    async with await _dial(patient, "/ocpp/query?token=s3cr3t-s3cr3t", ["ocpp1.6"]) as socket:
        await _beats(socket)
    await patient.require_named(["identity_case"], shows="GET /ocpp/query HTTP/1.1")
    frame = (await patient.findings())["identity_case"].frame or ""
    assert "s3cr3t" not in frame
    assert "authorization" not in frame.casefold()


@HABITS.shown_by(6, "identity_case", make=None)
async def an_identity_in_lower_case(patient: Patient, _: Wire) -> None:
    async with await _dial(patient, f"/ocpp/{patient.key.id.lower()}", ["ocpp1.6"]) as socket:
        await _beats(socket)


@HABITS.shown_by(7, "second_socket", shows="while one from")
async def two_sockets_at_once(patient: Patient, old: Wire) -> None:
    transaction = await patient.start(old, in_the_past(hours=1))
    async with patient.on() as new:
        assert await old.closed() == 1008
        await ask(new, "StopTransaction", {"transactionId": transaction, "meterStop": 6000, "timestamp": _ago(5)})
    await patient.require_rated(5000)


@HABITS.shown_by(8, "redial_late", "second_socket")
async def a_redial_before_the_old_socket_is_dead_and_minutes_after_it_was(patient: Patient, _: Wire) -> None:
    for hours in (3, 2):
        begin = in_the_past(hours=hours)
        await patient.had_socket(begin, begin + timedelta(minutes=53))
    async with patient.on() as new:
        await ask(new, "Heartbeat", {})


@HABITS.shown_by(9, "reconnect_loop")
async def a_loop_of_connections(patient: Patient, _: Wire) -> None:
    for _n in range(10):
        async with patient.on() as opened:
            await ask(opened, "Heartbeat", {})


@HABITS.shown_by(10, "websocket_broken", shows="1002")
async def compressed_frames_that_were_not_negotiated(patient: Patient, opened: Wire) -> None:
    canary = await patient.world.charge_point(f"{patient.key.id}-2")
    async with Patient(patient.world, canary).on() as other:
        opened.socket.transport.write(b"\xc1\x80\x00\x00\x00\x00")  # text, final, RSV1 set, empty, masked
        await opened.closed()
        await ask(other, "Heartbeat", {})


@HABITS.shown_by(12, "boot_missing", make=None)
async def no_boot_ever(patient: Patient, opened: Wire) -> None:
    await patient.charge(opened)
    await patient.require_rated(5000)


@HABITS.shown_by(12, "boot_on_reconnect")
async def a_boot_after_every_reconnect(patient: Patient, _: Wire) -> None:
    for _n in range(2):
        async with patient.on() as opened:
            await patient.boot(opened)


@HABITS.shown_by(13, "calls_wait_for_boot", shows="Wall Box", how=How.KNOWN, make=("Wall Box Example", "Copper"))
async def calls_before_the_boot_are_not_borne(patient: Patient, _: Wire) -> None:
    async with patient.on() as opened:
        opened.answers["TriggerMessage"] = lambda _payload: {"status": "Accepted"}
        asking = asyncio.create_task(patient.asked(TriggerMessage(message="Heartbeat")))
        await asyncio.sleep(0.3)
        assert "TriggerMessage" not in [action for action, _ in opened.asked]
        await patient.boot(opened, "Wall Box Example", "Copper")
        assert (await asking).accepted


@HABITS.shown_by(14, "heartbeat_missing", "pings_unanswered", heartbeat_interval_s=0)
async def neither_heartbeats_nor_pongs(_: Patient, opened: Wire) -> None:
    protocol = opened.socket.protocol
    send = protocol.send_frame

    def without_pongs(frame: Any) -> None:
        if frame.opcode is not Opcode.PONG:
            send(frame)

    protocol.send_frame = without_pongs  # type: ignore[method-assign]
    for _n in range(25):
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await ask(opened, "StatusNotification", status)
        await asyncio.sleep(0.05)
    assert opened.socket.close_code is None


@HABITS.shown_by(15, "boot_loop", make=None)
async def boots_after_a_stop_whatever_is_answered(patient: Patient, opened: Wire) -> None:
    await patient.tell(opened, '[2,"s","StopTransaction",{"transactionId":"?","meterStop":null}]', "s")
    for number in range(5):
        await patient.boot(opened, chargePointSerialNumber=f"S{number}")


@HABITS.shown_by(16, "boot_retried")
async def the_same_boot_with_another_id(patient: Patient, opened: Wire) -> None:
    await patient.boot(opened)


def _ago(minutes: int) -> str:
    return stamp(in_the_past(minutes=minutes))


async def test_a_make_that_loops_is_left_alone_until_its_boot_is_answered() -> None:
    looping = ChargePoint(id="CP", site="S", vendor="Wall Box Example", model="Copper")
    other = ChargePoint(id="CP", site="S", vendor=WIND[0], model=WIND[1])

    assert first_call_delay_s(looping, 5.0) == BOOT_PATIENCE_S
    assert first_call_delay_s(other, 5.0) == 5.0


async def test_what_is_odd_in_a_handshake_is_refused_in_strict_mode(world_of_all: World) -> None:
    key = await world_of_all.charge_point("STRICT-DOOR", strict=True)
    patient = Patient(world_of_all, key)
    for path, offered in (("/ocpp/strict-door", ["ocpp1.6"]), ("/ocpp//STRICT-DOOR", ["ocpp1.6"]), ("/", ["ocpp1.6"])):
        with pytest.raises(InvalidStatus) as refused:
            await _dial(patient, path, offered)
        assert refused.value.response.status_code == 404
    unsaid = await _dial(patient, "/ocpp/STRICT-DOOR", [])
    await unsaid.wait_closed()
    assert unsaid.close_code == 1002
    async with await _dial(patient, "/ocpp/STRICT-DOOR", ["ocpp1.6"]) as socket:
        await _beats(socket)
    await patient.require_named(["identity_case", "path_repaired", "identity_from_credentials", "subprotocol_missing"])


async def test_a_version_can_be_forced_whatever_was_negotiated(world_of_all: World) -> None:
    key = await world_of_all.charge_point("FORCED", protocol=Protocol.V16)
    await world_of_all.connection.execute(
        "UPDATE charge_point SET quirks_on = '{protocol_forced}' WHERE id = $1", key.id
    )
    patient = Patient(world_of_all, key)
    async with patient.on("ocpp2.0.1") as opened:
        assert opened.socket.subprotocol == "ocpp2.0.1"
        opened.answers["TriggerMessage"] = lambda _payload: {"status": "Accepted"}
        await ask(opened, "StartTransaction", start_16(in_the_past(hours=1)))

        async def is_16() -> bool:
            row = await world_of_all.connection.fetchval("SELECT protocol FROM socket WHERE charge_point = $1", key.id)
            return bool(row == "ocpp1.6")

        await until(is_16)
