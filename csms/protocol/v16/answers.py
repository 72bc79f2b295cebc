"""Decisions written as OCPP 1.6J results."""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol import vocabulary
from csms.protocol.times import print_time
from csms.protocol.vocabulary import Decision, TokenStatus, TokenVerdict

_TOKEN_LENGTH_MAX = 20  # IdToken of 1.6

AnswerWriter = Callable[[Decision], dict[str, object]]


def boot_answer(decision: Decision) -> dict[str, object]:
    assert isinstance(decision, vocabulary.BootAnswer), "a boot is answered with a registration"
    return {
        "status": decision.registration.value,
        "currentTime": print_time(decision.now),
        "interval": decision.interval_s,
    }


def time_answer(decision: Decision) -> dict[str, object]:
    assert isinstance(decision, vocabulary.TimeAnswer), "a heartbeat is answered with the time"
    return {"currentTime": print_time(decision.now)}


def token_answer(decision: Decision) -> dict[str, object]:
    assert isinstance(decision, vocabulary.TokenAnswer), "an Authorize is answered with a verdict"
    return {"idTagInfo": id_tag_info(decision.verdict)}


def start_answer(decision: Decision) -> dict[str, object]:
    """The schema wants a verdict: without one (the token could not be read) nobody is authorised."""
    assert isinstance(decision, vocabulary.ChargingAnswer), "a start is answered with a transaction"
    assert decision.transaction is not None, "in 1.6 the central system gives the transactionId"
    verdict = decision.verdict or TokenVerdict(status=TokenStatus.INVALID)
    return {"transactionId": decision.transaction, "idTagInfo": id_tag_info(verdict)}


def stop_answer(decision: Decision) -> dict[str, object]:
    if not isinstance(decision, vocabulary.ChargingAnswer) or decision.verdict is None:
        return {}
    return {"idTagInfo": id_tag_info(decision.verdict)}


def vendor_data_answer(decision: Decision) -> dict[str, object]:
    if isinstance(decision, vocabulary.ChargingAnswer):
        return {"status": "Accepted"}  # it told of a transaction, and is kept
    assert isinstance(decision, vocabulary.VendorDataAnswer), "a DataTransfer is answered with a status"
    return {"status": decision.status}


def acknowledgement(_decision: Decision) -> dict[str, object]:
    return {}


def id_tag_info(verdict: TokenVerdict) -> dict[str, object]:
    """IdTagInfo. A group longer than 1.6 can carry is left out: a cut one would be another group.

    AuthorizationStatus of 1.6 knows no credit (7.2): who has none is Blocked.
    """
    status = TokenStatus.BLOCKED if verdict.status is TokenStatus.NO_CREDIT else verdict.status
    info: dict[str, object] = {"status": status.value}
    if verdict.group is not None and len(verdict.group) <= _TOKEN_LENGTH_MAX:
        info["parentIdTag"] = verdict.group
    if verdict.expires_at is not None:
        info["expiryDate"] = print_time(verdict.expires_at)
    return info


ANSWERS: dict[str, AnswerWriter] = {
    "Authorize": token_answer,
    "BootNotification": boot_answer,
    "DataTransfer": vendor_data_answer,
    "DiagnosticsStatusNotification": acknowledgement,
    "FirmwareStatusNotification": acknowledgement,
    "Heartbeat": time_answer,
    "LogStatusNotification": acknowledgement,
    "MeterValues": acknowledgement,
    "SecurityEventNotification": acknowledgement,
    "SignedFirmwareStatusNotification": acknowledgement,
    "StartTransaction": start_answer,
    "StatusNotification": acknowledgement,
    "StopTransaction": stop_answer,
}
