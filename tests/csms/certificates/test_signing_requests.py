"""S10: which requests of charge points get a certificate, and what stands in it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from certificates_room import OPERATOR, csr, rsa_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from csms.certificates.authority import (
    Authority,
    RevocationReason,
    Revoked,
    issue,
    make_root,
    revocation_list,
)
from csms.certificates.issued import CertificateUnusable, put_together
from csms.certificates.signing_request import RequestFault, SigningRequest, name_fault, read_request, signing_fault
from csms.charge_points.charge_point import ChargePoint
from csms.gateway.client_certificate import (
    CertificateFault,
    CertificateRules,
    ClientCertificate,
    certificate_fault,
    read_certificate,
)

_DER = Encoding.DER
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def an_authority(name: str = OPERATOR, *, days: int = 3650) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    root = make_root(key, organisation=name, number=77, now=NOW, valid=days * DAY)
    return Authority(certificate=root, key=key)


def read(text: str) -> SigningRequest:
    request = read_request(text)
    assert isinstance(request, SigningRequest), request
    return request


def verdict(text: str, **given: Any) -> RequestFault | None:
    """As a request of CP-1 with serial number SN-9 is judged."""
    request = read_request(text)
    if isinstance(request, RequestFault):
        return request
    about = {"identity": "CP-1", "serial": "SN-9", "organisation": OPERATOR, "is_taken": False, **given}
    return name_fault(request, **about) or signing_fault(request)


@pytest.mark.parametrize(
    "text",
    [
        csr("CP-1"),
        csr("cp-1"),
        csr("SN-9"),
        csr("CP-1", key=rsa_key(2048)),
        csr("CP-1", key=ec.generate_private_key(ec.SECP384R1()), digest=hashes.SHA384()),
        csr("CP-1").replace("\n", "\\n"),
        csr("CP-1").replace("\n", "\r\n"),
        "".join(csr("CP-1").splitlines()[1:-1]),
        "\n" + csr("CP-1") + "  ",
    ],
    ids=["identity", "any case", "serial number", "RSA", "P-384", "escaped", "CRLF", "bare base64", "padded"],
)
def test_a_charge_point_gets_a_certificate_in_its_own_name(text: str) -> None:
    assert verdict(text) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("garbage", RequestFault.UNREADABLE),
        ("", RequestFault.UNREADABLE),
        ("-----BEGIN CERTIFICATE REQUEST-----\nTUlJ\n-----END CERTIFICATE REQUEST-----", RequestFault.UNREADABLE),
        (base64.b64encode(b"\x30\x82\xff\xff garbage").decode(), RequestFault.UNREADABLE),
        ("\u2028" * 100, RequestFault.UNREADABLE),
        (csr("CP-1", key=rsa_key(1024)), RequestFault.WEAK_KEY),
        (csr("CP-1", key=ec.generate_private_key(ec.SECP224R1())), RequestFault.WEAK_KEY),
        (csr("CP-1", signed_by=rsa_key(2048), key=rsa_key(2048)), RequestFault.WRONG_SIGNATURE),
        (csr("CP-1", organisation="Another Operator"), RequestFault.WRONG_ORGANISATION),
        (csr("CP-1", organisation=None), RequestFault.WRONG_ORGANISATION),
        (csr("CP-2"), RequestFault.WRONG_NAME),
        (csr(None), RequestFault.WRONG_NAME),
        (csr(" "), RequestFault.WRONG_NAME),
        (csr("CP-1", second_name="CP-2"), RequestFault.WRONG_NAME),
        (csr("csms.example"), RequestFault.WRONG_NAME),
    ],
    ids=[
        "garbage", "nothing", "garbage in PEM", "garbage in base64", "no ASCII", "RSA-1024", "P-224", "signed by another key",
        "O of another", "no O", "CN of another", "no CN", "blank CN", "two CNs", "CN of a server",
    ],
)  # fmt: skip
def test_any_other_request_is_refused(text: str, fault: RequestFault) -> None:
    assert verdict(text) == fault


def test_a_key_that_no_tls_suite_of_ocpp_takes_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)

    assert (
        signing_fault(SigningRequest(der=made.public_bytes(_DER), common_names=(), organisations=()))
        == RequestFault.WRONG_KEY
    )


def test_a_serial_number_that_another_charge_point_goes_by_is_nobodys() -> None:
    assert verdict(csr("SN-9"), is_taken=True) == RequestFault.WRONG_NAME
    assert verdict(csr("CP-1"), is_taken=True) is None
    assert verdict(csr("SN-9"), serial=None) == RequestFault.WRONG_NAME


@given(text=st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode()))
def test_no_text_however_wrong_raises(text: str) -> None:
    assert isinstance(read_request(text), RequestFault | SigningRequest)


# --- what is made ----------------------------------------------------------------------------------------------------------


def test_a_certificate_is_one_that_the_door_lets_in_and_takes_nothing_from_the_request_but_key_and_name() -> None:
    authority = an_authority()
    key = rsa_key(2048)
    made = issue(authority, read(csr("CP-1", key=key)).der, number=0x5A1F, now=NOW, valid=365 * DAY)
    seen = read_certificate(made.public_bytes(_DER))
    assert isinstance(seen, ClientCertificate)
    rules = CertificateRules(organisation=OPERATOR)
    charge_point, other = ChargePoint(id="CP-1", site="harbour"), ChargePoint(id="CP-2", site="harbour")

    made.verify_directly_issued_by(authority.certificate)
    assert certificate_fault(seen, charge_point, rules, now=NOW) is None
    assert certificate_fault(seen, other, rules, now=NOW) is CertificateFault.WRONG_NAME
    assert certificate_fault(seen, charge_point, rules, now=NOW + 366 * DAY) is CertificateFault.EXPIRED
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    extended = list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    assert extended == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_what_a_request_wishes_for_besides_is_not_given() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(read_subject(csr("CP-1")))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("csms.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = issue(an_authority(), greedy.public_bytes(_DER), number=1, now=NOW, valid=DAY)

    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    with pytest.raises(x509.ExtensionNotFound):
        made.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def read_subject(text: str) -> x509.Name:
    return x509.load_pem_x509_csr(text.encode()).subject


def test_no_certificate_outlives_the_root_that_signed_it() -> None:
    authority = an_authority(days=30)
    made = issue(authority, read(csr("CP-1")).der, number=1, now=NOW, valid=365 * DAY)

    assert made.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_what_an_authority_gives_is_passed_on_only_if_it_is_what_was_asked_for() -> None:
    ours, stranger = an_authority(), an_authority("Somebody Else")
    request = read(csr("CP-1"))
    good = issue(ours, request.der, number=1, now=NOW, valid=DAY)
    of_another_key = issue(ours, read(csr("CP-1")).der, number=2, now=NOW, valid=DAY)
    signed_by_nobody = issue(stranger, request.der, number=3, now=NOW, valid=DAY)
    known = [ours.certificate]

    assert put_together(request.der, [of_another_key, good], known, now=NOW).number == "1"
    assert put_together(request.der, [good], known, now=NOW).chain.count("BEGIN CERTIFICATE") == 1, "without the root"
    for given_, at, problem in (
        ([of_another_key], NOW, "no certificate for the key"),
        ([signed_by_nobody], NOW, "nobody"),
        ([good], NOW + 2 * DAY, "not valid now"),
        ([], NOW, "no certificate for the key"),
    ):
        with pytest.raises(CertificateUnusable, match=problem):
            put_together(request.der, given_, known, now=at)


def test_the_list_of_revoked_certificates_names_them_with_time_and_reason() -> None:
    authority = an_authority()
    revoked = [
        Revoked(number=5, at=NOW, reason=RevocationReason.KEY_COMPROMISE),
        Revoked(number=6, at=NOW, reason=RevocationReason.UNSPECIFIED),
    ]
    made = x509.load_pem_x509_crl(revocation_list(authority, revoked, now=NOW))
    [first, second] = sorted(made, key=lambda each: each.serial_number)

    assert made.is_signature_valid(authority.key.public_key())
    assert (first.serial_number, first.revocation_date_utc) == (5, NOW)
    assert first.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert (second.serial_number, len(second.extensions)) == (6, 0)
    assert made.next_update_utc == NOW + 7 * DAY
