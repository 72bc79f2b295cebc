"""Certificates signed by an external authority over EST, and their status asked for over OCSP: both over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from certificates_room import Depot, csr, depot, requested
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from est_server import PASSWORD, USER, Est, est_server

from csms.certificates.est import EstUrlInvalid, _retry_after_s, est_url
from csms.certificates.http_exchange import Answered, Asked, Unreachable, exchange
from csms.certificates.ocsp import allowed_responder
from csms.protocol.blocks.certificate_facts import (
    CertificateHash,
    CertificatePurpose,
    CertificateStatusAnswer,
    CertificateStatusAsked,
    HashAlgorithm,
)
from csms.protocol.blocks.certificates import SendSignedCertificate
from csms.protocol.vocabulary import Protocol
from csms.settings import SettingsInvalid, load_settings


@pytest.fixture
def est(tmp_path: Path) -> Iterator[Est]:
    with est_server(tmp_path) as made:
        yield made


def settings_of(est: Est, **given: Any) -> dict[str, Any]:
    return {
        "authority": False,
        "est_url": est.url,
        "est_ca": est.ca_file,
        "est_user": USER,
        "est_password": PASSWORD,
        **given,
    }


@pytest.mark.parametrize("with_sub_ca", [False, True])
async def test_an_external_authority_signs_and_its_chain_goes_to_the_charge_point(
    pool: asyncpg.Pool[Any], tmp_path: Path, est: Est, with_sub_ca: bool
) -> None:
    est.with_sub_ca = with_sub_ca
    async with depot(pool, tmp_path, **settings_of(est)) as room:
        await room.online()
        answer = await room.ask(requested(csr("CP-1")))
        await room.work()
        [(_, command)] = room.sent
        [row] = await room.rows()

    assert answer.accepted
    assert isinstance(command, SendSignedCertificate)
    chain = x509.load_pem_x509_certificates(command.chain.encode())
    assert [chain[0]] == est.signed
    assert chain[1:] == ([est.sub_ca.certificate] if with_sub_ca else [])
    assert (row["state"], row["source"]) == ("installed", "est")
    assert est.labels == ["/.well-known/est/simpleenroll"]
    assert est.headers[0]["Content-Type"] == "application/pkcs10"


async def test_we_may_say_who_we_are_by_a_certificate(pool: asyncpg.Pool[Any], tmp_path: Path, est: Est) -> None:
    est.wants_certificate = True
    certificate, key = est.client_files()
    given = settings_of(est, est_user=None, est_password=None, est_certificate=certificate, est_key=key)
    async with depot(pool, tmp_path, **given) as room:
        await room.ask(requested(csr("CP-1")))
        await room.work()
        state = await room.state()

    assert state == ("issued", None)
    assert len(est.signed) == 1
    with pytest.raises(SettingsInvalid, match="come together"):
        load_settings({}, est_url=est.url, est_certificate=certificate)


async def test_certificates_towards_evs_are_signed_by_a_server_of_their_own(
    pool: asyncpg.Pool[Any], tmp_path: Path, est: Est
) -> None:
    own = f"{est.url}/.well-known/est/v2g"
    async with depot(pool, tmp_path, **settings_of(est, est_v2g_url=own)) as room:
        await room.online(protocol="ocpp2.0.1")
        for purpose in (CertificatePurpose.V2G, CertificatePurpose.COMBINED):
            assert (await room.ask(requested(csr("CP-1"), purpose))).accepted
            await room.work()

    assert est.labels == ["/.well-known/est/v2g/simpleenroll", "/.well-known/est/simpleenroll"]
    assert [command.purpose for _, command in room.sent] == [CertificatePurpose.V2G, CertificatePurpose.COMBINED]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("status", "state", "alarms"),
    [
        (202, "due", []),
        (500, "due", ["authority_unreachable"]),
        (503, "due", ["authority_unreachable"]),
        (404, "due", ["authority_unreachable"]),
        (400, "failed", ["authority_refused"]),
    ],
)
async def test_what_the_authority_says_decides_how_it_goes_on(
    pool: asyncpg.Pool[Any], tmp_path: Path, est: Est, status: int, state: str, alarms: list[str]
) -> None:
    est.answers = [status]
    async with depot(pool, tmp_path, **settings_of(est)) as room:
        await room.online()
        assert (await room.ask(requested(csr("CP-1")))).accepted, "the charge point has nothing to do with it"
        await room.work()
        first = await room.state()
        told = await room.alarms()
        await room.pool.execute("UPDATE certificate_work SET due_at = now() - interval '1 second'")
        await room.work()
        second = await room.state()

    assert (first[0], told) == (state, alarms)
    assert first[1]
    assert second[0] == ("failed" if state == "failed" else "installed")


@pytest.mark.parametrize(
    "given",
    [{"est_password": "wrong"}, {"est_user": None}, {"est_ca": None}],
    ids=["wrong password", "no user", "server that nobody trusts"],
)
async def test_a_server_that_does_not_know_us_or_that_we_do_not_know_is_one_that_is_away(
    pool: asyncpg.Pool[Any], tmp_path: Path, est: Est, given: dict[str, Any]
) -> None:
    async with depot(pool, tmp_path, **settings_of(est, **given)) as room:
        await room.ask(requested(csr("CP-1")))
        await room.work()
        state, problem = await room.state()
        alarms = await room.alarms()

    assert (state, alarms, est.signed) == ("due", ["authority_unreachable"], [])
    assert PASSWORD not in (problem or "")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://ca.example", "/.well-known/est/cacerts"),
        ("https://ca.example/", "/.well-known/est/cacerts"),
        ("https://ca.example:8443/.well-known/est", "/.well-known/est/cacerts"),
        ("https://ca.example/.well-known/est/label", "/.well-known/est/label/cacerts"),
    ],
)
def test_the_address_of_an_est_server_may_be_short(url: str, path: str) -> None:
    assert est_url(url, "cacerts").path == path


@pytest.mark.parametrize(
    "url", ["http://ca.example", "https://u:p@ca.example", "https://ca.example?x=1", "ca.example", "file:///etc"]
)
def test_no_other_address_is_one(url: str) -> None:
    with pytest.raises(EstUrlInvalid):
        est_url(url, "cacerts")
    with pytest.raises(SettingsInvalid, match="CSMS_EST_URL"):
        load_settings({}, est_url=url)


# --- GetCertificateStatus ------------------------------------------------------------------------------------------------


def hashed(certificate: x509.Certificate, issuer: x509.Certificate) -> CertificateHash:
    """As charging stations name it: hashes of its issuer, and its number."""
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
    return CertificateHash(
        algorithm=HashAlgorithm.SHA256, issuer_name=request.issuer_name_hash.hex(),
        issuer_key=request.issuer_key_hash.hex(), number=f"{certificate.serial_number:x}",
    )  # fmt: skip


async def status(room: Depot, certificate: CertificateHash, url: str) -> CertificateStatusAnswer:
    answer = await room.certificates.receive(
        "CP-1", CertificateStatusAsked(certificate=certificate, url=url), Protocol.V201, datetime.now(UTC)
    )
    assert isinstance(answer, CertificateStatusAnswer)
    return answer


async def test_a_responder_that_the_operator_named_is_asked_and_no_other(
    pool: asyncpg.Pool[Any], tmp_path: Path
) -> None:
    with est_server(tmp_path, tls=False) as est:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = est.sign(x509.load_pem_x509_csr(csr("CP-1", key=key).encode()).public_bytes(Encoding.DER))
        named = hashed(signed, est.root.certificate)
        stranger = CertificateHash(
            algorithm=HashAlgorithm.SHA256, issuer_name="00" * 32, issuer_key="00" * 32, number="7"
        )
        nonsense = CertificateHash(
            algorithm=HashAlgorithm.SHA256, issuer_name="zz" * 32, issuer_key="00" * 32, number="7"
        )
        async with depot(pool, tmp_path, ocsp_responders=(f"{est.url}/ocsp", f"{est.url}/away")) as room:
            good = await status(room, named, f"{est.url}/ocsp/v2g")
            unknown = await status(room, stranger, f"{est.url}/ocsp")
            wrong = await status(room, nonsense, f"{est.url}/ocsp")
            led_astray = await status(room, named, f"{est.url}/away")
            elsewhere = await status(room, named, f"{est.url}/.well-known/est/cacerts")

    assert est.labels == [], "what was not allowed was not asked"
    assert good.ocsp_result is not None
    response = ocsp.load_der_ocsp_response(base64.b64decode(good.ocsp_result))
    assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
    refused = {name: (each.ocsp_result, each.reason and each.reason.text) for name, each in
               {"unknown": unknown, "wrong": wrong, "led_astray": led_astray, "elsewhere": elsewhere}.items()}  # fmt: skip
    assert refused == {
        "unknown": (None, "the responder does not say: unauthorized"),
        "wrong": (None, "the hashes or the serial number are not what their algorithm makes"),
        "led_astray": (None, "the responder answered with status 302"),
        "elsewhere": (None, "the operator has not allowed this responder"),
    }


async def test_a_server_that_says_a_byte_a_second_holds_neither_an_answer_nor_a_thread() -> None:
    """Its own time-out for each read would never end it."""

    over = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    url = urlsplit(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    before = threading.active_count()
    with pytest.raises(Unreachable, match="no answer within"):
        await exchange(Asked(method="GET", url=url), tls=None, timeout_s=0.3)
    async with asyncio.timeout(5):
        await asyncio.get_running_loop().shutdown_default_executor()
        await over.wait()
    server.close()
    await server.wait_closed()

    assert threading.active_count() <= before


ALLOWED = ("http://ocsp.example/v2g", "https://ca.example:8443")


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("http://ocsp.example/v2g", True),
        ("http://ocsp.example:80/v2g/root", True),
        ("http://OCSP.example/v2g", True),
        ("https://ca.example:8443/any/where", True),
        ("http://ocsp.example/v2gx", False),
        ("http://ocsp.example/", False),
        ("https://ocsp.example/v2g", False),
        ("http://ocsp.example.evil/v2g", False),
        ("http://ocsp.example@evil.example/v2g", False),
        ("http://evil.example/http://ocsp.example/v2g", False),
        ("http://ocsp.example:8080/v2g", False),
        ("http://ocsp.example/v2g/../admin", False),
        ("http://ocsp.example\\@evil.example/v2g", False),
        ("http://ocsp.example/v2g\r\nX: y", False),
        ("http://169.254.169.254/v2g", False),
        ("file:///etc/passwd", False),
        ("", False),
        ("http://[", False),
    ],
)
def test_only_whole_steps_of_what_was_allowed_count(url: str, is_allowed: bool) -> None:
    assert (allowed_responder(url, ALLOWED) is not None) is is_allowed
    assert allowed_responder(url, ()) is None


@pytest.mark.parametrize(
    ("told", "after_s"), [("5", 5), ("nan", 60), ("inf", 60), ("-inf", 60), ("-3", 1), ("1e9", 86_400), ("soon", 60)]
)
def test_whatever_an_authority_says_it_is_asked_again_within_a_day(told: str, after_s: float) -> None:
    assert _retry_after_s(Answered(status=202, headers={"retry-after": told}, body=b"")) == after_s
