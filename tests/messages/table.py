"""The table of messages, taken from the code: what the official schemas name, who sends it, where it is handled."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from csms.protocol import v16, v21, v201
from csms.protocol.validation import SENDS, actions
from csms.protocol.vocabulary import Command, Protocol
from simulators.schemas import FROM_CHARGE_POINT
from tests.messages.commands import ASKED_BY

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- messages: begin -->", "<!-- messages: end -->"
NOT_YET = "not yet"
TO_US = {each: frozenset(FROM_CHARGE_POINT[str(each)]) for each in Protocol}
TO_US[Protocol.V21] = TO_US[Protocol.V201] | {
    "BatterySwap",
    "ClosePeriodicEventStream",
    "GetCertificateChainStatus",
    "NotifyDERAlarm",
    "NotifyDERStartStop",
    "NotifyPeriodicEventStream",
    "NotifyPriorityCharging",
    "NotifySettlement",
    "OpenPeriodicEventStream",
    "PullDynamicScheduleUpdate",
    "ReportDERControl",
    "VatNumberValidation",
}
"""What a charge point sends; DataTransfer goes both ways, everything else comes from us."""
_VERSIONS: Mapping[Protocol, Any] = {Protocol.V16: v16, Protocol.V201: v201, Protocol.V21: v21}
_WORD = re.compile(r'"([A-Z][A-Za-z0-9]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`handled`: the module that reads or writes it; `asked_by`: the commands that send it; None where it is not there."""

    protocol: Protocol
    action: str
    to_us: bool
    handled: str | None
    asked_by: str | None = None
    test: str | None = None


def rows() -> list[Row]:
    return [row for protocol in _VERSIONS for row in _rows(protocol)]


def _rows(protocol: Protocol) -> Iterator[Row]:
    readers, written = _VERSIONS[protocol].READERS, dict(_written(protocol))
    for action in sorted(actions(protocol) | SENDS[protocol]):
        if action in TO_US[protocol]:
            yield Row(
                protocol=protocol, action=action, to_us=True, handled=_module(readers.get(action)), test=_test(action)
            )
        if action not in TO_US[protocol] or action == "DataTransfer":
            writers = written.get(action, [])
            asked = sorted({ASKED_BY[kind.__name__] for kind, _ in writers})
            yield Row(
                protocol=protocol, action=action, to_us=False, handled=_module(writers[0][1] if writers else None),
                asked_by=", ".join(asked) or None, test=_test(action),
            )  # fmt: skip


def _written(protocol: Protocol) -> dict[str, list[tuple[type[Command], Callable[..., Any]]]]:
    """By action: the commands whose writers name it, and those writers."""
    found: dict[str, list[tuple[type[Command], Callable[..., Any]]]] = {}
    official = actions(protocol)
    for kind, write in _VERSIONS[protocol].CALLS.items():
        for action in sorted(set(_WORD.findall(_source(write))) & official):
            found.setdefault(action, []).append((kind, write))
    return found


def _source(write: Callable[..., Any]) -> str:
    """Of a writer and of the functions beside it that it calls."""
    own = inspect.getsource(write)
    beside = vars(inspect.getmodule(write)).items()
    called = [each for name, each in beside if inspect.isfunction(each) and each is not write and f"{name}(" in own]
    return own + "".join(inspect.getsource(each) for each in called if each.__module__ == write.__module__)


def _module(function: Callable[..., Any] | None) -> str | None:
    return None if function is None else function.__module__


@cache
def _texts_of_tests() -> list[tuple[str, str]]:
    files: Iterable[Path] = sorted(
        (ROOT / "tests").rglob("test_*.py"), key=lambda path: ("protocol" not in str(path), path)
    )
    return [(path.name, path.read_text(encoding="utf-8")) for path in files]


def _test(action: str) -> str | None:
    return next((name for name, text in _texts_of_tests() if f'"{action}"' in text), None)


def as_markdown() -> str:
    lines = ["| version | message | from | handled in | command | test |", "|---|---|---|---|---|---|"]
    for row in rows():
        sender = "charge point" if row.to_us else "us"
        test = row.test if row.handled else None
        asked = "" if row.to_us else (row.asked_by or "") if row.handled else ""
        cells = [row.protocol.removeprefix("ocpp"), row.action, sender, row.handled or NOT_YET, asked, test or ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
