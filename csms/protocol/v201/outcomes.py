"""OCPP 2.0.1 results of our calls, read leniently into outcomes."""

from __future__ import annotations

from csms.protocol import vocabulary
from csms.protocol.outcomes import (
    INVALID_ANSWER,
    AnswerReaders,
    invalid_answer,
    status_detail,
    status_outcome,
    status_word,
    statuses_outcome,
    vendor_data_outcome,
)
from csms.protocol.redaction import redact
from csms.protocol.repair import IDENTIFIER_LENGTH_MAX, Fields
from csms.protocol.v201.setting_name import read_setting_name
from csms.protocol.vocabulary import Outcome

_VALUE_LENGTH_MAX = 2500


def started_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    transaction = Fields(payload, set()).text("transactionId", IDENTIFIER_LENGTH_MAX)
    return status_outcome(payload, {"transaction": transaction} if transaction else None)


def cost_outcome(_command: object, _payload: dict[str, object]) -> Outcome:
    """The answer has no fields."""
    return Outcome(accepted=True, status="Accepted")


def get_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    """Values by setting; those of secrets are hidden."""
    statuses, settings, reasons = {}, {}, {}
    for name, entry in _results(payload, "getVariableResult"):
        reasons[name] = status_detail(entry.child("attributeStatusInfo"))
        statuses[name] = status_word(entry, "attributeStatus") or INVALID_ANSWER
        if statuses[name] == "Accepted":
            settings[name] = redact(name, entry.text("attributeValue", _VALUE_LENGTH_MAX))
    unknown = [name for name, status in statuses.items() if status in ("UnknownComponent", "UnknownVariable")]
    return statuses_outcome(statuses, {"settings": settings, "statuses": statuses, "unknown": unknown}, reasons)


def set_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    results = _results(payload, "setVariableResult")
    statuses = {name: status_word(entry, "attributeStatus") or INVALID_ANSWER for name, entry in results}
    reasons = {name: status_detail(entry.child("attributeStatusInfo")) for name, entry in results}
    return statuses_outcome(statuses, {"statuses": statuses}, reasons)


def transaction_status_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    """`ongoing` None: the charge point was asked for no transaction, or does not say."""
    fields = Fields(payload, set())
    in_queue = fields.boolean("messagesInQueue")
    if in_queue is None:
        return invalid_answer("the answer has no messagesInQueue")
    data = {"ongoing": fields.boolean("ongoingIndicator"), "messages_in_queue": in_queue}
    return Outcome(accepted=True, status="Accepted", data=data)


def _results(payload: dict[str, object], name: str) -> list[tuple[str, Fields]]:
    entries = [Fields(item, set()) for item in Fields(payload, set()).items(name)]
    named = [(read_setting_name(entry), entry) for entry in entries]
    return [(str(setting), entry) for setting, entry in named if setting is not None]


OUTCOMES: AnswerReaders = {
    vocabulary.StartCharging: started_outcome,
    vocabulary.GetSettings: get_outcome,
    vocabulary.SetSettings: set_outcome,
    vocabulary.SendVendorData: vendor_data_outcome,
    vocabulary.AskTransactionStatus: transaction_status_outcome,
    vocabulary.ShowCost: cost_outcome,
}
