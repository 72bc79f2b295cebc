"""Rows <-> values of the sessions room: samples as compact arrays, answers as small objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from asyncpg import Record

from csms.protocol.vocabulary import (
    ChargingAnswer,
    ChargingEvent,
    ChargingState,
    EventKind,
    PersonalMessage,
    Sample,
    TokenStatus,
    TokenVerdict,
)
from csms.sessions.facts import StoredEvent

_KINDS = {each.value: each for each in EventKind}
_STATES = {each.value: each for each in ChargingState}


def sample_to_row(sample: Sample) -> list[str | None]:
    """[value, measurand, unit, context, phase, location, signed], without the trailing Nones."""
    row = [
        None if sample.value is None else str(sample.value),
        str(sample.measurand),
        sample.unit,
        str(sample.context),
        sample.phase,
        sample.location,
        sample.signed,
    ]
    if sample.signed is None:
        row.pop()
    return row


def samples_to_json(samples: Iterable[Sample]) -> str:
    """As JSON text: an array parameter of lists would be taken for a matrix."""
    return orjson.dumps([sample_to_row(sample) for sample in samples]).decode()


def sample_from_row(row: list[str | None]) -> Sample:
    value, measurand, unit, context, phase, location, *signed = row
    assert measurand is not None
    assert unit is not None
    assert context is not None
    assert location is not None
    return Sample(
        value=None if value is None else Decimal(value),
        measurand=measurand,
        unit=unit,
        context=context,
        phase=phase,
        location=location,
        signed=signed[0] if signed else None,
    )


def event_from_row(row: Record) -> StoredEvent:
    """The event without its readings, which are rows of their own."""
    return StoredEvent(
        event=ChargingEvent(
            kind=_KINDS[row["kind"]],
            at=row["at"],
            key=row["key"],
            transaction=row["transaction"],
            evse=row["evse"],
            connector=row["connector"],
            token=row["token"],
            token_type=row["token_type"],
            register_wh=row["register_wh"],
            seq_no=row["seq_no"],
            trigger=row["trigger"],
            charging_state=None if row["charging_state"] is None else _STATES[row["charging_state"]],
            stopped_reason=row["stopped_reason"],
            offline=row["offline"],
            reservation=row["reservation"],
            remote_start=row["remote_start"],
            malformed=row["malformed"],
            quirks=tuple(row["quirks"]),
        ),
        received_at=row["received_at"],
        linked=row["linked"],
    )


def answer_to_json(answer: ChargingAnswer) -> dict[str, Any]:
    """Only what the answer says; the same object gives the same answer again (RULES.md 6)."""
    said: dict[str, Any] = {}
    if answer.transaction is not None:
        said["transaction"] = answer.transaction
    if answer.verdict is not None:
        said["token"] = {
            "status": str(answer.verdict.status),
            "group": answer.verdict.group,
            "expires_at": None if answer.verdict.expires_at is None else answer.verdict.expires_at.isoformat(),
        }
    if answer.total_cost is not None:
        said["total_cost"] = str(answer.total_cost)
    if answer.message is not None:
        said["message"] = {"text": answer.message.text, "language": answer.message.language}
    return said


def answer_from_json(said: Mapping[str, Any]) -> ChargingAnswer:
    token = said.get("token")
    verdict = None
    if token is not None:
        expires_at = token["expires_at"]
        verdict = TokenVerdict(
            status=TokenStatus(token["status"]),
            group=token["group"],
            expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        )
    cost, message = said.get("total_cost"), said.get("message")
    return ChargingAnswer(
        transaction=said.get("transaction"),
        verdict=verdict,
        total_cost=None if cost is None else Decimal(cost),
        message=None if message is None else PersonalMessage(**message),
    )
