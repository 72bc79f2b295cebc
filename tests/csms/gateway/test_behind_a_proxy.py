"""A gateway behind a proxy that speaks the PROXY protocol: who it takes a charge point for, and whom it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_room import PASSWORD, Running, Station, a_charge_point, basic, eventually, running
from proxy_headers import HERE, PROXIES, connected, tls_extension, v1, v2
from tls_room import Authority, tls_port, tls_settings
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from csms.security.event import OwnKind

OTHER = "198.51.100.4"


@contextlib.asynccontextmanager
async def through(
    room: Running,
    header: bytes,
    *,
    port: int | None = None,
    password: bytes = PASSWORD,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Station]:
    """A charge point's socket as it arrives from the proxy."""
    peer = await connected(port or room.port, header)
    tls: dict[str, Any] = {} if context is None else {"ssl": context, "server_hostname": "localhost"}
    async with connect(
        f"{'ws' if context is None else 'wss'}://localhost/ocpp/CP-1",
        sock=peer,
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": basic("CP-1", password)},
        proxy=None,
        close_timeout=1,
        **tls,
    ) as websocket:
        yield Station(websocket)


@pytest.mark.parametrize("header", [v1(), v2(), v2("2001:db8::7")])
async def test_a_charge_point_has_the_address_that_the_proxy_names(header: bytes) -> None:
    async with running(proxy_protocol_from=PROXIES) as room, through(room, header) as station:
        await station.heartbeat()

        assert room.gateway.connected()["CP-1"].remote == ("2001:db8::7" if b"\x21\x21" in header else HERE)


async def test_guessers_are_slowed_by_their_own_address_and_not_by_the_proxys() -> None:
    given: dict[str, Any] = {"auth_failures_max_per_identity": 100, "auth_failures_max_per_address": 2}
    async with running(proxy_protocol_from=PROXIES, **given) as room:

        async def status(header: bytes) -> int:
            with pytest.raises(InvalidStatus) as refused:
                async with through(room, header, password=b"wrong"):
                    pass
            return refused.value.response.status_code

        assert [await status(v2(HERE)) for _ in range(4)] == [401, 401, 429, 429]
        assert await status(v2(OTHER)) == 401


async def test_profile_2_is_fulfilled_by_tls_that_ended_at_the_proxy_and_by_nothing_less() -> None:
    async with running(a_charge_point(security_profile=2), proxy_protocol_from=PROXIES) as room:
        async with through(room, v2(extensions=tls_extension())) as station:
            await station.heartbeat()
        for header in (v1(), v2(), v2(extensions=tls_extension(b"TLSv1.1"))):
            with pytest.raises(InvalidStatus) as refused:
                async with through(room, header):
                    pass
            assert refused.value.response.status_code == 403


async def test_profile_3_needs_tls_that_passes_through_the_proxy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    leaf = authority.signed("CP-1")
    given = tls_settings(authority.server(rsa_key=False), tls_client_ca=authority.file)
    async with running(a_charge_point(security_profile=3), proxy_protocol_from=PROXIES, **given) as room:
        with pytest.raises(InvalidStatus) as refused:
            async with through(room, v2(extensions=tls_extension())):
                pass
        async with through(room, v2(), port=tls_port(room), context=authority.client(leaf)) as station:
            await station.heartbeat()
            remote = room.gateway.connected()["CP-1"].remote
    said = capsys.readouterr()

    assert refused.value.response.status_code == 403
    assert "TLS ends at the proxy" in said.out + said.err
    assert remote == HERE


async def test_a_header_cut_in_pieces_is_one_header() -> None:
    header = v2(extensions=tls_extension())
    async with running(a_charge_point(security_profile=2), proxy_protocol_from=PROXIES) as room:
        peer = await connected(room.port, header[:5])
        loop = asyncio.get_running_loop()
        for at in range(5, len(header), 7):
            await asyncio.sleep(0.005)
            await loop.sock_sendall(peer, header[at : at + 7])
        async with connect(
            "ws://localhost/ocpp/CP-1",
            sock=peer,
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers={"Authorization": basic("CP-1")},
            proxy=None,
        ) as websocket:
            await Station(websocket).heartbeat()


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [
        (b"GET /ocpp/CP-1 HTTP/1.1\r\n\r\n", "proxy_header_missing"),
        (b"PROXY TCP4 nowhere nowhere 1 2\r\n", "proxy_header_invalid"),
        (b"PROXY TCP4 203.0.113.7", "proxy_header_timeout"),
        (v2() + v2(OTHER), "proxy_header_unexpected"),
    ],
)
async def test_a_proxy_that_says_nothing_or_nonsense_is_refused_by_name(
    beginning: bytes, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(proxy_protocol_from=PROXIES, open_timeout_s=0.3) as room:
        peer = await connected(room.port, beginning)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(peer, 1000) == b""
        peer.close()
        await eventually(lambda: room.gateway._listener._open == 0)
        async with through(room, v2()) as station:
            await station.heartbeat()
        noted = {(kind, info) for kind, _, _, info in room.application.noted}
    said = capsys.readouterr()

    assert reason in said.out + said.err
    assert noted == {(OwnKind.PROXY_REFUSED, reason)}


async def test_who_is_no_proxy_may_come_without_a_header_and_not_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Believed, a header would let anybody speak from any address, and call a plain socket TLS."""
    for proxies in ((), ("10.0.0.0/8",)):
        async with running(a_charge_point(security_profile=1), proxy_protocol_from=proxies) as room:
            async with room.station() as station:
                await station.heartbeat()
                assert room.gateway.connected()["CP-1"].remote == "127.0.0.1"
            for header in (v1(), v2(extensions=tls_extension())):
                with pytest.raises((InvalidMessage, ConnectionClosed, ConnectionError, EOFError)):
                    async with through(room, header):
                        pass
            await eventually(lambda room=room: room.gateway._listener._open == 0)
        said = capsys.readouterr()
        assert "proxy_header_unexpected" in said.out + said.err
        assert "--proxy-protocol-from" in said.out + said.err


async def test_a_proxy_that_only_looks_whether_somebody_listens_fills_no_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running(proxy_protocol_from=PROXIES) as room:
        for _ in range(20):
            (await connected(room.port, b"")).close()
        await eventually(lambda: room.gateway._listener._open == 0)
    said = capsys.readouterr()

    assert "refused" not in said.out + said.err
