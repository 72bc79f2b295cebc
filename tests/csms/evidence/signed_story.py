"""A meter of a test: signs what it is told to, and remembers what it has written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from csms.evidence.judgement import Evidence, Sent, judge
from csms.evidence.law import MeterKey
from csms.evidence.obis import IMPORT_TOTAL, Register
from csms.evidence.signatures import read_key
from simulators.charge_point.signing import IMPORT_TOTAL as WRITTEN_TOTAL
from simulators.charge_point.signing import Shown, payload_text, private_key, public_hex, signed_text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
METER = "M-1"
CURVE = "secp256r1"


def shown(reason: str, wh: str | Decimal, minute: int = 0) -> Shown:
    return Shown(reason=reason, wh=Decimal(wh), at=NOON + timedelta(minutes=minute))


def signed(
    *readings: Shown,
    page: int | None = 1,
    serial: str = METER,
    curve: str = CURVE,
    register: str = WRITTEN_TOTAL,
    by: str | None = None,
    **fields: Any,
) -> str:
    payload = payload_text(readings, serial=serial, page=page, register=register, token="CARD-0001", **fields)
    return signed_text(payload, private_key(by or serial, curve), curve)


def meter_key(
    serial: str | None = None, *, id_: int = 1, curve: str = CURVE, of: str = METER, register: Register = IMPORT_TOTAL
) -> MeterKey:
    key = read_key(public_hex(private_key(of, curve)))
    return MeterKey(id=id_, key=key, serial=serial, register=register)


def told(*texts: str) -> list[Sent]:
    """Each a minute after the other."""
    return [
        Sent(stored=text, at=NOON + timedelta(minutes=number), received_at=NOON + timedelta(minutes=number, seconds=1))
        for number, text in enumerate(texts)
    ]


def judged(*texts: str, keys: Sequence[MeterKey] | None = None, is_closed: bool = True) -> Evidence:
    return judge(told(*texts), [meter_key()] if keys is None else keys, evse=1, is_closed=is_closed)


def rules(evidence: Evidence) -> list[str]:
    return sorted({problem.rule for problem in evidence.problems})
