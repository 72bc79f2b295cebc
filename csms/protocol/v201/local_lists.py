"""OCPP 2.0.1: local authorization list and cache (blocks D and C)."""

from __future__ import annotations

import re

from csms.protocol.blocks.local_lists import ClearCache, GetLocalListVersion, ListEntry, SendLocalList
from csms.protocol.outcomes import AnswerReaders, invalid_answer
from csms.protocol.outgoing import Call, Writers
from csms.protocol.repair import Fields
from csms.protocol.v16.local_lists import clear_cache, get_local_list_version, require_sound
from csms.protocol.v201.answers import id_token_info
from csms.protocol.vocabulary import Outcome

_ISO15693 = re.compile(r"E0[0-9A-F]{14}")  # 8 bytes that begin with E0 (ISO/IEC 15693-3, 4.1)
_UID = re.compile(r"(?:[0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20})")  # 4, 7 or 10 bytes (ISO/IEC 14443-3)
_CONTRACT = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{3}-C?[A-Z0-9]{8}(?:-[A-Z0-9])?|[A-Z0-9]{3}C[A-Z0-9]{8}[A-Z0-9]?)")


def send_local_list(command: SendLocalList) -> Call:
    """A full list without entries empties the one that the station holds (D01)."""
    require_sound("SendLocalList", command)
    payload: dict[str, object] = {
        "versionNumber": command.version,
        "updateType": "Full" if command.full else "Differential",
    }
    if command.entries:
        payload["localAuthorizationList"] = [list_entry(each) for each in command.entries]
    return "SendLocalList", payload


def list_entry(entry: ListEntry) -> dict[str, object]:
    """AuthorizationData; without idTokenInfo the token leaves the list."""
    info = {} if entry.verdict is None else {"idTokenInfo": id_token_info(entry.verdict)}
    return {"idToken": {"idToken": entry.token, "type": token_type(entry.token)}, **info}


def token_type(token: str) -> str:
    """What the token looks like (IdTokenEnumType): tokens are issued by their id alone, and a list must name a type."""
    if _ISO15693.fullmatch(token.upper()):
        return "ISO15693"
    if not _UID.fullmatch(token.upper()) and _CONTRACT.fullmatch(token.upper()):
        return "eMAID"
    return "ISO14443"


def version_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    version = Fields(payload, set()).integer("versionNumber")
    if version is None:
        return invalid_answer("the answer has no versionNumber")
    return Outcome(accepted=True, status="Accepted", data={"version": version})


CALLS: Writers = {
    SendLocalList: send_local_list,
    GetLocalListVersion: get_local_list_version,
    ClearCache: clear_cache,
}
OUTCOMES: AnswerReaders = {GetLocalListVersion: version_outcome}
