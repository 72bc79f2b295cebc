"""Files over HTTP and HTTPS as a charge point moves them: fetched with a second try behind what came, sent in three ways.

Blocking, for threads. Only to this machine: other addresses are played, not visited.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

TIMEOUT_S = 30.0
BLOCK_BYTES = 16 * 1024
PUT, POST, FORM = "put", "post", "form"
BOUNDARY = "----SimulatedBoundary"
UPLOAD_WORDS = {400: "BadMessage", 404: "PermissionDenied", 405: "NotSupportedOperation", 410: "PermissionDenied"}
"""HTTP status -> the charge point's word for it."""
BROKEN = (OSError, http.client.HTTPException)


class AnsweredError(Exception):
    """The server says no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text.strip()[:200]}")
        self.status = status


class InterruptedTransferError(OSError):
    """The network went away in the middle."""


@dataclass(slots=True, eq=False)
class Download:
    """A file on its way; ``content`` is what has come so far, over however many tries."""

    url: str
    trust: Path | None
    content: bytearray = field(default_factory=bytearray)
    tries: list[int] = field(default_factory=list)  # with how many bytes in hand each began

    def go_on(self, *, break_after: int | None = None) -> None:
        """Fetch what is missing; ``break_after`` so many bytes the connection breaks."""
        self.tries.append(len(self.content))
        parts, connection = _open(self.url, self.trust)
        try:
            headers = {"Range": f"bytes={len(self.content)}-"} if self.content else {}
            connection.request("GET", _target(parts), headers=headers)
            answer = connection.getresponse()
            if answer.status not in {200, 206}:
                raise AnsweredError(answer.status, answer.read(BLOCK_BYTES).decode(errors="replace"))
            if answer.status == http.client.OK:
                self.content.clear()
            self._read(answer, break_after)
        finally:
            connection.close()

    def _read(self, answer: http.client.HTTPResponse, break_after: int | None) -> None:
        came = 0
        wanted = int(answer.headers["Content-Length"])
        while block := answer.read(BLOCK_BYTES):
            self.content += block
            came += len(block)
            if break_after is not None and came >= break_after:
                raise InterruptedTransferError("broken off on purpose")
        if came != wanted:
            raise InterruptedTransferError(f"{came} of {wanted} bytes came")


def send(url: str, content: bytes, *, name: str, how: str, trust: Path | None) -> None:
    """Send a file, and be told that it is there."""
    if url.endswith("/"):
        url += quote(name)
    parts, connection = _open(url, trust)
    headers = {"Content-Type": "application/octet-stream"}
    body = content
    if how == FORM:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'
        head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    try:
        connection.request("PUT" if how == PUT else "POST", _target(parts), body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read(BLOCK_BYTES).decode(errors="replace")
        if answer.status not in {200, 201, 204}:
            raise AnsweredError(answer.status, text)
    finally:
        connection.close()


def is_real(url: str) -> bool:
    """Whether the address is one that a simulator may visit."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme in {"http", "https"} and (host in {"localhost", "::1"} or host.startswith("127."))


def is_signed(content: bytes, certificate: str, signature: str) -> bool:
    """Whether the certificate's key has signed this very content (base64; RSA or ECDSA with SHA-256)."""
    try:
        key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
        raw = base64.b64decode(signature, validate=True)
        match key:
            case rsa.RSAPublicKey():
                key.verify(raw, content, padding.PKCS1v15(), SHA256())
            case ec.EllipticCurvePublicKey():
                key.verify(raw, content, ec.ECDSA(SHA256()))
            case _:
                return False
    except (InvalidSignature, ValueError):
        return False
    return True


def md5(content: bytes) -> str:
    """What PublishFirmware calls the checksum."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _open(url: str, trust: Path | None) -> tuple[SplitResult, http.client.HTTPConnection]:
    parts = urlsplit(url)
    assert is_real(url), "simulators speak to this machine only"
    assert parts.hostname is not None, "is_real() has looked"
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=None if trust is None else str(trust))
        return parts, http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, context=context)
    return parts, http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)


def _target(parts: SplitResult) -> str:
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
