"""S9: who may come by security profile 3, on real sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from gateway_room import Running, a_charge_point, eventually, running
from hypothesis import given
from hypothesis import strategies as st
from tls_room import OPERATOR, Authority, Files, tls_settings, wss
from websockets.exceptions import InvalidMessage, InvalidStatus

from csms.gateway.client_certificate import (
    CertificateFault,
    CertificateRecord,
    CertificateRules,
    ClientCertificate,
    certificate_fault,
    issuers_in,
    read_certificate,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("clients"), "client-ca")


@asynccontextmanager
async def guarded(authority: Authority, clients: Authority, **more: Any) -> AsyncIterator[Running]:
    points = (
        a_charge_point("CP-1", security_profile=3, serial="SN-0001"),
        a_charge_point("CP-2", security_profile=2),
    )
    settings = {"tls_client_ca": clients.file, "tls_client_organisation": OPERATOR, **more}
    async with running(*points, **tls_settings(authority.server(rsa_key=False), **settings)) as room:
        yield room
        await eventually(lambda: room.gateway._listener._open == 0)


def trusting(authority: Authority, certificate: Files) -> ssl.SSLContext:
    return authority.client(certificate)


@pytest.mark.parametrize("name", ["CP-1", "cp-1", "SN-0001"])
async def test_the_certificate_of_a_charge_point_opens_the_door_without_password(
    authority: Authority, clients: Authority, name: str
) -> None:
    certificate = clients.signed(name)
    async with (
        guarded(authority, clients) as room,
        wss(room, trusting(authority, certificate), password=None) as station,
    ):
        await station.heartbeat()


async def test_an_rsa_key_of_2048_bits_is_strong_enough(authority: Authority, clients: Authority) -> None:
    certificate = clients.signed(key=rsa.generate_private_key(65537, 2048))
    async with (
        guarded(authority, clients) as room,
        wss(room, trusting(authority, certificate), password=None) as station,
    ):
        await station.heartbeat()


async def test_a_password_is_no_certificate(
    authority: Authority, clients: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    async with guarded(authority, clients) as room:
        with pytest.raises(InvalidStatus) as refused:
            async with wss(room, authority.client()):
                pass

    assert refused.value.response.status_code == 403
    assert "needs a client certificate" in capsys.readouterr().out


async def test_a_certificate_is_no_password(authority: Authority, clients: Authority) -> None:
    async with guarded(authority, clients) as room:
        with pytest.raises(InvalidStatus) as refused:
            async with wss(room, trusting(authority, clients.signed("CP-2")), "CP-2", password=None):
                pass

    assert refused.value.response.status_code == 401


async def test_charge_points_with_passwords_share_the_port(authority: Authority, clients: Authority) -> None:
    async with guarded(authority, clients) as room, wss(room, authority.client(), "CP-2") as station:
        await station.heartbeat()


KNOWN_TO_NOBODY = "client_certificate_of_unknown_ca"
REFUSED: dict[str, tuple[Callable[[Authority], Files], str]] = {
    "expired": (lambda ca: ca.signed(valid_until=timedelta(hours=-1)), "client_certificate_expired"),
    "not yet valid": (lambda ca: ca.signed(valid_from=timedelta(hours=1)), "client_certificate_not_yet_valid"),
    "RSA-1024": (
        lambda ca: ca.signed(key=rsa.generate_private_key(65537, 1024)),  # noqa: S505 - weak on purpose
        "client_certificate_key_too_weak",
    ),
    "wrong O": (lambda ca: ca.signed(organisation="Another Operator"), "certificate_of_another_organisation"),
    "CN of another charge point": (lambda ca: ca.signed("CP-2"), "certificate_of_another_charge_point"),
    "CN is an FQDN": (lambda ca: ca.signed("cp-1.example"), "certificate_of_another_charge_point"),
    "no CN, but an alternative name": (
        lambda ca: ca.signed(None, alternative_name="CP-1"),
        "certificate_of_another_charge_point",
    ),
    "two CN": (lambda ca: ca.signed("CP-1", second_name="CP-2"), "certificate_of_another_charge_point"),
}


@pytest.mark.parametrize("case", list(REFUSED))
async def test_a_certificate_that_proves_nothing_is_refused_and_the_reason_logged(
    authority: Authority, clients: Authority, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, reason = REFUSED[case]
    async with guarded(authority, clients) as room:
        await refused(room, trusting(authority, make(clients)))
    said = capsys.readouterr().out

    assert reason in said
    assert "next_step" in said
    assert "Traceback" not in said


async def refused(room: Running, context: ssl.SSLContext) -> None:
    """In TLS 1.3 the client may learn only by reading that its certificate was refused."""
    with pytest.raises((InvalidStatus, InvalidMessage, OSError, EOFError)) as end:
        async with asyncio.timeout(5), wss(room, context, password=None):
            pass
    if isinstance(end.value, InvalidStatus):
        assert end.value.response.status_code == 403


async def test_a_certificate_of_a_ca_that_is_not_ours_is_refused(
    authority: Authority, clients: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = Authority(tmp_path, "client-ca")
    async with guarded(authority, clients) as room:
        await refused(room, trusting(authority, stranger.signed()))

    assert KNOWN_TO_NOBODY in capsys.readouterr().out


async def test_a_revoked_certificate_is_refused_and_others_are_not(
    authority: Authority, clients: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    stolen, good = clients.signed(), clients.signed()
    revoked = clients.revocation_list(stolen)
    async with guarded(authority, clients, tls_client_crl=revoked) as room:
        await refused(room, trusting(authority, stolen))
        async with wss(room, trusting(authority, good), password=None) as station:
            await station.heartbeat()

    assert "certificate_revoked" in capsys.readouterr().out


async def test_a_certificate_revoked_while_we_run_is_refused_after_the_list_is_read_again(
    authority: Authority, clients: Authority
) -> None:
    stolen = clients.signed()
    revoked = clients.revocation_list()
    async with guarded(authority, clients, tls_client_crl=revoked) as room:
        async with wss(room, trusting(authority, stolen), password=None) as station:
            await station.heartbeat()
        clients.revocation_list(stolen)
        room.gateway._listener.reload_certificates()
        await refused(room, trusting(authority, stolen))


async def test_our_books_decide_for_whom_a_certificate_of_ours_speaks(authority: Authority, clients: Authority) -> None:
    """Without any list of revoked certificates, on whichever node it comes in."""
    leaf = clients.signed("SN-1")
    parsed = x509.load_pem_x509_certificate(leaf.certificate.read_bytes())
    key = (parsed.issuer.public_bytes(), parsed.serial_number)
    settings = tls_settings(authority.server(rsa_key=False), tls_client_ca=clients.file)
    async with running(a_charge_point("CP-1", password=None, security_profile=3, serial="SN-1"), **settings) as room:
        context = authority.client(leaf)
        statuses: list[int] = []
        for record in (
            None,
            CertificateRecord(charge_point="CP-1"),
            CertificateRecord(charge_point="CP-2"),
            CertificateRecord(charge_point="CP-1", is_revoked=True),
        ):
            room.application.records = {} if record is None else {key: record}
            try:
                async with wss(room, context, password=None) as station:
                    await station.heartbeat()
                    statuses.append(101)
            except InvalidStatus as answer:
                statuses.append(answer.response.status_code)

    assert statuses == [101, 101, 403, 403]


async def test_a_resumed_session_is_judged_again(authority: Authority, clients: Authority) -> None:
    """Resumption skips the certificate's verification in TLS; the list read again must hold all the same."""
    stolen = clients.signed()
    revoked = clients.revocation_list()
    context = trusting(authority, stolen)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with guarded(authority, clients, tls_client_crl=revoked) as room:
        async with wss(room, context, password=None) as station:
            await station.heartbeat()
        clients.revocation_list(stolen)
        room.gateway._listener.reload_certificates()
        await refused(room, context)


async def test_the_log_tells_a_refused_certificate_once_and_counts(
    authority: Authority, clients: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    context = trusting(authority, clients.signed("CP-2"))
    async with guarded(authority, clients) as room:
        for _ in range(5):
            await refused(room, context)

    assert capsys.readouterr().out.count("certificate_of_another_charge_point") == 1


# --- B01.FR.11-12 ----------------------------------------------------------------------------------------------------


def boot_201(serial: str | None) -> dict[str, Any]:
    station = {"model": "Model", "vendorName": "Vendor"} | ({} if serial is None else {"serialNumber": serial})
    return {"reason": "PowerUp", "chargingStation": station}


@pytest.mark.parametrize(("name", "serial"), [("SN-0001", "SN-0001"), ("SN-0001", "sn-0001"), ("CP-1", None)])
async def test_a_boot_with_the_serial_number_of_the_certificate_is_answered(
    authority: Authority, clients: Authority, name: str, serial: str | None
) -> None:
    context = trusting(authority, clients.signed(name))
    async with guarded(authority, clients) as room, wss(room, context, password=None, protocol="ocpp2.0.1") as station:
        answer = await station.call("BootNotification", boot_201(serial))

    assert answer[2]["status"] == "Accepted"


@pytest.mark.parametrize(("name", "serial"), [("SN-0001", "SN-0002"), ("SN-0001", None), ("CP-1", "SN-0001")])
async def test_a_boot_with_another_serial_number_than_the_certificate_s_ends_the_socket(
    authority: Authority, clients: Authority, name: str, serial: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    context = trusting(authority, clients.signed(name))
    async with guarded(authority, clients) as room, wss(room, context, password=None, protocol="ocpp2.0.1") as station:
        await station.send(json.dumps([2, "boot", "BootNotification", boot_201(serial)]))
        code = await station.closed()
        facts = room.application.facts()

    assert code == 1008
    assert facts == []
    assert "serial_number_is_not_the_certificates" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "serial", "code"), [("CP-1", "SN-9999", None), ("SN-0001", "SN-9999", 1008)])
async def test_1_6_asks_for_the_serial_number_only_where_it_was_the_proof(
    authority: Authority, clients: Authority, name: str, serial: str, code: int | None
) -> None:
    context = trusting(authority, clients.signed(name))
    boot = {"chargePointVendor": "Vendor", "chargePointModel": "Model", "chargePointSerialNumber": serial}
    async with guarded(authority, clients) as room, wss(room, context, password=None) as station:
        await station.send(json.dumps([2, "boot", "BootNotification", boot]))
        if code is None:
            assert (await station.receive())[2]["status"] == "Accepted"
        else:
            assert await station.closed() == code


# --- the rule, without a socket --------------------------------------------------------------------------------------


def a_certificate(**given: Any) -> ClientCertificate:
    usual: dict[str, Any] = {
        "common_names": ("CP-1",),
        "organisations": (OPERATOR,),
        "valid_from": NOW - timedelta(days=1),
        "valid_until": NOW + timedelta(days=1),
        "is_rsa": False,
        "key_bits": 256,
        "issuer": b"issuer",
        "number": 7,
    }
    return ClientCertificate(**{**usual, **given})


RULES = CertificateRules(organisation=OPERATOR, revoked={b"issuer": frozenset({13})})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, None),
        ({"valid_from": NOW + timedelta(seconds=1)}, CertificateFault.NOT_YET_VALID),
        ({"valid_until": NOW - timedelta(seconds=1)}, CertificateFault.EXPIRED),
        ({"is_rsa": True, "key_bits": 1024}, CertificateFault.WEAK_KEY),
        ({"key_bits": 224}, CertificateFault.WEAK_KEY),
        ({"key_bits": 0}, CertificateFault.WEAK_KEY),
        ({"number": 13}, CertificateFault.REVOKED),
        ({"number": 13, "issuer": b"another"}, None),
        ({"organisations": ()}, CertificateFault.WRONG_ORGANISATION),
        ({"organisations": (OPERATOR, "Another")}, CertificateFault.WRONG_ORGANISATION),
        ({"common_names": ()}, CertificateFault.WRONG_NAME),
        ({"common_names": ("",)}, CertificateFault.WRONG_NAME),
    ],
)
def test_each_thing_that_can_be_wrong_has_its_name(given: dict[str, Any], fault: CertificateFault | None) -> None:
    assert certificate_fault(a_certificate(**given), a_charge_point("CP-1"), RULES, now=NOW) is fault


@given(name=st.text(max_size=60), serial=st.none() | st.text(max_size=25))
def test_only_the_identity_or_the_registered_serial_number_is_a_name(name: str, serial: str | None) -> None:
    charge_point = a_charge_point("CP-1", serial=serial)
    is_plain = name.isascii() and name.isprintable() and name.strip() != ""
    ours = is_plain and name.lower() in {"cp-1", (serial or "cp-1").lower()}

    fault = certificate_fault(a_certificate(common_names=(name,)), charge_point, RULES, now=NOW)

    assert (fault is None) is ours


@pytest.mark.parametrize(
    ("about", "name", "fault"),
    [
        ({"serial": "\u017fTATION-7"}, "station-7", CertificateFault.WRONG_NAME),
        ({"serial": "station-7"}, "\u017fTATION-7", CertificateFault.WRONG_NAME),
        ({"serial": "SN-7"}, "sn-7", None),
        ({"serial": "SN-7", "serial_is_anothers": True}, "SN-7", CertificateFault.WRONG_NAME),
        ({"serial": "SN-7", "serial_is_anothers": True, "serial_registered": "SN-7"}, "SN-7", None),
        ({"serial": "SN-8", "serial_registered": "SN-7"}, "SN-8", CertificateFault.WRONG_NAME),
    ],
)
def test_a_serial_number_is_a_name_only_where_it_is_nobody_else_s(
    about: dict[str, Any], name: str, fault: CertificateFault | None
) -> None:
    charge_point = a_charge_point("CP-1", **about)

    assert certificate_fault(a_certificate(common_names=(name,)), charge_point, RULES, now=NOW) is fault


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (CertificateRecord(charge_point="CP-1"), None),
        (CertificateRecord(charge_point="CP-2"), CertificateFault.WRONG_NAME),
        (CertificateRecord(charge_point="CP-1", is_revoked=True), CertificateFault.REVOKED),
    ],
)
def test_a_certificate_of_ours_speaks_for_whom_it_was_made_until_it_is_revoked(
    record: CertificateRecord, fault: CertificateFault | None
) -> None:
    charge_point = a_charge_point("CP-1")

    assert certificate_fault(a_certificate(), charge_point, RULES, now=NOW, record=record) is fault


def test_a_revoked_certificate_above_it_revokes_it_where_python_tells_the_chain(clients: Authority) -> None:
    class Told:
        """What ssl.SSLObject is from Python 3.13 on."""

        def get_verified_chain(self) -> list[bytes]:
            files = (clients.signed("CP-1").certificate, clients.file)
            return [x509.load_pem_x509_certificate(each.read_bytes()).public_bytes(Encoding.DER) for each in files]

    [above] = issuers_in(Told())
    rules = CertificateRules(revoked={above.issuer: frozenset({above.number})})
    point = a_charge_point("CP-1")

    assert issuers_in(object()) == ()
    assert certificate_fault(a_certificate(), point, rules, now=NOW) is None
    assert certificate_fault(a_certificate(), point, rules, now=NOW, issuers=[above]) is CertificateFault.REVOKED


@given(st.binary(max_size=300))
def test_what_is_no_certificate_is_unreadable_and_nothing_worse(der: bytes) -> None:
    assert read_certificate(der) is CertificateFault.UNREADABLE
