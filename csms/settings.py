"""All settings: one frozen object, and the only reader of the environment. Every mistake is reported at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError, ValidationInfo, field_validator

from billing import mistake_in_address
from csms.protocol.transfer_url import problem_of, scheme_of

PREFIX = "CSMS_"
FILES_PORT = 9444
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
FILES_URL_LENGTH_MAX = 300
"""What an address has besides must have room in the 512 characters that OCPP allows."""


class SettingsInvalid(Exception):
    """Settings are wrong; each line says which one and why."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("settings are wrong:\n  " + "\n  ".join(problems))
        self.problems = problems


def default_data_dir() -> Path:
    """Where data lives unless told: for root the system's place, else the user's own."""
    if os.geteuid() == 0:
        return Path("/var/lib/csms")
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "csms"


class Settings(BaseModel):
    """Times ending in `_s` are seconds. Every field can be set as CSMS_<FIELD IN CAPITALS>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=default_data_dir)
    archive_dir: Path | None = None
    """Where documents are archived; unset: `archive` in `data_dir`. Nodes on one Postgres share it."""
    database_url: str | None = None
    """Any Postgres >= 15; unset: the embedded one in `data_dir`."""
    cluster_wait_s: float = Field(default=10, ge=0)
    """How long another process may take to let go of the embedded Postgres before we refuse, naming it."""
    database_pool_size: int = Field(default=8, ge=2, le=200)
    """Of each node, and so of each worker; workers take less where the database has no room for so many."""

    ocpp_host: str = "0.0.0.0"  # noqa: S104 - charge points come from outside
    ocpp_port: int = Field(default=9000, ge=0, le=65535)
    ocpp_plain: bool = True
    """False: no port without TLS; only where certificates are set."""
    tls_port: int = Field(default=9443, ge=0, le=65535)
    tls_cert: tuple[Path, ...] = ()
    """Certificate with its chain, PEM; one RSA and one ECDSA certificate may stand side by side. Empty: no TLS."""
    tls_key: tuple[Path, ...] = Field(default=(), validate_default=True)
    """The key of each certificate, in the same order, PEM without a pass phrase."""
    tls_client_ca: Path | None = None
    """Who signs the certificates of charge points (security profile 3): root and intermediate certificates, PEM."""
    tls_client_crl: Path | None = None
    """Revoked ones: a list of each issuer in tls_client_ca that has one, PEM or DER."""
    tls_client_organisation: str | None = Field(default=None, min_length=1)
    """What O in the certificate of a charge point must be (A00.FR.404); unset: any that the client CA signs."""
    proxy_protocol_from: tuple[IPvAnyNetwork, ...] = ()
    """Proxies in front of us, as addresses or networks: their sockets must begin with a PROXY header (RULES.md 25).

    So it is on the port for files: without it all who come through a proxy there count as one address.
    """
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the ports; each is a node of its own. Linux only."""
    reuse_port: bool = False
    """Let other processes of this account listen on the same ports, as workers of one server do (SO_REUSEPORT)."""
    files_url: str | None = None
    """Where charge points reach the file endpoint, https://HOST:PORT; set: there is one (and where files_port is)."""
    files_host: str = "0.0.0.0"  # noqa: S104 - charge points come from outside
    files_port: int | None = Field(default=None, ge=0, le=65535)
    """9444 where only files_url is set."""
    files_cert: tuple[Path, ...] = ()
    """As tls_cert; empty: the certificates of tls_cert."""
    files_key: tuple[Path, ...] = Field(default=(), validate_default=True)
    files_plain: bool = Field(default=False, validate_default=True)
    """Files without TLS: for charge points that know no better, or behind a proxy that encrypts."""
    files_upload_bytes_max: int = Field(default=256 * 1024 * 1024, ge=1024)
    files_connections_max: int = Field(default=500, ge=1)
    """At most; fewer where few files may be open. Per worker."""
    files_connections_max_per_address: int = Field(default=100, ge=1)
    """From one IPv4 address or IPv6 /64: raise it where more charge points than that come through one NAT at once."""
    files_retention_days: int = Field(default=90, ge=1)
    """How long logs that charge points have sent are kept."""
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=9080, ge=0, le=65535)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    actor: str | None = None
    """Who gives commands, for the logs that keep it; unset: the account's name."""

    password_key: str | None = None
    """Key of the stored password hashes; unset: a file in `data_dir`. Nodes on one Postgres share it."""

    heartbeat_interval_s: int = Field(default=300, ge=1)
    ping_interval_s: float = Field(default=60, gt=0)
    ping_timeout_s: float = Field(default=30, gt=0)
    close_timeout_s: float = Field(default=5, gt=0)
    open_timeout_s: float = Field(default=10, gt=0)
    """How long a charge point may take to ask: a proxy's header, TLS and the request. For our answer it may wait longer."""
    send_timeout_s: float = Field(default=10, gt=0)
    call_timeout_s: float = Field(default=30, gt=0, le=120)
    drain_timeout_s: float = Field(default=5, gt=0)
    """On SIGTERM: how long calls in flight may take before sockets are closed with 1012."""
    message_bytes_max: int = Field(default=1024 * 1024, ge=65536)
    message_bytes_max_unaccepted: int = Field(default=64 * 1024, ge=4096)
    queue_length_max: int = Field(default=100, ge=1)
    """Messages of one charge point that wait for an answer; beyond it reading pauses."""
    database_patience_s: float = Field(default=5, gt=0)
    """How long commits may fail before sockets are closed with 1013 and handshakes get 503."""
    retry_after_s: int = Field(default=30, ge=1)
    node_lease_s: float = Field(default=15, gt=0)
    """How long this node may be silent in the database before the others take its sockets for lost."""
    connections_max: int = Field(default=0, ge=0)
    """0: 90 % of the limit on open files."""
    auth_failures_max_per_identity: int = Field(default=10, ge=1)
    """Per minute, for one identity from one address; beyond it 429."""
    auth_failures_max_per_address: int = Field(default=100, ge=1)
    public_hosts: tuple[str, ...] = ()
    """Host names that are ours, for the Origin check of charge points without password (RULES.md 24)."""

    projection_interval_s: float = Field(default=1.0, gt=0)
    billing_interval_s: float = Field(default=5.0, ge=0)
    """How often billing looks at a running session that has only new readings; seldomer at one of very many readings."""
    sweep_interval_s: float = Field(default=5.0, gt=0)
    site_limit_interval_s: float = Field(default=5.0, gt=0)
    """How often the shares of a site's grid connection are looked at where nothing has happened: turns, readings."""
    site_limit_pace_s: float = Field(default=60, ge=0)
    """At least so long between two limits for one charge point, save where safety or a start asks for one: flash wears."""
    settle_delay_s: float = Field(default=60, ge=0)
    """1.6: how long after a stop late facts are awaited before the final bill (RULES.md 14)."""
    complete_timeout_online_s: float = Field(default=3600, gt=0)
    complete_timeout_offline_s: float = Field(default=72 * 3600, gt=0)
    transaction_status_delays_s: tuple[float, ...] = (60, 300, 1800)
    """When after Ended an incomplete 2.x transaction is asked for, at most so many times."""
    available_patience_s: float = Field(default=600, gt=0)
    """Available for so long while online and no stop: the session has lost its stop (RULES.md 13)."""
    cost_in_updated_reply: bool = False
    """Carry totalCost in the reply to Updated as well as in CostUpdated (RULES.md 19)."""
    sessions_per_token_max: int | None = Field(default=None, ge=1)
    """A start beyond it is answered ConcurrentTx; unset: a token may charge in any number of places."""
    tell_prices: bool = True
    """Tell drivers what they will pay when they present a token: personalMessage in 2.x, SetUserPrice in 1.6."""
    cost_stop_delays_s: tuple[float, ...] = Field(default=(5, 15, 30, 60), min_length=1)
    """After a stop at a cost limit was asked for: when it is asked for again, as long as the session goes on."""
    cost_commit_budget_s: float = Field(default=0.020, ge=0)
    frame_retention_days: int = Field(default=400, ge=1)
    reading_retention_months: int | None = Field(default=None, ge=1)
    """Whole months of readings go so long after their end, if all sessions until then are billed; unset: they stay."""

    authority_key: Path | None = None
    """Key of the embedded certificate authority; unset: a file in `data_dir`. Each node that signs needs it."""
    certificate_days: int = Field(default=365, ge=1, le=3650)
    """How long certificates that the embedded authority signs are valid."""
    certificate_requests_per_hour: int = Field(default=10, ge=1)
    """Signing requests of one charge point; beyond it they are refused."""
    certificate_warning_days: int = Field(default=30, ge=0)
    """So long before their end certificates are alarmed and counted."""
    certificate_renewal_days: int | None = Field(default=None, ge=1)
    """So long before their end charge points are asked for a new request, by itself; unset: an operator does it."""
    certificate_sweep_interval_s: float = Field(default=15, gt=0)
    certificate_retry_s: float = Field(default=60, gt=0)
    """Until an authority that was away, or a charge point that did not answer, is tried again; doubling up to an hour."""
    est_url: str | None = None
    """An external authority by EST (RFC 7030), https://HOST[/.well-known/est[/LABEL]]; it signs instead of the embedded one."""
    est_v2g_url: str | None = None
    """Who signs certificates towards EVs (V2GCertificate); unset: nobody."""
    est_user: str | None = None
    est_password: str | None = Field(default=None, repr=False)
    est_ca: Path | None = None
    """Who signs the certificate of the EST server, PEM; unset: whom this machine trusts."""
    est_certificate: Path | None = None
    """By which we say who we are to the EST server, PEM; beside or instead of a password."""
    est_key: Path | None = Field(default=None, validate_default=True)
    est_timeout_s: float = Field(default=10, gt=0, le=120)
    ocsp_responders: tuple[str, ...] = ()
    """Beginnings of the addresses that may be asked for the status of a certificate (OCPP 2.0.1 M06); no other is."""
    ocsp_timeout_s: float = Field(default=5, gt=0, le=30)

    smtp_host: str | None = Field(default=None, min_length=1)
    """The mail server that takes mails to customers; unset: they are queued, and wait."""
    smtp_tls: str = Field(default="starttls", pattern="^(none|starttls|tls)$")
    """starttls: encrypted after a word in the open, or not at all; tls: from the first byte."""
    smtp_port: int | None = Field(default=None, ge=1, le=65535)
    """Unset: 587 with starttls, 465 with tls, 25 with none."""
    smtp_user: str | None = Field(default=None, min_length=1)
    smtp_password: str | None = Field(default=None, repr=False, min_length=1)
    smtp_password_file: Path | None = Field(default=None, validate_default=True)
    """A file with the password alone, in place of smtp_password."""
    smtp_ca: Path | None = None
    """Who signs the certificate of the mail server, PEM; unset: whom this machine trusts."""
    smtp_client_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.:\[\]-]{1,255}$")
    """What we call ourselves to it; unset: the name of the machine."""
    smtp_timeout_s: float = Field(default=60, gt=0, le=600)
    """For each step, but for the answer to a mail."""
    smtp_answer_timeout_s: float = Field(default=600, gt=0, le=3600)
    """For the answer to a mail: without one it is doubtful whether the server has it, so do not make it short."""
    smtp_connections: int = Field(default=2, ge=1, le=20)
    """At once, of each worker."""
    mail_sender: str | None = Field(default=None, validate_default=True)
    """Who writes where a brand says nothing else: ADDRESS or NAME <ADDRESS>."""
    mail_return_path: str | None = None
    """Where mail servers report to; with {id} in it, each mail has an address of its own. Unset: the sender's."""
    mail_per_minute_max: int | None = Field(default=None, ge=1)
    """Of all workers and nodes on one database together; unset: as many as the mail server takes."""
    mail_bytes_max: int = Field(default=20_000_000, ge=100_000)
    """Of a mail with its attachments, as it is sent: a third more than they have."""

    contracts_interval_s: float = Field(default=6 * 3600, gt=0, le=24 * 3600)
    """How often is charged what has fallen due of contracts, and reminded of their deadlines."""
    books_check_at: str = Field(default="02:30", pattern=r"^(never|([01][0-9]|2[0-3]):[0-5][0-9])$")
    """Time of day in UTC at which documents, logs, archive and ledger are looked through; never: only on command."""

    @field_validator("tls_key")
    @classmethod
    def _each_certificate_has_its_key(cls, keys: tuple[Path, ...], info: ValidationInfo) -> tuple[Path, ...]:
        certificates = info.data.get("tls_cert", ())
        if len(keys) != len(certificates):
            raise ValueError(
                f"each certificate needs its key: {len(certificates)} of --tls-cert, {len(keys)} of --tls-key"
            )
        if not certificates and not info.data.get("ocpp_plain", True):
            raise ValueError("without a plain port there must be one with TLS: set --tls-cert and --tls-key")
        port = info.data.get("tls_port")
        if certificates and port and info.data.get("ocpp_plain", True) and port == info.data.get("ocpp_port"):
            raise ValueError(
                f"one port cannot be plain and TLS: change --tls-port or --ocpp-port ({port}), or --no-plain"
            )
        return keys

    @field_validator("files_url")
    @classmethod
    def _files_url_is_one(cls, url: str | None) -> str | None:
        if url is not None:
            problem = problem_of(url)
            if problem is None and (scheme_of(url) not in {"http", "https"} or set(url) & {"?", "#", "@"}):
                problem = "is no http(s)://HOST:PORT"
            if problem is None and len(url) > FILES_URL_LENGTH_MAX:
                problem = f"is longer than {FILES_URL_LENGTH_MAX} characters"
            if problem is not None:
                raise ValueError(f"{problem}; charge points are sent there")
        return url

    @field_validator("files_key")
    @classmethod
    def _each_certificate_of_files_has_its_key(cls, keys: tuple[Path, ...], info: ValidationInfo) -> tuple[Path, ...]:
        certificates = info.data.get("files_cert", ())
        if len(keys) != len(certificates):
            raise ValueError(
                f"each certificate needs its key: {len(certificates)} of files_cert, {len(keys)} of files_key"
            )
        return keys

    @field_validator("files_plain")
    @classmethod
    def _files_go_encrypted_unless_said(cls, plain: bool, info: ValidationInfo) -> bool:
        known = info.data
        wanted = known.get("files_url") is not None or known.get("files_port") is not None
        if wanted and not plain and not known.get("tls_cert") and not known.get("files_cert"):
            raise ValueError(
                "files need certificates: set --tls-cert and --tls-key, or allow them to go unencrypted with --files-plain"
            )
        return plain

    @field_validator("tls_client_ca")
    @classmethod
    def _client_certificates_need_tls(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and not info.data.get("tls_cert"):
            raise ValueError("needs TLS: set --tls-cert and --tls-key as well")
        return file

    @field_validator("tls_client_crl")
    @classmethod
    def _revocation_needs_an_issuer(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and info.data.get("tls_client_ca") is None:
            raise ValueError("needs the issuer's certificate: set --tls-client-ca as well")
        return file

    @property
    def archive_directory(self) -> Path:
        """Where documents are archived."""
        return self.archive_dir or self.data_dir / "archive"

    @property
    def files_are_served(self) -> bool:
        """Whether there is a file endpoint."""
        return self.files_url is not None or self.files_port is not None

    @property
    def files_port_served(self) -> int:
        return FILES_PORT if self.files_port is None else self.files_port

    @property
    def files_retention(self) -> timedelta:
        return timedelta(days=self.files_retention_days)

    @field_validator("est_url", "est_v2g_url", "ocsp_responders")
    @classmethod
    def _authorities_have_addresses(cls, given: Any, info: ValidationInfo) -> Any:
        schemes = {"http", "https"} if info.field_name == "ocsp_responders" else {"https"}
        for url in (given,) if isinstance(given, str) else given or ():
            if problem_of(url) is not None or scheme_of(url) not in schemes or set(url) & {"?", "#", "@"}:
                raise ValueError(f"is no {' or '.join(sorted(schemes))}://HOST with a path at most")
        return given

    @field_validator("est_key")
    @classmethod
    def _est_certificate_has_its_key(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) is not (info.data.get("est_certificate") is None):
            raise ValueError("CSMS_EST_CERTIFICATE and CSMS_EST_KEY come together")
        return key

    @field_validator("smtp_password_file")
    @classmethod
    def _mail_login_is_whole_and_hidden(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        known = info.data
        secrets = [each for each in (known.get("smtp_password"), file) if each is not None]
        if len(secrets) != (0 if known.get("smtp_user") is None else 1):
            raise ValueError("CSMS_SMTP_USER comes with CSMS_SMTP_PASSWORD or CSMS_SMTP_PASSWORD_FILE, one of them")
        if secrets and known.get("smtp_tls") == "none" and known.get("smtp_host") not in LOOPBACK:
            raise ValueError("a password does not go unencrypted to another machine: set CSMS_SMTP_TLS")
        return file

    @field_validator("mail_sender")
    @classmethod
    def _mail_has_a_sender(cls, sender: str | None, info: ValidationInfo) -> str | None:
        if sender is None and info.data.get("smtp_host") is not None:
            raise ValueError("CSMS_SMTP_HOST comes with CSMS_MAIL_SENDER: who writes")
        if sender is not None and (wrong := mistake_in_address(parseaddr(sender)[1])) is not None:
            raise ValueError(f"is no ADDRESS or NAME <ADDRESS>: {wrong}")
        return sender

    @field_validator("mail_return_path")
    @classmethod
    def _reports_have_an_address(cls, path: str | None) -> str | None:
        if path is not None and (wrong := mistake_in_address(path.replace("{id}", 24 * "0"))) is not None:
            raise ValueError(f"is no address such as bounces+{{id}}@operator.example: {wrong}")
        return path

    @property
    def settle_delay(self) -> timedelta:
        return timedelta(seconds=self.settle_delay_s)


@dataclass(frozen=True, slots=True)
class _Environment:
    values: Mapping[str, str]

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in self.values.items():
            if not name.startswith(PREFIX):
                continue
            field = name.removeprefix(PREFIX).lower()
            known = Settings.model_fields.get(field)
            is_list = known is not None and "tuple" in str(known.annotation)
            found[field] = [part for part in value.split(",") if part] if is_list else value
        return found


def load_settings(environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Settings from the environment, over which `given` (command line; None means not given) wins.

    Raises:
        SettingsInvalid: naming every mistake, unknown CSMS_ variables included.
    """
    values = _Environment(os.environ if environment is None else environment).settings()
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as wrong:
        raise SettingsInvalid(
            [
                f"{PREFIX}{'_'.join(str(part) for part in error['loc']).upper()}: {_why(error['type'], error['msg'])}"
                for error in wrong.errors()
            ]
        ) from None


def _why(kind: str, message: str) -> str:
    return "there is no such setting" if kind == "extra_forbidden" else message.removeprefix("Value error, ")
