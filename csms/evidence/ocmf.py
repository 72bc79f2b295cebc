"""OCMF 1.4, the Open Charge Metering Format: `OCMF|payload|signature`, read and never written. Pure; trusts nobody.

The signature is over the bytes of the payload as they came. They are kept as they are and never written anew; what is read
from them here is read beside them.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

from csms.evidence.obis import Register

TEXT_LENGTH_MAX = 65_536
READINGS_MAX = 1_000
DIGITS_MAX = 30
HEADER = "OCMF"

BEGIN = "B"
ENDS = frozenset("ELRAP")
"""Ended; locally, remotely, by an error, by a power failure (OCMF table 7, TX)."""
GOOD = "G"
_EXACT = Context(prec=100)
_WATT_HOURS = {"kwh": 3, "wh": 0}
_INHERITED = ("TM", "TX", "RI", "RU", "RT", "EF", "ST")
_PAGINATION = re.compile(r"([TF])(\d{1,18})", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[,.](\d{1,6}))?\s*(Z|[+-]\d\d:?\d\d)?(?:\s+([A-Z]))?", re.ASCII)
_ALGORITHM = re.compile(r"ECDSA-([A-Za-z0-9]{1,20})-(SHA\d{3})", re.ASCII)
_DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"


class OcmfUnreadable(ValueError):
    """The text is no OCMF that could be verified; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """One element of RD; what it leaves out it has of the one before.

    `wh` is None where the value is no energy. `time` is TM as written: the meter's clock is rarely an approved one.
    `errors` are EF: E for energy, t for time. `status` is ST, G for good.
    """

    time: str | None
    at: datetime | None
    time_state: str | None
    reason: str | None
    wh: Decimal | None
    value: str | None
    unit: str | None
    identifier: str | None
    register: Register | None
    current: str | None
    errors: str
    status: str | None

    @property
    def is_begin(self) -> bool:
        return self.reason == BEGIN

    @property
    def is_end(self) -> bool:
        return self.reason in ENDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One signed record. `payload` is what was signed, byte for byte; `page` is its number, `context` T or F (PG).

    `named` are all other texts of the payload by their OCMF keys (GI, MV, ID, CI ...).
    """

    payload: bytes
    signature: bytes
    curve: str
    digest: str
    page: int | None
    context: str | None
    gateway: str | None
    meter: str | None
    named: Mapping[str, str]
    readings: tuple[MeterReading, ...]
    appended_key: str | None

    @property
    def label(self) -> str:
        """How people name it: T12."""
        return "a record without a number" if self.page is None else f"{self.context}{self.page}"

    @property
    def device(self) -> str | None:
        """Whose serial number the record bears: the meter's, else the gateway's (OCMF 'Relation of Serial Numbers')."""
        return self.meter or self.gateway


def read(text: str) -> Record:
    """The record in `text`.

    Raises:
        OcmfUnreadable: it is none.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise OcmfUnreadable(f"longer than {TEXT_LENGTH_MAX} characters")
    header, *sections = text.strip().split("|", 3)
    if header != HEADER or len(sections) < 2:  # noqa: PLR2004 - payload and signature
        raise OcmfUnreadable("not of the form OCMF|payload|signature")
    payload, signed = _object(sections[0], "payload"), _object(sections[1], "signature")
    curve, digest = _algorithm(signed)
    page = _PAGINATION.fullmatch(_text(payload.get("PG")) or "")
    return Record(
        payload=_encoded(sections[0]),
        signature=_signature(signed),
        curve=curve,
        digest=digest,
        page=None if page is None else int(page[2]),
        context=None if page is None else page[1],
        gateway=_text(payload.get("GS")),
        meter=_text(payload.get("MS")),
        named={name: said for name, value in payload.items() if (said := _text(value)) is not None},
        readings=_readings(payload.get("RD")),
        appended_key=sections[2].strip() or None if len(sections) > 2 else None,  # noqa: PLR2004 - some append it
    )


def _encoded(payload: str) -> bytes:
    try:
        return payload.encode()
    except UnicodeEncodeError:
        raise OcmfUnreadable("the payload is no UTF-8") from None


def _object(section: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(
            section, parse_float=_number, parse_int=_number, parse_constant=_no_number, object_pairs_hook=_once
        )
    except OcmfUnreadable:
        raise
    except (ValueError, RecursionError):
        raise OcmfUnreadable(f"the {name} is no JSON") from None
    if not isinstance(found, dict):
        raise OcmfUnreadable(f"the {name} is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two values under one name would be read differently by different readers, though signed only once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise OcmfUnreadable("a name stands twice in one object")
    return found


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise OcmfUnreadable("a number is longer than any meter's")
    return Decimal(text)


def _no_number(text: str) -> Decimal:
    raise OcmfUnreadable(f"{text} is no number")


def _text(value: object) -> str | None:
    """A text; numbers and truth values as their JSON text, as some write serial numbers so."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


# --- signature -------------------------------------------------------------------------------------------------------


def _algorithm(signed: Mapping[str, Any]) -> tuple[str, str]:
    """Curve and digest by SA, the standard's default where it is left out (OCMF table 22)."""
    name = _text(signed.get("SA")) or _DEFAULT_ALGORITHM
    found = _ALGORITHM.fullmatch(name)
    if found is None:
        raise OcmfUnreadable(f"signature algorithm {name[:40]!r} is unknown")
    return found[1], found[2]


def _signature(signed: Mapping[str, Any]) -> bytes:
    """SD in the encoding that SE names, hex unless said (OCMF table 8)."""
    kind, mime = _text(signed.get("SE")) or "hex", _text(signed.get("SM")) or "application/x-der"
    data = _text(signed.get("SD"))
    if data is None:
        raise OcmfUnreadable("there is no signature (SD)")
    if mime != "application/x-der":
        raise OcmfUnreadable(f"signatures as {mime[:40]!r} are unknown")
    try:
        match kind.casefold():
            case "hex":
                return bytes.fromhex(data)
            case "base64":
                return b64decode(data, validate=True)
    except (ValueError, NoBase64):
        raise OcmfUnreadable(f"the signature is not {kind}") from None
    raise OcmfUnreadable(f"signature encoding {kind[:40]!r} is unknown")


# --- readings --------------------------------------------------------------------------------------------------------


def _readings(found: object) -> tuple[MeterReading, ...]:
    if not isinstance(found, list) or not found:
        raise OcmfUnreadable("there are no readings (RD)")
    if len(found) > READINGS_MAX:
        raise OcmfUnreadable(f"more than {READINGS_MAX} readings")
    readings: list[MeterReading] = []
    before: dict[str, Any] = {}
    for element in found:
        if not isinstance(element, dict):
            raise OcmfUnreadable("a reading is no JSON object")
        before |= {name: element[name] for name in _INHERITED if name in element}
        readings.append(_reading({**element, **before}))
    return tuple(readings)


def _reading(fields: Mapping[str, Any]) -> MeterReading:
    time, unit, identifier = _text(fields.get("TM")), _text(fields.get("RU")), _text(fields.get("RI"))
    at, state = _instant(time)
    value = _value(fields.get("RV"))
    return MeterReading(
        time=time,
        at=at,
        time_state=state,
        reason=_text(fields.get("TX")),
        wh=_watt_hours(value, unit),
        value=None if value is None else str(value),
        unit=unit,
        identifier=identifier,
        register=None if identifier is None else Register.read(identifier),
        current=_text(fields.get("RT")),
        errors=_text(fields.get("EF")) or "",
        status=_text(fields.get("ST")),
    )


def _value(found: object) -> Decimal | None:
    """RV is a number; some write it as a text, padded."""
    if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
        return Decimal(found.strip())
    return found if isinstance(found, Decimal) else None


def _watt_hours(value: Decimal | None, unit: str | None) -> Decimal | None:
    power = None if unit is None else _WATT_HOURS.get(unit.casefold())
    if value is None or power is None or value.adjusted() > DIGITS_MAX:
        return None
    return value.scaleb(power, context=_EXACT)


def _instant(time: str | None) -> tuple[datetime | None, str | None]:
    """TM as an instant, and the state of the clock: U unknown, I informative, S synchronised, R relative."""
    found = None if time is None else _TIME.fullmatch(time)
    if found is None or found[3] is None:
        return None, None if found is None else found[4]
    zone = "+00:00" if found[3] == "Z" else f"{found[3][:3]}:{found[3][-2:]}"
    fraction = (found[2] or "0").ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{found[1]}.{fraction}{zone}"), found[4]
    except ValueError:
        return None, found[4]


def registers_of(records: Sequence[Record]) -> tuple[str, ...]:
    """The registers that occur, as the meters wrote them."""
    named = {each.identifier for record in records for each in record.readings if each.identifier is not None}
    return tuple(sorted(named))
