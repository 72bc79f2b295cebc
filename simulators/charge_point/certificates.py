"""Certificates of a simulated charge point: its own, made from requests, and those that it trusts (1.6 security white
paper; OCPP 2.0.1 A02, A03, M03-M05). What it holds is what TLS is spoken with.
"""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201

from simulators.charge_point.dialect import Handler
from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.charge_point.station import SimulatedChargePoint

CHARGE_POINT, V2G = "ChargingStationCertificate", "V2GCertificate"
TRIGGERS = {
    "SignChargePointCertificate": CHARGE_POINT,
    "SignChargingStationCertificate": CHARGE_POINT,
    "SignV2GCertificate": V2G,
    "SignCombinedCertificate": None,
}
OURS = frozenset({"CentralSystemRootCertificate", "CSMSRootCertificate"})
HELD_MAX = 8
_ALGORITHMS = {"SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}


@dataclass(frozen=True, slots=True)
class Own:
    """A certificate with the key that was made for it."""

    key: ec.EllipticCurvePrivateKey
    chain: str

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(self.chain.encode())[0]


class Certificates:
    """``trusted``: by use, as in InstallCertificate. ``refuses``: every certificate that it is sent is one too many."""

    def __init__(self, station: SimulatedChargePoint) -> None:
        self._station = station
        self.own: dict[str | None, Own] = {}
        self.trusted: dict[str, list[x509.Certificate]] = {}
        self.refuses = False
        self._keys: dict[str | None, ec.EllipticCurvePrivateKey] = {}

    # --- its own

    @property
    def organisation(self) -> str:
        """What the operator has told it to be."""
        settings = self._station.dialect.settings
        found = settings.find("CpoName") or settings.find("SecurityCtrlr.OrganizationName")
        return "" if found is None else found[1].value

    def request(self, purpose: str | None = CHARGE_POINT) -> str:
        """A signing request for a new key, in PEM."""
        key = self._keys[purpose] = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.COMMON_NAME, self._station.identity[:25])]
        if self.organisation:
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organisation))
        made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
        return made.public_bytes(Encoding.PEM).decode()

    async def renew(self, purpose: str | None = CHARGE_POINT) -> str:
        """Make a key and ask for its certificate; the answer's status, or ``unanswered``. Refused, the key is given up."""
        before = self._keys.get(purpose)
        csr = self.request(purpose)
        payload: Any = call201.SignCertificate(csr=csr, certificate_type=purpose)
        if self._station.dialect.subprotocol == "ocpp1.6":
            payload = call16.SignCertificate(csr=csr)
        answer = await self._station.ask(payload)
        status = "unanswered" if answer is None else str(answer.status)
        if status == "Rejected" and before is not None:
            self._keys[purpose] = before
        self._station.truth.note(self._station.clock.now, "sign certificate", status)
        return status

    async def follow(self, trigger: str) -> None:
        """Follow-up of a trigger."""
        await self.renew(TRIGGERS[trigger])

    def take(self, chain: str, purpose: str | None) -> str:
        """Accept a certificate that is for the key that was made last, valid now, and signed by the next in its chain."""
        key = self._keys.get(purpose)
        if self.refuses or key is None or not self._fits(chain, key):
            if self._station.dialect.subprotocol != "ocpp1.6":
                self._station.follow_ups.append(self._complain)
            return "Rejected"
        self.own[purpose] = Own(key, chain)
        self._station.truth.note(self._station.clock.now, "certificate", f"{self.own[purpose].leaf.serial_number:X}")
        return "Accepted"

    def _fits(self, chain: str, key: ec.EllipticCurvePrivateKey) -> bool:
        try:
            leaf, *above = certificates = x509.load_pem_x509_certificates(chain.encode())
            for each, issuer in zip(certificates, above, strict=False):
                each.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return False
        now: datetime = self._station.clock.shown
        return leaf.public_key() == key.public_key() and leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc

    async def _complain(self) -> None:
        """A02.FR.06, A02.FR.07: the CSMS is told why."""
        await self._station.ask(
            call201.SecurityEventNotification(
                type="InvalidChargingStationCertificate", timestamp=stamp(self._station.clock.shown)
            )
        )

    # --- those that it trusts

    def install(self, use: str, certificate: str) -> str:
        """Trust a certificate; the same one twice is one."""
        try:
            [given] = x509.load_pem_x509_certificates(certificate.encode())
        except ValueError:
            return "Rejected"
        held = self.trusted.setdefault(use, [])
        if given in held:
            return "Accepted"
        if sum(map(len, self.trusted.values())) >= HELD_MAX:
            return "Failed"
        held.append(given)
        return "Accepted"

    def delete(self, named: dict[str, Any]) -> str:
        """Trust it no longer, whatever for."""
        found = False
        for use, held in self.trusted.items():
            kept = [each for each in held if not _is(each, named)]
            found = found or len(kept) < len(held)
            self.trusted[use] = kept
        return "Accepted" if found else "NotFound"

    def listed(self, uses: list[str] | None) -> list[tuple[str, dict[str, Any]]]:
        """Use and hashes of each, of some uses or of all."""
        return [
            (use, hash_data(each)) for use, held in self.trusted.items() if not uses or use in uses for each in held
        ]

    # --- TLS

    def context(self, *, purpose: str | None = CHARGE_POINT) -> ssl.SSLContext:
        """TLS as this charge point speaks it: it trusts the roots that it holds for us, and shows its own certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        roots = [each for use, held in self.trusted.items() if use in OURS for each in held]
        if roots:
            context.load_verify_locations(cadata="".join(each.public_bytes(Encoding.PEM).decode() for each in roots))
        if purpose in self.own:
            own = self.own[purpose]
            key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            with tempfile.TemporaryDirectory(prefix="simulated-") as directory:  # ssl reads keys from files only
                file = Path(directory) / "own.pem"
                file.write_bytes(own.chain.encode() + key)
                context.load_cert_chain(file)
        return context

    async def use(self) -> None:
        """Come back by what it holds now (A02.FR.08): its new certificate, and the roots that it trusts."""
        self._station.link.tls = self.context()
        await self._station.offline()
        await self._station.online_again()


def hash_data(certificate: x509.Certificate, algorithm: str = "SHA256") -> dict[str, Any]:
    """CertificateHashDataType of a self-signed certificate."""
    return {
        "hash_algorithm": algorithm,
        "issuer_name_hash": _hash(certificate.issuer.public_bytes(), algorithm),
        "issuer_key_hash": _hash(_key_bits(certificate), algorithm),
        "serial_number": f"{certificate.serial_number:x}",
    }


def _is(certificate: x509.Certificate, named: dict[str, Any]) -> bool:
    told = hash_data(certificate, named["hash_algorithm"])
    return all(str(told[name]).lower() == str(value).lower() for name, value in named.items() if name in told)


def _hash(data: bytes, algorithm: str) -> str:
    digest = hashes.Hash(_ALGORITHMS[algorithm])
    digest.update(data)
    return digest.finalize().hex()


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The public key as OCSP hashes it: without its algorithm."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert isinstance(key, rsa.RSAPublicKey), "no other key signs certificates here"
    return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)


def handlers_16(station: SimulatedChargePoint) -> dict[str, Handler]:
    """Answers to the calls of the OCPP 1.6 security white paper."""
    held = station.certificates

    def signed(certificate_chain: str, **_: Any) -> Any:
        return result16.CertificateSigned(status=held.take(certificate_chain, CHARGE_POINT))

    def install(certificate_type: str, certificate: str, **_: Any) -> Any:
        return result16.InstallCertificate(status=held.install(certificate_type, certificate))

    def delete(certificate_hash_data: dict[str, Any], **_: Any) -> Any:
        return result16.DeleteCertificate(status=held.delete(certificate_hash_data))

    def listed(certificate_type: str, **_: Any) -> Any:
        found = [each for _, each in held.listed([certificate_type])]
        if not found:
            return result16.GetInstalledCertificateIds(status="NotFound")
        return result16.GetInstalledCertificateIds(status="Accepted", certificate_hash_data=found)

    return _known(station, signed, install, delete, listed)


def handlers_201(station: SimulatedChargePoint) -> dict[str, Handler]:
    """Answers to the calls of OCPP 2.0.1."""
    held = station.certificates

    def signed(certificate_chain: str, certificate_type: str | None = None, **_: Any) -> Any:
        return result201.CertificateSigned(status=held.take(certificate_chain, certificate_type))

    def install(certificate_type: str, certificate: str, **_: Any) -> Any:
        return result201.InstallCertificate(status=held.install(certificate_type, certificate))

    def delete(certificate_hash_data: dict[str, Any], **_: Any) -> Any:
        return result201.DeleteCertificate(status=held.delete(certificate_hash_data))

    def listed(certificate_type: list[str] | None = None, **_: Any) -> Any:
        found = [
            {"certificate_type": use, "certificate_hash_data": each} for use, each in held.listed(certificate_type)
        ]
        if not found:
            return result201.GetInstalledCertificateIds(status="NotFound")
        return result201.GetInstalledCertificateIds(status="Accepted", certificate_hash_data_chain=found)

    return _known(station, signed, install, delete, listed)


def _known(
    station: SimulatedChargePoint, signed: Handler, install: Handler, delete: Handler, listed: Handler
) -> dict[str, Handler]:
    """Without what this charge point is built not to know."""
    handlers = {
        "CertificateSigned": signed,
        "InstallCertificate": install,
        "DeleteCertificate": delete,
        "GetInstalledCertificateIds": listed,
    }
    return {action: handler for action, handler in handlers.items() if action not in station.build.unknown}


def follow_up(station: SimulatedChargePoint, trigger: str) -> None:
    """Make and send the request that a trigger asks for, once the trigger is answered."""
    station.follow_ups.append(partial(station.certificates.follow, trigger))
