"""S3, S7, S8: what the TLS port speaks and what it refuses, on real sockets."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import struct
from pathlib import Path

import pytest
from gateway_room import InMemoryApplication, Running, a_charge_point, basic, eventually, running, upgrade_request
from tls_room import Authority, Files, changed, spoken, tls_port, tls_settings, wss
from websockets.exceptions import InvalidStatus

from csms.charge_points.charge_point import ChargePoint

RSA_AES_128, RSA_AES_256 = "AES128-GCM-SHA256", "AES256-GCM-SHA384"
EC_AES_128, EC_AES_256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
ALERT = b"\x15"
HANDSHAKE = 0x16
OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def both(authority: Authority) -> tuple[Files, Files]:
    return authority.server(rsa_key=True), authority.server(rsa_key=False)


def only(authority: Authority, suite: str) -> ssl.SSLContext:
    context = authority.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    return context


# --- S8 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [RSA_AES_128, RSA_AES_256, EC_AES_128, EC_AES_256])
async def test_each_suite_that_ocpp_names_carries_a_charge_point(
    authority: Authority, both: tuple[Files, Files], suite: str
) -> None:
    async with running(**tls_settings(*both)) as room, wss(room, only(authority, suite)) as station:
        await station.heartbeat()

        assert spoken(station) == (suite, "TLSv1.2")


async def test_tls_1_3_is_spoken_where_the_charge_point_can(authority: Authority, both: tuple[Files, Files]) -> None:
    async with running(**tls_settings(*both)) as room, wss(room, authority.client()) as station:
        await station.heartbeat()

        assert spoken(station)[1] == "TLSv1.3"


async def test_one_certificate_of_either_kind_is_enough_for_its_suites(authority: Authority) -> None:
    for rsa_key, suite, other in ((True, RSA_AES_128, EC_AES_128), (False, EC_AES_128, RSA_AES_128)):
        async with running(**tls_settings(authority.server(rsa_key=rsa_key))) as room:
            async with wss(room, only(authority, suite)) as station:
                await station.heartbeat()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with wss(room, only(authority, other)):
                    pass


# --- S7 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "suite",
    [
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "AES128-SHA",
        "AES256-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "DHE-RSA-AES128-GCM-SHA256",
    ],
)
async def test_no_other_suite_of_tls_1_2_is_spoken(
    authority: Authority, both: tuple[Files, Files], suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(**tls_settings(*both)) as room:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with wss(room, only(authority, suite)):
                pass
        await eventually(lambda: room.gateway._listener._open == 0)

    assert "tls_no_common_suite" in capsys.readouterr().out


def client_hello(version: int, suites: tuple[int, ...], compressions: bytes = b"\0", extensions: bytes = b"") -> bytes:
    """The first record of a TLS client of any age; today's libraries cannot be made to write most of these."""
    offered = b"".join(struct.pack("!H", each) for each in suites)
    body = struct.pack("!H", version) + bytes(32) + b"\0"
    body += struct.pack("!H", len(offered)) + offered + bytes([len(compressions)]) + compressions
    if extensions:
        body += struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    return struct.pack("!BHH", HANDSHAKE, min(version, 0x0301), len(message)) + message


async def answer_to(room: Running, hello: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", tls_port(room))
    try:
        writer.write(hello)
        async with asyncio.timeout(5):
            return await reader.read(4096)
    finally:
        writer.close()


RC4, EXPORT_RC4, NULL = 0x0005, 0x0003, 0x0002
CBC = 0x002F
GOOD = 0x009C  # TLS_RSA_WITH_AES_128_GCM_SHA256
SIGNATURES = struct.pack("!HHHHHH", 13, 8, 6, 0x0401, 0x0403, 0x0804)  # RSA and ECDSA with SHA-256


@pytest.mark.parametrize(
    ("version", "suites", "reason"),
    [
        (0x0300, (CBC, RC4), "tls_version_too_old"),
        (0x0301, (CBC, GOOD), "tls_version_too_old"),
        (0x0302, (CBC, GOOD), "tls_version_too_old"),
        (0x0303, (RC4,), "tls_no_common_suite"),
        (0x0303, (EXPORT_RC4,), "tls_no_common_suite"),
        (0x0303, (NULL,), "tls_no_common_suite"),
        (0x0303, (CBC,), "tls_no_common_suite"),
    ],
)
async def test_old_versions_and_broken_suites_are_refused_with_a_reason(
    both: tuple[Files, Files],
    version: int,
    suites: tuple[int, ...],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running(**tls_settings(*both)) as room:
        answer = await answer_to(room, client_hello(version, suites))
        await eventually(lambda: room.gateway._listener._open == 0)
    said = capsys.readouterr().out

    assert answer[:1] in {b"", ALERT}
    assert reason in said
    assert "Traceback" not in said


async def test_compression_is_never_chosen(both: tuple[Files, Files]) -> None:
    async with running(**tls_settings(*both)) as room:
        hello = client_hello(0x0303, (GOOD,), compressions=b"\x01\x00", extensions=SIGNATURES)
        answer = await answer_to(room, hello)

    assert answer[0] == HANDSHAKE
    session_length = answer[5 + 4 + 2 + 32]
    chosen = answer[5 + 4 + 2 + 32 + 1 + session_length :][:3]
    assert chosen == struct.pack("!HB", GOOD, 0)


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
async def test_openssl_gets_no_old_version(both: tuple[Files, Files], version: str) -> None:
    async with running(**tls_settings(*both)) as room:
        said = await s_client(room, version, "-cipher", "ALL:@SECLEVEL=0")

    assert "Cipher is (NONE)" in said


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
async def test_openssl_cannot_renegotiate(both: tuple[Files, Files]) -> None:
    async with running(**tls_settings(*both)) as room:
        said = await s_client(room, "-tls1_2", "-cipher", EC_AES_128, typed=b"R\n")

    assert f"Cipher is {EC_AES_128}" in said
    assert "Compression: NONE" in said
    assert "no renegotiation" in said


async def s_client(room: Running, *arguments: str, typed: bytes = b"Q\n") -> str:
    assert OPENSSL is not None
    process = await asyncio.create_subprocess_exec(
        OPENSSL, "s_client", "-connect", f"127.0.0.1:{tls_port(room)}", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = b""
    async with asyncio.timeout(20):
        while b"Verify return code" not in said:
            more = await process.stdout.read(4096)
            if not more:
                break
            said += more
        if b"Cipher is (NONE)" in said:  # it has given up, and hears no more
            await process.wait()
            return said.decode(errors="replace")
        rest, _ = await process.communicate(typed)
    return (said + rest).decode(errors="replace")


# --- S3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [2, 3])
async def test_a_plain_socket_is_refused_where_the_profile_has_tls(both: tuple[Files, Files], profile: int) -> None:
    async with running(a_charge_point(security_profile=profile), **tls_settings(*both)) as room:
        status, _, body = await room.handshake(
            "/ocpp/CP-1", f"Authorization: {basic('CP-1')}", "Sec-WebSocket-Protocol: ocpp1.6"
        )

    assert status == 403
    assert "needs TLS" in body


@pytest.mark.parametrize("profile", [0, 1, 2])
async def test_charge_points_of_lower_profiles_may_come_by_tls(
    authority: Authority, both: tuple[Files, Files], profile: int
) -> None:
    async with (
        running(a_charge_point(security_profile=profile), **tls_settings(*both)) as room,
        wss(room, authority.client(), password=None if profile == 0 else b"correct-horse-battery") as station,
    ):
        await station.heartbeat()


async def test_tls_replaces_no_password(authority: Authority, both: tuple[Files, Files]) -> None:
    async with running(a_charge_point(security_profile=2), **tls_settings(*both)) as room:
        for password in (None, b"another-password-of-the-length"):
            with pytest.raises(InvalidStatus) as refused:
                async with wss(room, authority.client(), password=password):
                    pass
            assert refused.value.response.status_code == 401


async def test_profile_3_where_no_client_ca_is_set_is_refused_and_the_operator_told(
    authority: Authority, both: tuple[Files, Files], capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(a_charge_point(security_profile=3), **tls_settings(*both)) as room:
        with pytest.raises(InvalidStatus) as refused:
            async with wss(room, authority.client()):
                pass

    assert refused.value.response.status_code == 403
    assert "--tls-client-ca" in capsys.readouterr().out


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_peers_that_never_finish_are_cut_and_give_their_places_back(
    authority: Authority, both: tuple[Files, Files]
) -> None:
    async with running(open_timeout_s=0.5, **tls_settings(*both)) as room:
        listener = room.gateway._listener
        silent = [await asyncio.open_connection("127.0.0.1", tls_port(room)) for _ in range(20)]
        halfway = await asyncio.open_connection("127.0.0.1", tls_port(room))
        halfway[1].write(client_hello(0x0303, (GOOD,), extensions=SIGNATURES))
        quiet = [
            await asyncio.open_connection(
                "127.0.0.1", tls_port(room), ssl=authority.client(), server_hostname="localhost"
            )
            for _ in range(3)
        ]
        await eventually(lambda: listener._open == 24)
        async with wss(room, authority.client()) as station:
            await station.heartbeat()
        await eventually(lambda: listener._open == 0)
        for _, writer in [*silent, halfway, *quiet]:
            writer.close()


async def test_who_has_asked_in_time_over_tls_gets_an_answer_however_long_that_takes(
    authority: Authority, both: tuple[Files, Files]
) -> None:
    class Thinking(InMemoryApplication):
        async def find(self, identity: str) -> ChargePoint | None:
            await asyncio.sleep(1)
            return await super().find(identity)

    settings = {"open_timeout_s": 0.5, **tls_settings(*both)}
    async with running(application=Thinking(), **settings) as room, wss(room, authority.client()) as station:
        await station.heartbeat()


async def test_tls_sockets_count_against_the_same_limit(authority: Authority, both: tuple[Files, Files]) -> None:
    points = [a_charge_point(f"CP-{number}") for number in range(3)]
    async with running(*points, connections_max=2, **tls_settings(*both)) as room:
        async with room.station("CP-0"), wss(room, authority.client(), "CP-1") as station:
            with pytest.raises((OSError, EOFError)):
                async with wss(room, authority.client(), "CP-2"):
                    pass
            status, _, _ = await room.handshake("/ocpp/CP-2")
            assert status == 503
            await station.heartbeat()
        await eventually(lambda: room.gateway._listener._open == 0)
        async with wss(room, authority.client(), "CP-2") as station:
            await station.heartbeat()


async def test_what_is_not_tls_is_refused_without_a_log_flood(
    both: tuple[Files, Files], capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(**tls_settings(*both)) as room:
        for _ in range(20):
            await answer_to(room, upgrade_request("/ocpp/CP-1"))
        await answer_to(room, b"\x00\xff garbage" * 40)
        await eventually(lambda: room.gateway._listener._open == 0)
    said = capsys.readouterr().out

    assert said.count("plain_on_tls_port") == 1
    assert said.count("not_tls") == 1
    assert "Traceback" not in said


async def test_a_charge_point_that_does_not_know_our_ca_is_told_to_the_operator(
    tmp_path: Path, both: tuple[Files, Files], capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = Authority(tmp_path)
    async with running(**tls_settings(*both)) as room:
        with pytest.raises(ssl.SSLCertVerificationError):
            async with wss(room, stranger.client()):
                pass
        await eventually(lambda: room.gateway._listener._open == 0)

    assert "install the CA" in capsys.readouterr().out


# --- life ------------------------------------------------------------------------------------------------------------


async def test_draining_closes_encrypted_sockets_like_plain_ones(
    authority: Authority, both: tuple[Files, Files]
) -> None:
    async with running(**tls_settings(*both)) as room:
        async with wss(room, authority.client()) as station:
            await station.heartbeat()
            await room.gateway.drain()
            assert await station.closed() == 1012
        await room.run
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the system likes
            await asyncio.open_connection("127.0.0.1", tls_port(room))


async def test_draining_lets_go_of_peers_that_are_still_shaking_hands(both: tuple[Files, Files]) -> None:
    async with running(**tls_settings(*both)) as room:
        reader, writer = await asyncio.open_connection("127.0.0.1", tls_port(room))
        await eventually(lambda: room.gateway._listener._open == 1)
        await room.gateway.drain()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        await room.run
        writer.close()


async def test_without_a_plain_port_only_tls_is_there(authority: Authority, both: tuple[Files, Files]) -> None:
    async with running(ocpp_plain=False, **tls_settings(*both)) as room:
        async with wss(room, authority.client()) as station:
            await station.heartbeat()
        assert room.port == tls_port(room)
        assert await room.handshake("/ocpp/CP-1") == (0, {}, "")


async def test_new_certificates_are_used_from_the_next_socket_on_and_the_open_ones_stay(
    authority: Authority, tmp_path: Path
) -> None:
    old = authority.server(rsa_key=False)
    other = Authority(tmp_path)
    new = other.server(rsa_key=False)
    points = (a_charge_point("CP-1"), a_charge_point("CP-2"))
    async with (
        running(*points, **tls_settings(old)) as room,
        wss(room, authority.client(), "CP-1") as first,
    ):
        with changed(old.certificate, new.certificate), changed(old.key, new.key):
            room.gateway._listener.reload_certificates()
            async with wss(room, other.client(), "CP-2") as second:
                await first.heartbeat()
                await second.heartbeat()


async def test_files_that_cannot_be_used_leave_the_present_certificates_in_use(
    authority: Authority, both: tuple[Files, Files], capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(**tls_settings(*both)) as room:
        with changed(both[0].key, both[1].key):
            room.gateway._listener.reload_certificates()
        async with wss(room, only(authority, RSA_AES_128)) as station:
            await station.heartbeat()
    said = capsys.readouterr().out

    assert "certificates_not_reloaded" in said
    assert "is not the key of" in said
    assert "Traceback" not in said
