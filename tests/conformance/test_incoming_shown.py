"""What becomes of each field that charge points send: shown by a command of its own, kept in a table, or in the frame alone.

`csms cp trace` shows all of them, as they came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing import ExitCode
from csms.protocol.redaction import REDACTED
from csms.protocol.vocabulary import Protocol
from tests.conformance.asking import asking
from tests.conformance.command_line import Commands
from tests.conformance.frame_only import ELSEWHERE, FRAME_ONLY, NUMBERING
from tests.conformance.schemas import EARLIER, FIRST_NUMBER, PROTOCOLS, Filler, fits, incoming, leaves, owed, value_at
from tests.world import until

SHOWN_BY = (
    "cp show CP-1", "cp list", "session list", "session orphans", "profile show CP-1", "reservation list",
    "monitor events --cp CP-1", "firmware status CP-1", "log status CP-1", "security list --cp CP-1",
    "session facts --cp CP-1 --last 1000",
)  # fmt: skip
PERSONAL = {"NotifyCustomerInformation": {"data"}}
"""Kept for whoever asked for it, and shown to nobody else; hidden in the frame."""
# Numbers and places as a sane charge point has them, where a fact is read of nothing else.
SANE = {"multiplier": 0, "measurand": "Voltage", "unitOfMeasure": {"unit": "V", "multiplier": 0}}


async def _tables(connection: Any) -> str:
    """Every row but those of the frames."""
    names = await connection.fetch(
        "SELECT relname FROM pg_class"
        " WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace"
    )
    texts = []
    for (name,) in names:
        if "frame" not in name and name != "quarantine":
            rows = await connection.fetch(f'SELECT row_to_json(t)::text AS row FROM "{name}" t')
            texts += [row["row"] for row in rows]
    return "\n".join(texts)


def _is_told_apart(value: Any) -> bool:
    """Whether a value is found by itself: small numbers, truths and words of OCPP stand everywhere."""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return value.startswith("zq") or value[:1].isdigit()
    return isinstance(value, int) and value >= FIRST_NUMBER


def _spellings(value: Any) -> Iterator[str]:
    text = str(value)
    yield text
    if text.endswith("Z") and text[:2] == "20":  # as Postgres and the commands print times
        yield text.removesuffix("Z")
        yield text.replace("T", " ").removesuffix("Z")


def _holds(text: str, value: Any) -> bool:
    return any(each.casefold() in text for each in _spellings(value))


async def _trace(commands: Commands, messages: dict[str, Any]) -> dict[str, Any]:
    """The payloads of the frames that came in, by action, once all are written."""

    async def written() -> bool:
        found.update(_frames(await commands.output("cp trace CP-1 --last 1000")))
        return found.keys() >= messages.keys()

    found: dict[str, Any] = {}
    await until(written)
    return found


def _frames(text: str) -> dict[str, Any]:
    found = {}
    for row in map(json.loads, text.splitlines()):
        frame = json.loads(row["frame"])
        if row["direction"] == "in" and frame[0] == 2:
            found[frame[2]] = frame[3]
    return found


@pytest.mark.parametrize("protocol", [each for each in PROTOCOLS if each not in EARLIER])
async def test_each_field_that_is_sent_is_kept_and_shown(database: str, data_home: Path, protocol: Protocol) -> None:
    filler = Filler(SANE)
    messages = {action: filler.payload(protocol, action) for action in incoming(protocol) if owed(protocol, action)}
    commands = Commands(database)
    async with asking(database, data_home, protocol) as asker:
        assert asker.station is not None
        for action, payload in messages.items():
            assert fits(protocol, action, payload)
            assert (await asker.station.call(action, payload))[0] == 3, action
        await asker.world.quiet()
        traced = await _trace(commands, messages)
        rows = (await _tables(asker.world.connection)).casefold()
        found = await asker.world.sessions()
        sessions = [f"session {verb} {each['id']}" for each in found for verb in ("show", "facts")]
        table, both = await commands.run("session facts --cp CP-1"), await commands.run("session facts 1 --cp CP-1")
        shown = "\n".join([await commands.output(line) for line in (*SHOWN_BY, *sessions)]).casefold()

    assert table.out.startswith("at\tkind\tevse\tconnector\ttold")
    assert {line.split("\t")[1] for line in table.out.splitlines()[1:]} >= {"boot", "reading", "status", "vendor_data"}
    assert both.code == ExitCode.USAGE
    wrong = []
    for action, payload in messages.items():
        for leaf in leaves(protocol, action):
            value, name = value_at(payload, leaf.path), str(leaf)
            hidden = name in PERSONAL.get(action, ())
            if value_at(traced[action], leaf.path) != (REDACTED if hidden else value):
                wrong.append(f"{action} {name}: another one in the trace")
            if _is_told_apart(value) and not _is_elsewhere(protocol, action, name) and not _holds(shown, value):
                wrong.append(
                    f"{action} {name}: {'kept, and' if _holds(rows, value) else 'in the frame alone,'} not shown"
                )
    assert wrong == [], "\n".join(wrong)


def _is_elsewhere(protocol: Protocol, action: str, name: str) -> bool:
    known = action in ELSEWHERE or name in FRAME_ONLY.get((protocol, action), {})
    return known or (name in NUMBERING and action != "TransactionEvent")
