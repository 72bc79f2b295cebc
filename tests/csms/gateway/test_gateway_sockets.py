"""C1-C7 and C13: second sockets, vanished and slow peers, restarts. Waits are divided through the settings."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest
from gateway_room import (
    Health,
    InMemoryApplication,
    Running,
    Station,
    a_charge_point,
    basic,
    close_code,
    eventually,
    frame,
    rss_bytes,
    running,
    upgrade_request,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus

from csms.database.errors import DatabaseUnavailable
from csms.gateway.application import SocketInfo
from csms.gateway.connection import Connection
from csms.gateway.gateway import Gateway
from csms.gateway.websocket import ChargePointSocket
from csms.protocol.vocabulary import Outcome, Reset
from csms.settings import Settings

STOP = {"transactionId": 1, "meterStop": 900, "timestamp": "2026-03-01T20:30:00Z"}


async def answer_next(station: Station) -> None:
    asked = await station.receive()
    await station.send(json.dumps([3, asked[1], {"status": "Accepted"}]))


@contextlib.asynccontextmanager
async def asked(gateway: Gateway, charge_point: str = "CP-1") -> AsyncIterator[asyncio.Task[Outcome]]:
    async with asyncio.TaskGroup() as tasks:
        yield tasks.create_task(gateway.command(charge_point, Reset()))


async def test_a_second_authenticated_socket_replaces_the_first_within_a_second() -> None:
    """C1."""
    async with running() as room, room.station() as old:
        await old.heartbeat()
        async with room.station("cp-1") as new:
            await new.heartbeat()
            assert await old.closed(within_s=1) == 1008
            await eventually(lambda: len(room.application.events) == 3)
            opened, opened_new, closed = room.application.events

            assert (opened[0], opened_new[0]) == ("opened", "opened")
            assert closed == ("closed", opened[1], 1008)
            assert [each.id for each in room.gateway.connected().values()] == [opened_new[1]]


async def test_both_addresses_of_a_replaced_socket_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async with running() as room, room.station() as old, room.station() as new:
        await new.heartbeat()
        await old.closed()
    captured = capsys.readouterr()

    (line,) = [line for line in (captured.out + captured.err).splitlines() if "connection_replaced" in line]
    assert line.count("127.0.0.1") == 2


async def test_a_half_open_socket_does_not_keep_its_charge_point_out() -> None:
    """C2, C3: the old peer never answers the close; the new one is served, and stays when the old one ends at last."""
    async with running() as room:
        _, writer = await room.raw()
        async with room.station() as new:
            await new.heartbeat()
            async with asked(room.gateway) as outcome:
                await answer_next(new)
                assert (await outcome).accepted
            await eventually(lambda: [kind for kind, _, _ in room.application.events].count("closed") == 1)

            old_id = room.application.events[0][1]
            assert room.application.events[-1] == ("closed", old_id, 1008)
            assert "CP-1" in room.gateway.connected()
            await new.heartbeat()
        writer.close()


async def test_an_unauthenticated_attempt_does_not_disturb_the_live_socket() -> None:
    """C4."""
    async with running() as room, room.station() as station:
        for password in (None, b"wrong"):
            with pytest.raises(InvalidStatus):
                async with room.station(password=password):
                    pass
        await station.heartbeat()
        assert [kind for kind, _, _ in room.application.events] == ["opened"]


async def test_an_answer_leaves_only_on_the_socket_of_its_question() -> None:
    """C5: asked on the old socket, committed after the new one has taken over; stored, and the new one hears nothing."""
    async with running() as room, room.station() as old:
        room.application.gate.clear()
        await old.send(json.dumps([2, "from-old", "StopTransaction", STOP]))
        await asyncio.sleep(0.05)
        async with room.station() as new:
            assert await old.closed() == 1008
            room.application.gate.set()
            await eventually(lambda: len(room.application.received) == 1)
            answer = await new.call("Heartbeat", {}, "from-new")

            assert answer[1] == "from-new"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await new.websocket.recv()


async def test_a_command_that_was_asked_on_the_old_socket_is_not_answered_by_the_new_one() -> None:
    async with running() as room, room.station() as old, asked(room.gateway) as outcome:
        question = await old.receive()
        async with room.station() as new:
            await new.send(json.dumps([3, question[1], {"status": "Accepted"}]))
            await new.heartbeat()

            assert (await outcome).status == "timeout"


async def test_four_replacements_in_a_row_raise_an_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    async with running() as room, contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            station = await stack.enter_async_context(room.station())
            await station.heartbeat()
    captured = capsys.readouterr()

    assert (captured.out + captured.err).count("replaced_often") == 1


async def test_vanished_peers_are_offline_after_ping_pong_and_close() -> None:
    """C6, with 60 + 30 + 5 s divided by 300."""
    points = [a_charge_point(f"CP-{number}") for number in range(100)]
    async with running(*points, ping_interval_s=0.2, ping_timeout_s=0.1, close_timeout_s=0.02) as room:
        vanished = [await room.raw(point.id) for point in points]
        await eventually(lambda: room.gateway.connected() == {})
        await eventually(lambda: room.gateway._listener._open == 0)

        assert await room.gateway.command("CP-1", Reset()) == Outcome(
            accepted=False, status="offline", detail="no socket of this charge point here"
        )
        for _, writer in vanished:
            writer.close()


async def test_a_charge_point_that_answers_pings_stays() -> None:
    async with running(ping_interval_s=0.1, ping_timeout_s=0.05) as room, room.station() as station:
        await asyncio.sleep(0.5)
        await station.heartbeat()


async def test_a_charge_point_that_never_answers_pings_stays_while_it_sends_anything() -> None:
    async with running(ping_interval_s=0.2, ping_timeout_s=0.15) as room:
        _, writer = await room.raw()
        for number in range(10):
            writer.write(frame(1, f'[2,"{number}","Heartbeat",{{}}]'.encode()))
            await asyncio.sleep(0.08)
        assert "CP-1" in room.gateway.connected()
        assert len(room.application.received) == 10
        writer.close()


async def test_a_slow_commit_is_not_taken_for_a_silent_charge_point() -> None:
    """While we have paused reading, its pongs are in the socket and the silence is ours."""
    async with (
        running(ping_interval_s=0.1, ping_timeout_s=0.05, queue_length_max=1) as room,
        room.station() as station,
    ):
        room.application.gate.clear()
        for number in range(40):
            await station.send(json.dumps([2, str(number), "StopTransaction", STOP]))
        await asyncio.sleep(0.5)
        room.application.gate.set()
        answers = [(await station.receive())[1] for _ in range(40)]
    assert answers == [str(number) for number in range(40)]


async def raw_with_small_buffer(room: Running) -> socket.socket:
    """An authenticated socket whose owner never reads, with as little room in the kernel as it gives."""
    loop = asyncio.get_running_loop()
    peer = socket.socket()
    peer.setblocking(False)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    await loop.sock_connect(peer, ("127.0.0.1", room.port))
    headers = (f"Authorization: {basic('CP-1')}", "Sec-WebSocket-Protocol: ocpp1.6")
    await loop.sock_sendall(peer, upgrade_request("/ocpp/CP-1", *headers))
    await eventually(lambda: "CP-1" in room.gateway.connected())
    return peer


async def test_a_charge_point_that_does_not_read_is_cut_and_nobody_else_notices() -> None:
    """C7: 50,000 calls and nothing read, with the send timeout of 10 s divided by 20."""
    async with (
        running(a_charge_point("CP-1"), a_charge_point("CANARY"), send_timeout_s=0.5) as room,
        room.station("CANARY") as canary,
    ):
        peer = await raw_with_small_buffer(room)
        before = rss_bytes()

        async def flood() -> None:
            calls = frame(1, b'[2,"0123456789012345678901234567890","Heartbeat",{}]') * 500
            with contextlib.suppress(OSError):
                for _ in range(100):
                    await asyncio.get_running_loop().sock_sendall(peer, calls)

        async with asyncio.TaskGroup() as tasks:
            flooding = tasks.create_task(flood())
            await asyncio.sleep(0.1)
            outcome = await room.gateway.command("CP-1", Reset(), timeout_s=2)
            for _ in range(20):
                await canary.heartbeat()
            await eventually(lambda: "CP-1" not in room.gateway.connected())
            flooding.cancel()
        peer.close()

        assert outcome.status in {"offline", "timeout"}
        assert rss_bytes() - before <= 5 * 1024 * 1024


async def test_on_drain_calls_in_flight_are_answered_then_sockets_are_closed_for_a_restart() -> None:
    """C13."""
    async with (
        running(a_charge_point("CP-1"), a_charge_point("CP-2")) as room,
        room.station("CP-1") as busy,
        room.station("CP-2") as idle,
        asyncio.TaskGroup() as tasks,
    ):
        room.application.gate.clear()
        await busy.send(json.dumps([2, "1", "StopTransaction", STOP]))
        await eventually(lambda: len(room.application.seen) == 1)
        draining = tasks.create_task(room.gateway.drain())
        assert await idle.closed() == 1012
        with pytest.raises(OSError, match=r"(?i)refused|connect"):
            await asyncio.open_connection("127.0.0.1", room.port)
        room.application.gate.set()

        assert (await busy.receive())[:2] == [3, "1"]
        assert await busy.closed() == 1012
        await draining
        async with asyncio.timeout(5):
            await room.run
        assert [kind for kind, _, _ in room.application.events] == ["opened", "opened", "closed", "closed"]


async def test_on_drain_the_answer_to_our_own_call_is_awaited() -> None:
    async with running() as room, room.station() as station, asyncio.TaskGroup() as tasks:
        command = tasks.create_task(room.gateway.command("CP-1", Reset()))
        question = await station.receive()
        tasks.create_task(room.gateway.drain())
        await asyncio.sleep(0.05)
        await station.send(json.dumps([3, question[1], {"status": "Accepted"}]))

        assert (await command).accepted
        assert await station.closed() == 1012


async def test_drain_does_not_wait_for_ever_for_a_call_that_cannot_be_committed() -> None:
    async with running(drain_timeout_s=0.1) as room, room.station() as station:
        room.application.gate.clear()
        await station.send(json.dumps([2, "1", "StopTransaction", STOP]))
        await eventually(lambda: len(room.application.seen) == 1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(room.gateway.drain())
            assert await station.closed() == 1012
        room.application.gate.set()


async def test_a_call_that_comes_while_draining_is_left_for_the_next_connection() -> None:
    async with running() as room, room.station() as station, asyncio.TaskGroup() as tasks:
        room.application.gate.clear()
        await station.send(json.dumps([2, "1", "StopTransaction", STOP]))
        await eventually(lambda: len(room.application.seen) == 1)
        tasks.create_task(room.gateway.drain())
        await asyncio.sleep(0.05)
        await station.send(json.dumps([2, "2", "StopTransaction", {**STOP, "transactionId": 2}]))
        await asyncio.sleep(0.05)
        room.application.gate.set()

        assert (await station.receive())[1] == "1"
        with pytest.raises(ConnectionClosed):
            await station.receive()
        assert len(room.application.received) == 1


async def test_the_operator_can_close_a_socket() -> None:
    async with running() as room:
        reader, writer = await room.raw()
        await room.gateway.disconnect("CP-1", 1008, "by the operator")
        assert await close_code(reader) == 1008
        writer.close()
        await room.gateway.disconnect("CP-1", 1008, "nobody there")


async def test_a_socket_whose_opening_cannot_be_noted_for_want_of_a_database_is_closed() -> None:
    class Frozen(InMemoryApplication):
        async def opened(self, socket: SocketInfo) -> None:
            raise DatabaseUnavailable(f"cannot note {socket.id}")

    async with running(application=Frozen()) as room, room.station() as station:
        assert await station.closed() == 1013
        await eventually(lambda: room.gateway.connected() == {})


async def test_a_bug_in_noting_that_a_socket_opened_or_closed_keeps_nobody_out() -> None:
    class Forgetful(InMemoryApplication):
        async def opened(self, socket: SocketInfo) -> None:
            raise ZeroDivisionError(socket.id)

        async def closed(self, socket: SocketInfo, code: int, reason: str) -> None:
            raise ZeroDivisionError(f"{socket.id} {code} {reason}")

    async with running(application=Forgetful()) as room:
        for _ in range(2):
            async with room.station() as station:
                await station.heartbeat()
        await eventually(lambda: room.gateway.connected() == {})


async def test_a_gateway_that_is_cancelled_tells_its_charge_points_to_come_back() -> None:
    async with running() as room, room.station() as station:
        await station.heartbeat()
        room.run.cancel()
        assert await station.closed() == 1012


async def test_a_port_that_is_taken_is_said_at_once() -> None:
    async with running() as room:
        settings = Settings(ocpp_host="127.0.0.1", ocpp_port=room.port)
        second = Gateway(settings, InMemoryApplication(), b"key", Health())
        with pytest.raises(OSError, match="in use"):
            await second.run()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _sockets() -> list[object]:
    return [each for each in gc.get_objects() if type(each) in {ChargePointSocket, Connection}]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("cut", [False, True])
async def test_a_socket_that_has_ended_is_given_back_at_once_not_when_the_collector_comes(cut: bool) -> None:
    """The collector comes seldom, and to old things hardly ever: a fleet that reconnects would fill the memory."""
    others = _sockets()  # of other tests, whoever may still hold them
    async with running() as room:
        async with room.station() as station:
            await station.heartbeat()
            async with asked(room.gateway) as asking:
                await answer_next(station)
            assert asking.result().accepted
            ours = [each for each in _sockets() if all(each is not other for other in others)]
            left = [weakref.ref(each) for each in ours]
            assert len(left) == 2
            del ours
            if cut:
                station.websocket.transport.abort()

        await eventually(lambda: all(each() is None for each in left))
