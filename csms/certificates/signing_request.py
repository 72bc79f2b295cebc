"""Certificate signing requests of charge points: what they ask for, and whether they may have it. Pure.

Who signs is another's business; here is what no certificate authority can know: who asked, and what it may be called.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from csms.gateway.client_certificate import EC_BITS_MIN, RSA_BITS_MIN, is_plain_name, is_same_name
from csms.protocol.blocks.certificate_facts import Reason

RSA_BITS_MAX = 8192
"""A longer key only costs: whoever connects by it has us compute with it."""
COMMON_NAME_LENGTH_MAX = 64
"""RFC 5280 appendix A: ub-common-name. No authority can sign a longer one."""
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)


class RequestFault(StrEnum):
    """Why a request gets no certificate."""

    TOO_LONG = "too_long"
    UNREADABLE = "unreadable"
    WEAK_KEY = "key_too_weak"
    WRONG_KEY = "key_of_another_kind"
    WEAK_SIGNATURE = "signed_too_weakly"
    WRONG_SIGNATURE = "wrong_signature"
    WRONG_ORGANISATION = "another_organisation"
    WRONG_NAME = "name_of_another_charge_point"
    NOT_SERIAL = "name_is_not_the_serial_number"
    TOO_MANY = "too_many_requests"
    NO_AUTHORITY = "no_authority"


_REASONS: Mapping[RequestFault, Reason] = {  # words of 2.0.1's appendix 5
    RequestFault.TOO_LONG: Reason(code="TooLargeElement", text="the csr is longer than 5500 characters"),
    RequestFault.UNREADABLE: Reason(code="InvalidCSR", text="the csr is no PKCS#10 request in PEM"),
    RequestFault.WEAK_KEY: Reason(
        code="InvalidCSR",
        text=f"the key needs {RSA_BITS_MIN} bits (RSA, at most {RSA_BITS_MAX}) or {EC_BITS_MIN} (ECDSA)",
    ),
    RequestFault.WRONG_KEY: Reason(code="InvalidCSR", text="the key is neither RSA nor ECDSA"),
    RequestFault.WEAK_SIGNATURE: Reason(code="InvalidCSR", text="the csr is signed by MD5 or SHA-1; use SHA-256"),
    RequestFault.WRONG_SIGNATURE: Reason(code="InvalidCSR", text="the signature is not by the key in the csr"),
    RequestFault.WRONG_ORGANISATION: Reason(code="InvalidCSR", text="O is not the name of this operator"),
    RequestFault.WRONG_NAME: Reason(
        code="InvalidCSR",
        text="CN is neither the serial number nor the identity of this charging station, in 64 ASCII characters",
    ),
    RequestFault.NOT_SERIAL: Reason(
        code="InvalidCSR", text="CN is not the serial number that this charging station boots with"
    ),
    RequestFault.TOO_MANY: Reason(code="Unspecified", text="too many requests within an hour; ask again later"),
    RequestFault.NO_AUTHORITY: Reason(code="NotEnabled", text="nobody here signs certificates of this type"),
}

NEXT_STEPS: Mapping[RequestFault, str] = {
    RequestFault.TOO_LONG: "the charge point's vendor has to shorten it: OCPP allows 5500 characters",
    RequestFault.UNREADABLE: "the charge point's vendor has to send PKCS#10 in PEM: csms cp trace shows what came",
    RequestFault.WEAK_KEY: f"the charge point has to make a key of {RSA_BITS_MIN} bits (RSA) or {EC_BITS_MIN} (ECDSA)",
    RequestFault.WRONG_KEY: "the charge point has to make an RSA or ECDSA key",
    RequestFault.WEAK_SIGNATURE: "the charge point has to sign it by SHA-256",
    RequestFault.WRONG_SIGNATURE: "if it happens again, the charge point's key store is broken",
    RequestFault.WRONG_ORGANISATION: "set it in the charge point: CpoName (1.6), SecurityCtrlr.OrganizationName (2.0.1)",
    RequestFault.WRONG_NAME: "the charge point has to ask for its own serial number or identity (csms cp show); where another "
    "one tells the same number, say whose it is: csms cp set CP --serial NUMBER",
    RequestFault.NOT_SERIAL: "the charging station has to ask for its serial number: by another CN its next boot is refused",
    RequestFault.TOO_MANY: "see why it asks so often, or raise CSMS_CERTIFICATE_REQUESTS_PER_HOUR",
    RequestFault.NO_AUTHORITY: "csms certificate authority create, or set CSMS_EST_URL (V2G: CSMS_EST_V2G_URL)",
}


def reason_of(fault: RequestFault) -> Reason:
    return _REASONS[fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """What a request says. `der` is all of it; its signature may yet be wrong."""

    der: bytes
    common_names: tuple[str, ...]
    organisations: tuple[str, ...]


def read_request(text: str) -> SigningRequest | RequestFault:
    """A PKCS#10 request in PEM, or in bare base64 as some charge points send it."""
    try:
        request = _parse(text)
        subject = request.subject
        return SigningRequest(
            der=request.public_bytes(Encoding.DER),
            common_names=_texts(subject, NameOID.COMMON_NAME),
            organisations=_texts(subject, NameOID.ORGANIZATION_NAME),
        )
    except (ValueError, UnsupportedAlgorithm, binascii.Error, x509.InvalidVersion):
        return RequestFault.UNREADABLE


def _parse(text: str) -> x509.CertificateSigningRequest:
    unescaped = text.replace("\\n", "\n").strip()
    if "-----BEGIN" in unescaped:
        return x509.load_pem_x509_csr(unescaped.encode("ascii"))
    return x509.load_der_x509_csr(base64.b64decode("".join(unescaped.split()), validate=True))


def _texts(name: x509.Name, kind: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(each.value) for each in name.get_attributes_for_oid(kind))


def signing_fault(request: SigningRequest) -> RequestFault | None:
    """What is wrong with its key or signature; None: whoever sent it holds the key, and it is strong enough."""
    parsed = x509.load_der_x509_csr(request.der)
    try:
        weakness = _weakness(parsed.public_key())
        is_weakly_signed = isinstance(parsed.signature_hash_algorithm, _WEAK_HASHES)
        is_signed = weakness is None and not is_weakly_signed and parsed.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        return RequestFault.UNREADABLE
    if weakness is not None:
        return weakness
    if is_weakly_signed:
        return RequestFault.WEAK_SIGNATURE
    return None if is_signed else RequestFault.WRONG_SIGNATURE


def _weakness(key: object) -> RequestFault | None:
    match key:
        case rsa.RSAPublicKey():
            return None if RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX else RequestFault.WEAK_KEY
        case ec.EllipticCurvePublicKey():
            return None if key.key_size >= EC_BITS_MIN else RequestFault.WEAK_KEY
        case _:
            return RequestFault.WRONG_KEY


def name_fault(
    request: SigningRequest,
    *,
    identity: str,
    serial: str | None,
    organisation: str | None,
    is_taken: bool,
    serial_only: bool = False,
) -> RequestFault | None:
    """Whether it may have the name that it asks for (A02, A00.FR.404-405): O is ours, CN its serial number or identity.

    CN is plain ASCII, so that nobody can read it as another's. `serial` is the one that the operator registered, else
    the one that the charge point tells: `is_taken` says that it is another one's rather, and then it is no name for this
    one. `serial_only`: where a serial number is told, the identity will not do, as the boot that follows would be turned
    away (2.0.1 B01.FR.11). `organisation` None: any.
    """
    if len(request.common_names) != 1:
        return RequestFault.WRONG_NAME
    [name] = request.common_names
    if len(name) > COMMON_NAME_LENGTH_MAX or not is_plain_name(name):
        return RequestFault.WRONG_NAME
    is_serial = is_same_name(name, serial)
    if not is_same_name(name, identity) and (not is_serial or is_taken):
        return RequestFault.WRONG_NAME
    if serial_only and serial is not None and not is_serial:
        return RequestFault.NOT_SERIAL
    if organisation is not None and request.organisations != (organisation,):
        return RequestFault.WRONG_ORGANISATION
    return None
