"""Simulated charge points take only certificates that are theirs, and say so where one is not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from simulators.charge_point import Build, Credentials, ModelClock, ReconnectPolicy, SimulatedChargePoint
from simulators.charge_point.certificates import CHARGE_POINT, HELD_MAX, hash_data
from tests.simulators.central_system import CentralSystem

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = timedelta(days=1)
BOTH = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
ROOT = {"ocpp1.6": "CentralSystemRootCertificate", "ocpp2.0.1": "CSMSRootCertificate"}


@contextlib.asynccontextmanager
async def booted(central: CentralSystem, protocol: str) -> AsyncIterator[SimulatedChargePoint]:
    credentials = Credentials(url=central.url, identity="CP-1", password=central.password)
    build = Build(protocol=protocol, reconnect=ReconnectPolicy(wait_s=0.01, range_s=0.01), boot_wait_max_s=5)
    async with SimulatedChargePoint(credentials, ModelClock(NOW), build) as station:
        await station.boot()
        yield station


async def ask(central: CentralSystem, protocol: str, name: str, **payload: Any) -> Any:
    kind = getattr(call16 if protocol == "ocpp1.6" else call201, name)
    return await central.peers["CP-1"].call(kind(**payload), suppress=False)


def signed(csr: str, *, key: Any = None, days: int = 10) -> str:
    """A self-signed stand-in for an authority's answer: for the key of the request, or for another one."""
    request = x509.load_pem_x509_csr(csr.encode())
    issuer = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder().subject_name(request.subject).issuer_name(request.subject).serial_number(5)
        .public_key(request.public_key() if key is None else key.public_key())
        .not_valid_before(NOW - 20 * DAY).not_valid_after(NOW + days * DAY)
    )  # fmt: skip
    return builder.sign(issuer, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not met():  # noqa: ASYNC110 - the simulator has no event for every small thing
            await asyncio.sleep(0.005)


@BOTH
async def test_only_a_certificate_for_the_newest_key_that_is_valid_now_is_taken(
    central: CentralSystem, protocol: str
) -> None:
    named = {} if protocol == "ocpp1.6" else {"certificate_type": CHARGE_POINT}

    async def send(chain: str) -> str:
        return str((await ask(central, protocol, "CertificateSigned", certificate_chain=chain, **named)).status)

    async with booted(central, protocol) as station:
        unasked = await send(signed(station.certificates.request("V2GCertificate")))
        older, newer = station.certificates.request(), station.certificates.request()
        stranger = ec.generate_private_key(ec.SECP256R1())
        wrong = [signed(older), signed(newer, key=stranger), signed(newer, days=-1), "-----BEGIN garbage"]
        refused = [await send(chain) for chain in wrong]
        taken = await send(signed(newer))
        if protocol == "ocpp2.0.1":
            await until(lambda: len(central.payloads("SecurityEventNotification")) == 5)

    assert (unasked, refused, taken) == ("Rejected", ["Rejected"] * 4, "Accepted")
    assert station.certificates.own[CHARGE_POINT].leaf.serial_number == 5
    events = {each["type"] for each in central.payloads("SecurityEventNotification")}
    assert events == (set() if protocol == "ocpp1.6" else {"InvalidChargingStationCertificate"})


@BOTH
async def test_roots_are_taken_while_there_is_room_listed_by_their_hashes_and_deleted_by_them(
    central: CentralSystem, protocol: str
) -> None:
    use, roots = ROOT[protocol], [trustme.CA().cert_pem.bytes().decode() for _ in range(HELD_MAX + 1)]
    wanted: Any = use if protocol == "ocpp1.6" else [use]
    async with booted(central, protocol) as station:

        async def install(pem: str) -> str:
            payload = {"certificate_type": use, "certificate": pem}
            return str((await ask(central, protocol, "InstallCertificate", **payload)).status)

        empty = await ask(central, protocol, "GetInstalledCertificateIds", certificate_type=wanted)
        said = [await install(pem) for pem in (roots[0], *roots, "garbage")]
        listed = await ask(central, protocol, "GetInstalledCertificateIds", certificate_type=wanted)
        named = hash_data(x509.load_pem_x509_certificate(roots[0].encode()), "SHA512")
        gone = [
            str((await ask(central, protocol, "DeleteCertificate", certificate_hash_data=named)).status)
            for _ in range(2)
        ]

    told = listed.certificate_hash_data if protocol == "ocpp1.6" else listed.certificate_hash_data_chain
    assert empty.status == "NotFound"
    assert said == ["Accepted"] * (HELD_MAX + 1) + ["Failed", "Rejected"]
    assert len(told) == HELD_MAX
    assert gone == ["Accepted", "NotFound"]
    assert len(station.certificates.trusted[use]) == HELD_MAX - 1
