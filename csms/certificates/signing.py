"""Requests that were accepted are brought to whoever signs for them, and what comes back into the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog
from cryptography import x509

from csms.certificates import files, metrics, store
from csms.certificates.alarms import Alarm, AlarmKind, raise_alarm
from csms.certificates.authority import Authority, issue
from csms.certificates.est import EstPending, EstRefused, EstServer
from csms.certificates.http_exchange import Unreachable
from csms.certificates.issued import CertificateUnusable, Issued, put_together
from csms.certificates.signing_request import RequestFault, SigningRequest, read_request
from csms.certificates.store import SQL
from csms.database.pool import is_unavailable
from csms.protocol.blocks.certificate_facts import CertificatePurpose
from csms.settings import Settings

AT_ONCE_MAX = 100
"""So many in a row; then what else there is to do has its turn."""
LEASE_GRACE = timedelta(seconds=30)
RETRY_MAX = timedelta(hours=1)
TIMES_MAX = 10
"""Doublings of the pause between two tries."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """Who signs for which purpose; an EST server where one is set, else our own root."""

    by_purpose: Mapping[CertificatePurpose, Authority | EstServer]
    authorities: tuple[Authority, ...] = ()

    @property
    def purposes(self) -> list[str]:
        return [str(each) for each in self.by_purpose]


def est_servers(settings: Settings) -> dict[CertificatePurpose, EstServer]:
    """Those that the settings name."""
    urls = {
        CertificatePurpose.CHARGE_POINT: settings.est_url,
        CertificatePurpose.COMBINED: settings.est_url,
        CertificatePurpose.V2G: settings.est_v2g_url,
    }
    return {
        purpose: EstServer(
            url=url, user=settings.est_user, password=settings.est_password, ca=settings.est_ca,
            certificate=settings.est_certificate, key=settings.est_key, timeout_s=settings.est_timeout_s,
        )
        for purpose, url in urls.items()
        if url is not None
    }  # fmt: skip


async def signers(connection: Any, settings: Settings) -> Signers:
    """As they are now.

    Raises:
        Refused: the file of the key cannot be used.
    """
    authorities = files.authorities_of(files.load_key(files.key_path(settings)), await store.roots(connection))
    by_purpose: dict[CertificatePurpose, Authority | EstServer] = {**est_servers(settings)}
    newest = await SQL.newest_authority.fetchval(connection)
    if newest is not None and authorities and authorities[0].pem == newest:
        for purpose in (CertificatePurpose.CHARGE_POINT, CertificatePurpose.COMBINED):
            by_purpose.setdefault(purpose, authorities[0])
    return Signers(by_purpose=by_purpose, authorities=tuple(authorities))


def pause(base_s: float, tries: int) -> timedelta:
    """Between two tries: doubling, an hour at most."""
    return min(timedelta(seconds=base_s * 2 ** min(tries - 1, TIMES_MAX)), RETRY_MAX)


class Signing:
    """Signs what is due. What a crash interrupts is due again after its lease; only the authority may have signed twice."""

    def __init__(self, pool: asyncpg.Pool[Any], settings: Settings) -> None:
        self._pool = pool
        self._settings = settings

    async def sign_due(self, by: Signers) -> int:
        """Have what is due signed, one after the other; how many now have their certificate.

        Where an authority is away the others that wait for it are left alone until the next time. One request that cannot
        be worked at, for whatever reason, holds up no other.
        """
        made, purposes = 0, list(by.purposes)
        for _ in range(AT_ONCE_MAX):
            row = await self._take(purposes)
            if row is None:
                break
            try:
                made += await self._sign(row, by.by_purpose[CertificatePurpose(row["purpose"])])
            except Unreachable as trouble:
                purposes.remove(row["purpose"])
                await self._postpone(row, trouble)
            except Exception as bug:
                if is_unavailable(bug):
                    raise
                log.exception("certificate_not_made", request=row["request"], charge_point=row["charge_point"])
                await self._fail(row, f"it cannot be made ({type(bug).__name__}): the log of csms serve says more")
        return made

    async def _take(self, purposes: list[str]) -> asyncpg.Record | None:
        lease = timedelta(seconds=2 * self._settings.est_timeout_s) + LEASE_GRACE
        async with self._pool.acquire() as connection:
            metrics.WAITING.set(await SQL.waiting.fetchval(connection))
            return await SQL.take_due.fetchrow(connection, lease=lease, purposes=purposes)

    async def _sign(self, row: asyncpg.Record, signer: Authority | EstServer) -> bool:
        request = read_request(row["csr"])
        assert not isinstance(request, RequestFault), "only what could be read was accepted"
        now = datetime.now(UTC)
        try:
            if isinstance(signer, Authority):
                issued, source = self._sign_here(signer, request, now=now), "own"
            else:
                known = await signer.cacerts()
                issued, source = (
                    put_together(request.der, await signer.simpleenroll(request.der), known, now=now),
                    "est",
                )
        except EstPending as pending:
            await self._go_on(row, "due", datetime.now(UTC) + timedelta(seconds=pending.after_s), str(pending))
            return False
        except (EstRefused, CertificateUnusable) as refused:
            await self._fail(row, str(refused))
            return False
        async with self._pool.acquire() as connection, connection.transaction():
            await store.insert_certificate(
                connection, row["request"], row["charge_point"], row["purpose"], source, issued
            )
            await SQL.work_at.execute(connection, request=row["request"], state="issued", due_at=now, problem=None)
        metrics.ISSUED.labels(source).inc()
        return True

    def _sign_here(self, authority: Authority, request: SigningRequest, *, now: datetime) -> Issued:
        made = issue(
            authority,
            request.der,
            number=x509.random_serial_number(),
            now=now,
            valid=timedelta(days=self._settings.certificate_days),
            organisation=self._settings.tls_client_organisation,
        )
        return put_together(request.der, [made], [authority.certificate], now=now)

    async def _postpone(self, row: asyncpg.Record, trouble: Unreachable) -> None:
        now = datetime.now(UTC)
        again_at = now + pause(self._settings.certificate_retry_s, row["tries"])
        await self._go_on(
            row, "due", again_at, str(trouble),
            Alarm(
                kind=AlarmKind.AUTHORITY_UNREACHABLE,
                key=f"{row['purpose']}/{now:%Y-%m-%dT%H}",
                charge_point=row["charge_point"],
                detail=f"the authority for {row['purpose']} cannot be reached: {trouble}",
                next_step="see that it runs and that CSMS_EST_... are right; it is asked again by itself",
            ),
        )  # fmt: skip

    async def _fail(self, row: asyncpg.Record, problem: str) -> None:
        await self._go_on(
            row, "failed", datetime.now(UTC), problem,
            Alarm(
                kind=AlarmKind.AUTHORITY_REFUSED,
                key=str(row["request"]),
                charge_point=row["charge_point"],
                detail=f"request {row['request']} has no certificate: {problem}",
                next_step=f"settle it with the authority, then: csms certificate renew {row['charge_point']}",
            ),
        )  # fmt: skip

    async def _go_on(
        self, row: asyncpg.Record, state: str, due_at: datetime, problem: str, alarm: Alarm | None = None
    ) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await SQL.work_at.execute(
                connection, request=row["request"], state=state, due_at=due_at, problem=problem[:500]
            )
            if alarm is not None:
                await raise_alarm(connection, alarm)
