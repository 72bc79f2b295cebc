"""Who may come in: path, credentials, certificate, Origin and subprotocol of a handshake, without a socket. Pure."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import unquote_to_bytes, urlsplit

from csms.charge_points.charge_point import IDENTITY_LENGTH_MAX, ChargePoint, Proof, password_proof
from csms.gateway.client_certificate import (
    NEXT_STEPS,
    CertificateFault,
    CertificateRecord,
    CertificateRules,
    ClientCertificate,
    certificate_fault,
    is_named,
    is_same_name,
)
from csms.protocol.vocabulary import Protocol, Registration
from csms.security.event import OwnKind

PATH = "ocpp"
SHOWN_LENGTH_MAX = 100
DEFAULT_PROTOCOL = Protocol.V16  # who offers no subprotocol is an old 1.6 stack (Grizzl-E's TinyWebsockets)

_escape = codecs.getencoder("unicode_escape")  # found now: Python would look for its file when it is needed first
_PASTED_URL = re.compile(r"wss?:/+[^/]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The handshake ends with an HTTP answer. `guess`: it may have been an attempt to find an identity or password.

    `next_step` is for the log: whose move it is, where that is not plain from the reason. `event`: what it is to whoever
    watches over security.
    """

    status: HTTPStatus
    reason: str
    text: str
    guess: bool = False
    next_step: str | None = None
    event: OwnKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """`warnings` are log event names: how it was admitted is not how it should be.

    `certificate` is the one by which profile 3 was proved; None where it was another profile.
    """

    charge_point: ChargePoint
    proof: Proof
    warnings: tuple[str, ...] = ()
    certificate: ClientCertificate | None = None

    @property
    def certificate_name(self) -> str | None:
        """The CN by which profile 3 was proved."""
        return None if self.certificate is None else self.certificate.common_names[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encrypted:
    """The peer came by TLS. `rules` None: certificates are not asked for, so there is none. `at`: when it came.

    `record`: what our books say of the certificate; `issuers`: those above it. `by_proxy`: TLS ended at a trusted proxy in front of us, which shows
    us no certificate.
    """

    at: datetime
    certificate: ClientCertificate | CertificateFault | None = None
    rules: CertificateRules | None = None
    record: CertificateRecord | None = None
    issuers: Sequence[ClientCertificate] = ()
    by_proxy: bool = False


UNKNOWN = Rejected(
    status=HTTPStatus.NOT_FOUND,
    reason="unknown_identity",
    text="no such charge point; path is /ocpp/IDENTITY",
    guess=True,
)
UNAUTHORIZED = Rejected(
    status=HTTPStatus.UNAUTHORIZED,
    reason="bad_credentials",
    text="Basic authentication with the identity as user name is required",
    guess=True,
)


def shown(text: str) -> str:
    """`text` as it may stand in a log line: escaped and short, whatever a peer put into it."""
    escaped = _escape(text[:SHOWN_LENGTH_MAX])[0].decode("ascii")
    return escaped if len(text) <= SHOWN_LENGTH_MAX else escaped + "..."


def identity_of(path: str) -> str | Rejected:
    """The identity in a request path `/ocpp/IDENTITY`.

    Borne: doubled and trailing slashes, and a whole URL pasted where the identity belongs (openems#1401,
    ioBroker.ocpp#60). Percent-encoding is decoded once.
    """
    try:
        text = unquote_to_bytes(re.split(r"[?#]", path, maxsplit=1)[0]).decode()
    except UnicodeDecodeError:
        return _bad_path("not UTF-8")
    if not text.isprintable():
        return _bad_path("control characters")
    *pasted, rest = _PASTED_URL.split(text)
    segments = [segment for segment in rest.split("/") if segment]
    if segments and segments[0].lower() == PATH:
        segments = segments[1:]
    elif not pasted:
        return UNKNOWN
    if len(segments) != 1 or segments[0] in {".", ".."}:
        return UNKNOWN
    identity = segments[0]
    if ":" in identity:  # OCPP 2.0.1 Part 4 3.1.1: it could not be told from the password in Basic auth
        return _bad_path("an identity has no colon")
    return identity if len(identity) <= IDENTITY_LENGTH_MAX else UNKNOWN


def _bad_path(why: str) -> Rejected:
    return Rejected(status=HTTPStatus.BAD_REQUEST, reason="bad_path", text=f"path is /ocpp/IDENTITY: {why}", guess=True)


def basic_credentials(headers: Sequence[str]) -> tuple[bytes, bytes] | None:
    """User name and password of the Authorization header, byte for byte: a 1.6 key may hold 0x00, 0x3A and 0xFF."""
    if len(headers) != 1:
        return None
    scheme, _, encoded = headers[0].strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    name, colon, password = decoded.partition(b":")
    return (name, password) if colon else None


def admit(
    charge_point: ChargePoint | None,
    *,
    authorization: Sequence[str],
    origin: Sequence[str],
    public_hosts: Iterable[str],
    password_key: bytes,
    tls: Encrypted | None = None,
) -> Admitted | Rejected:
    """May this peer speak as `charge_point`? Only by the profile registered for it: a peer cannot choose (A05.FR.07).

    While a higher one is wanted both are taken, the higher one first. `tls` None: the socket is plain.
    """
    if charge_point is None:
        return UNKNOWN
    door = _Door(authorization, origin, public_hosts, password_key, tls)
    wanted = charge_point.security_profile_wanted
    if wanted is not None:
        verdict = _admit_as(replace(charge_point, security_profile=wanted), door)
        if isinstance(verdict, Admitted):
            return replace(verdict, charge_point=charge_point)
    return _admit_as(charge_point, door)


@dataclass(frozen=True, slots=True)
class _Door:
    """What a peer shows, and what it is measured by."""

    authorization: Sequence[str]
    origin: Sequence[str]
    public_hosts: Iterable[str]
    password_key: bytes
    tls: Encrypted | None


def _admit_as(charge_point: ChargePoint, door: _Door) -> Admitted | Rejected:
    """By exactly its `security_profile`."""
    tls = door.tls
    if charge_point.security_profile >= 2 and tls is None:  # noqa: PLR2004 - 2 and 3 have TLS (A00.FR.002)
        return Rejected(
            status=HTTPStatus.FORBIDDEN,
            reason="needs TLS",
            text=f"this charge point has security profile {charge_point.security_profile}: it needs TLS, use wss://",
            next_step="set the charge point to wss:// and the port of --tls-port",
            event=OwnKind.PROFILE_REFUSED,
        )
    if charge_point.security_profile == 3 and tls is not None:  # noqa: PLR2004 - the one with client certificates
        return _admit_by_certificate(charge_point, tls)
    credentials = basic_credentials(door.authorization)
    if charge_point.security_profile == 0:
        return _admit_without_password(
            charge_point, credentials, bool(door.authorization), door.origin, door.public_hosts
        )
    return _admit_by_password(charge_point, credentials, door.password_key)


def _admit_by_password(
    charge_point: ChargePoint, credentials: tuple[bytes, bytes] | None, key: bytes
) -> Admitted | Rejected:
    """Profiles 1 and 2."""
    if credentials is None or not _is_name_of(charge_point, credentials[0]):
        return UNAUTHORIZED
    proof = password_proof(charge_point, credentials[1], key=key)
    return UNAUTHORIZED if proof is None else Admitted(charge_point=charge_point, proof=proof)


def _admit_by_certificate(charge_point: ChargePoint, tls: Encrypted) -> Admitted | Rejected:
    """Profile 3. A password does not count here, neither instead of the certificate nor against it."""
    if tls.by_proxy:
        return _needs_certificate(
            "TLS ends at the proxy",
            "let the proxy pass TLS through to --tls-port: only then is the certificate seen (csms node haproxy-example)",
        )
    if tls.rules is None:
        return _needs_certificate("no_client_ca", "start csms serve with --tls-client-ca")
    match tls.certificate:
        case None:
            return _needs_certificate(
                "needs a client certificate", "install one in the charge point, or lower its profile: csms cp set"
            )
        case CertificateFault() as fault:
            return _bad_certificate(fault)
        case ClientCertificate() as certificate:
            fault_or_none = certificate_fault(
                certificate, charge_point, tls.rules, now=tls.at, record=tls.record, issuers=tls.issuers
            )
            if fault_or_none is not None:
                return _bad_certificate(fault_or_none)
            return Admitted(
                charge_point=charge_point,
                proof=Proof(profile=charge_point.security_profile),
                certificate=certificate,
            )


def _needs_certificate(reason: str, next_step: str) -> Rejected:
    return Rejected(
        status=HTTPStatus.FORBIDDEN,
        reason=reason,
        text="this charge point has security profile 3: it needs a client certificate",
        next_step=next_step,
        event=OwnKind.PROFILE_REFUSED,
    )


def _bad_certificate(fault: CertificateFault) -> Rejected:
    text = fault.value.replace("_", " ")
    return Rejected(
        status=HTTPStatus.FORBIDDEN,
        reason=fault.value,
        text=text,
        next_step=NEXT_STEPS[fault],
        event=OwnKind.CERTIFICATE_REFUSED,
    )


def contradicts_certificate(admitted: Admitted, serial: str | None, protocol: Protocol) -> bool:
    """Whether a boot tells another serial number than the certificate did (B01.FR.11).

    OCPP 2.0.1 wants the CN to be the serial number. A CN that is the identity is borne where no other number is told,
    and in 1.6, which has no such rule; where the CN was taken for the serial number it must go on being it.
    """
    name = admitted.certificate_name
    if name is None or is_same_name(serial, name):
        return False
    is_identity = is_same_name(name, admitted.charge_point.id)
    return not is_identity or (serial is not None and protocol is not Protocol.V16)


def ending_reason(admitted: Admitted, before: ChargePoint, now: ChargePoint) -> str | None:
    """Why an open socket has to end by what an operator changed; None: it goes on.

    By what it showed when it came it has to be welcome still. A password that it was given meanwhile, over OCPP, is as
    good as the one that it came with.
    """
    if now.registration is Registration.REJECTED and before.registration is not Registration.REJECTED:
        return "its registration is Rejected"
    proof, profiles = admitted.proof, {now.security_profile, now.security_profile_wanted}
    if 0 in profiles:
        return None
    if proof.profile not in profiles and not (proof.by_password and proof.profile == 2 and 1 in profiles):  # noqa: PLR2004 - 2 is 1 with TLS
        return f"security profile {now.security_profile} is needed now"
    if proof.by_password and not _is_password_known(admitted, now):
        return "its password has been replaced"
    if admitted.certificate_name is not None and not is_named(now, admitted.certificate_name):
        return "its certificate has another name than is registered"
    return None


def _is_password_known(admitted: Admitted, now: ChargePoint) -> bool:
    if now.password_given_at is not None and now.password_given_at == now.password_changed_at:
        return True
    shown_hash = admitted.charge_point.password_hash
    for each in admitted.charge_point.passwords_waiting:
        if each.change == admitted.proof.change:
            shown_hash = each.hash
    return shown_hash in {now.password_hash, *(each.hash for each in now.passwords_waiting)}


def _admit_without_password(
    charge_point: ChargePoint,
    credentials: tuple[bytes, bytes] | None,
    credentials_sent: bool,
    origin: Sequence[str],
    public_hosts: Iterable[str],
) -> Admitted | Rejected:
    """Profile 0. A browser sends Origin: a page of somebody else's must not speak for a charge point (RULES.md 24)."""
    ours = {host.lower() for host in public_hosts}
    if any(_host(each) not in ours for each in origin):
        return Rejected(
            status=HTTPStatus.FORBIDDEN,
            reason="foreign_origin",
            text="Origin is none of ours (public_hosts)",
            event=OwnKind.ORIGIN_REFUSED,
        )
    if credentials_sent and (credentials is None or not _is_name_of(charge_point, credentials[0])):
        return UNAUTHORIZED
    return Admitted(charge_point=charge_point, proof=Proof(profile=0), warnings=("charge_point_without_password",))


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None


def _is_name_of(charge_point: ChargePoint, name: bytes) -> bool:
    """A00.FR.204: the user name is the identity; DBT charge points write it in lower case."""
    try:
        return name.decode().casefold() == charge_point.id.casefold()
    except UnicodeDecodeError:
        return False


@dataclass(frozen=True, slots=True)
class Subprotocol:
    """`protocol` None: nothing in common, the handshake is completed and the socket closed (OCPP 2.0.1 Part 4 3.2).

    `echo` is what the answer's header says, None for no header.
    """

    protocol: Protocol | None
    echo: str | None


def choose_subprotocol(offered: Sequence[str], charge_point: ChargePoint) -> Subprotocol:
    """The first supported one in the client's order; if none was offered, what the charge point is registered with."""
    for each in offered:
        for protocol in Protocol:
            if each.lower() == protocol:
                return Subprotocol(protocol, each)
    if offered:
        return Subprotocol(None, None)
    return Subprotocol(charge_point.protocol or DEFAULT_PROTOCOL, None)
