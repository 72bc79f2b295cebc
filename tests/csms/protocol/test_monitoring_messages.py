"""Monitors, reports of some of the device model and network profiles on the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from csms.charge_points.charge_point import ChargePoint
from csms.nodes.routing import command_to_keep
from csms.protocol.blocks.monitoring import (
    AccessPoint,
    ClearMonitors,
    ComponentCriterion,
    GetMonitoringReport,
    GetReport,
    MonitoringBase,
    MonitoringCriterion,
    MonitorType,
    SetMonitor,
    SetMonitoringBase,
    SetMonitoringLevel,
    SetNetworkProfile,
)
from csms.protocol.blocks.monitoring_facts import Monitor, MonitoringReported, MonitorsReported
from csms.protocol.redaction import redacted
from csms.protocol.translator import CommandInvalid, Refusal, translator
from csms.protocol.vocabulary import Acknowledged, Command, Protocol

V16, V201 = Protocol.V16, Protocol.V201
AT = datetime(2026, 3, 1, 18, tzinfo=UTC)
HOT = SetMonitor(name="EVSE@1.Temperature", type=MonitorType.UPPER_THRESHOLD, value=Decimal("80.5"), severity=4)
PROFILE = SetNetworkProfile(
    slot=1, url="wss://csms.example/ocpp", security_profile=2, interface="Wired0", message_timeout_s=30
)
POINT = AccessPoint(name="internet.example", user="ada", password="hunter2-hunter2")

WRITTEN: list[tuple[Command, str, dict[str, Any]]] = [
    (
        HOT,
        "SetVariableMonitoring",
        {
            "setMonitoringData": [
                {
                    "value": 80.5,
                    "type": "UpperThreshold",
                    "severity": 4,
                    "component": {"name": "EVSE", "evse": {"id": 1}},
                    "variable": {"name": "Temperature"},
                }
            ]
        },
    ),
    (
        SetMonitor(
            name="Fan.Speed",
            type=MonitorType.PERIODIC,
            value=Decimal(60),
            severity=8,
            monitor=7,
            during_transaction=True,
        ),
        "SetVariableMonitoring",
        {
            "setMonitoringData": [
                {
                    "value": 60,
                    "type": "Periodic",
                    "severity": 8,
                    "component": {"name": "Fan"},
                    "variable": {"name": "Speed"},
                    "id": 7,
                    "transaction": True,
                }
            ]
        },
    ),
    (ClearMonitors(monitors=(7, 9)), "ClearVariableMonitoring", {"id": [7, 9]}),
    (SetMonitoringBase(base=MonitoringBase.ALL), "SetMonitoringBase", {"monitoringBase": "All"}),
    (SetMonitoringLevel(severity=5), "SetMonitoringLevel", {"severity": 5}),
    (GetMonitoringReport(request=3), "GetMonitoringReport", {"requestId": 3}),
    (
        GetMonitoringReport(request=3, criteria=(MonitoringCriterion.DELTA,), names=("Fan", "EVSE@1.Power")),
        "GetMonitoringReport",
        {
            "requestId": 3,
            "monitoringCriteria": ["DeltaMonitoring"],
            "componentVariable": [
                {"component": {"name": "Fan"}},
                {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}},
            ],
        },
    ),
    (
        GetReport(request=4, criteria=(ComponentCriterion.PROBLEM,), names=("Connector@1.2", "Fan[rear]")),
        "GetReport",
        {
            "requestId": 4,
            "componentCriteria": ["Problem"],
            "componentVariable": [
                {"component": {"name": "Connector", "evse": {"id": 1, "connectorId": 2}}},
                {"component": {"name": "Fan", "instance": "rear"}},
            ],
        },
    ),
    (
        replace(PROFILE, access_point=POINT),
        "SetNetworkProfile",
        {
            "configurationSlot": 1,
            "connectionData": {
                "ocppVersion": "OCPP20",
                "ocppTransport": "JSON",
                "ocppCsmsUrl": "wss://csms.example/ocpp",
                "messageTimeout": 30,
                "securityProfile": 2,
                "ocppInterface": "Wired0",
                "apn": {
                    "apn": "internet.example",
                    "apnAuthentication": "AUTO",
                    "apnUserName": "ada",
                    "apnPassword": "hunter2-hunter2",
                },
            },
        },
    ),
]


@pytest.mark.parametrize(("command", "action", "payload"), WRITTEN)
def test_a_command_is_written_as_2_0_1_says(command: Command, action: str, payload: dict[str, Any]) -> None:
    assert translator(V201).command(command) == (action, payload)


@pytest.mark.parametrize("command", [command for command, _, _ in WRITTEN])
def test_1_6_has_none_of_these_messages(command: Command) -> None:
    assert translator(V16).command(command) is None


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (replace(HOT, severity=10), "severity is 0"),
        (replace(HOT, severity=-1), "severity is 0"),
        (replace(HOT, value=Decimal("0.1234567890123456")), "more digits"),
        (replace(HOT, value=Decimal("NaN")), "more digits"),
        (replace(HOT, name="Temperature"), "names no OCPP 2.0.1 setting"),
        (replace(HOT, type=MonitorType.DELTA, value=Decimal(0)), "difference above 0"),
        (replace(HOT, type=MonitorType.PERIODIC, value=Decimal("0.5")), "whole seconds"),
        (ClearMonitors(monitors=()), "id"),
        (ClearMonitors(monitors=(1, 1)), "named twice"),
        (SetMonitoringLevel(severity=10), "severity is 0"),
        (GetReport(request=1), "name components or criteria"),
        (GetMonitoringReport(request=2**31), "32 bits"),
        (replace(PROFILE, security_profile=4), "securityProfile is 0 to 3"),
        (replace(PROFILE, url="ws://csms.example/ocpp"), "begins with wss"),
        (replace(PROFILE, security_profile=1), "begins with ws:"),
        (replace(PROFILE, url="wss://"), "no URL"),
        (replace(PROFILE, url="wss://csms.example:x/"), "no URL"),
        (replace(PROFILE, interface="Wired9"), "ocppInterface"),
        (replace(PROFILE, message_timeout_s=0), "messageTimeout"),
        (replace(PROFILE, slot=-1), "slots count from 0"),
    ],
)
def test_what_no_charge_point_may_be_sent_is_refused_with_its_rule(command: Command, problem: str) -> None:
    with pytest.raises(CommandInvalid, match=problem):
        translator(V201).command(command)


def test_no_password_of_a_network_profile_is_kept() -> None:
    command = replace(PROFILE, url="wss://ada:hunter2@csms.example/ocpp", access_point=POINT)
    kept = json.dumps(command_to_keep(command))
    written = translator(V201).command(command)

    assert "hunter2" not in kept
    assert "csms.example" in kept
    assert "hunter2" not in redacted(json.dumps(written))


SET_RESULT = {"type": "UpperThreshold", "severity": 4, "component": {"name": "C"}, "variable": {"name": "V"}}


@pytest.mark.parametrize(
    ("command", "payload", "accepted", "status", "data"),
    [
        (
            HOT,
            {"setMonitoringResult": [{"id": 5, "status": "Accepted", **SET_RESULT}]},
            True,
            "Accepted",
            {"monitor": 5},
        ),
        (HOT, {"setMonitoringResult": [{"status": "UnknownVariable", **SET_RESULT}]}, False, "UnknownVariable", {}),
        (HOT, {"setMonitoringResult": []}, False, "invalid_answer", {}),
        (HOT, {"setMonitoringResult": [7]}, False, "invalid_answer", {}),
        (
            ClearMonitors(monitors=(1, 2)),
            {"clearMonitoringResult": [{"id": 1, "status": "Accepted"}, {"id": 2, "status": "NotFound"}]},
            False,
            "NotFound",
            {"statuses": {"1": "Accepted", "2": "NotFound"}},
        ),
        (
            ClearMonitors(monitors=(1, 2)),
            {"clearMonitoringResult": [{"id": 1, "status": "Accepted"}]},
            False,
            "unanswered",
            {"statuses": {"1": "Accepted", "2": "unanswered"}},
        ),
        (SetMonitoringBase(base=MonitoringBase.ALL), {"status": "NotSupported"}, False, "NotSupported", {}),
        (GetMonitoringReport(request=1), {"status": "EmptyResultSet"}, False, "EmptyResultSet", {}),
        (PROFILE, {"status": "Failed"}, False, "Failed", {}),
    ],
)
def test_an_answer_is_read_as_it_is_meant(
    command: Command, payload: object, accepted: bool, status: str, data: dict[str, Any]
) -> None:
    outcome = translator(V201).outcome(command, payload)

    assert (outcome.accepted, outcome.status, outcome.data) == (accepted, status, data)


EVENT: dict[str, Any] = {
    "eventId": 9,
    "timestamp": "2026-03-01T18:00:00Z",
    "trigger": "Alerting",
    "actualValue": "81",
    "variableMonitoringId": 5,
    "eventNotificationType": "CustomMonitor",
    "techInfo": "fan blocked",
    "component": {"name": "EVSE", "evse": {"id": 1}},
    "variable": {"name": "Temperature"},
}


def _read(action: str, payload: dict[str, Any]) -> Any:
    station = ChargePoint(id="CP-1", site="harbour")
    return translator(V201).read(action, payload, charge_point=station, received_at=AT)


def _events(*events: dict[str, Any]) -> Any:
    return _read("NotifyEvent", {"generatedAt": "2026-03-01T18:00:00Z", "seqNo": 0, "eventData": list(events)})


def test_an_event_tells_what_was_seen_and_by_which_monitor() -> None:
    fact = _events(EVENT)

    assert isinstance(fact, MonitoringReported)
    [event] = fact.events
    assert (event.name, event.value, event.at, event.monitor) == ("EVSE@1.Temperature", "81", AT, 5)
    assert (event.kind, event.tech_info, event.is_cleared) == ("CustomMonitor", "fan blocked", False)


def test_a_repeated_event_has_the_same_key_and_its_clearing_another() -> None:
    [first, again, cleared] = _events(EVENT, EVENT, {**EVENT, "cleared": True}).events

    assert first.key == again.key != cleared.key


def test_the_value_of_a_secret_is_not_told_on() -> None:
    secret = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    [event] = _events({**EVENT, **secret, "actualValue": "hunter2"}).events

    assert event.value == "(hidden)"


def test_a_monitoring_report_is_read_and_acknowledged() -> None:
    monitor = {"id": 5, "transaction": False, "value": 80.5, "type": "UpperThreshold", "severity": 4}
    payload: dict[str, Any] = {
        "requestId": 3,
        "seqNo": 1,
        "tbc": True,
        "generatedAt": "2026-03-01T18:00:00Z",
        "monitor": [
            {"component": {"name": "Fan"}, "variable": {"name": "Speed"}, "variableMonitoring": [monitor, {"id": "x"}]}
        ],
    }

    fact = _read("NotifyMonitoringReport", payload)

    assert isinstance(fact, MonitorsReported)
    assert (fact.request, fact.seq_no, fact.more) == (3, 1, True)
    assert fact.monitors == (Monitor(id=5, name="Fan.Speed", type="UpperThreshold", value="80.5", severity=4),)
    assert translator(V201).answer("NotifyMonitoringReport", Acknowledged()) == {}
    assert isinstance(_read("NotifyMonitoringReport", {"seqNo": 1}), Refusal)
