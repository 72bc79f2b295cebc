"""Certificates of every kind for the tests of TLS, and charge points that come by wss."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from gateway_room import PASSWORD, Running, Station, basic
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

OPERATOR = "Example Charging Ltd"
HOST = "csms.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    certificate: Path
    key: Path


class Authority:
    """A CA that signs whatever it is told to."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self.directory = directory
        self.ca = trustme.CA(organization_name=OPERATOR, organization_unit_name=name)
        self.file = directory / f"{name}.pem"
        self.ca.cert_pem.write_to_path(self.file)
        self._certificate = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        self._key = load_pem_private_key(self.ca.private_key_pem.bytes(), password=None)

    def server(self, *, rsa_key: bool, name: str = "server") -> Files:
        kind = trustme.KeyType.RSA if rsa_key else trustme.KeyType.ECDSA
        leaf = self.ca.issue_cert(HOST, "localhost", "127.0.0.1", key_type=kind)
        return self._written(
            f"{name}-{kind.name}",
            b"".join(each.bytes() for each in leaf.cert_chain_pems),
            leaf.private_key_pem.bytes(),
        )

    def signed(
        self,
        common_name: str | None = "CP-1",
        *,
        organisation: str = OPERATOR,
        key: CertificateIssuerPrivateKeyTypes | None = None,
        valid_from: timedelta = timedelta(days=-1),
        valid_until: timedelta = timedelta(days=1),
        alternative_name: str | None = None,
        second_name: str | None = None,
    ) -> Files:
        """A leaf certificate with the CN of a charge point; times are from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)]
        names += [x509.NameAttribute(NameOID.COMMON_NAME, each) for each in (common_name, second_name) if each]
        now = datetime.now(UTC)
        number = x509.random_serial_number()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(names))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(number)
            .not_valid_before(now + valid_from)
            .not_valid_after(now + valid_until)
        )
        if alternative_name is not None:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(alternative_name)]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())  # type: ignore[arg-type]  # a CA's key can sign
        return self._written(
            f"leaf-{number}",
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def revocation_list(self, *revoked: Files, next_update: timedelta = timedelta(days=7)) -> Path:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - timedelta(days=30))
            .next_update(now + next_update)
        )
        for each in revoked:
            number = x509.load_pem_x509_certificate(each.certificate.read_bytes()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - timedelta(days=1)).build()
            )
        crl = builder.sign(self._key, hashes.SHA256())  # type: ignore[arg-type]  # a CA's key can sign
        file = self.directory / "revoked.pem"
        file.write_bytes(crl.public_bytes(Encoding.PEM))
        return file

    def client(self, certificate: Files | None = None) -> ssl.SSLContext:
        """What a charge point uses that trusts this CA; weak keys included, so that refusing them is our doing."""
        context = ssl.create_default_context(cafile=str(self.file))
        if certificate is not None:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.load_cert_chain(certificate.certificate, certificate.key)
        return context

    def _written(self, name: str, certificate: bytes, key: bytes) -> Files:
        files = Files(certificate=self.directory / f"{name}.pem", key=self.directory / f"{name}.key")
        files.certificate.write_bytes(certificate)
        files.key.write_bytes(key)
        return files


def tls_settings(*servers: Files, **more: Any) -> dict[str, Any]:
    return {
        "tls_port": 0,
        "tls_cert": tuple(each.certificate for each in servers),
        "tls_key": tuple(each.key for each in servers),
        **more,
    }


def tls_port(room: Running) -> int:
    port = room.gateway._listener.tls_port
    assert port is not None
    return port


@contextlib.asynccontextmanager
async def wss(
    room: Running,
    context: ssl.SSLContext,
    identity: str = "CP-1",
    *,
    password: bytes | None = PASSWORD,
    protocol: str = "ocpp1.6",
) -> AsyncIterator[Station]:
    """A charge point's end of an encrypted websocket."""
    async with connect(
        f"wss://localhost:{tls_port(room)}/ocpp/{identity}",
        host="127.0.0.1",
        ssl=context,
        subprotocols=[Subprotocol(protocol)],
        additional_headers={} if password is None else {"Authorization": basic(identity, password)},
        proxy=None,
        close_timeout=1,
    ) as websocket:
        yield Station(websocket)


def spoken(station: Station) -> tuple[str, str]:
    """Suite and version of its TLS."""
    name, version, _ = station.websocket.transport.get_extra_info("cipher")
    return name, version


@contextlib.contextmanager
def changed(file: Path, other: Path) -> Iterator[None]:
    """`file` has the content of `other` for a while."""
    before = file.read_bytes()
    file.write_bytes(other.read_bytes())
    try:
        yield
    finally:
        file.write_bytes(before)
