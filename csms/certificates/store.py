"""Rows of certificates, and the values that they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from billing import Queries
from csms.certificates.authority import RevocationReason, Revoked
from csms.certificates.issued import Issued
from csms.certificates.signing_request import RequestFault
from csms.protocol.blocks.certificate_facts import CertificateRequested

SQL = Queries.load(__package__)
INQUIRIES_KEPT = 1000
"""So many of each charge point."""


async def insert_request(
    connection: Any,
    charge_point: str,
    fact: CertificateRequested,
    key: bytes,
    fault: RequestFault | None,
    *,
    at: datetime,
) -> int:
    id_: int = await SQL.insert_request.fetchval(
        connection, charge_point=charge_point, purpose=str(fact.purpose), key=key, csr=fact.csr, length=fact.length,
        fault=None if fault is None else str(fault), quirks=",".join(fact.quirks), received_at=at,
    )  # fmt: skip
    return id_


async def insert_certificate(
    connection: Any, request: int, charge_point: str, purpose: str, source: str, issued: Issued
) -> bool:
    """Whether it is the request's first one."""
    id_ = await SQL.insert_certificate.fetchval(
        connection, request=request, charge_point=charge_point, purpose=purpose, source=source, number=issued.number,
        fingerprint=issued.fingerprint, subject=issued.subject, issuer=issued.issuer, issuer_der=issued.issuer_der,
        chain=issued.chain, valid_from=issued.valid_from, valid_until=issued.valid_until,
    )  # fmt: skip
    return id_ is not None


async def organisation(connection: Any) -> str | None:
    """Whose name stands in the root that signs."""
    pem = await SQL.newest_authority.fetchval(connection)
    if pem is None:
        return None
    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    return str(subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)


async def roots(connection: Any) -> list[x509.Certificate]:
    """Of the embedded authority, the one that signs first."""
    rows = await SQL.authorities.fetch(connection)
    return [x509.load_pem_x509_certificate(row["certificate"].encode()) for row in rows]


async def revoked(connection: Any, issuer: x509.Name) -> list[Revoked]:
    rows = await SQL.revoked.fetch(connection, issuer_der=issuer.public_bytes())
    return [
        Revoked(number=int(row["number"], 16), at=row["at"], reason=RevocationReason(row["reason"])) for row in rows
    ]


async def insert_inquiry(
    connection: Any, charge_point: str, message: str, body: dict[str, Any], reason: str | None, *, at: datetime
) -> None:
    async with connection.transaction():
        await SQL.insert_inquiry.execute(
            connection, charge_point=charge_point, message=message, body=body, accepted=reason is None, reason=reason,
            received_at=at,
        )  # fmt: skip
        await SQL.drop_oldest_inquiries.execute(connection, charge_point=charge_point, kept=INQUIRIES_KEPT)


async def replace_installed(
    connection: Any, charge_point: str, uses: Sequence[str], told: Sequence[dict[str, Any]]
) -> None:
    """What a charge point has just listed takes the place of what it listed before, of these uses (none: of all)."""
    async with connection.transaction():
        await SQL.forget_installed.execute(connection, charge_point=charge_point, uses=list(uses))
        await SQL.insert_installed.execute(
            connection,
            charge_point=charge_point,
            uses=[each["use"] for each in told],
            algorithms=[each["algorithm"] for each in told],
            issuer_names=[each["issuer_name"] for each in told],
            issuer_keys=[each["issuer_key"] for each in told],
            numbers=[each["number"] for each in told],
            children_of=[each["child_of"] for each in told],
        )
