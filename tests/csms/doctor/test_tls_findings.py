"""Quirk 11: charge points that cannot agree on TLS are found again by the address that they came from."""

from __future__ import annotations

import asyncio
from pathlib import Path

import trustme
from ward import Patient

from tests.ports import free_port
from tests.scenarios.spoken import ask
from tests.world import World, usual_world

# A ClientHello that offers TLS 1.0 and one suite of that time, as EVBox EV7 sends it.
_HELLO = bytes.fromhex("0301") + bytes(32) + b"\x00" + bytes.fromhex("0002002f0100")
TLS_1_0_ONLY = (
    bytes.fromhex("160301") + (len(_HELLO) + 4).to_bytes(2, "big") + b"\x01" + len(_HELLO).to_bytes(3, "big") + _HELLO
)


async def test_a_charge_point_that_speaks_tls_1_0_only_is_named_by_its_address(
    database: str, data_home: Path, tmp_path: Path
) -> None:
    leaf = trustme.CA().issue_cert("localhost", "127.0.0.1")
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    async with usual_world(database, data_home, tls_cert=(certificate,), tls_key=(key,), tls_port=free_port()) as world:
        patient = Patient(world, await world.charge_point("EV7"))
        async with patient.on() as opened:
            await ask(opened, "Heartbeat", {})
        await patient.require_named(["boot_missing"])  # by now the end of that connection is in the books

        await _dial(world, TLS_1_0_ONLY)

        await patient.require_named(["tls_refused"], shows="tls_version_too_old")


async def _dial(world: World, hello: bytes) -> None:
    """Say hello to the TLS port; the answer is an alert and the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.settings.tls_port)
    writer.write(hello)
    await reader.read()
    writer.close()
    await writer.wait_closed()
