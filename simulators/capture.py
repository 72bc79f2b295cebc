"""Captured OCPP traffic: which lines of a capture a replay acts on, what it learns from the others, and moved timestamps. Pure."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

CALL, CALLRESULT, CALLERROR = 2, 3, 4
CALL_LENGTH, RESULT_LENGTH = 4, 3
FRAMES_MAX = 1_000_000
PLAUSIBLE_FROM = datetime(2015, 1, 1, tzinfo=UTC)  # earlier stamps are clocks that were never set: they stay
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)?")
SUBPROTOCOLS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}


class CaptureError(Exception):
    """The capture cannot be replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One line that matters: a frame of the charge point, a handshake or a close."""

    line: int
    kind: str  # "frame", "handshake", "closed"
    at_s: float = 0.0
    protocol: str | None = None
    text: str | None = None  # the frame as it goes on the wire, when it is not to be touched
    call: list[Any] | None = None  # the frame when it is a well-formed CALL
    captured_transaction: int | None = None  # what the captured central system answered to this start
    identity: str | None = None
    code: int = 1000


def read(source: str | Path | Iterable[str | Mapping[str, Any]]) -> list[Captured]:
    """The lines of a capture that a replay acts on."""
    if isinstance(source, str | Path):
        try:
            lines: Iterable[str | Mapping[str, Any]] = Path(source).read_text(encoding="utf-8").splitlines()
        except OSError as failure:
            raise CaptureError(f"{source}: {failure.strerror}; give a JSON Lines file of captured frames") from None
    else:
        lines = source
    entries: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(lines, start=1):
        if number > FRAMES_MAX:
            raise CaptureError(f"more than {FRAMES_MAX} lines; split the capture")
        entry = _entry(number, line)
        if entry:
            entries.append((number, entry))
    return list(_interpret(entries))


def _entry(number: int, line: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(line, Mapping):
        return line
    if not line.strip():
        return {}
    try:
        entry = json.loads(line)
    except ValueError as failure:
        raise CaptureError(f"line {number} is not JSON ({failure})") from None
    if not isinstance(entry, dict):
        raise CaptureError(f"line {number} is not a JSON object")
    return entry


def _interpret(entries: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Captured]:
    for index, (number, entry) in enumerate(entries):
        at_s = float(entry.get("t", 0.0))
        match entry.get("kind", "frame"):
            case "handshake":
                yield _handshake(number, at_s, entry)
            case "closed":
                yield Captured(line=number, kind="closed", at_s=at_s, code=int(entry.get("code", 1000)))
            case "frame" if entry.get("dir", "cp->cs") == "cp->cs":
                protocol = SUBPROTOCOLS.get(str(entry.get("ver", entry.get("version", ""))))
                for frame in _frames(entry):
                    learned = _answered_transaction(frame, entries, index + 1)
                    captured = _frame(number, at_s, protocol, frame, learned)
                    if captured is not None:
                        yield captured


def _handshake(number: int, at_s: float, entry: Mapping[str, Any]) -> Captured:
    path = urlsplit(str(entry.get("path", ""))).path
    identity = unquote(path.rstrip("/").rsplit("/", 1)[-1]) or None
    headers = {name.lower(): value for name, value in dict(entry.get("headers", {})).items()}
    offered = [name.strip() for name in str(headers.get("sec-websocket-protocol", "")).split(",")]
    protocol = next((name for name in offered if name in SUBPROTOCOLS.values()), None)
    return Captured(line=number, kind="handshake", at_s=at_s, identity=identity, protocol=protocol)


def _frames(entry: Mapping[str, Any]) -> list[Any]:
    if "frames" in entry:
        return list(entry["frames"])
    if "raw" in entry:
        return [entry["raw"]]
    return [entry["frame"]] if "frame" in entry else []


def _answered_transaction(frame: Any, entries: list[tuple[int, Mapping[str, Any]]], after: int) -> int | None:
    """The transactionId of the captured answer to a StartTransaction; the next answer with its message id."""
    if not is_call(frame) or frame[2] != "StartTransaction":
        return None
    for _, entry in itertools.islice(entries, after, None):
        answer = entry.get("frame")
        if entry.get("dir") != "cs->cp" or not isinstance(answer, list) or answer[:2] != [CALLRESULT, frame[1]]:
            continue
        found = answer[2].get("transactionId") if len(answer) == RESULT_LENGTH and isinstance(answer[2], dict) else None
        return found if isinstance(found, int) else None
    return None


def _frame(number: int, at_s: float, protocol: str | None, frame: Any, learned: int | None) -> Captured | None:
    if is_call(frame):
        return Captured(
            line=number, kind="frame", at_s=at_s, protocol=protocol, call=frame, captured_transaction=learned
        )
    text = frame if isinstance(frame, str) else json.dumps(frame, separators=(",", ":"))
    head = re.match(r"\s*\[\s*(\d+)", text)
    if head and int(head[1]) in {CALLRESULT, CALLERROR}:
        return None  # the captured charge point's answers: ours are generated
    return Captured(line=number, kind="frame", at_s=at_s, protocol=protocol, text=text)


def is_call(frame: Any) -> bool:
    """Whether a frame is a CALL with the right arity and an object for payload."""
    return (
        isinstance(frame, list)
        and len(frame) == CALL_LENGTH
        and frame[0] == CALL
        and isinstance(frame[1], str)
        and isinstance(frame[2], str)
        and isinstance(frame[3], dict)
    )


def instants(value: Any) -> Iterator[datetime]:
    """Every plausible instant in a payload, in order; without a zone it counts as UTC."""
    match value:
        case dict():
            for each in value.values():
                yield from instants(each)
        case list():
            for each in value:
                yield from instants(each)
        case str() if INSTANT.fullmatch(value):
            moment = _parsed(value)
            if moment is not None and moment >= PLAUSIBLE_FROM:
                yield moment


def shifted(value: Any, by: timedelta) -> Any:
    """The same payload with every plausible instant moved, written as it was (zone, digits)."""
    match value:
        case dict():
            return {key: shifted(each, by) for key, each in value.items()}
        case list():
            return [shifted(each, by) for each in value]
        case str() if (match_ := INSTANT.fullmatch(value)) is not None:
            moment = _parsed(value)
            if moment is None or moment < PLAUSIBLE_FROM:
                return value
            return _written_like(value, moment + by, fraction=match_[1] or "", zone=match_[2] or "")
        case _:
            return value


def _parsed(text: str) -> datetime | None:
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def _written_like(text: str, moment: datetime, *, fraction: str, zone: str) -> str:
    digits = len(fraction) - 1 if fraction else 0
    micro = f".{moment.microsecond:06d}".ljust(digits + 1, "0")[: digits + 1] if digits else ""
    assert len(text) >= len(zone)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + micro + zone
