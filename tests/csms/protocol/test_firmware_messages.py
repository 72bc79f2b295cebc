"""Firmware and logs as each version writes and reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocpp_payloads import CHARGE_POINT, JSON, RECEIVED_AT

from csms.nodes.routing import command_to_keep
from csms.protocol.blocks.firmware import (
    ExtendedTriggerMessage,
    GetDiagnostics,
    GetLog,
    LogKind,
    PublishFirmware,
    UnpublishFirmware,
    UpdateFirmware,
    sent_for,
)
from csms.protocol.blocks.firmware_facts import PublishStatusReported
from csms.protocol.redaction import redacted, without_credentials
from csms.protocol.transfer_url import SCHEMES, problem_of
from csms.protocol.translator import CommandInvalid, Refusal, translator
from csms.protocol.validation import is_valid
from csms.protocol.vocabulary import (
    Acknowledged,
    Command,
    FirmwareStatusReported,
    LogStatusReported,
    Outcome,
    Protocol,
)

URL = "https://files.example/pump-2.1.bin"
SECRET_URL = "sftp://depot:hunter2@files.example:2222/pump-2.1.bin?sig=c2VjcmV0"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
PLAIN = UpdateFirmware(request=7, url=URL, retrieve_at=AT)
SIGNED = UpdateFirmware(
    request=7, url=URL, retrieve_at=AT, install_at=AT + timedelta(hours=2), retries=3, retry_interval_s=60,
    certificate=PEM, signature="c2ln",
)  # fmt: skip
FIRMWARE = {
    "location": URL, "retrieveDateTime": "2026-03-01T12:00:00.000Z", "installDateTime": "2026-03-01T14:00:00.000Z",
    "signingCertificate": PEM, "signature": "c2ln",
}  # fmt: skip
DIAGNOSTICS = GetDiagnostics(url=URL, since=AT, until=AT + timedelta(hours=1), retries=2, retry_interval_s=30)
LOG = GetLog(request=9, kind=LogKind.SECURITY, url=URL, since=AT, until=AT + timedelta(hours=1), retries=2)
LOG_CALL = (
    "GetLog",
    {
        "logType": "SecurityLog",
        "requestId": 9,
        "log": {
            "remoteLocation": URL,
            "oldestTimestamp": "2026-03-01T12:00:00.000Z",
            "latestTimestamp": "2026-03-01T13:00:00.000Z",
        },
        "retries": 2,
    },
)
PUBLISH = PublishFirmware(request=8, url=URL, checksum=MD5, retries=1, retry_interval_s=5)


@pytest.mark.parametrize(
    ("command", "call_16", "call_201"),
    [
        (
            PLAIN,
            ("UpdateFirmware", {"location": URL, "retrieveDate": "2026-03-01T12:00:00.000Z"}),
            (
                "UpdateFirmware",
                {"requestId": 7, "firmware": {"location": URL, "retrieveDateTime": "2026-03-01T12:00:00.000Z"}},
            ),
        ),
        (
            SIGNED,
            ("SignedUpdateFirmware", {"requestId": 7, "firmware": FIRMWARE, "retries": 3, "retryInterval": 60}),
            ("UpdateFirmware", {"requestId": 7, "firmware": FIRMWARE, "retries": 3, "retryInterval": 60}),
        ),
        (
            DIAGNOSTICS,
            (
                "GetDiagnostics",
                {
                    "location": URL, "startTime": "2026-03-01T12:00:00.000Z", "stopTime": "2026-03-01T13:00:00.000Z",
                    "retries": 2, "retryInterval": 30,
                },
            ),
            None,
        ),
        (LOG, LOG_CALL, LOG_CALL),
        (
            PUBLISH,
            None,
            (
                "PublishFirmware",
                {"location": URL, "checksum": MD5, "requestId": 8, "retries": 1, "retryInterval": 5},
            ),
        ),
        (UnpublishFirmware(checksum=MD5), None, ("UnpublishFirmware", {"checksum": MD5})),
        (
            ExtendedTriggerMessage(message="LogStatusNotification", evse=2),
            ("ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification", "connectorId": 2}),
            None,
        ),
    ],
)  # fmt: skip
def test_what_is_asked_is_said_in_the_words_of_each_version(command: Command, call_16: Any, call_201: Any) -> None:
    assert translator(Protocol.V16).command(command) == call_16
    assert translator(Protocol.V201).command(command) == call_201


@pytest.mark.parametrize(
    ("protocol", "command", "problem"),
    [
        (
            Protocol.V16,
            UpdateFirmware(request=1, url=URL, retrieve_at=AT, install_at=AT),
            "UpdateFirmware cannot be sent: OCPP 1.6 installs when it will; only SignedUpdateFirmware has a time",
        ),
        (
            Protocol.V16,
            UpdateFirmware(request=1, url=URL, retrieve_at=AT, signature="c2ln"),
            "SignedUpdateFirmware cannot be sent: firmware.signingCertificate is required beside a signature",
        ),
        (
            Protocol.V16,
            UpdateFirmware(request=1, url=URL, retrieve_at=AT, certificate=PEM),
            "SignedUpdateFirmware cannot be sent: firmware.signature is required beside a certificate",
        ),
        (
            Protocol.V201,
            UpdateFirmware(request=1, url=URL, retrieve_at=AT, signature="c2ln"),
            "UpdateFirmware cannot be sent: signingCertificate and signature come together (L01)",
        ),
        (
            Protocol.V201,
            UnpublishFirmware(checksum=MD5 * 2),
            "UnpublishFirmware cannot be sent: checksum is longer than 32 characters",
        ),
        (
            Protocol.V16,
            ExtendedTriggerMessage(message="DiagnosticsStatusNotification"),
            "ExtendedTriggerMessage cannot be sent: requestedMessage is none of the words of the schema",
        ),
        (
            Protocol.V16,
            ExtendedTriggerMessage(message="MeterValues", evse=0),
            "ExtendedTriggerMessage cannot be sent: connectorId counts from 1, not 0",
        ),
        (
            Protocol.V16,
            GetDiagnostics(url="file:///etc/hosts"),
            "GetDiagnostics cannot be sent: location begins with none of http://, https://, ftp://, ftps://, sftp://",
        ),
    ],
)
def test_what_cannot_be_asked_names_the_field_and_the_rule(protocol: Protocol, command: Command, problem: str) -> None:
    with pytest.raises(CommandInvalid) as caught:
        translator(protocol).command(command)

    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("protocol", "command", "payload", "outcome"),
    [
        (Protocol.V16, PLAIN, {}, Outcome(accepted=True, status="Accepted")),
        (Protocol.V16, SIGNED, {}, Outcome(accepted=False, status="invalid_answer", detail="the answer has no status")),
        *[
            (protocol, SIGNED, {"status": status}, Outcome(accepted=accepted, status=status))
            for protocol in Protocol
            for status, accepted in {
                "Accepted": True, "AcceptedCanceled": True, "Rejected": False, "InvalidCertificate": False,
                "RevokedCertificate": False,
            }.items()
        ],
        *[
            (
                protocol,
                LOG,
                {"status": status, "filename": "log.txt"},
                Outcome(accepted=status != "Rejected", status=status, data={"file": "log.txt"}),
            )
            for protocol in Protocol
            for status in ("Accepted", "AcceptedCanceled", "Rejected")
        ],
        (Protocol.V201, LOG, {"status": "Accepted"}, Outcome(accepted=True, status="Accepted")),
        (
            Protocol.V16,
            DIAGNOSTICS,
            {"fileName": "d.zip"},
            Outcome(accepted=True, status="Accepted", data={"file": "d.zip"}),
        ),
        (
            Protocol.V16,
            DIAGNOSTICS,
            {},
            Outcome(accepted=False, status="NoDiagnostics", detail="the charge point has no diagnostics for that time"),
        ),
        *[
            (Protocol.V201, PUBLISH, {"status": status}, Outcome(accepted=status == "Accepted", status=status))
            for status in ("Accepted", "Rejected")
        ],
        *[
            (
                Protocol.V201,
                UnpublishFirmware(checksum=MD5),
                {"status": status},
                Outcome(accepted=status == "Unpublished", status=status),
            )
            for status in ("DownloadOngoing", "NoFirmware", "Unpublished")
        ],
        *[
            (
                Protocol.V16,
                ExtendedTriggerMessage(message="Heartbeat"),
                {"status": status},
                Outcome(accepted=status == "Accepted", status=status),
            )
            for status in ("Accepted", "Rejected", "NotImplemented")
        ],
    ],
)  # fmt: skip
def test_every_answer_says_whether_it_will_be_done(
    protocol: Protocol, command: Command, payload: dict[str, Any], outcome: Outcome
) -> None:
    assert translator(protocol).outcome(command, payload) == outcome


@pytest.mark.parametrize(
    ("protocol", "action", "payload", "fact"),
    [
        (
            Protocol.V16, "FirmwareStatusNotification", {"status": "Downloading"},
            FirmwareStatusReported(status="Downloading"),
        ),
        (
            Protocol.V16, "SignedFirmwareStatusNotification", {"status": "InvalidSignature", "requestId": 7},
            FirmwareStatusReported(status="InvalidSignature", request=7),
        ),
        (
            Protocol.V201, "FirmwareStatusNotification", {"status": "InstallRebooting", "requestId": 7},
            FirmwareStatusReported(status="InstallRebooting", request=7),
        ),
        (
            Protocol.V16, "DiagnosticsStatusNotification", {"status": "UploadFailed"},
            LogStatusReported(status="UploadFailed"),
        ),
        (
            Protocol.V201, "LogStatusNotification", {"status": "AcceptedCanceled", "requestId": 9},
            LogStatusReported(status="AcceptedCanceled", request=9),
        ),
        (
            Protocol.V201, "PublishFirmwareStatusNotification",
            {"status": "published", "requestId": "8", "location": [URL, 5, "ftp://local.example/x"]},
            PublishStatusReported(status="Published", request=8, locations=(URL, "ftp://local.example/x")),
        ),
    ],
)  # fmt: skip
def test_every_field_of_a_status_is_read(protocol: Protocol, action: str, payload: dict[str, Any], fact: Any) -> None:
    edge = translator(protocol)

    assert edge.read(action, payload, charge_point=CHARGE_POINT, received_at=RECEIVED_AT) == fact
    assert edge.answer(action, Acknowledged()) == {}


def test_a_status_notification_without_status_is_refused() -> None:
    refused = translator(Protocol.V201).read(
        "PublishFirmwareStatusNotification", {"requestId": 1}, charge_point=CHARGE_POINT, received_at=RECEIVED_AT
    )

    assert isinstance(refused, Refusal)
    assert refused.code == "OccurrenceConstraintViolation"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_charge_points_fetch_and_send_by_five_schemes(scheme: str) -> None:
    assert problem_of(f"{scheme}://user:secret@files.example:8443/a%20b?x=1") is None
    assert problem_of(f"{scheme.upper()}://[2001:db8::1]/a") is None


@pytest.mark.parametrize(
    "url",
    [
        "", "files.example/a", "file:///etc/hosts", "javascript:alert(1)", "https://", "https:///a",
        "https://files.example:port/a", "https://files.example:99999/a", "ftp://user:pa/ss@files.example/a",
        "https://files.example/ü", "https://files.example/a b", "https://files.example/a\n", 'https://files.example/"',
        "https://[::1/a", "https://files.example/" + "x" * 500,
    ],
)  # fmt: skip
def test_other_addresses_are_no_place_for_files(url: str) -> None:
    problem = problem_of(url)

    assert problem
    assert "ss@" not in problem


COMMANDS = [
    UpdateFirmware(request=1, url=SECRET_URL, retrieve_at=AT),
    PublishFirmware(request=1, url=SECRET_URL, checksum=MD5),
    GetLog(request=1, kind=LogKind.DIAGNOSTICS, url=SECRET_URL),
    GetDiagnostics(url=SECRET_URL),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_credentials_in_a_url_are_kept_nowhere(command: Command) -> None:
    calls = [translator(protocol).command(command) for protocol in Protocol]
    frames = [redacted(json.dumps([2, "id", *call])) for call in calls if call is not None]
    kept = [json.dumps(command_to_keep(command)), *frames]

    assert len(kept) >= 2
    for each in kept:
        assert "sftp://(hidden)@files.example:2222/pump-2.1.bin?(hidden)" in each
        json.loads(each)


@pytest.mark.parametrize(
    "frame",
    [
        r'[2,"1","PublishFirmwareStatusNotification",{"location":["sftp:\/\/depot:hunter2@files.example\/a"]}]',
        '[4,"1","GenericError","no route to ftp://depot:hun%40ter2@files.example",{}]',
        '[2,"1","DataTransfer",{"data":"see http://hunter2@files.example"}]',
    ],
)
def test_credentials_are_hidden_wherever_a_url_is_told(frame: str) -> None:
    kept = redacted(frame)

    assert "hunter2" not in kept
    assert "hun%40ter2" not in kept
    assert "(hidden)@files.example" in kept


@pytest.mark.parametrize(
    "text", ["https://files.example/a@b", "no url, but a@b.example", "https://files.example/x#frag@ment", ""]
)
def test_what_holds_no_credentials_stays_as_it_is(text: str) -> None:
    assert without_credentials(text) == text
    assert redacted(json.dumps([2, "1", "DataTransfer", {"data": text}])) == json.dumps(
        [2, "1", "DataTransfer", {"data": text}]
    )


def test_what_was_triggered_may_come_under_another_name() -> None:
    assert sent_for("SignChargePointCertificate") == {"SignCertificate"}
    assert sent_for("Heartbeat") == {"Heartbeat"}
    assert "SignedFirmwareStatusNotification" in sent_for("FirmwareStatusNotification")


WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(-2, 2**31)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is beside it
URLS = st.sampled_from([URL, SECRET_URL, "file:///x", "https://files.example/" + "x" * 500]) | WORDS
RETRIES: dict[str, Any] = {"retries": st.none() | NUMBERS, "retry_interval_s": st.none() | NUMBERS}
SPAN: dict[str, Any] = {"since": st.none() | TIMES, "until": st.none() | TIMES}
ANY_COMMAND = st.one_of(
    st.builds(
        UpdateFirmware, request=NUMBERS, url=URLS, retrieve_at=TIMES, install_at=st.none() | TIMES,
        certificate=st.none() | WORDS, signature=st.none() | WORDS, **RETRIES,
    ),
    st.builds(PublishFirmware, request=NUMBERS, url=URLS, checksum=WORDS | st.just(MD5), **RETRIES),
    st.builds(UnpublishFirmware, checksum=WORDS | st.just(MD5 * 2)),
    st.builds(GetLog, request=NUMBERS, kind=st.sampled_from(LogKind), url=URLS, **SPAN, **RETRIES),
    st.builds(GetDiagnostics, url=URLS, **SPAN, **RETRIES),
    st.builds(ExtendedTriggerMessage, message=WORDS | st.just("Heartbeat"), evse=st.none() | NUMBERS),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(Protocol), ANY_COMMAND)
def test_whatever_is_asked_is_a_valid_call_or_names_what_is_wrong(protocol: Protocol, command: Command) -> None:
    call, problem = None, "cannot be sent"
    try:
        call = translator(protocol).command(command)
    except CommandInvalid as error:
        problem = str(error)

    assert "cannot be sent" in problem
    assert "hunter2" not in problem
    assert call is None or is_valid(protocol, call[0], json.loads(json.dumps(call[1])))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(Protocol), ANY_COMMAND, JSON)
def test_an_answer_is_readable_whatever_it_is(protocol: Protocol, command: Command, payload: Any) -> None:
    outcome = translator(protocol).outcome(command, payload)

    assert outcome.status
    json.dumps(outcome.data)
