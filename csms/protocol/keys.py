"""Content keys: what makes two messages the same fact (RULES.md 2-5). 16 bytes of SHA-256 over a canonical form.

Keys know nothing of message ids, `offline`, customData, the order of JSON keys, or whether a default was spelt out. The
charge point scopes them; for a reading EVSE, connector and transaction do too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal

from csms.protocol.vocabulary import Sample

KEY_LENGTH = 16  # bytes
_FIELD, _RECORD = "\x1f", "\x1e"
_NOTHING = "\x00"  # differs from every text that was sent: those hold no U+0000 any more
_IGNORED = frozenset({"offline", "customData"})
_DEPTH_MAX = 32


def reading_key(at: str, samples: Iterable[str]) -> bytes:
    """A reading: its timestamp and its normalised samples (`sample`), in whatever order they came (RULES.md 2)."""
    return _key("reading", [at, *sorted(samples)])


def start_key(*, connector: int | None, token: str | None, at: str, register: Decimal | None) -> bytes:
    """A 1.6 start: connector, idTag, timestamp, meterStart (RULES.md 4)."""
    return _key("start", [_text(connector), _token(token), at, number(register)])


def stop_key(
    *,
    transaction: str | None,
    token: str | None,
    at: str,
    register: Decimal | None,
    reason: str | None,
    readings: Iterable[bytes],
) -> bytes:
    """A 1.6 stop with all it says. The transaction makes it the same stop, the rest an identical repeat (RULES.md 5)."""
    said = [_text(transaction), _token(token), at, number(register), reason or "Local"]
    return _key("stop", [*said, *(key.hex() for key in readings)])


def unplugged_key(*, transaction: str, at: str) -> bytes:
    """A 1.6 vehicle that left after its stop: transaction and timestamp."""
    return _key("unplugged", [transaction, at])


def event_key(fields: Iterable[object], readings: Iterable[bytes]) -> bytes:
    """A 2.x transaction event: all that it says, but whether it was sent late (RULES.md 3)."""
    return _key("event", [*(_text(field) for field in fields), *(key.hex() for key in readings)])


def security_event_key(*, name: str, at: str, tech_info: str | None) -> bytes:
    return _key("security", [name, at, _text(tech_info)])


def malformed_key(action: str, payload: object) -> bytes:
    """A message that did not fit the schema: nothing in it can be trusted to be the same, so all of it counts."""
    return _key("malformed", [action, canonical(payload)])


def canonical(payload: object, depth: int = 0) -> str:
    """JSON-like text with sorted keys, without `offline` and customData; cut where nested beyond sense."""
    if depth > _DEPTH_MAX:
        return "..."
    if isinstance(payload, Mapping):
        names = sorted(str(name) for name in payload if name not in _IGNORED)
        return "{" + ",".join(f"{name!a}:{canonical(payload.get(name), depth + 1)}" for name in names) + "}"
    if isinstance(payload, list):
        return "[" + ",".join(canonical(item, depth + 1) for item in payload) + "]"
    if isinstance(payload, int) and not isinstance(payload, bool):
        return hex(payload)  # decimal text of huge integers is refused by Python
    return ascii(payload)


def sample(said: Sample) -> str:
    """One sample as it stands in the key of its reading."""
    return number(said.value) + sample_tail(said)


def sample_tail(sample: Sample) -> str:
    """All that a sample says but its value."""
    said = (sample.measurand, sample.unit, sample.context, sample.phase or "", sample.location, sample.signed or "")
    return _FIELD + _FIELD.join(said)


def number(value: Decimal | None) -> str:
    """1200, 1200.0 and 1.2E+3 are the same number."""
    if value is None:
        return _NOTHING
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _token(token: str | None) -> str:
    return _NOTHING if token is None else token.upper()


def _text(value: object) -> str:
    return _NOTHING if value is None else str(value)


def _key(kind: str, said: Iterable[str]) -> bytes:
    text = _RECORD.join((kind, *said))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:KEY_LENGTH]
