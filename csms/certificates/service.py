"""What charge points ask of us about certificates: decided, kept, and then answered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from csms.certificates import metrics, store
from csms.certificates.alarms import Alarm, AlarmKind, raise_alarm
from csms.certificates.issued import number_text
from csms.certificates.signing_request import (
    NEXT_STEPS,
    RequestFault,
    SigningRequest,
    name_fault,
    read_request,
    reason_of,
    signing_fault,
)
from csms.certificates.store import SQL
from csms.gateway.client_certificate import CertificateRecord, is_plain_name
from csms.protocol.blocks.certificate_facts import (
    CertificateHash,
    CertificatePurpose,
    CertificateRequested,
    CertificateStatusAnswer,
    CertificateStatusAsked,
    EvCertificateAnswer,
    EvCertificateAsked,
    Reason,
    SigningAnswer,
)
from csms.protocol.vocabulary import Protocol

HOUR = timedelta(hours=1)
ANSWER_FIRST = timedelta(milliseconds=300)
"""So long a certificate waits at least: the answer to its request goes out before it."""
NO_CONTRACTS = Reason(code="NotEnabled", text="no pool of contract certificates is connected to this CSMS")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRules:
    """`organisation` None: the one of our own root, where that signs, else any. `by_est`: whom an EST server signs for."""

    requests_per_hour: int
    organisation: str | None
    by_est: frozenset[CertificatePurpose]


# --- SignCertificate -----------------------------------------------------------------------------------------------------


async def take_request(
    connection: Any,
    charge_point: str,
    fact: CertificateRequested,
    rules: SigningRules,
    *,
    protocol: Protocol,
    at: datetime,
) -> SigningAnswer:
    """Answer a SignCertificate once the answer is in the books. A repeat of one that is worked at is that one.

    An accepted request is ours from then on: whether the authority is there or not, the charge point need not ask again.
    """
    key = hashlib.sha256((fact.csr or f"{fact.length} characters").encode()).digest()
    async with connection.transaction():
        known = await SQL.lock_charge_point.fetchrow(connection, charge_point=charge_point)
        assert known is not None, "only registered charge points ask"
        repeat = await SQL.open_repeat.fetchval(
            connection, charge_point=charge_point, purpose=str(fact.purpose), key=key
        )
        if repeat is not None:
            metrics.REQUESTS.labels("repeated").inc()
            return SigningAnswer(accepted=True)
        too_many = await SQL.requests_since.fetchval(connection, charge_point=charge_point, since=at - HOUR)
        if too_many >= rules.requests_per_hour:
            fault: RequestFault | None = RequestFault.TOO_MANY
        else:
            serial = known["serial_registered"] or known["serial"]
            asker = _Asker(identity=charge_point, serial=serial, protocol=protocol)
            fault = await _fault(connection, asker, fact, rules)
        if fault is not RequestFault.TOO_MANY:
            request = await store.insert_request(connection, charge_point, fact, key, fault, at=at)
            if fault is None:
                await SQL.insert_work.execute(connection, request=request, due_at=at + ANSWER_FIRST)
                await SQL.supersede.execute(
                    connection, charge_point=charge_point, purpose=str(fact.purpose), request=request
                )
        if fault is not None:
            await _tell_fault(connection, charge_point, fault, at=at)
    metrics.REQUESTS.labels("accepted" if fault is None else str(fault)).inc()
    if fault is None:
        return SigningAnswer(accepted=True)
    return SigningAnswer(accepted=False, reason=reason_of(fault))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asker:
    """`serial`: as the operator registered it, else as its last boot told it."""

    identity: str
    serial: str | None
    protocol: Protocol


async def _fault(
    connection: Any, asker: _Asker, fact: CertificateRequested, rules: SigningRules
) -> RequestFault | None:
    """Why the request is refused; what costs little comes first."""
    if fact.csr is None:
        return RequestFault.TOO_LONG
    request = read_request(fact.csr)
    if isinstance(request, RequestFault):
        return request
    ours = await store.organisation(connection)
    if fact.purpose not in rules.by_est and (ours is None or fact.purpose is CertificatePurpose.V2G):
        return RequestFault.NO_AUTHORITY
    organisation = rules.organisation or (None if fact.purpose in rules.by_est else ours)
    fault = name_fault(
        request,
        identity=asker.identity,
        serial=asker.serial,
        organisation=organisation,
        is_taken=await _is_taken(connection, asker.identity, request),
        serial_only=asker.protocol is not Protocol.V16,
    )
    return fault or signing_fault(request)


async def _is_taken(connection: Any, charge_point: str, request: SigningRequest) -> bool:
    name = next(iter(request.common_names), "")
    if not is_plain_name(name):
        return True
    taken: bool = await SQL.name_is_taken.fetchval(connection, charge_point=charge_point, name=name)
    return taken


async def _tell_fault(connection: Any, charge_point: str, fault: RequestFault, *, at: datetime) -> None:
    """Once a day for each kind of fault; of a flood, once an hour."""
    many = fault is RequestFault.TOO_MANY
    await raise_alarm(
        connection,
        Alarm(
            kind=AlarmKind.TOO_MANY_REQUESTS if many else AlarmKind.REQUEST_REFUSED,
            key=f"{charge_point}/{at:%Y-%m-%dT%H}" if many else f"{charge_point}/{fault}/{at:%Y-%m-%d}",
            charge_point=charge_point,
            detail=reason_of(fault).text,
            next_step=NEXT_STEPS[fault],
        ),
    )


async def on_record(connection: Any, issuer: bytes, number: int) -> CertificateRecord | None:
    """What is known of a certificate that was made through us; None: it was made elsewhere."""
    row = await SQL.on_record.fetchrow(connection, issuer_der=issuer, number=number_text(number))
    return None if row is None else CertificateRecord(charge_point=row["charge_point"], is_revoked=row["is_revoked"])


# --- what charging stations have us find out -------------------------------------------------------------------------------


async def answer_ev(
    connection: Any, charge_point: str, fact: EvCertificateAsked, *, at: datetime
) -> EvCertificateAnswer:
    """Get15118EVCertificate: we have no contracts, and the EV is told so (M01.FR.01, M02.FR.01)."""
    body = {"iso15118SchemaVersion": fact.schema_version, "action": fact.action, "exiRequest": fact.exi}
    await store.insert_inquiry(connection, charge_point, "Get15118EVCertificate", body, NO_CONTRACTS.text, at=at)
    return EvCertificateAnswer(accepted=False, reason=NO_CONTRACTS)


async def keep_status(
    connection: Any, charge_point: str, fact: CertificateStatusAsked, answer: CertificateStatusAnswer, *, at: datetime
) -> None:
    """What was asked of a responder, and what came of it."""
    body = {**_hashes(fact.certificate), "responderURL": fact.url}
    if answer.ocsp_result is not None:
        body["ocspResult"] = answer.ocsp_result
    reason = None if answer.reason is None else answer.reason.text
    await store.insert_inquiry(connection, charge_point, "GetCertificateStatus", body, reason, at=at)


def _hashes(certificate: CertificateHash) -> dict[str, Any]:
    return {
        "hashAlgorithm": str(certificate.algorithm),
        "issuerNameHash": certificate.issuer_name,
        "issuerKeyHash": certificate.issuer_key,
        "serialNumber": certificate.number,
    }
