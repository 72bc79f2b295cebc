"""Certificates in a running server: answers charge points, signs and delivers what is due, watches what ends."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from billing import Refused
from csms.certificates import files, ocsp, revocations, service
from csms.certificates.delivery import BATCH, Delivery, Send
from csms.certificates.service import SigningRules
from csms.certificates.signing import AT_ONCE_MAX, Signers, Signing, est_servers, signers
from csms.certificates.watch import Watch
from csms.database.pool import in_transaction, is_unavailable
from csms.gateway.client_certificate import CertificateRecord
from csms.protocol.blocks.certificate_facts import (
    CertificateAnswer,
    CertificateFact,
    CertificateRequested,
    CertificateStatusAnswer,
    CertificateStatusAsked,
    EvCertificateAsked,
)
from csms.protocol.vocabulary import Protocol
from csms.settings import Settings

WATCH_S = 3600.0
RESPONDERS_AT_ONCE = 4

log = structlog.get_logger()


class Certificates:
    """`send` asks a charge point, wherever its socket is; `reload` has the listener read its files again."""

    def __init__(self, pool: asyncpg.Pool[Any], settings: Settings, *, send: Send, reload: Callable[[], None]) -> None:
        self._pool = pool
        self._settings = settings
        self._reload = reload
        self._rules = SigningRules(
            requests_per_hour=settings.certificate_requests_per_hour,
            organisation=settings.tls_client_organisation,
            by_est=frozenset(est_servers(settings)),
        )
        self._signing = Signing(pool, settings)
        self._delivery = Delivery(pool, settings, send)
        self._watch = Watch(pool, settings, send)
        self._responders = asyncio.Semaphore(RESPONDERS_AT_ONCE)
        self._due = asyncio.Event()
        self._made = asyncio.Event()
        self._loaded_list = _digest(settings)
        self._key_trouble = ""

    async def receive(
        self, charge_point: str, fact: CertificateFact, protocol: Protocol, at: datetime
    ) -> CertificateAnswer:
        """Decide; what was decided is committed when this returns."""
        match fact:
            case CertificateRequested():
                answer = await in_transaction(
                    self._pool,
                    lambda connection: service.take_request(
                        connection, charge_point, fact, self._rules, protocol=protocol, at=at
                    ),
                )
                if answer.accepted:
                    asyncio.get_running_loop().call_later(service.ANSWER_FIRST.total_seconds(), self._due.set)
                return answer
            case EvCertificateAsked():
                return await in_transaction(
                    self._pool, lambda connection: service.answer_ev(connection, charge_point, fact, at=at)
                )
            case CertificateStatusAsked():
                status = await self._status(fact)
                await in_transaction(
                    self._pool, lambda connection: service.keep_status(connection, charge_point, fact, status, at=at)
                )
                return status

    async def on_record(self, issuer: bytes, number: int) -> CertificateRecord | None:
        """What is known of a certificate that was made through us; None: it was made elsewhere."""
        async with self._pool.acquire() as connection:
            return await service.on_record(connection, issuer, number)

    async def _status(self, fact: CertificateStatusAsked) -> CertificateStatusAnswer:
        """No connection to the database is held meanwhile: the responder may take its time."""
        url = ocsp.allowed_responder(fact.url, self._settings.ocsp_responders)
        if url is None:
            return CertificateStatusAnswer(reason=ocsp.UNKNOWN_RESPONDER)
        try:
            async with asyncio.timeout(self._settings.ocsp_timeout_s):
                await self._responders.acquire()
        except TimeoutError:
            return CertificateStatusAnswer(reason=ocsp.BUSY)
        try:
            return await ocsp.ask(url, fact.certificate, timeout_s=self._settings.ocsp_timeout_s)
        finally:
            self._responders.release()

    async def run(self) -> None:
        """Work at what is due until cancelled."""
        every_s = self._settings.certificate_sweep_interval_s
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_regularly("signing", self._sign, self._due, every_s))
            tasks.create_task(_regularly("delivery", self._deliver, self._made, every_s))
            tasks.create_task(_regularly("watch", self._look, asyncio.Event(), WATCH_S))

    async def _sign(self) -> None:
        by = await self._signers()
        await self._renew_list(by)
        made = await self._signing.sign_due(by)
        if made:
            self._made.set()
        if made == AT_ONCE_MAX:
            self._due.set()

    async def _signers(self) -> Signers:
        async with self._pool.acquire() as connection:
            try:
                found = await signers(connection, self._settings)
            except Refused as trouble:
                if trouble.message != self._key_trouble:
                    log.error("authority_key_unusable", problem=trouble.message, next_step=trouble.next_step)  # noqa: TRY400
                self._key_trouble = trouble.message
                return Signers(by_purpose={**est_servers(self._settings)})
        self._key_trouble = ""
        return found

    async def _renew_list(self, by: Signers) -> None:
        """Write the list of revoked certificates where it is old; the listener reads it if it is the one that it uses."""
        path = files.list_path(self._settings)
        if by.authorities:
            async with self._pool.acquire() as connection:
                if await revocations.refresh(connection, path, by.authorities, now=datetime.now(UTC)):
                    self._tell_written(path)
        digest = _digest(self._settings)
        if digest != self._loaded_list:
            self._loaded_list = digest
            self._reload()

    def _tell_written(self, path: Path) -> None:
        used = self._settings.tls_client_crl
        if self._settings.tls_client_ca is None or (used is not None and used.absolute() == path.absolute()):
            log.info("revocation_list_written", file=str(path))
            return
        log.warning(
            "revocation_list_not_used",
            file=str(path),
            next_step=f"start csms serve with --tls-client-crl {path}: until then it is the database alone that refuses them",
        )

    async def _deliver(self) -> None:
        if await self._delivery.deliver_due() == BATCH:
            self._made.set()

    async def _look(self) -> None:
        await self._watch.look(now=datetime.now(UTC))


def _digest(settings: Settings) -> bytes:
    """Of the list that the listener uses."""
    path = settings.tls_client_crl
    try:
        return b"" if path is None else hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""


async def _regularly(what: str, work: Callable[[], Awaitable[None]], wake: asyncio.Event, every_s: float) -> None:
    """Work now, whenever there is something, and after `every_s` at the latest. Trouble is told; the next time comes."""
    while True:
        wake.clear()
        try:
            await work()
        except Exception as trouble:
            if is_unavailable(trouble):
                log.warning("certificates_postponed", what=what, error=str(trouble))
            else:
                log.exception("certificates_failed", what=what)
        try:
            async with asyncio.timeout(every_s):
                await wake.wait()
        except TimeoutError:
            continue
