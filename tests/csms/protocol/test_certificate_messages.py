"""Certificates as each version writes and reads them (1.6 security white paper; 2.0.1 A02, A03, M01-M06)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_payloads import CHARGE_POINT, JSON, RECEIVED_AT

from csms.protocol.blocks.certificate_facts import (
    CertificateHash,
    CertificatePurpose,
    CertificateRequested,
    CertificateStatusAnswer,
    CertificateStatusAsked,
    EvCertificateAnswer,
    EvCertificateAsked,
    HashAlgorithm,
    Reason,
    SigningAnswer,
)
from csms.protocol.blocks.certificates import (
    CertificateUse,
    DeleteCertificate,
    GetInstalledCertificates,
    InstallCertificate,
    SendSignedCertificate,
)
from csms.protocol.translator import CommandInvalid, Refusal, translator
from csms.protocol.validation import is_valid
from csms.protocol.vocabulary import Command, Decision, Outcome, Protocol

PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
CSR = "-----BEGIN CERTIFICATE REQUEST-----\nTUlJ\n-----END CERTIFICATE REQUEST-----\n"
V16, V201 = Protocol.V16, Protocol.V201
HASH = CertificateHash(algorithm=HashAlgorithm.SHA256, issuer_name="ab12", issuer_key="cd34", number="5a1f")
HASH_DATA = {"hashAlgorithm": "SHA256", "issuerNameHash": "ab12", "issuerKeyHash": "cd34", "serialNumber": "5a1f"}
CHILD = {"hashAlgorithm": "SHA512", "issuerNameHash": "ef56", "issuerKeyHash": "0a", "serialNumber": "7"}
INSTALLED = {
    "use": "csms", "algorithm": "SHA256", "issuer_name": "ab12", "issuer_key": "cd34", "number": "5a1f", "child_of": None,
}  # fmt: skip
BELOW = {
    "use": "v2g_chain", "algorithm": "SHA512", "issuer_name": "ef56", "issuer_key": "0a", "number": "7", "child_of": "5a1f",
}  # fmt: skip


def sent(purpose: CertificatePurpose) -> SendSignedCertificate:
    return SendSignedCertificate(chain=PEM, purpose=purpose)


@pytest.mark.parametrize(
    ("command", "call_16", "call_201"),
    [
        (
            sent(CertificatePurpose.CHARGE_POINT),
            ("CertificateSigned", {"certificateChain": PEM}),
            ("CertificateSigned", {"certificateChain": PEM, "certificateType": "ChargingStationCertificate"}),
        ),
        (
            sent(CertificatePurpose.COMBINED),
            ("CertificateSigned", {"certificateChain": PEM}),
            ("CertificateSigned", {"certificateChain": PEM}),
        ),
        (
            InstallCertificate(use=CertificateUse.CSMS, certificate=PEM),
            ("InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": PEM}),
            ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": PEM}),
        ),
        (
            InstallCertificate(use=CertificateUse.MANUFACTURER, certificate=PEM),
            ("InstallCertificate", {"certificateType": "ManufacturerRootCertificate", "certificate": PEM}),
            ("InstallCertificate", {"certificateType": "ManufacturerRootCertificate", "certificate": PEM}),
        ),
        (
            DeleteCertificate(certificate=HASH),
            ("DeleteCertificate", {"certificateHashData": HASH_DATA}),
            ("DeleteCertificate", {"certificateHashData": HASH_DATA}),
        ),
        (
            GetInstalledCertificates(uses=(CertificateUse.MANUFACTURER,)),
            ("GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"}),
            ("GetInstalledCertificateIds", {"certificateType": ["ManufacturerRootCertificate"]}),
        ),
    ],
)
def test_what_is_asked_is_said_in_the_words_of_each_version(command: Command, call_16: Any, call_201: Any) -> None:
    assert translator(V16).command(command) == call_16
    assert translator(V201).command(command) == call_201


@pytest.mark.parametrize(
    ("command", "call"),
    [
        (
            sent(CertificatePurpose.V2G),
            ("CertificateSigned", {"certificateChain": PEM, "certificateType": "V2GCertificate"}),
        ),
        (
            InstallCertificate(use=CertificateUse.V2G, certificate=PEM),
            ("InstallCertificate", {"certificateType": "V2GRootCertificate", "certificate": PEM}),
        ),
        (
            InstallCertificate(use=CertificateUse.MO, certificate=PEM),
            ("InstallCertificate", {"certificateType": "MORootCertificate", "certificate": PEM}),
        ),
        (GetInstalledCertificates(), ("GetInstalledCertificateIds", {})),
        (
            GetInstalledCertificates(uses=(CertificateUse.V2G_CHAIN, CertificateUse.MO)),
            ("GetInstalledCertificateIds", {"certificateType": ["V2GCertificateChain", "MORootCertificate"]}),
        ),
    ],
)
def test_what_only_2_0_1_has_is_refused_in_1_6_with_the_reason(command: Command, call: Any) -> None:
    assert translator(V201).command(command) == call
    with pytest.raises(CommandInvalid, match=r"OCPP 1\.6"):
        translator(V16).command(command)


@pytest.mark.parametrize("protocol", [V16, V201])
@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (SendSignedCertificate(chain="MIIC"), "no certificate in PEM"),
        (SendSignedCertificate(chain=PEM + "x" * 10_000), "longer than 10000"),
        (SendSignedCertificate(chain=f"{PEM}-----BEGIN EC PRIVATE KEY-----"), "private key"),
        (InstallCertificate(use=CertificateUse.CSMS, certificate=PEM + "x" * 5500), "longer than 5500"),
        (InstallCertificate(use=CertificateUse.CSMS, certificate=""), "no certificate in PEM"),
        (InstallCertificate(use=CertificateUse.V2G_CHAIN, certificate=PEM), "V2G|v2g"),
        (DeleteCertificate(certificate=replace(HASH, number="1" * 41)), "serialNumber"),
        (DeleteCertificate(certificate=replace(HASH, issuer_name="a" * 129)), "issuerNameHash"),
    ],
)
def test_what_no_charge_point_could_read_is_not_sent(protocol: Protocol, command: Command, problem: str) -> None:
    with pytest.raises(CommandInvalid, match=problem):
        translator(protocol).command(command)


# --- what they answer ----------------------------------------------------------------------------------------------------

LISTED = GetInstalledCertificates(uses=(CertificateUse.CSMS,))


@pytest.mark.parametrize(
    ("protocol", "payload", "outcome"),
    [
        (
            V16, {"status": "Accepted", "certificateHashData": [HASH_DATA]},
            Outcome(accepted=True, status="Accepted", data={"certificates": [INSTALLED]}),
        ),
        (
            V201,
            {
                "status": "Accepted",
                "certificateHashDataChain": [
                    {"certificateType": "CSMSRootCertificate", "certificateHashData": HASH_DATA},
                    {
                        "certificateType": "V2GCertificateChain", "certificateHashData": HASH_DATA,
                        "childCertificateHashData": [CHILD],
                    },
                ],
            },
            Outcome(
                accepted=True, status="Accepted",
                data={"certificates": [INSTALLED, {**INSTALLED, "use": "v2g_chain"}, BELOW]},
            ),
        ),
        (V16, {"status": "NotFound"}, Outcome(accepted=True, status="NotFound", data={"certificates": []})),
        (
            V201, {"status": "NotFound", "statusInfo": {"reasonCode": "NotFound", "additionalInfo": "none yet"}},
            Outcome(accepted=True, status="NotFound", data={"certificates": []}, detail="NotFound: none yet"),
        ),
        (V16, {"status": "Accepted"}, Outcome(accepted=False, status="invalid_answer", detail="the answer is Accepted and names no certificate")),
        (V201, {"status": "Accepted", "certificateHashDataChain": [{"certificateType": "CSMSRootCertificate"}]}, Outcome(accepted=False, status="invalid_answer", detail="the answer is Accepted and names no certificate")),
    ],
)  # fmt: skip
def test_the_certificates_that_a_charge_point_trusts_are_read(
    protocol: Protocol, payload: dict[str, object], outcome: Outcome
) -> None:
    assert translator(protocol).outcome(LISTED, payload) == outcome


@pytest.mark.parametrize("protocol", [V16, V201])
@pytest.mark.parametrize(
    ("command", "statuses"),
    [
        (sent(CertificatePurpose.CHARGE_POINT), {"Accepted": True, "Rejected": False}),
        (
            InstallCertificate(use=CertificateUse.CSMS, certificate=PEM),
            {"Accepted": True, "Rejected": False, "Failed": False},
        ),
        (DeleteCertificate(certificate=HASH), {"Accepted": True, "Failed": False, "NotFound": False}),
    ],
)
def test_each_status_of_the_schema_says_whether_it_was_done(
    protocol: Protocol, command: Command, statuses: dict[str, bool]
) -> None:
    read = {status: translator(protocol).outcome(command, {"status": status}) for status in statuses}

    assert {status: outcome.accepted for status, outcome in read.items()} == statuses
    assert {outcome.status for outcome in read.values()} == set(statuses)


@given(payload=JSON)
def test_no_answer_however_wrong_raises(payload: Any) -> None:
    for protocol in (V16, V201):
        for command in (LISTED, DeleteCertificate(certificate=HASH)):
            assert isinstance(translator(protocol).outcome(command, payload), Outcome)


# --- what they ask of us -------------------------------------------------------------------------------------------------


def read(protocol: Protocol, action: str, payload: object, *, strict: bool = False) -> Any:
    charge_point = replace(CHARGE_POINT, strict=strict)
    return translator(protocol).read(action, payload, charge_point=charge_point, received_at=RECEIVED_AT)


@pytest.mark.parametrize(
    ("protocol", "payload", "purpose", "quirks"),
    [
        (V16, {"csr": CSR}, CertificatePurpose.CHARGE_POINT, ()),
        (V201, {"csr": CSR}, CertificatePurpose.COMBINED, ()),
        (V201, {"csr": CSR, "certificateType": "ChargingStationCertificate"}, CertificatePurpose.CHARGE_POINT, ()),
        (V201, {"csr": CSR, "certificateType": "V2GCertificate"}, CertificatePurpose.V2G, ()),
        (V201, {"csr": CSR, "certificateType": "v2gcertificate"}, CertificatePurpose.V2G, ("unknown_enum", "word_case")),
    ],
)  # fmt: skip
def test_a_request_says_what_its_certificate_is_for(
    protocol: Protocol, payload: object, purpose: CertificatePurpose, quirks: tuple[str, ...]
) -> None:
    assert read(protocol, "SignCertificate", payload) == CertificateRequested(
        csr=CSR, purpose=purpose, length=len(CSR), quirks=quirks
    )


@pytest.mark.parametrize("protocol", [V16, V201])
def test_a_request_longer_than_allowed_is_not_cut_but_refused(protocol: Protocol) -> None:
    fact = read(protocol, "SignCertificate", {"csr": "x" * 10_000})
    refusal = read(protocol, "SignCertificate", {"csr": "x" * 10_000}, strict=True)

    assert (fact.csr, fact.length, fact.quirks) == (None, 10_000, ("text_too_long",))
    assert refusal == Refusal(code="PropertyConstraintViolation", description="csr is longer than 5500 characters")


@pytest.mark.parametrize("payload", [{}, {"csr": None}, {"csr": 7}, {"csr": ["x"]}, []])
def test_a_request_without_text_has_no_meaning(payload: object) -> None:
    assert isinstance(read(V16, "SignCertificate", payload), Refusal)
    assert isinstance(read(V201, "SignCertificate", payload), Refusal)


def test_every_field_of_what_charging_stations_have_us_find_out_is_kept() -> None:
    ev = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "gJgB"}
    status = {"ocspRequestData": {**HASH_DATA, "responderURL": "http://ocsp.example/v2g"}}

    assert read(V201, "Get15118EVCertificate", ev) == EvCertificateAsked(
        schema_version="urn:iso:15118:2:2013:MsgDef", action="Install", exi="gJgB"
    )
    assert read(V201, "GetCertificateStatus", status) == CertificateStatusAsked(
        certificate=HASH, url="http://ocsp.example/v2g"
    )
    assert isinstance(read(V201, "GetCertificateStatus", {"ocspRequestData": HASH_DATA}), Refusal)
    assert isinstance(read(V201, "Get15118EVCertificate", {"action": "Install"}), Refusal)


REASON = Reason(code="InvalidCSR", text="O is not the name of this operator")
REASON_INFO = {"reasonCode": "InvalidCSR", "additionalInfo": "O is not the name of this operator"}


@pytest.mark.parametrize(
    ("action", "decision", "answer_16", "answer_201"),
    [
        ("SignCertificate", SigningAnswer(accepted=True), {"status": "Accepted"}, {"status": "Accepted"}),
        (
            "SignCertificate", SigningAnswer(accepted=False, reason=REASON), {"status": "Rejected"},
            {"status": "Rejected", "statusInfo": REASON_INFO},
        ),
        (
            "Get15118EVCertificate", EvCertificateAnswer(accepted=False, reason=REASON), None,
            {"status": "Failed", "exiResponse": "", "statusInfo": REASON_INFO},
        ),
        ("GetCertificateStatus", CertificateStatusAnswer(ocsp_result="MIIB"), None, {"status": "Accepted", "ocspResult": "MIIB"}),
        (
            "GetCertificateStatus", CertificateStatusAnswer(reason=REASON), None,
            {"status": "Failed", "statusInfo": REASON_INFO},
        ),
    ],
)  # fmt: skip
def test_answers_are_in_the_words_of_the_version(
    action: str, decision: Decision, answer_16: object, answer_201: object
) -> None:
    if answer_16 is not None:
        assert translator(V16).answer(action, decision) == answer_16
    assert translator(V201).answer(action, decision) == answer_201


@given(
    code=st.text(st.characters(codec="utf-8"), max_size=20), text=st.text(st.characters(codec="utf-8"), max_size=3000)
)
def test_a_reason_never_makes_an_answer_that_the_schema_refuses(code: str, text: str) -> None:
    answer = translator(V201).answer(
        "SignCertificate", SigningAnswer(accepted=False, reason=Reason(code=code, text=text))
    )

    assert is_valid(V201, "SignCertificate", answer, response=True)
