"""OCPP 1.6J results of our calls, read leniently into outcomes."""

from __future__ import annotations

from csms.protocol import vocabulary
from csms.protocol.outcomes import AnswerReaders, invalid_answer, status_outcome, statuses_outcome, vendor_data_outcome
from csms.protocol.redaction import redact
from csms.protocol.repair import Fields, clean_text
from csms.protocol.vocabulary import Outcome

_KEY_LENGTH_MAX = 255
_VALUE_LENGTH_MAX = 2500


def settings_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    """Settings by key; values of secrets are hidden. Some send numbers as values, or line breaks within keys."""
    fields = Fields(payload, set())
    settings: dict[str, str | None] = {}
    readonly: list[str] = []
    for item in fields.items("configurationKey"):
        entry = Fields(item, fields.quirks)
        key = entry.text("key", _KEY_LENGTH_MAX)
        if not key:
            continue
        settings[key] = redact(key, _value(entry))
        if entry.boolean("readonly"):
            readonly.append(key)
    unknown = [
        clean_text(str(key), _KEY_LENGTH_MAX, set()) for key in fields.items("unknownKey") if isinstance(key, str)
    ]
    if "configurationKey" not in payload and "unknownKey" not in payload:
        return invalid_answer("the answer has neither configurationKey nor unknownKey")
    return Outcome(
        accepted=True, status="Accepted", data={"settings": settings, "readonly": readonly, "unknown": unknown}
    )


def change_outcome(command: vocabulary.SetSettings, payload: dict[str, object]) -> Outcome:
    key = command.values[0][0]
    single = status_outcome(payload)
    if single.status == "invalid_answer":
        return single
    return statuses_outcome({key: single.status}, {"statuses": {key: single.status}})


def _value(entry: Fields) -> str | None:
    value = entry.payload.get("value")
    return str(value).lower() if isinstance(value, bool) else entry.text("value", _VALUE_LENGTH_MAX)


OUTCOMES: AnswerReaders = {
    vocabulary.GetSettings: settings_outcome,
    vocabulary.SetSettings: change_outcome,
    vocabulary.SendVendorData: vendor_data_outcome,
}
