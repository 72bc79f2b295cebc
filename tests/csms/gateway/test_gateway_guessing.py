"""S3, S5, C9: guessers and loops over real sockets; the genuine charge point comes in whatever they do."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from gateway_room import PASSWORD, Running, Station, a_charge_point, basic, eventually, running, upgrade_request
from hypothesis import given
from hypothesis import strategies as st
from tls_room import Authority, tls_settings, wss
from websockets.exceptions import InvalidStatus

from csms.gateway.slowing import delay_s
from csms.gateway.throttle import KEYS_MAX, Throttle
from csms.security.event import OwnKind

V16 = "Sec-WebSocket-Protocol: ocpp1.6"
GUESSES_PER_S = 40
ELSEWHERE = ("127.0.0.2", 0)


async def guess(room: Running, identity: str, password: bytes) -> int:
    return (await room.handshake(f"/ocpp/{identity}", f"Authorization: {basic(identity, password)}", V16))[0]


async def attack(room: Running, rounds: int) -> Counter[int]:
    """So many seconds of guessing, as fast as it goes."""
    statuses = Counter[int]()
    for second in range(rounds):
        guesses = (guess(room, "CP-1", f"wrong-{second}-{number}".encode()) for number in range(GUESSES_PER_S))
        statuses.update(await asyncio.gather(*guesses))
    return statuses


async def test_the_genuine_charge_point_comes_in_from_everywhere_while_somebody_guesses_its_password() -> None:
    """S5; the same address is what charge points behind one CGNAT have."""
    async with running() as room:
        room.gateway._listener._slowing.delay = lambda: 0.01  # as fast as a guesser can ever be
        before = await attack(room, 1)
        async with asyncio.TaskGroup() as tasks:
            attacking = tasks.create_task(attack(room, 3))
            served = 0
            while not attacking.done():
                async with room.station(local_addr=ELSEWHERE) as station:
                    await station.heartbeat()
                async with room.station() as station:
                    await station.heartbeat()
                served += 1

    assert before == {401: 10, 429: GUESSES_PER_S - 10}
    assert attacking.result() == {429: 3 * GUESSES_PER_S}
    assert served > 0
    assert {(kind, charge_point, remote) for kind, charge_point, remote, _ in room.application.noted} == {
        (OwnKind.FAILED_AUTHENTICATION, "CP-1", "127.0.0.1")
    }
    assert all(PASSWORD.decode() not in info and "wrong-" not in info for *_, info in room.application.noted)


async def test_answers_to_a_guesser_wait_and_never_those_to_the_genuine_charge_point() -> None:
    async with running() as room:
        await attack(room, 1)
        slowing = room.gateway._listener._slowing
        slowing.delay = lambda: 3.0  # long beside all that is done meanwhile
        guesses = [asyncio.create_task(guess(room, "CP-1", b"wrong")) for _ in range(3)]
        await eventually(lambda: slowing.waiting == 3)
        async with room.station() as station:
            await station.heartbeat()
        still = [each.done() for each in guesses]
        slowing.waiting_max = 3
        beyond = await guess(room, "CP-1", b"wrong")
        late = await asyncio.gather(*guesses)

    assert (still, beyond, late) == ([False] * 3, 429, [429] * 3)


@given(delay=st.builds(delay_s))
def test_a_held_back_answer_waits_for_one_to_two_seconds(delay: float) -> None:
    assert 1 <= delay <= 2


async def test_a_whole_fleet_behind_one_address_comes_in_beside_a_guesser() -> None:
    points = [a_charge_point(f"CP-{number}") for number in range(1, 31)]
    async with running(*points) as room:
        await attack(room, 4)
        for point in points:
            async with room.station(point.id) as station:
                await station.heartbeat()

        assert room.application.noted


async def test_many_identities_tried_from_one_address_are_slowed_whatever_their_names() -> None:
    async with running() as room:
        room.gateway._listener._slowing.delay = lambda: 0.0
        statuses = Counter([await guess(room, f"CP-9{number}", b"x") for number in range(130)])
        long = Counter([(await room.handshake(f"/x/{'y' * 5000}{number}"))[0] for number in range(3)])

    assert statuses == {404: 100, 429: 30}
    assert long == {429: 3}
    assert {(kind, charge_point) for kind, charge_point, *_ in room.application.noted} == {
        (OwnKind.FAILED_AUTHENTICATION, "")
    }
    assert all(len(info) < 200 for *_, info in room.application.noted)


def test_a_path_of_any_length_costs_the_throttle_no_memory() -> None:
    throttle = Throttle(per_identity_max=10, per_address_max=100)
    for number in range(2 * KEYS_MAX):
        throttle.failed(f"{number}" + "x" * 8000, f"192.0.2.{number % 200}", now=0)

    assert len(throttle._counters) <= KEYS_MAX
    assert max(len(identity) for identity, _ in throttle._counters) <= 64


async def test_a_loop_of_reconnects_is_served_and_told_once() -> None:
    """C9: 100 a minute, each of them served, another charge point as well; alarmed after 60 within the hour."""
    points = (a_charge_point("CP-1"), a_charge_point("CP-2"))
    async with running(*points) as room, room.station("CP-2") as other:
        for number in range(1, 131):
            async with room.station() as station:
                await station.heartbeat()
            if number == 60:
                quiet = list(room.application.noted)
            if number % 10 == 0:
                await other.heartbeat()

    assert quiet == []
    assert [(kind, name) for kind, name, *_ in room.application.noted] == [(OwnKind.RECONNECTS_OFTEN, "CP-1")]


async def test_sockets_that_replace_each_other_are_told_as_a_security_event() -> None:
    async with running() as room:
        stations = [room.station() for _ in range(6)]
        for each in stations:
            await (await each.__aenter__()).heartbeat()
        for each in reversed(stations):
            await each.__aexit__(None, None, None)

    assert [(kind, name) for kind, name, *_ in room.application.noted] == [(OwnKind.REPLACED_OFTEN, "CP-1")]


# --- profiles --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("profiles"))


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("profiles-clients"), "client-ca")


def proofs(room: Running) -> dict[str, tuple[int, bool]]:
    return {name: (socket.proof.profile, socket.proof.by_password) for name, socket in room.gateway.connected().items()}


async def prove(room: Running, station: Station) -> tuple[int, bool]:
    await station.heartbeat()
    return proofs(room)["CP-1"]


async def refusal(opening: Any) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with opening:
            pass
    return refused.value.response.status_code


async def test_while_a_higher_profile_is_wanted_both_are_taken_and_then_only_that(
    authority: Authority, clients: Authority
) -> None:
    """S3, A05.FR.07: from a password to TLS, from there to a certificate, and never back."""
    server = authority.server(rsa_key=False)
    point = a_charge_point(security_profile=1, security_profile_wanted=2)
    async with running(point, **tls_settings(server, tls_client_ca=clients.file)) as room:
        async with room.station() as station:
            plain = await prove(room, station)
        async with wss(room, authority.client()) as station:
            encrypted = await prove(room, station)
        room.application.add(replace(point, security_profile=2, security_profile_wanted=None))
        back = await refusal(room.station())

        room.application.add(replace(point, security_profile=2, security_profile_wanted=3))
        async with wss(room, authority.client()) as station:
            without = await prove(room, station)
        async with wss(room, authority.client(clients.signed("CP-1")), password=None) as station:
            certified = await prove(room, station)
        room.application.add(replace(point, security_profile=3, security_profile_wanted=None))
        password_only = await refusal(wss(room, authority.client()))
        await eventually(lambda: room.gateway._listener._open == 0)

    assert (plain, encrypted) == ((1, True), (2, True))
    assert (without, certified) == ((2, True), (3, False))
    assert (back, password_only) == (403, 403)
    assert [(kind, name) for kind, name, *_ in room.application.noted] == [(OwnKind.PROFILE_REFUSED, "CP-1")] * 2


async def test_a_certificate_of_another_charge_point_and_a_serial_number_of_another_are_told(
    authority: Authority, clients: Authority
) -> None:
    point = a_charge_point(security_profile=3, serial="TOLD-BEFORE", serial_registered="SN-1")
    server = authority.server(rsa_key=False)
    async with running(point, **tls_settings(server, tls_client_ca=clients.file)) as room:
        stranger = await refusal(wss(room, authority.client(clients.signed("CP-2")), password=None))
        told_before = await refusal(wss(room, authority.client(clients.signed("TOLD-BEFORE")), password=None))
        async with wss(room, authority.client(clients.signed("SN-1")), password=None) as station:
            await station.send(
                '[2, "1", "BootNotification", {"chargePointVendor": "v", "chargePointModel": "m",'
                ' "chargePointSerialNumber": "SN-2"}]'
            )
            code = await station.closed()
        await eventually(lambda: room.gateway._listener._open == 0)

    assert (stranger, told_before, code) == (403, 403, 1008)
    assert [kind for kind, *_ in room.application.noted] == [
        OwnKind.CERTIFICATE_REFUSED,
        OwnKind.CERTIFICATE_REFUSED,
        OwnKind.SERIAL_CONTRADICTED,
    ]


async def test_what_is_no_tls_on_the_port_for_tls_is_told_and_never_row_by_row(authority: Authority) -> None:
    async with running(**tls_settings(authority.server(rsa_key=False))) as room:
        port = room.gateway._listener.tls_port
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(upgrade_request("/ocpp/CP-1"))
            await reader.read()
            writer.close()
        await eventually(lambda: len(room.application.noted) == 5)

    assert set(room.application.noted) == {(OwnKind.TLS_REFUSED, "", "127.0.0.1", "plain_on_tls_port")}
