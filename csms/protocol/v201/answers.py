"""Decisions written as OCPP 2.0.1 results."""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol import vocabulary
from csms.protocol.json_number import json_number
from csms.protocol.times import print_time
from csms.protocol.v16.answers import acknowledgement, boot_answer, time_answer, vendor_data_answer
from csms.protocol.vocabulary import Decision, PersonalMessage, TokenVerdict

_TOKEN_LENGTH_MAX = 36  # IdTokenType.idToken

AnswerWriter = Callable[[Decision], dict[str, object]]


def token_answer(decision: Decision) -> dict[str, object]:
    return authorized(decision, group_length_max=_TOKEN_LENGTH_MAX)


def authorized(decision: Decision, *, group_length_max: int) -> dict[str, object]:
    assert isinstance(decision, vocabulary.TokenAnswer), "an Authorize is answered with a verdict"
    info = id_token_info(decision.verdict, group_length_max=group_length_max)
    return {"idTokenInfo": info | personal_message(decision.message)}


def transaction_answer(decision: Decision) -> dict[str, object]:
    return transaction_event_answer(decision, group_length_max=_TOKEN_LENGTH_MAX)


def transaction_event_answer(decision: Decision, *, group_length_max: int) -> dict[str, object]:
    """A verdict only where a token was presented, a cost only where there is one: 0.00 is free, absent is not."""
    answer: dict[str, object] = {}
    if isinstance(decision, vocabulary.ChargingAnswer):
        if decision.total_cost is not None:
            answer["totalCost"] = json_number(decision.total_cost)
        if decision.verdict is not None:
            info = id_token_info(decision.verdict, group_length_max=group_length_max)
            answer["idTokenInfo"] = info | personal_message(decision.message)
    return answer


def id_token_info(verdict: TokenVerdict, *, group_length_max: int = _TOKEN_LENGTH_MAX) -> dict[str, object]:
    """IdTokenInfoType. A group longer than an idToken can be is left out: a cut one would be another group."""
    info: dict[str, object] = {"status": verdict.status.value}
    if verdict.group is not None and len(verdict.group) <= group_length_max:
        info["groupIdToken"] = {"idToken": verdict.group, "type": "Central"}
    if verdict.expires_at is not None:
        info["cacheExpiryDateTime"] = print_time(verdict.expires_at)
    return info


def personal_message(message: PersonalMessage | None) -> dict[str, object]:
    """IdTokenInfoType.personalMessage, where there is one."""
    if message is None:
        return {}
    return {"personalMessage": {"format": "UTF8", "language": message.language, "content": message.text}}


ANSWERS: dict[str, AnswerWriter] = {
    "Authorize": token_answer,
    "BootNotification": boot_answer,
    "DataTransfer": vendor_data_answer,
    "FirmwareStatusNotification": acknowledgement,
    "Heartbeat": time_answer,
    "LogStatusNotification": acknowledgement,
    "MeterValues": acknowledgement,
    "NotifyEvent": acknowledgement,
    "NotifyReport": acknowledgement,
    "SecurityEventNotification": acknowledgement,
    "StatusNotification": acknowledgement,
    "TransactionEvent": transaction_answer,
}
