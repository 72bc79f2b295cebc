"""Certificates in OCPP 1.6J: the security white paper's messages."""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol.blocks import certificates
from csms.protocol.blocks.certificate_facts import CertificatePurpose, SigningAnswer
from csms.protocol.blocks.certificates import CertificateUse
from csms.protocol.certificate_words import (
    CERTIFICATE_LENGTH_MAX,
    CHAIN_LENGTH_MAX,
    answer_status,
    hash_data,
    hash_row,
    installed_outcome,
    read_hash,
    read_request,
    require_certificate,
)
from csms.protocol.outcomes import AnswerReaders
from csms.protocol.outgoing import Call, CommandInvalid, Writers, require
from csms.protocol.repair import Fields, Message
from csms.protocol.vocabulary import Decision, Fact, Outcome

USES = {
    CertificateUse.CSMS: "CentralSystemRootCertificate",
    CertificateUse.MANUFACTURER: "ManufacturerRootCertificate",
}


def certificate_signed(command: certificates.SendSignedCertificate) -> Call:
    action = "CertificateSigned"
    require(action, command.purpose is not CertificatePurpose.V2G, "OCPP 1.6 has no certificates towards EVs")
    chain = require_certificate(action, "certificateChain", command.chain, CHAIN_LENGTH_MAX)
    return action, {"certificateChain": chain}


def install_certificate(command: certificates.InstallCertificate) -> Call:
    action = "InstallCertificate"
    certificate = require_certificate(action, "certificate", command.certificate, CERTIFICATE_LENGTH_MAX)
    return action, {"certificateType": _use(action, command.use), "certificate": certificate}


def delete_certificate(command: certificates.DeleteCertificate) -> Call:
    return "DeleteCertificate", {"certificateHashData": hash_data(command.certificate)}


def get_installed_certificate_ids(command: certificates.GetInstalledCertificates) -> Call:
    action = "GetInstalledCertificateIds"
    require(action, len(command.uses) == 1, "OCPP 1.6 asks for exactly one certificateType by each call")
    return action, {"certificateType": _use(action, command.uses[0])}


def _use(action: str, use: CertificateUse) -> str:
    if use not in USES:
        raise CommandInvalid(action, f"OCPP 1.6 has no certificateType for {use}; it has {', '.join(USES)}")
    return USES[use]


def installed_certificates(command: certificates.GetInstalledCertificates, payload: dict[str, object]) -> Outcome:
    """The answer does not repeat for what the certificates are trusted: it is what was asked for."""
    found = [read_hash(Fields(each, set())) for each in Fields(payload, set()).items("certificateHashData")]
    return installed_outcome(payload, [hash_row(command.uses[0], each) for each in found if each is not None])


def sign_certificate(message: Message) -> Fact | None:
    return read_request(message, CertificatePurpose.CHARGE_POINT)


def signing_answer(decision: Decision) -> dict[str, object]:
    assert isinstance(decision, SigningAnswer), "a SignCertificate is answered with a status"
    return answer_status(decision.accepted, "Rejected", decision.reason, told=False)


CALLS: Writers = {
    certificates.SendSignedCertificate: certificate_signed,
    certificates.InstallCertificate: install_certificate,
    certificates.DeleteCertificate: delete_certificate,
    certificates.GetInstalledCertificates: get_installed_certificate_ids,
}
OUTCOMES: AnswerReaders = {certificates.GetInstalledCertificates: installed_certificates}
READERS: dict[str, Callable[[Message], Fact | None]] = {"SignCertificate": sign_certificate}
ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {"SignCertificate": signing_answer}
