"""S3, S7, S9 against the server as operators run it: files, port, SIGHUP, and peers that abuse the TLS port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.database.pool import connect_once
from tests.faults.world import ServerProcess, installation, until
from tests.hostile.peers import ask
from tests.hostile.test_abuse_of_the_whole_server import nothing_broke
from tests.ports import free_port
from tests.programs import Program, start_csms

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Pki:
    """Certificate files of one installation, and who signs them."""

    home: Path
    servers: trustme.CA
    clients: trustme.CA

    def settings(self) -> dict[str, Any]:
        names = [self.home / f"{kind}.pem" for kind in ("rsa", "ec")]
        return {
            "tls_cert": ",".join(str(each) for each in names),
            "tls_key": ",".join(str(each.with_suffix(".key")) for each in names),
            "tls_client_ca": self.home / "clients.pem",
        }

    def renew(self) -> None:
        """New server certificates in the place of the old ones."""
        for kind, key in (("rsa", trustme.KeyType.RSA), ("ec", trustme.KeyType.ECDSA)):
            leaf = self.servers.issue_cert("localhost", key_type=key)
            leaf.cert_chain_pems[0].write_to_path(self.home / f"{kind}.pem")
            leaf.private_key_pem.write_to_path(self.home / f"{kind}.key")

    def charge_point(self, name: str | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.servers.configure_trust(context)
        if name is not None:
            self.clients.issue_cert(f"{name.lower()}.example", common_name=name).configure_cert(context)
        return context


@pytest.fixture
def pki(data_home: Path) -> Pki:
    home = data_home / "pki"
    home.mkdir()
    made = Pki(home, trustme.CA(), trustme.CA())
    made.clients.cert_pem.write_to_path(home / "clients.pem")
    made.renew()
    return made


@contextlib.asynccontextmanager
async def wss(
    port: int, identity: str, context: ssl.SSLContext, password: str | None = None
) -> AsyncIterator[ClientConnection]:
    login = base64.b64encode(f"{identity}:{password}".encode()).decode()
    async with connect(
        f"wss://localhost:{port}/ocpp/{identity}",
        host="127.0.0.1",
        ssl=context,
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={} if password is None else {"Authorization": f"Basic {login}"},
    ) as socket:
        yield socket


async def heard(socket: ClientConnection, id_: str) -> bool:
    return (await ask(socket, "Heartbeat", {}, id_))[0] == 3


async def registered(dsn: str, server: ServerProcess, profiles: dict[str, int]) -> dict[str, str]:
    key = charge_points.load_password_key(server.data_dir)
    passwords = {}
    async with connect_once(dsn) as connection:
        for identity, profile in profiles.items():
            choices = Choices(site="harbour", security_profile=profile, template=False)
            _, password = await charge_points.create(connection, identity, choices, key=key)
            passwords[identity] = password or ""  # profile 3 has none
    return passwords


def presented(socket: ClientConnection) -> bytes | None:
    tls: ssl.SSLObject = socket.transport.get_extra_info("ssl_object")
    return tls.getpeercert(binary_form=True)


async def test_profiles_2_and_3_on_one_port_and_new_certificates_without_losing_a_socket(
    database: str, data_home: Path, pki: Pki
) -> None:
    port = free_port()
    given = {"tls_port": port, "ocpp_plain": False, **pki.settings()}
    async with installation(data_home / "data", dsn=database, **given) as server:
        passwords = await registered(database, server, {"BASIC": 2, "CERT": 3})
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)
        with pytest.raises(InvalidStatus):
            async with wss(port, "CERT", pki.charge_point(), passwords["CERT"]):
                pass
        async with (
            wss(port, "BASIC", pki.charge_point(), passwords["BASIC"]) as basic,
            wss(port, "CERT", pki.charge_point("CERT")) as certified,
        ):
            assert await heard(basic, "1")
            before = presented(certified)
            pki.renew()
            os.kill(server.pid, signal.SIGHUP)

            async def reloaded() -> bool:
                return any(each["event"] == "certificates_reloaded" for each in server.log_lines())

            await until(reloaded, what="certificates_reloaded")
            assert await heard(basic, "2")
            assert await heard(certified, "2")
            async with wss(port, "CERT", pki.charge_point("CERT")) as again:
                assert await heard(again, "3")
                assert presented(again) != before
        assert server.runs
        nothing_broke(server)


async def test_abuse_of_the_tls_port_is_felt_by_nobody_and_fills_no_log(
    database: str, data_home: Path, pki: Pki
) -> None:
    port = free_port()
    given = {"tls_port": port, "open_timeout_s": 2, **pki.settings()}
    async with installation(data_home / "data", dsn=database, **given) as server:
        passwords = await registered(database, server, {"CANARY": 2, "CERT": 3})
        async with wss(port, "CANARY", pki.charge_point(), passwords["CANARY"]) as canary:
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
            for number in range(40):
                await garbage(port, b"GET /ocpp/CERT HTTP/1.1\r\n\r\n" if number % 2 else bytes(range(256)))
                for name in ("CANARY", None):
                    with contextlib.suppress(InvalidStatus, OSError):
                        async with wss(port, "CERT", pki.charge_point(name)):
                            raise AssertionError("let in with the certificate of another, or none")
                assert await heard(canary, f"abuse-{number}")
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()
            async with wss(port, "CERT", pki.charge_point("CERT")) as certified:
                assert await heard(certified, "after")
        nothing_broke(server)
        refusals = [each for each in server.log_lines() if each["event"] in {"handshake_refused", "handshakes_refused"}]

    assert {"plain_on_tls_port", "not_tls", "tls_timeout"} <= {each["reason"] for each in refusals}
    assert {"certificate_of_another_charge_point", "needs a client certificate"} <= {
        each["reason"] for each in refusals
    }
    assert len(refusals) <= 15, "each kind once a minute"


async def garbage(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()


async def serve(dsn: str, data_dir: Path, *arguments: str) -> Program:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    environment |= {"CSMS_DATA_DIR": str(data_dir), "CSMS_DATABASE_URL": dsn}
    return await start_csms("serve", "--ocpp-port", "0", "--http-port", "0", *arguments, env=environment)


def options(pki: Pki) -> list[str]:
    files = [("--tls-cert", "rsa.pem"), ("--tls-key", "rsa.key"), ("--tls-cert", "ec.pem"), ("--tls-key", "ec.key")]
    return [part for option, name in files for part in (option, str(pki.home / name))]


async def test_the_ready_line_says_where_tls_is_spoken_only_where_it_is(
    database: str, data_home: Path, pki: Pki
) -> None:
    cases: dict[tuple[str, ...], set[str]] = {
        (): {"ocpp_url"},
        (*options(pki), "--tls-port", "0"): {"ocpp_url", "ocpps_url"},
        (*options(pki), "--tls-port", "0", "--no-plain"): {"ocpps_url"},
    }
    for arguments, expected in cases.items():
        process = await serve(database, data_home / "data", *arguments)
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            ready = json.loads(await process.stdout.readline())
        urls = {name for name in ready if name.startswith("ocpp")}
        if "ocpps_url" in ready:
            host, _, port = ready["ocpps_url"].removeprefix("wss://").removesuffix("/ocpp").partition(":")
            _, writer = await asyncio.open_connection(
                host, int(port), ssl=pki.charge_point(), server_hostname="localhost"
            )
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        process.terminate()
        await process.communicate()

        assert urls == expected


async def test_a_wrong_file_ends_the_start_with_its_name_and_what_to_do(
    database: str, data_home: Path, pki: Pki
) -> None:
    (pki.home / "ec.key").write_bytes((pki.home / "rsa.key").read_bytes())
    process = await serve(database, data_home / "data", *options(pki))
    out, told = await process.communicate()

    assert process.returncode == 2
    assert out == b""
    assert str(pki.home / "ec.key") in told.decode().replace("\n", "")
    assert "same order" in " ".join(told.decode().split())
    assert "Traceback" not in told.decode()
