"""A small EST server (RFC 7030): cacerts and simpleenroll over TLS, and an OCSP responder that knows what it signed."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import trustme
from certificates_room import OPERATOR
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp

from csms.certificates.authority import Authority, issue, make_root

USER, PASSWORD = "csms", "hunter2-hunter2"
DAY = timedelta(days=1)


@dataclass
class Est:
    """`answers`: statuses to give before it signs again, each once. `labels`: the paths that it was asked under."""

    home: Path
    answers: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    signed: list[x509.Certificate] = field(default_factory=list)
    with_sub_ca: bool = False
    wants_certificate: bool = False
    url: str = ""

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        self.tls = trustme.CA()
        self.tls.cert_pem.write_to_path(self.home / "est-tls.pem")
        key = ec.generate_private_key(ec.SECP256R1())
        root = make_root(key, organisation=OPERATOR, number=1, now=now, valid=3650 * DAY)
        self.root = Authority(certificate=root, key=key)
        sub_key = ec.generate_private_key(ec.SECP256R1())
        sub = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, OPERATOR),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, "Sub CA"),
            ]))
            .issuer_name(root.subject).public_key(sub_key.public_key()).serial_number(2)
            .not_valid_before(now - DAY).not_valid_after(now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        self.sub_ca = Authority(certificate=sub, key=sub_key)

    @property
    def ca_file(self) -> Path:
        """Who signed the server's own TLS certificate."""
        return self.home / "est-tls.pem"

    @property
    def issuer(self) -> Authority:
        return self.sub_ca if self.with_sub_ca else self.root

    def known(self) -> list[x509.Certificate]:
        return [self.root.certificate, *([self.sub_ca.certificate] if self.with_sub_ca else [])]

    def client_files(self) -> tuple[Path, Path]:
        """A certificate by which the server knows us, and its key."""
        files = self.home / "est-client.pem", self.home / "est-client.key"
        made = self.tls.issue_cert("csms.example")
        made.cert_chain_pems[0].write_to_path(files[0])
        made.private_key_pem.write_to_path(files[1])
        return files

    def sign(self, der: bytes) -> x509.Certificate:
        made = issue(self.issuer, der, number=x509.random_serial_number(), now=datetime.now(UTC), valid=90 * DAY)
        self.signed.append(made)
        return made

    def ocsp_response(self, der: bytes) -> bytes:
        """Good for what it signed, `unauthorized` for all else."""
        asked = ocsp.load_der_ocsp_request(der)
        found = [each for each in self.signed if each.serial_number == asked.serial_number]
        if not found:
            unsuccessful = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
            return unsuccessful.public_bytes(Encoding.DER)
        now = datetime.now(UTC)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=found[0], issuer=self.issuer.certificate, algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.GOOD, this_update=now, next_update=now + DAY, revocation_time=None,
            revocation_reason=None,
        )  # fmt: skip
        signed = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.issuer.certificate).sign(
            self.issuer.key, hashes.SHA256()
        )
        return signed.public_bytes(Encoding.DER)


class Handler(BaseHTTPRequestHandler):
    est: ClassVar[Est]

    def do_GET(self) -> None:
        if self.path.endswith("/cacerts"):
            self._certificates(self.est.known())
        else:
            self._say(302, b"", {"Location": "http://169.254.169.254/"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/ocsp"):
            self._say(200, self.est.ocsp_response(body), {"Content-Type": "application/ocsp-response"})
            return
        if self.path.startswith("/away"):
            self._say(302, b"", {"Location": "http://169.254.169.254/"})
            return
        self.est.labels.append(self.path)
        self.est.headers.append(dict(self.headers))
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        presented = self.est.wants_certificate and bool(self.connection.getpeercert())  # type: ignore[attr-defined]
        if not presented and self.headers.get("Authorization") != f"Basic {login}":
            self._say(401, b"who are you?")
        elif self.est.answers:
            status = self.est.answers.pop(0)
            self._say(status, b"not this one", {"Retry-After": "1"} if status == 202 else {})
        else:
            self._certificates([self.est.sign(base64.b64decode(body)), *self.est.known()[1:]])

    def _certificates(self, certificates: list[x509.Certificate]) -> None:
        body = base64.encodebytes(pkcs7.serialize_certificates(certificates, Encoding.DER))
        self._say(
            200,
            body,
            {
                "Content-Type": "application/pkcs7-mime; smime-type=certs-only",
                "Content-Transfer-Encoding": "base64",
            },
        )

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silence: the test's output is pytest's."""


@contextmanager
def est_server(home: Path, *, tls: bool = True) -> Iterator[Est]:
    """On a free port of this machine, for as long as the block runs."""
    est = Est(home)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"est": est}))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        est.tls.issue_cert("localhost").configure_cert(context)
        est.tls.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        server.socket = context.wrap_socket(server.socket, server_side=True)
    est.url = f"{'https' if tls else 'http'}://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield est
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
