"""Certificates in OCPP 2.0.1 (A02, A03, M01-M06)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from csms.protocol.blocks import certificates
from csms.protocol.blocks.certificate_facts import (
    CertificatePurpose,
    CertificateStatusAnswer,
    CertificateStatusAsked,
    EvCertificateAnswer,
    EvCertificateAsked,
    SigningAnswer,
)
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
from csms.protocol.outgoing import Call, CommandInvalid, Writers
from csms.protocol.repair import Fields, Message
from csms.protocol.vocabulary import Decision, Fact, Outcome

PURPOSES = {
    CertificatePurpose.CHARGE_POINT: "ChargingStationCertificate",
    CertificatePurpose.V2G: "V2GCertificate",
}
_PURPOSES = {word: purpose for purpose, word in PURPOSES.items()}
ROOT_USES = {
    CertificateUse.CSMS: "CSMSRootCertificate",
    CertificateUse.MANUFACTURER: "ManufacturerRootCertificate",
    CertificateUse.V2G: "V2GRootCertificate",
    CertificateUse.MO: "MORootCertificate",
}
USES = {**ROOT_USES, CertificateUse.V2G_CHAIN: "V2GCertificateChain"}
_USES = {word: use for use, word in USES.items()}
_URL_LENGTH_MAX = 2000  # as 2.1 has it; 512 in 2.0.1
_EXI_LENGTH_MAX = 11_000  # as 2.1 has it; 5600 in 2.0.1. A cut one would be another message
_WORD_LENGTH_MAX = 50


def certificate_signed(command: certificates.SendSignedCertificate) -> Call:
    """Where the request named no type the answer names none either: it is for both (A02.FR.02)."""
    action = "CertificateSigned"
    chain = require_certificate(action, "certificateChain", command.chain, CHAIN_LENGTH_MAX)
    kind = PURPOSES.get(command.purpose)
    return action, {"certificateChain": chain, **({} if kind is None else {"certificateType": kind})}


def install_certificate(command: certificates.InstallCertificate) -> Call:
    action = "InstallCertificate"
    if command.use not in ROOT_USES:
        raise CommandInvalid(action, "a V2G chain comes by CertificateSigned; install roots")
    certificate = require_certificate(action, "certificate", command.certificate, CERTIFICATE_LENGTH_MAX)
    return action, {"certificateType": ROOT_USES[command.use], "certificate": certificate}


def delete_certificate(command: certificates.DeleteCertificate) -> Call:
    return "DeleteCertificate", {"certificateHashData": hash_data(command.certificate)}


def get_installed_certificate_ids(command: certificates.GetInstalledCertificates) -> Call:
    payload: dict[str, object] = {"certificateType": [USES[use] for use in command.uses]} if command.uses else {}
    return "GetInstalledCertificateIds", payload


def installed_certificates(_command: certificates.GetInstalledCertificates, payload: dict[str, object]) -> Outcome:
    return installed_outcome(payload, list(_installed(Fields(payload, set()))))


def _installed(fields: Fields) -> Iterator[dict[str, object]]:
    """Each certificate, and those below it in its chain."""
    for item in fields.items("certificateHashDataChain"):
        chain = Fields(item, set())
        use = _USES.get(chain.word("certificateType", frozenset(_USES)) or "")
        top = read_hash(chain.child("certificateHashData") or Fields({}, set()))
        if use is None or top is None:
            continue
        yield hash_row(use, top)
        for each in chain.items("childCertificateHashData"):
            child = read_hash(Fields(each, set()))
            if child is not None:
                yield hash_row(use, child, child_of=top.number)


def sign_certificate(message: Message) -> Fact | None:
    word = message.fields.word("certificateType", frozenset(_PURPOSES))
    return read_request(message, CertificatePurpose.COMBINED if word is None else _PURPOSES.get(word))


def get_15118_ev_certificate(message: Message) -> Fact | None:
    fields = message.fields
    version, exi = fields.text("iso15118SchemaVersion", _WORD_LENGTH_MAX), fields.text("exiRequest", _EXI_LENGTH_MAX)
    action = fields.word("action", frozenset({"Install", "Update"}))
    if version is None or exi is None or action is None:
        return None
    return EvCertificateAsked(schema_version=version, action=action, exi=exi, quirks=message.noted())


def get_certificate_status(message: Message) -> Fact | None:
    asked = message.fields.child("ocspRequestData")
    certificate = None if asked is None else read_hash(asked)
    url = None if asked is None else asked.text("responderURL", _URL_LENGTH_MAX)
    if certificate is None or url is None:
        return None
    return CertificateStatusAsked(certificate=certificate, url=url, quirks=message.noted())


def signing_answer(decision: Decision) -> dict[str, object]:
    assert isinstance(decision, SigningAnswer), "a SignCertificate is answered with a status"
    return answer_status(decision.accepted, "Rejected", decision.reason, told=True)


def ev_certificate_answer(decision: Decision) -> dict[str, object]:
    assert isinstance(decision, EvCertificateAnswer), "an EV's request is answered with what it is told"
    return {**answer_status(decision.accepted, "Failed", decision.reason, told=True), "exiResponse": decision.exi}


def certificate_status_answer(decision: Decision) -> dict[str, object]:
    assert isinstance(decision, CertificateStatusAnswer), "GetCertificateStatus is answered with an OCSP result"
    answer = answer_status(decision.ocsp_result is not None, "Failed", decision.reason, told=True)
    return answer if decision.ocsp_result is None else {**answer, "ocspResult": decision.ocsp_result}


CALLS: Writers = {
    certificates.SendSignedCertificate: certificate_signed,
    certificates.InstallCertificate: install_certificate,
    certificates.DeleteCertificate: delete_certificate,
    certificates.GetInstalledCertificates: get_installed_certificate_ids,
}
OUTCOMES: AnswerReaders = {certificates.GetInstalledCertificates: installed_certificates}
READERS: dict[str, Callable[[Message], Fact | None]] = {
    "Get15118EVCertificate": get_15118_ev_certificate,
    "GetCertificateStatus": get_certificate_status,
    "SignCertificate": sign_certificate,
}
ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {
    "Get15118EVCertificate": ev_certificate_answer,
    "GetCertificateStatus": certificate_status_answer,
    "SignCertificate": signing_answer,
}
