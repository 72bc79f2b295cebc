"""OCPP 1.6J: local authorization list and cache (5.4, 5.10, 5.15)."""

from __future__ import annotations

from collections.abc import Sequence

from csms.protocol.blocks.local_lists import ClearCache, GetLocalListVersion, ListEntry, SendLocalList
from csms.protocol.outcomes import AnswerReaders, invalid_answer
from csms.protocol.outgoing import Call, Writers, require
from csms.protocol.repair import Fields
from csms.protocol.v16.answers import id_tag_info
from csms.protocol.vocabulary import Outcome

UNSUPPORTED = -1
"""The list version of a charge point without local list (5.10)."""


def send_local_list(command: SendLocalList) -> Call:
    """A list without entries empties the one that the charge point holds; the field is then left out."""
    require_sound("SendLocalList", command)
    payload: dict[str, object] = {
        "listVersion": command.version,
        "updateType": "Full" if command.full else "Differential",
    }
    if command.entries:
        payload["localAuthorizationList"] = [list_entry(each) for each in command.entries]
    return "SendLocalList", payload


def list_entry(entry: ListEntry) -> dict[str, object]:
    """AuthorizationData; without idTagInfo the token leaves the list."""
    info = {} if entry.verdict is None else {"idTagInfo": id_tag_info(entry.verdict)}
    return {"idTag": entry.token, **info}


def require_sound(action: str, command: SendLocalList) -> None:
    """What the schemas of both versions cannot say."""
    require(action, command.version > 0, "list versions count from 1; 0 means that there is no list")
    require(action, _are_distinct(command.entries), "a token stands in the list twice (ids compare case-insensitively)")
    complete = not command.full or all(each.verdict is not None for each in command.entries)
    require(action, complete, "a full list says of each token whether it may charge")


def _are_distinct(entries: Sequence[ListEntry]) -> bool:
    return len({each.token.casefold() for each in entries}) == len(entries)


def get_local_list_version(_command: GetLocalListVersion) -> Call:
    return "GetLocalListVersion", {}


def clear_cache(_command: ClearCache) -> Call:
    return "ClearCache", {}


def version_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    version = Fields(payload, set()).integer("listVersion")
    if version is None:
        return invalid_answer("the answer has no listVersion")
    if version == UNSUPPORTED:
        return Outcome(accepted=False, status="not_supported", detail="list version -1: it keeps no local list")
    return Outcome(accepted=True, status="Accepted", data={"version": version})


CALLS: Writers = {
    SendLocalList: send_local_list,
    GetLocalListVersion: get_local_list_version,
    ClearCache: clear_cache,
}
OUTCOMES: AnswerReaders = {GetLocalListVersion: version_outcome}
