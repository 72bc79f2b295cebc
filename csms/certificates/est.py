"""An external certificate authority by EST (RFC 7030): what it calls itself (cacerts), and signing (simpleenroll)."""

from __future__ import annotations

import base64
import binascii
import ssl
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import pkcs7

from csms.certificates.http_exchange import Answered, Asked, Unreachable, exchange

WELL_KNOWN = "/.well-known/est"
OK, ACCEPTED, NO_CONTENT = 200, 202, 204
UNAUTHORISED = frozenset({401, 403})
RETRY_AFTER_S = 60.0
RETRY_AFTER_MAX_S = 86_400.0


class EstUrlInvalid(ValueError):
    """The address of an EST server cannot be used."""


class EstRefused(Exception):
    """The authority has seen the request and will not sign it; asking again changes nothing."""


class EstPending(Exception):
    """The authority takes its time (202, RFC 7030 section 4.2.3): ask again after `after_s`."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        super().__init__(f"the authority wants to be asked again in {after_s:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class EstServer:
    """`url` with or without /.well-known/est; a label may follow. `ca`: who signs the server's own certificate.

    `user` and `password`, or `certificate` and `key`, say who we are.
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout_s: float = 10.0

    async def cacerts(self) -> list[x509.Certificate]:
        """The authority's own certificates.

        Raises:
            Unreachable: it does not tell them.
        """
        answer = await self._ask("GET", "cacerts", None)
        if answer.status != OK:
            raise Unreachable(f"cacerts was answered with {answer.status}")
        return _certificates(answer.body)

    async def simpleenroll(self, request_der: bytes) -> list[x509.Certificate]:
        """What it gives for a PKCS#10 request.

        Raises:
            EstRefused: it will not sign it.
            EstPending: it has not yet.
            Unreachable: it does not answer, or not us.
        """
        answer = await self._ask("POST", "simpleenroll", request_der)
        match answer.status:
            case 200:
                return _certificates(answer.body)
            case 202:
                raise EstPending(_retry_after_s(answer))
            case status if status in UNAUTHORISED:
                raise Unreachable(f"it does not let us in ({status}): see CSMS_EST_USER, CSMS_EST_CERTIFICATE")
            case status if 400 <= status < 500 and status not in {404, 408, 429}:  # noqa: PLR2004 - HTTP's classes
                raise EstRefused(f"it refuses the request ({status}): {_words(answer)}")
            case status:
                raise Unreachable(f"simpleenroll was answered with {status}: {_words(answer)}")

    async def _ask(self, method: str, operation: str, der: bytes | None) -> Answered:
        headers = {"Accept": "application/pkcs7-mime"}
        body = None
        if der is not None:
            body = base64.encodebytes(der)
            headers |= {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"}
        if self.user is not None:
            login = f"{self.user}:{self.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        try:
            tls = self._tls()
        except OSError as trouble:  # ssl.SSLError is one
            raise Unreachable(f"the files of EST cannot be used: {trouble}") from None
        asked = Asked(method=method, url=est_url(self.url, operation), body=body, headers=headers)
        return await exchange(asked, tls=tls, timeout_s=self.timeout_s)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key, password=_no_pass_phrase)
        return context


def _no_pass_phrase() -> bytes:
    """Without it OpenSSL would ask at the terminal."""
    return b""


def est_url(url: str, operation: str) -> SplitResult:
    """Where an operation of the EST server at `url` is.

    Raises:
        EstUrlInvalid: it is no https URL of a server (RFC 7030 section 3.3 wants TLS), or carries a password or a query.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise EstUrlInvalid("it has no valid host and port") from None
    if parts.scheme != "https" or not host:
        raise EstUrlInvalid("EST is spoken over https://: give https://HOST[/.well-known/est[/LABEL]]")
    if parts.username is not None or parts.query or parts.fragment:
        raise EstUrlInvalid(
            "it holds a password, a query or a fragment: CSMS_EST_USER and CSMS_EST_PASSWORD say who we are"
        )
    path = parts.path.rstrip("/")
    if not path.startswith(WELL_KNOWN):
        path = f"{WELL_KNOWN}{path}"
    return parts._replace(path=f"{path}/{operation}")


def _certificates(body: bytes) -> list[x509.Certificate]:
    """A certs-only PKCS#7 in base64 (RFC 7030 section 4.1.3); some servers send the DER as it is."""
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        der = body
    try:
        return pkcs7.load_der_pkcs7_certificates(der)
    except (ValueError, UnsupportedAlgorithm):
        raise Unreachable("its answer holds no certificates as RFC 7030 has them") from None


def _retry_after_s(answer: Answered) -> float:
    try:
        told = float(answer.headers.get("retry-after", ""))
    except ValueError:  # a date, as HTTP allows, or nothing
        return RETRY_AFTER_S
    return min(max(told, 1.0), RETRY_AFTER_MAX_S) if isfinite(told) else RETRY_AFTER_S


def _words(answer: Answered) -> str:
    text = answer.body[:200].decode(errors="replace")
    return "".join(each if each.isprintable() else " " for each in text).strip() or "no reason given"
