"""S1-S2, S5, C4, C8, C12 and the handshake quirks, over real sockets."""

from __future__ import annotations

import asyncio
import resource

import pytest
from gateway_room import KEY, PASSWORD, InMemoryApplication, a_charge_point, basic, eventually, running
from websockets.exceptions import InvalidStatus

from csms.charge_points.charge_point import ChargePoint
from csms.gateway.listener import connections_max
from csms.protocol.vocabulary import Protocol
from csms.settings import Settings

AUTH = f"Authorization: {basic('CP-1')}"
V16 = "Sec-WebSocket-Protocol: ocpp1.6"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/ocpp/CP-1", [AUTH, V16], 101),
        ("/ocpp/cp-1", [AUTH, V16], 101),
        ("/ocpp/CP%2D1/", [AUTH, V16], 101),
        ("/ocpp/CP-1", [V16], 401),
        ("/ocpp/CP-1", ["Authorization: Basic", V16], 401),
        ("/ocpp/CP-1", [f"Authorization: {basic('CP-1', b'wrong')}", V16], 401),
        ("/ocpp/CP-1", [f"Authorization: {basic('CP-2')}", V16], 401),
        ("/ocpp/CP-1", [AUTH, AUTH, V16], 401),
        ("/ocpp/CP-2", [AUTH, V16], 404),
        ("/ocpp/" + "x" * 49, [AUTH, V16], 404),
        ("/", [AUTH, V16], 101),
        ("/ocpp/", [AUTH, V16], 101),
        ("/", [V16], 404),
        ("/", [f"Authorization: {basic('CP-1', b'wrong')}", V16], 401),
        ("/", [f"Authorization: {basic('CP-2')}", V16], 404),
        ("/elsewhere", [AUTH, V16], 404),
        ("/ocpp/../ocpp/CP-1", [AUTH, V16], 404),
        ("/ocpp/CP-1%00", [AUTH, V16], 400),
        ("/ocpp/CP-1%0d%0aX-Evil:%201", [AUTH, V16], 400),
        ("/ocpp/CP-1", [AUTH, "Sec-WebSocket-Protocol: ,;()"], 400),
        ("/ocpp/CP-1", [AUTH, V16, *(f"X-{number}: 1" for number in range(200))], 431),
        ("/ocpp/CP-1", [AUTH, V16, "X-Long: " + "x" * 10_000], 431),
        ("/ocpp/" + "x" * 10_000, [AUTH, V16], 414),
    ],
)
async def test_a_handshake_gets_the_status_that_says_why(path: str, headers: list[str], status: int) -> None:
    async with running() as room:
        assert (await room.handshake(path, *headers))[0] == status


async def test_who_lacks_credentials_is_told_how_to_send_them() -> None:
    async with running() as room:
        _, headers, _ = await room.handshake("/ocpp/CP-1")

    assert headers["www-authenticate"].startswith("basic realm=")


@pytest.mark.parametrize("profile", [2, 3])
async def test_a_charge_point_that_needs_tls_is_refused_on_a_plain_socket(profile: int) -> None:
    async with running(a_charge_point(security_profile=profile)) as room:
        status, _, body = await room.handshake("/ocpp/CP-1", AUTH, V16)

    assert status == 403
    assert "needs TLS" in body


async def test_a_charge_point_without_password_is_served_where_the_operator_said_so() -> None:
    async with (
        running(a_charge_point(security_profile=0, password=None)) as room,
        room.station(password=None) as station,
    ):
        await station.heartbeat()


@pytest.mark.parametrize(
    "password", [bytes([0x00, 0x3A, 0xFF, *range(17)]), "päßwörd-with-40-byte-in-utf-8-x-y-z".encode()]
)
async def test_passwords_of_any_bytes_open_the_socket(password: bytes) -> None:
    async with running(a_charge_point(password=password)) as room, room.station(password=password) as station:
        await station.heartbeat()


async def test_the_connection_header_may_be_missing() -> None:
    async with running() as room:
        assert (await room.handshake("/ocpp/CP-1", AUTH, V16, without=["Connection"]))[0] == 101


@pytest.mark.parametrize("without", ["Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])
async def test_what_is_no_websocket_handshake_is_refused(without: str) -> None:
    async with running() as room:
        assert (await room.handshake("/ocpp/CP-1", AUTH, V16, without=[without]))[0] in {400, 426}


async def test_no_subprotocol_offered_is_served_in_the_registered_version() -> None:
    async with (
        running(a_charge_point("OLD"), a_charge_point("NEW", protocol=Protocol.V201)) as room,
        room.station("OLD", offered=None) as old,
        room.station("NEW", offered=None) as new,
    ):
        assert old.websocket.subprotocol is None
        await old.heartbeat()
        await new.heartbeat()

        spoken = {identity: socket.protocol for identity, socket in room.gateway.connected().items()}
        assert spoken == {"OLD": Protocol.V16, "NEW": Protocol.V201}


async def test_with_only_unknown_subprotocols_the_handshake_completes_and_the_socket_is_closed() -> None:
    async with running() as room, room.station(offered=["ocpp1.5"]) as station:
        assert station.websocket.subprotocol is None
        assert await station.closed() == 1002
        assert room.application.events == []


async def test_the_charge_points_order_of_subprotocols_counts() -> None:
    async with running() as room, room.station(offered=["ocpp2.2", "ocpp2.1", "ocpp1.6"]) as station:
        assert station.websocket.subprotocol == "ocpp2.1"


async def test_the_guesser_is_told_to_wait_and_the_genuine_station_from_the_same_address_is_not() -> None:
    wrong = f"Authorization: {basic('CP-1', b'wrong')}"
    async with running(auth_failures_max_per_identity=3) as room:
        statuses = [(await room.handshake("/ocpp/CP-1", wrong))[0] for _ in range(5)]

        assert statuses == [401, 401, 401, 429, 429]
        async with room.station() as station:
            await station.heartbeat()


async def test_looking_for_identities_is_slowed() -> None:
    async with running(auth_failures_max_per_address=5) as room:
        statuses = [(await room.handshake(f"/ocpp/GUESS-{number}"))[0] for number in range(7)]

    assert statuses == [404] * 5 + [429] * 2


async def test_while_the_database_is_down_charge_points_are_told_when_to_come_back() -> None:
    async with running(retry_after_s=17) as room:
        room.health.available = False
        status, headers, _ = await room.handshake("/ocpp/CP-1", AUTH, V16)

    assert (status, headers["retry-after"]) == (503, "17")


async def test_a_failure_of_ours_in_the_handshake_is_503() -> None:
    class Failing(InMemoryApplication):
        async def find(self, identity: str) -> None:
            raise OSError(f"cannot look up {identity}")

    async with running(application=Failing()) as room:
        assert (await room.handshake("/ocpp/CP-1", AUTH, V16))[0] == 503


async def test_one_connection_too_many_gets_503_and_those_that_are_open_go_on() -> None:
    points = [a_charge_point(f"CP-{number}") for number in range(4)]
    async with running(*points, connections_max=2) as room, room.station("CP-1") as one:
        async with room.station("CP-2") as two:
            with pytest.raises(InvalidStatus) as refused:
                async with room.station("CP-3"):
                    pass
            assert refused.value.response.status_code == 503
            assert "Retry-After" in refused.value.response.headers
            await one.heartbeat()
            await two.heartbeat()
        await eventually(lambda: len(room.gateway.connected()) == 1)
        await eventually(lambda: room.gateway._listener._open == 1)
        async with room.station("CP-3") as three:
            await three.heartbeat()


def test_unless_set_nine_tenths_of_the_open_files_may_be_connections() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert connections_max(Settings(connections_max=7)) == 7
    assert 0.5 * soft < connections_max(Settings()) <= 0.9 * soft


async def test_silent_and_slow_handshakes_are_cut_while_an_honest_station_is_served() -> None:
    """C8, with the handshake's 10 s divided by 20."""
    async with running(open_timeout_s=0.5) as room:
        silent = [await asyncio.open_connection("127.0.0.1", room.port) for _ in range(150)]
        slow = [await asyncio.open_connection("127.0.0.1", room.port) for _ in range(3)]

        async def dribble(writer: asyncio.StreamWriter) -> None:
            for byte in b"GET /ocpp/CP-1 HTTP/1.1\r\nHost: csms.example\r\n" * 10:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as tasks:
            dribbles = [tasks.create_task(dribble(writer)) for _, writer in slow]
            async with room.station() as station:
                for _ in range(5):
                    await station.heartbeat()
            for reader, _ in [*silent, *slow]:
                async with asyncio.timeout(5):
                    try:
                        assert await reader.read() == b""
                    except ConnectionError:
                        continue
            for each in dribbles:
                each.cancel()
        await eventually(lambda: room.gateway._listener._open == 0)
        for _, writer in [*silent, *slow]:
            writer.close()


class Thinking(InMemoryApplication):
    """Needs longer for an answer than a charge point may need for its request."""

    async def find(self, identity: str) -> ChargePoint | None:
        await asyncio.sleep(1)
        return await super().find(identity)


async def test_who_has_asked_in_time_gets_an_answer_however_long_that_takes() -> None:
    async with running(application=Thinking(), open_timeout_s=0.3) as room, room.station() as station:
        await station.heartbeat()


async def test_no_password_stands_in_an_answer_or_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    async with running() as room:
        _, headers, body = await room.handshake("/ocpp/CP-9\u00e9", AUTH, V16)
        await room.handshake("/ocpp/CP-1", AUTH, V16)
        await room.handshake("/ocpp/CP%1b%5b31m", AUTH)
    captured = capsys.readouterr()
    said = f"{headers}{body}{captured.out}{captured.err}"

    assert "handshake_refused" in said
    for secret in (PASSWORD.decode(), basic("CP-1").split()[1], KEY.decode()):
        assert secret not in said
    assert "CP\x1b[31m" not in said
