"""What the shape of messages shows: JSON, ids, texts, settings. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from csms.doctor.chart import ERROR, Chart, Found, Message, found, many
from csms.protocol.redaction import REDACTED
from csms.protocol.translator import TRANSACTION_ACTIONS

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_LOOSE = re.compile(r"[\r\n\t]|\s[,:\]}]")
_ASKED = {"GetConfiguration", "GetVariables", "NotifyReport"}
REFUSED = "refused: "


def json_whitespace(chart: Chart) -> Found | None:
    loose = [each for each in chart.messages if each.is_theirs and _LOOSE.search(_TEXT.sub('""', each.body))]
    return found(loose, f"{len(loose)} of the last {len(chart.messages)} frames")


def message_id_repeated(chart: Chart) -> Found | None:
    contents: dict[str, set[tuple[str | None, str]]] = defaultdict(set)
    repeated: list[Message] = []
    for each in chart.calls:
        if contents[each.id] and each.content not in contents[each.id] and each.id != "-1":
            repeated.append(each)
        contents[each.id].add(each.content)
    ids = {each.id for each in repeated}
    return found(repeated, f"{many(repeated, 'message')} under {many(ids, 'id')} that were used before")


def queue_stalled(chart: Chart) -> Found | None:
    """A transaction message that was refused, and comes again with the same content."""
    refused = {(each.socket, each.id) for each in chart.ours if each.kind == ERROR}
    by_content: dict[tuple[str | None, str], list[Message]] = defaultdict(list)
    for each in chart.calls:
        if each.action in TRANSACTION_ACTIONS and (each.socket, each.id) in refused:
            by_content[each.content].append(each)
    stalled = max(by_content.values(), key=len, default=[])
    return found(stalled, f"one {stalled[0].action} refused {many(stalled, 'time')}") if len(stalled) > 1 else None


def refused_messages(chart: Chart) -> Found | None:
    refused = [each for each in chart.quarantine if each.what.startswith(REFUSED)]
    if not refused:
        return None
    newest = refused[-1]
    return Found(
        evidence=f"{len(refused)} kept in quarantine; the newest: {newest.what.removeprefix(REFUSED)}",
        frame=newest.frame or "",
        count=len(refused),
        first_at=refused[0].at,
        last_at=newest.at,
    )


def empty_texts(chart: Chart) -> Found | None:
    boots = chart.told("BootNotification")
    names = {"iccid", "imsi", "firmwareVersion", "chargePointSerialNumber", "chargeBoxSerialNumber", "meterType"}
    empty = [each for each in boots if any(each.payload.get(name) == "" for name in names)]
    told = sorted({name for each in empty for name in names if each.payload.get(name) == ""})
    return found(empty, ", ".join(told))


def vendor_data(chart: Chart) -> Found | None:
    told = chart.told("DataTransfer")
    names = sorted({f"{each.payload.get('vendorId')} {each.payload.get('messageId') or ''}".strip() for each in told})
    return found(told, ", ".join(names[:10]))


def configuration_not_text(chart: Chart) -> Found | None:
    odd = {id(answer): answer for answer, item in _keys(chart) if not isinstance(item.get("value"), str | None)}
    return found(list(odd.values()), "values that are numbers, booleans or objects")


def configuration_key_padded(chart: Chart) -> Found | None:
    padded = {
        id(answer): (answer, item["key"])
        for answer, item in _keys(chart)
        if isinstance(item.get("key"), str) and item["key"] != item["key"].strip()
    }
    keys = ", ".join(repr(key) for _, key in padded.values())
    return found([answer for answer, _ in padded.values()], keys[:200])


def secret_in_settings(chart: Chart) -> Found | None:
    hidden = [
        each for each in chart.messages if each.is_theirs and each.action in _ASKED and f'"{REDACTED}"' in each.body
    ]
    names = {str(item.get("key")) for _, item in _keys(chart) if item.get("value") == REDACTED}
    return found(hidden, f"hidden before they were kept: {', '.join(sorted(names)) or 'values'}")


def _keys(chart: Chart) -> Iterator[tuple[Message, Mapping[str, Any]]]:
    for answer in chart.answers:
        items = answer.payload.get("configurationKey")
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict):
                yield answer, item
