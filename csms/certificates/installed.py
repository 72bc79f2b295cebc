"""The certificates that a charge point trusts: asked for, added to, deleted from, and remembered as it lists them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from csms.certificates import store
from csms.certificates.store import SQL
from csms.certificates.trusted import Trusted, same_number
from csms.protocol.blocks.certificate_facts import CertificateHash, HashAlgorithm
from csms.protocol.blocks.certificates import (
    CertificateUse,
    DeleteCertificate,
    GetInstalledCertificates,
    InstallCertificate,
)
from csms.protocol.v16.certificates import USES as USES_16
from csms.protocol.vocabulary import Command, Outcome, Protocol

UNANSWERED = frozenset({"timeout", "invalid_answer"})

Send = Callable[[Command], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """`outcome` None: nothing was there to delete. `last`: it would have been the last by which it knows us."""

    outcome: Outcome | None
    deleted: int = 0
    last: bool = False


async def read(
    connection: Any, charge_point: str, protocol: Protocol, send: Send
) -> tuple[Outcome, list[dict[str, Any]]]:
    """What it lists, remembered; the outcome is that of the question which was not answered, else of the whole."""
    questions = [(use,) for use in USES_16] if protocol is Protocol.V16 else [()]
    found: list[dict[str, Any]] = []
    for uses in questions:
        outcome = await send(GetInstalledCertificates(uses=uses))
        if not outcome.accepted:
            return outcome, found
        told = outcome.data["certificates"]
        await store.replace_installed(connection, charge_point, [str(each) for each in uses], told)
        found += told
    return Outcome(accepted=True, status="Accepted" if found else "NotFound"), found


async def install(
    connection: Any,
    charge_point: str,
    protocol: Protocol,
    send: Send,
    use: CertificateUse,
    given: Trusted,
    *,
    actor: str,
) -> Outcome:
    """Have it trust a certificate; what it says, and if it did, what it trusts now, is kept."""
    outcome = await send(InstallCertificate(use=use, certificate=given.pem))
    await SQL.insert_installation.execute(
        connection, charge_point=charge_point, use=str(use), certificate=given.pem, number=given.number,
        subject=given.subject, valid_until=given.valid_until, status=outcome.status, detail=outcome.detail, actor=actor,
        accepted=None if outcome.status in UNANSWERED else outcome.accepted,
    )  # fmt: skip
    if outcome.accepted:
        await read(connection, charge_point, protocol, send)
    return outcome


async def delete(
    connection: Any, charge_point: str, protocol: Protocol, send: Send, number: str, *, force: bool
) -> Deleted:
    """Have it trust the certificates of this serial number no longer, whatever for."""
    outcome, listed = await read(connection, charge_point, protocol, send)
    if not outcome.accepted:
        return Deleted(outcome=outcome)
    chosen = [each for each in listed if same_number(each["number"], number)]
    if not chosen:
        return Deleted(outcome=None)
    if not force and _leaves_none(listed, chosen):
        return Deleted(outcome=None, last=True)
    done = 0
    for certificate in dict.fromkeys(_hash(each) for each in chosen):
        outcome = await send(DeleteCertificate(certificate=certificate))
        if not outcome.accepted:
            break
        done += 1
    if done:
        await read(connection, charge_point, protocol, send)
    return Deleted(outcome=outcome, deleted=done)


def _leaves_none(listed: Sequence[dict[str, Any]], chosen: Sequence[dict[str, Any]]) -> bool:
    """Whether nothing would be left by which the charge point knows us: it could not come back by TLS."""
    ours = [each for each in listed if each["use"] == CertificateUse.CSMS]
    return bool(ours) and all(each in chosen for each in ours)


def _hash(told: dict[str, Any]) -> CertificateHash:
    return CertificateHash(
        algorithm=HashAlgorithm(told["algorithm"]),
        issuer_name=told["issuer_name"],
        issuer_key=told["issuer_key"],
        number=told["number"],
    )
