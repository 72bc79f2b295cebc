"""Signing requests of every kind, an authority in a directory, and the service on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from csms.certificates import files
from csms.certificates.authority import make_root
from csms.certificates.store import SQL
from csms.certificates.worker import Certificates
from csms.charge_points import service as charge_points
from csms.charge_points.service import Boot, Choices
from csms.protocol.blocks.certificate_facts import CertificatePurpose, CertificateRequested, SigningAnswer
from csms.protocol.vocabulary import Booted, Command, Outcome, Protocol
from csms.settings import Settings, load_settings
from csms.sites import service as sites

OPERATOR = "Example Charging Ltd"
ACCEPTED = Outcome(accepted=True, status="Accepted")


def csr(
    name: str | None = "CP-1",
    *,
    organisation: str | None = OPERATOR,
    key: Any = None,
    second_name: str | None = None,
    signed_by: Any = None,
    digest: Any = None,
) -> str:
    """A request in PEM; `signed_by` another key makes its signature wrong."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, each) for each in (name, second_name) if each is not None]
    if organisation is not None:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    made = builder.sign(key, digest or hashes.SHA256())
    pem = made.public_bytes(Encoding.PEM).decode()
    if signed_by is None:
        return pem
    other = builder.sign(signed_by, hashes.SHA256())
    der = made.public_bytes(Encoding.DER)
    assert len(made.signature) == len(other.signature), "the same length, so that the lengths around it stay right"
    forged = x509.load_der_x509_csr(der.replace(made.signature, other.signature))
    return forged.public_bytes(Encoding.PEM).decode()


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def requested(
    text: str | None, purpose: CertificatePurpose = CertificatePurpose.CHARGE_POINT, *, length: int | None = None
) -> CertificateRequested:
    return CertificateRequested(csr=text, purpose=purpose, length=length or len(text or ""))


@dataclass
class Depot:
    """The service of one node on a database. `answers`: what charge points say to what is sent; `sent`: what was."""

    pool: asyncpg.Pool[Any]
    settings: Settings
    answers: Callable[[str, Command], Awaitable[Outcome]] | None = None
    sent: list[tuple[str, Command]] = field(default_factory=list)
    reloads: int = 0

    def __post_init__(self) -> None:
        self.certificates = self.restarted()

    def restarted(self, **given: Any) -> Certificates:
        """The same node after a restart: nothing is left of it but the database and its files."""
        settings = self.settings.model_copy(update=given)
        return Certificates(self.pool, settings, send=self._send, reload=self._reload)

    async def _send(self, charge_point: str, command: Command) -> Outcome:
        self.sent.append((charge_point, command))
        return ACCEPTED if self.answers is None else await self.answers(charge_point, command)

    def _reload(self) -> None:
        self.reloads += 1

    async def ask(
        self,
        fact: CertificateRequested,
        charge_point: str = "CP-1",
        *,
        at: datetime | None = None,
        protocol: Protocol = Protocol.V16,
    ) -> SigningAnswer:
        answer = await self.certificates.receive(charge_point, fact, protocol, at or datetime.now(UTC))
        assert isinstance(answer, SigningAnswer)
        return answer

    async def work(self, certificates: Certificates | None = None) -> None:
        """Sign and deliver what is due; what waits only for its answer to go out first is due."""
        await self.pool.execute("UPDATE certificate_work SET due_at = now() WHERE due_at < now() + interval '1 second'")
        worker = certificates or self.certificates
        await worker._sign()
        await worker._deliver()

    async def rows(self, charge_point: str | None = None) -> list[asyncpg.Record]:
        """Requests, the newest first."""
        async with self.pool.acquire() as connection:
            return await SQL.listed.fetch(
                connection, charge_point=charge_point, site=None, latest=False, number=None, most=100
            )

    async def state(self) -> tuple[str | None, str | None]:
        """Of the newest request: how it stands, and why."""
        newest = (await self.rows())[0]
        return newest["state"] or newest["fault"], newest["problem"]

    async def alarms(self) -> list[str]:
        async with self.pool.acquire() as connection:
            return [row["kind"] for row in await SQL.alarms.fetch(connection, charge_point=None, most=100)]

    async def online(self, charge_point: str = "CP-1", protocol: str = "ocpp1.6") -> None:
        """A live node holds a socket of it."""
        node = uuid4()
        async with self.pool.acquire() as connection:
            await connection.execute(
                "INSERT INTO node (id, pid, host, ocpp_url, http_url, lease) VALUES ($1, 1, 'here', '', '', '1 hour')",
                node,
            )
            await connection.execute(
                "INSERT INTO socket (id, charge_point, node, protocol, remote, opened_at)"
                " VALUES ($1, $2, $3, $4, '127.0.0.1', now())",
                uuid4(), charge_point, node, protocol,
            )  # fmt: skip

    async def boots(self, charge_point: str, serial: str) -> None:
        booted = Booted(vendor="Example", model="One", serial=serial)
        async with self.pool.acquire() as connection:
            await charge_points.record_boots(
                connection, [Boot(charge_point=charge_point, told=booted, at=datetime.now(UTC))]
            )

    async def registers(self, charge_point: str, serial: str) -> None:
        """An operator says which serial number it has."""
        await self.pool.execute("UPDATE charge_point SET serial_registered = $2 WHERE id = $1", charge_point, serial)


async def make_authority(pool: asyncpg.Pool[Any], settings: Settings, *, days: int = 3650) -> x509.Certificate:
    """As `csms certificate authority create` does."""
    path = files.key_path(settings)
    key = files.load_key(path) or files.make_key(path)
    number, now = x509.random_serial_number(), datetime.now(UTC)
    root = make_root(key, organisation=OPERATOR, number=number, now=now, valid=timedelta(days=days))
    async with pool.acquire() as connection:
        await SQL.insert_authority.fetchval(
            connection, organisation=OPERATOR, certificate=root.public_bytes(Encoding.PEM).decode(),
            fingerprint=root.fingerprint(hashes.SHA256()).hex(), valid_until=root.not_valid_after_utc, actor="operator",
        )  # fmt: skip
    return root


@asynccontextmanager
async def depot(pool: asyncpg.Pool[Any], home: Path, *, authority: bool = True, **given: Any) -> Any:
    """CP-1 and CP-2 at a site, and a node that signs."""
    settings = load_settings({}, data_dir=home, certificate_retry_s=0.001, **given)
    async with pool.acquire() as connection:
        await sites.create(
            connection, "harbour", name="Harbour", country="DE", time_zone="Europe/Berlin", currency="EUR"
        )
        key = charge_points.load_password_key(home)
        for identity in ("CP-1", "CP-2"):
            await charge_points.create(connection, identity, Choices(site="harbour"), key=key)
    if authority:
        await make_authority(pool, settings)
    made = Depot(pool, settings)
    try:
        yield made
    finally:
        await asyncio.sleep(0)
