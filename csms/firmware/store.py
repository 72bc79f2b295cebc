"""Rows of requests and statuses, and the values that they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from asyncpg import Record

from billing import Queries
from csms.firmware import metrics
from csms.firmware.transfer import Request, Told, TransferKind
from csms.intake.arrival import Arrival, StorableFact
from csms.protocol.alike import FIRMWARE_STATUSES, LOG_STATUSES
from csms.protocol.blocks.firmware_facts import PublishStatusReported
from csms.protocol.redaction import without_credentials
from csms.protocol.v201.firmware import PUBLISH_STATUSES
from csms.protocol.vocabulary import FirmwareStatusReported, LogStatusReported

SQL = Queries.load(__package__)
STATUSES_MAX = 2000
"""So many statuses of a charge point are read at most, the newest."""
_WORDS = FIRMWARE_STATUSES | LOG_STATUSES | PUBLISH_STATUSES


async def store_statuses(connection: Any, arrivals: Sequence[Arrival]) -> None:
    """Keep what charge points tell, in the transaction that their answers wait for."""
    told = [(a, *_status(a.fact)) for a in arrivals]
    statuses = [(a, kind, status, request, places) for a, kind, status, request, places in told if kind is not None]
    if not statuses:
        return
    await SQL.insert_statuses.execute(
        connection,
        charge_points=[arrival.charge_point for arrival, *_ in statuses],
        kinds=[str(kind) for _, kind, *_ in statuses],
        statuses=[status for _, _, status, *_ in statuses],
        requests=[request for _, _, _, request, _ in statuses],
        locations=[orjson.dumps([without_credentials(place) for place in places]).decode() for *_, places in statuses],
        sockets=[arrival.socket for arrival, *_ in statuses],
        received_ats=[arrival.received_at for arrival, *_ in statuses],
    )
    for _, kind, status, *_ in statuses:
        metrics.STATUSES.labels(str(kind), status if status in _WORDS else "other").inc()


def _status(fact: StorableFact) -> tuple[TransferKind | None, str, int | None, tuple[str, ...]]:
    match fact:
        case FirmwareStatusReported():
            return TransferKind.FIRMWARE, fact.status, fact.request, ()
        case LogStatusReported():
            return TransferKind.LOG, fact.status, fact.request, ()
        case PublishStatusReported():
            return TransferKind.PUBLICATION, fact.status, fact.request, fact.locations
        case _:
            return None, "", None, ()


async def read_statuses(
    connection: Any, kinds: Sequence[TransferKind], since: Sequence[tuple[str, datetime | None]]
) -> list[Told]:
    """What charge points told, each since an instant of its own (None: ever), oldest first."""
    rows = await SQL.statuses_since.fetch(
        connection,
        charge_points=[charge_point for charge_point, _ in since],
        sinces=[at for _, at in since],
        kinds=[str(kind) for kind in kinds],
        most=STATUSES_MAX,
    )
    return [
        Told(
            charge_point=row["charge_point"],
            kind=TransferKind(row["kind"]),
            status=row["status"],
            at=row["received_at"],
            request=row["request"],
            locations=tuple(row["locations"]),
        )
        for row in rows
    ]


def request_of(row: Record) -> Request:
    wish = row["wish"]
    return Request(
        id=row["id"],
        charge_point=row["charge_point"],
        kind=TransferKind(row["kind"]),
        message=row["message"],
        url=wish["url"],
        asked_at=row["asked_at"],
        retries=wish["retries"],
        accepted=row["accepted"],
        answer=row["answer"],
        detail=row["detail"],
        file=row["file"],
        answered_at=row["answered_at"],
        firmware=row["firmware"],
        actor=row["actor"],
    )
