"""Every command line that asks a charge point for something prints what it made of it, and says so by its exit status."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
import trustme

from billing import ExitCode
from csms.protocol.vocabulary import Protocol
from tests.conformance.asking import Asker, asking
from tests.conformance.command_line import Commands, Printed
from tests.conformance.commands import MD5, URL
from tests.conformance.schemas import EARLIER, PROTOCOLS, Filler, outgoing, owed, status_words, with_value
from tests.conformance.station import Hang_up, Keep_silent, Refuse
from tests.conformance.test_outcomes import DOES_IT, IS_AN_ANSWER
from tests.messages.commands import ASKED_BY, SERVER
from tests.programs import start_csms

SCRIPT_S_MAX = 60.0
REASON = ("NoRoom", "come back later")
FROM_THE_BOOKS = {"profile list"}
"""In 1.6, which has no message to ask by."""
PROFILE = {
    "id": 7, "purpose": "tx_default", "kind": "absolute", "stack_level": 1,
    "schedule": {"unit": "A", "start": "2026-03-01T12:00:00Z", "periods": [{"start_s": 0, "limit": 16}]},
}  # fmt: skip
LINES = {
    "certificate install": "root.pem CP-1",
    "certificate show": "CP-1",
    "cp availability": "CP-1 inoperative --evse 1",
    "cp clear-cache": "CP-1",
    "cp config get": "CP-1 EVSE.Power",
    "cp config network": "CP-1 1 --url wss://csms.example/ocpp --security-profile 2",
    "cp config report": "CP-1 --component EVSE",
    "cp config set": "CP-1 EVSE.Power 11000",
    "cp customer-information": "CP-1 --token CARD-0001 --report",
    "cp data-transfer": "CP-1 com.example",
    "cp reset": "CP-1",
    "cp start": "CP-1 --token CARD-0001 --evse 1",
    "cp trigger": "CP-1 Heartbeat",
    "cp unlock": "CP-1 --evse 1",
    "display clear": "CP-1 7",
    "display list": "CP-1",
    "display set": "CP-1 Hello",
    "firmware publish": f"CP-1 --url {URL} --checksum {MD5}",
    "firmware unpublish": f"CP-1 --checksum {MD5}",
    "firmware update": f"CP-1 --url {URL}",
    "local-list send": "CP-1",
    "local-list show": "CP-1",
    "log get": "CP-1 --url https://files.example/in/",
    "monitor base": "CP-1 All",
    "monitor clear": "CP-1 7",
    "monitor level": "CP-1 5",
    "monitor list": "CP-1",
    "monitor set": "CP-1 EVSE.Power --type UpperThreshold --value 11000 --severity 5",
    "profile clear": "CP-1 --id 7",
    "profile composite": "CP-1 --evse 1 --duration 3600",
    "profile list": "CP-1",
    "profile set": "CP-1 profile.json",
    "reservation create": "CP-1 --token CARD-0001 --evse 1 --minutes 30",
}
ELSEWHERE = {
    "certificate delete": "of a certificate that the charge point has told of",
    "cp password rotate": "tests/csms/cli: what is told of a password is a story of its own",
    "cp security-profile": "likewise",
    "cp stop": "of a running session",
    "reservation cancel": "of a reservation that was accepted",
}
"""Command lines that need something to be there before."""
SCRIPT = (
    "certificate install", "display set", "firmware update", "local-list send", "log get", "monitor level",
    "profile clear", "reservation create",
)  # fmt: skip
"""One of each group, through the console script."""
NOTHING_THERE = {"NoProfiles", "Unknown"}
"""To a question for a list: it is empty, and that is no failure."""
ALLOWED = {"GetLocalListVersion": {"versionNumber": 0}}
"""Without this answer there is no list to send."""
LOOKED_UP = ("GetConfiguration", "GetVariables")
"""Asked beside what the operator wants, to know what the charge point can do."""


def test_each_command_line_that_asks_is_here() -> None:
    assert LINES.keys() | ELSEWHERE.keys() == {*ASKED_BY.values()} - {SERVER}


def _refusals(protocol: Protocol) -> dict[str, dict[str, Any]]:
    """By action: an answer that refuses, with a reason where the schema has a place for one."""
    return dict(
        _refusal(protocol, action)
        for action in outgoing(protocol)
        if owed(protocol, action) and _words(protocol, action)
    )


def _words(protocol: Protocol, action: str) -> list[Any]:
    return [
        (path, word)
        for path, word in status_words(protocol, action)
        if word not in DOES_IT and (action, word) not in IS_AN_ANSWER
    ]


def _refusal(protocol: Protocol, action: str) -> tuple[str, dict[str, Any]]:
    path, word = _words(protocol, action)[0]
    given = {"id": 7, "reasonCode": REASON[0], "additionalInfo": REASON[1], "name": "EVSE"}
    return action, with_value(Filler(given).payload(protocol, action, answer=True), path, word)


def _files(directory: Path) -> None:
    (directory / "profile.json").write_text(json.dumps(PROFILE))
    (directory / "root.pem").write_bytes(trustme.CA().cert_pem.bytes())


async def _complaints(asker: Asker, commands: Commands, protocol: Protocol, path: str) -> list[str]:
    """What is wrong with what a command line prints when it is refused, and when it is not understood."""
    assert asker.station is not None
    refusals, before = _refusals(protocol), len(asker.station.asked)
    asker.station.answer = lambda action, _: (
        Refuse("NotSupported") if _is_beside(action, path) else refusals.get(action, {})
    )
    refused = await commands.run(f"{path} {LINES[path]} -o json")
    asked = [action for action, _ in asker.station.asked[before:] if not _is_beside(action, path)]
    asker.station.answer = lambda *_: Refuse("NotImplemented", "not in this model")
    unknown = await commands.run(f"{path} {LINES[path]} -o json")
    if not asked:  # this version has no message for it
        return (
            []
            if path in FROM_THE_BOOKS or refused.code != ExitCode.OK
            else [f"{refused.line}: asked nothing: {refused}"]
        )
    words = [word for _, word in _words(protocol, asked[0])[:1]]
    return [*_wrong(refused, words), *_wrong(unknown, ["NotImplemented", "not_supported"])]


def _is_beside(action: str, path: str) -> bool:
    return action in LOOKED_UP and not path.startswith("cp config")


def _wrong(said: Printed, words: list[str]) -> list[str]:
    """Neither a word of the answer nor a failure: nobody would notice that it was not done."""
    everything = said.out + said.err
    is_told = any(word in everything for word in words)
    if is_told and (said.code != ExitCode.OK or "show" in said.line):
        return []
    if not words or (words[0] in NOTHING_THERE and " list " in said.line):
        return []
    return [f"{said.line} prints {said.code} {everything}, where {words} was the answer"]


@pytest.mark.parametrize("protocol", [each for each in PROTOCOLS if each not in EARLIER])
async def test_a_refusal_is_printed_in_the_charge_points_own_word(
    database: str, data_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: Protocol
) -> None:
    _files(tmp_path)
    monkeypatch.chdir(tmp_path)
    wrong = []
    async with asking(database, data_home, protocol) as asker:
        await asker.world.token("CARD-0001")
        for path in LINES:
            wrong += await _complaints(asker, Commands(database), protocol, path)

    assert wrong == [], "\n".join(wrong)


async def _script(database: str, line: str) -> Printed:
    """The console script, in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CSMS_")}
    environment = {**clean, "CSMS_DATABASE_URL": database, "NO_COLOR": "1"}
    process = await start_csms(*shlex.split(line), env=environment)
    async with asyncio.timeout(SCRIPT_S_MAX):
        out, err = await process.communicate()
    return Printed(line, await process.wait(), out.decode(), err.decode())


async def test_the_console_script_says_what_a_charge_point_made_of_it(
    database: str, data_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _files(tmp_path)
    monkeypatch.chdir(tmp_path)
    protocol = Protocol.V201
    refusals = {action: answer for action, answer in _refusals(protocol).items() if action not in LOOKED_UP}
    async with asking(database, data_home, protocol) as asker:
        assert asker.station is not None
        await asker.world.token("CARD-0001")
        asker.station.answer = lambda action, _: {**refusals, **ALLOWED}.get(action, Refuse("NotSupported"))
        refused = await asyncio.gather(*(_script(database, f"{path} {LINES[path]} -o json") for path in SCRIPT))
        asker.reply = Keep_silent()
        asker.station.answer = lambda *_: asker.reply
        silent = await _script(database, "cp reset CP-1 --timeout 1")
        asker.reply = Hang_up()
        cut = await _script(database, "cp reset CP-1 --timeout 5")
        gone = await _script(database, "cp reset CP-1 --timeout 1")

    asked = {action for action, _ in asker.station.asked if action in refusals} - {"Reset"}
    assert len(asked) == len(SCRIPT)
    words = {_words(protocol, action)[0][1] for action in asked}
    for said in refused:
        assert said.code == ExitCode.REFUSED, said
        assert any(word in said.out for word in words), said
        assert ": ".join(REASON) in said.out, said
    assert (silent.code, cut.code) == (ExitCode.TIMEOUT, ExitCode.TIMEOUT)
    assert json.loads(gone.err)["code"] == "offline"
