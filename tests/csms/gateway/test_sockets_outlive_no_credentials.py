"""What an operator changes reaches the socket that is open: it ends where what it showed would not do any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from gateway_room import a_charge_point, running
from hypothesis import given
from hypothesis import strategies as st
from tls_room import Authority, tls_settings, wss

from csms.charge_points.charge_point import ChargePoint, Proof, WaitingPassword
from csms.gateway.client_certificate import CertificateRecord, ClientCertificate
from csms.gateway.handshake import Admitted, ending_reason
from csms.protocol.vocabulary import Registration

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EARLIER = WaitingPassword(change=6, salt=b"s", hash=b"earlier")
WAITING = WaitingPassword(change=7, salt=b"s", hash=b"waiting")
BEFORE = a_charge_point("CP-1", passwords_waiting=(EARLIER, WAITING))


def by_password(change: int | None = None, *, profile: int = 1) -> Admitted:
    return Admitted(charge_point=BEFORE, proof=Proof(profile=profile, by_password=True, change=change))


def by_certificate(name: str) -> Admitted:
    certificate = ClientCertificate(
        common_names=(name,), organisations=(), valid_from=NOW, valid_until=NOW, is_rsa=False, key_bits=256,
        issuer=b"issuer", number=7,
    )  # fmt: skip
    return Admitted(charge_point=BEFORE, proof=Proof(profile=3), certificate=certificate)


@pytest.mark.parametrize(
    ("admitted", "changed", "ends"),
    [
        (by_password(), {"time_zone": "Europe/Berlin"}, False),
        (by_password(), {"password_hash": b"another"}, True),
        (by_password(), {"password_hash": b"given", "password_changed_at": NOW, "password_given_at": NOW}, False),
        (
            by_password(),
            {"password_hash": b"x", "password_changed_at": datetime.now(UTC), "password_given_at": NOW},
            True,
        ),
        (by_password(7), {"password_hash": b"waiting", "passwords_waiting": ()}, False),
        (by_password(7), {"passwords_waiting": ()}, True),
        (by_password(), {"security_profile": 2}, True),
        (by_password(), {"security_profile_wanted": 2}, False),
        (by_password(profile=2), {"security_profile": 1}, False),
        (by_password(profile=2), {"security_profile": 3}, True),
        (by_password(), {"security_profile": 0}, False),
        (Admitted(charge_point=BEFORE, proof=Proof(profile=0)), {"security_profile": 1}, True),
        (by_password(), {"registration": Registration.REJECTED}, True),
        (by_password(), {"registration": Registration.PENDING}, False),
        (by_certificate("CP-1"), {"security_profile": 3}, False),
        (by_certificate("SN-1"), {"security_profile": 3, "serial": "SN-1"}, False),
        (by_certificate("SN-1"), {"security_profile": 3, "serial": "SN-1", "serial_registered": "SN-2"}, True),
        (by_certificate("CP-1"), {"security_profile": 2}, True),
    ],
)
def test_a_socket_ends_exactly_where_its_proof_does(admitted: Admitted, changed: dict[str, Any], ends: bool) -> None:
    assert (ending_reason(admitted, BEFORE, replace(BEFORE, **changed)) is not None) is ends


@given(profile=st.integers(0, 3), wanted=st.none() | st.integers(1, 3), strict=st.booleans())
def test_what_is_no_credential_ends_no_socket(profile: int, wanted: int | None, strict: bool) -> None:
    before = replace(BEFORE, security_profile=profile, security_profile_wanted=wanted)
    admitted = replace(by_password(profile=profile), charge_point=before)

    assert ending_reason(admitted, before, replace(before, strict=strict, site="elsewhere")) is None


async def test_a_changed_password_closes_the_open_socket() -> None:
    async with running() as room, room.station() as station:
        await station.heartbeat()
        known: ChargePoint = a_charge_point()
        room.gateway.update(replace(known, strict=True))
        await station.heartbeat()
        room.gateway.update(replace(known, password_hash=b"another"))

        assert await station.closed() == 1008


async def test_a_revoked_certificate_closes_the_socket_that_came_in_by_it(tmp_path: Any) -> None:
    authority = Authority(tmp_path)
    leaf = authority.signed("CP-1")
    parsed = x509.load_pem_x509_certificate(leaf.certificate.read_bytes())
    point = a_charge_point(password=None, security_profile=3)
    settings = tls_settings(authority.server(rsa_key=False), tls_client_ca=authority.file)
    async with running(point, **settings) as room, wss(room, authority.client(leaf), password=None) as station:
        await station.heartbeat()
        key = (parsed.issuer.public_bytes(), parsed.serial_number)
        room.application.records[key] = CertificateRecord(charge_point="CP-1")
        room.gateway.update(point)
        await station.heartbeat()
        room.application.records[key] = CertificateRecord(charge_point="CP-1", is_revoked=True)
        room.gateway.update(point)

        assert await station.closed() == 1008
