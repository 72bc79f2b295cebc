"""OCPP 2.0.1: monitors, reports of some of the device model, network profiles (blocks B and N)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from csms.protocol.blocks import monitoring
from csms.protocol.blocks.monitoring_facts import Monitor, MonitoringEvent, MonitoringReported, MonitorsReported
from csms.protocol.json_number import AMOUNT_DIGITS_MAX, json_number
from csms.protocol.outcomes import (
    INVALID_ANSWER,
    AnswerReaders,
    invalid_answer,
    status_detail,
    status_outcome,
    status_word,
    statuses_outcome,
)
from csms.protocol.outgoing import Call, CommandInvalid, Writers, require
from csms.protocol.redaction import redact
from csms.protocol.repair import IDENTIFIER_LENGTH_MAX, Fields, Message, parse_decimal
from csms.protocol.v16.answers import acknowledgement
from csms.protocol.v201.setting_name import SettingNameInvalid, parse_setting_name, read_setting_name
from csms.protocol.vocabulary import Decision, Fact, Outcome

TRIGGERS = frozenset({"Alerting", "Delta", "Periodic"})
KINDS = frozenset({"HardWiredNotification", "HardWiredMonitor", "PreconfiguredMonitor", "CustomMonitor"})
TYPES = frozenset({*(str(each) for each in monitoring.MonitorType), "TargetDelta", "TargetDeltaRelative"})  # two: 2.1
SECURITY_PROFILE_MAX = 3
FIRST_WITH_TLS = 2  # security profile
_VALUE_LENGTH_MAX = 2500  # EventDataType.actualValue
_KEY_LENGTH = 16
_PERIODIC = frozenset({monitoring.MonitorType.PERIODIC, monitoring.MonitorType.PERIODIC_CLOCK_ALIGNED})
_WITH_PLACE_ONLY = re.compile(r"[^.@]+@\d+(?:\.\d+)?", re.ASCII)  # EVSE@1 and Connector@1.2 name no variable


# --- what we ask -----------------------------------------------------------------------------------------------------


def set_variable_monitoring(command: monitoring.SetMonitor) -> Call:
    action = "SetVariableMonitoring"
    value = command.value
    sound = value.is_finite() and len(value.as_tuple().digits) <= AMOUNT_DIGITS_MAX
    require(action, sound, f"value {value} has more digits than a JSON number keeps")
    require_severity(action, command.severity)
    if command.type in _PERIODIC:
        whole = value > 0 and value == value.to_integral_value()
        require(action, whole, f"value of a {command.type} monitor is whole seconds from 1 on, not {value}")
    elif command.type is monitoring.MonitorType.DELTA:
        require(action, value > 0, f"value of a Delta monitor is a difference above 0, not {value}")
    data: dict[str, object] = {
        "value": json_number(value),
        "type": str(command.type),
        "severity": command.severity,
        **_variable(action, command.name),
    }
    if command.monitor is not None:
        data["id"] = command.monitor
    if command.during_transaction:
        data["transaction"] = True
    return action, {"setMonitoringData": [data]}


def require_severity(action: str, severity: int) -> None:
    holds = 0 <= severity <= monitoring.SEVERITY_MAX
    require(action, holds, f"severity is 0 (Danger) to {monitoring.SEVERITY_MAX} (Debug), not {severity}")


def clear_variable_monitoring(command: monitoring.ClearMonitors) -> Call:
    action = "ClearVariableMonitoring"
    require(action, len(set(command.monitors)) == len(command.monitors), "an id is named twice")
    return action, {"id": list(command.monitors)}


def set_monitoring_base(command: monitoring.SetMonitoringBase) -> Call:
    return "SetMonitoringBase", {"monitoringBase": str(command.base)}


def set_monitoring_level(command: monitoring.SetMonitoringLevel) -> Call:
    require_severity("SetMonitoringLevel", command.severity)
    return "SetMonitoringLevel", {"severity": command.severity}


def get_monitoring_report(command: monitoring.GetMonitoringReport) -> Call:
    return _report("GetMonitoringReport", command.request, "monitoringCriteria", command.criteria, command.names)


def get_report(command: monitoring.GetReport) -> Call:
    action = "GetReport"
    require(action, bool(command.criteria or command.names), "name components or criteria, or ask for the full report")
    return _report(action, command.request, "componentCriteria", command.criteria, command.names)


def _report(action: str, request: int, field: str, criteria: Sequence[str], names: Sequence[str]) -> Call:
    payload: dict[str, object] = {"requestId": request}
    if criteria:
        payload[field] = [str(each) for each in dict.fromkeys(criteria)]
    if names:
        payload["componentVariable"] = [_component(action, name) for name in names]
    return action, payload


def set_network_profile(command: monitoring.SetNetworkProfile) -> Call:
    action = "SetNetworkProfile"
    require(action, command.slot >= 0, f"slots count from 0, not {command.slot}")
    known = 0 <= command.security_profile <= SECURITY_PROFILE_MAX
    require(action, known, f"securityProfile is 0 to {SECURITY_PROFILE_MAX}, not {command.security_profile}")
    require(action, command.message_timeout_s > 0, "messageTimeout is seconds from 1 on")
    _require_csms_url(action, command.url, secured=command.security_profile >= FIRST_WITH_TLS)
    profile: dict[str, object] = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": command.url,
        "messageTimeout": command.message_timeout_s,
        "securityProfile": command.security_profile,
        "ocppInterface": command.interface,
    }
    if command.access_point is not None:
        profile["apn"] = _access_point(command.access_point)
    return action, {"configurationSlot": command.slot, "connectionData": profile}


def _require_csms_url(action: str, url: str, *, secured: bool) -> None:
    """Never repeats the URL, which may hold a password."""
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    require(action, sound and url.isascii() and url.isprintable() and " " not in url, "ocppCsmsUrl is no URL")
    scheme = "wss" if secured else "ws"
    require(action, parts.scheme == scheme, f"ocppCsmsUrl begins with {scheme}:// in this security profile (A00)")


def _access_point(point: monitoring.AccessPoint) -> dict[str, object]:
    said = {"apnUserName": point.user, "apnPassword": point.password}
    fields: dict[str, object] = {"apn": point.name, "apnAuthentication": point.authentication}
    return fields | {name: value for name, value in said.items() if value is not None}


def _variable(action: str, text: str) -> dict[str, object]:
    try:
        name = parse_setting_name(text)
    except SettingNameInvalid as error:
        raise CommandInvalid(action, str(error)) from error
    return {"component": name.component_payload(), "variable": name.variable_payload()}


def _component(action: str, text: str) -> dict[str, object]:
    """ComponentVariableType: `Component` asks for all of its variables."""
    if "." in text and not _WITH_PLACE_ONLY.fullmatch(text):
        return _variable(action, text)
    return {"component": _variable(action, f"{text}.All")["component"]}


# --- what is answered ------------------------------------------------------------------------------------------------


def set_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    """The id of the monitor, where the station took it."""
    results = Fields(payload, set()).items("setMonitoringResult")
    if not results:
        return invalid_answer("the answer has no results")
    result = results[0] if isinstance(results[0], dict) else {}
    monitor = Fields(result, set()).integer("id")
    return status_outcome(result, {} if monitor is None else {"monitor": monitor})


def clear_outcome(command: monitoring.ClearMonitors, payload: dict[str, object]) -> Outcome:
    """What became of each, by its id."""
    statuses: dict[str, str] = {}
    reasons: dict[str, str | None] = {}
    for item in Fields(payload, set()).items("clearMonitoringResult"):
        entry = Fields(item, set())
        monitor = entry.integer("id")
        if monitor in command.monitors:
            statuses[str(monitor)] = status_word(entry, "status") or INVALID_ANSWER
            reasons[str(monitor)] = status_detail(entry.child("statusInfo"))
    for monitor in command.monitors:
        statuses.setdefault(str(monitor), "unanswered")
    return statuses_outcome(statuses, {"statuses": statuses}, reasons)


# --- what is told ----------------------------------------------------------------------------------------------------


def notify_event(message: Message) -> Fact | None:
    fields = message.fields
    seq_no = fields.integer("seqNo")
    items = fields.items("eventData")
    if not items:
        return None
    events = [_event(message, Fields(item, message.quirks)) for item in items]
    return MonitoringReported(
        seq_no=seq_no or 0,
        more=fields.boolean("tbc") or False,
        events=tuple(event for event in events if event is not None),
        quirks=message.noted(),
    )


def _event(message: Message, fields: Fields) -> MonitoringEvent | None:
    name, event = read_setting_name(fields), fields.integer("eventId")
    if name is None or event is None:
        return None
    stamp = message.stamp(fields.raw("timestamp"))
    value = redact(str(name), fields.text("actualValue", _VALUE_LENGTH_MAX)) or ""
    trigger = fields.word("trigger", TRIGGERS) or ""
    monitor, is_cleared = fields.integer("variableMonitoringId"), fields.boolean("cleared") or False
    said = [event, stamp.key, str(name), value, trigger, monitor, is_cleared]
    return MonitoringEvent(
        id=event,
        at=stamp.at,
        name=str(name),
        value=value,
        trigger=trigger,
        key=hashlib.sha256(json.dumps(said).encode()).digest()[:_KEY_LENGTH],
        monitor=monitor,
        kind=fields.word("eventNotificationType", KINDS),
        is_cleared=is_cleared,
        cause=fields.integer("cause"),
        tech_code=fields.description("techCode", 50),
        tech_info=fields.description("techInfo", 500),
        transaction=fields.text("transactionId", IDENTIFIER_LENGTH_MAX),
    )


def notify_monitoring_report(message: Message) -> Fact | None:
    fields = message.fields
    request, seq_no = fields.integer("requestId"), fields.integer("seqNo")
    if request is None:
        return None
    monitors = [
        monitor for item in fields.items("monitor") for monitor in _monitors(message, Fields(item, message.quirks))
    ]
    more = fields.boolean("tbc") or False
    return MonitorsReported(
        request=request, seq_no=seq_no or 0, more=more, monitors=tuple(monitors), quirks=message.noted()
    )


def _monitors(message: Message, fields: Fields) -> list[Monitor]:
    name = read_setting_name(fields)
    if name is None:
        return []
    found = []
    for item in fields.items("variableMonitoring"):
        entry = Fields(item, message.quirks)
        id_, value = entry.integer("id"), entry.raw("value")
        if id_ is None:
            continue
        number = None if value is None else parse_decimal(value, message.quirks)
        found.append(
            Monitor(
                id=id_,
                name=str(name),
                type=entry.word("type", TYPES) or "",
                value=None if number is None else f"{number:f}",
                severity=entry.integer("severity"),
                during_transaction=entry.boolean("transaction") or False,
            )
        )
    return found


CALLS: Writers = {
    monitoring.SetMonitor: set_variable_monitoring,
    monitoring.ClearMonitors: clear_variable_monitoring,
    monitoring.SetMonitoringBase: set_monitoring_base,
    monitoring.SetMonitoringLevel: set_monitoring_level,
    monitoring.GetMonitoringReport: get_monitoring_report,
    monitoring.GetReport: get_report,
    monitoring.SetNetworkProfile: set_network_profile,
}
OUTCOMES: AnswerReaders = {monitoring.SetMonitor: set_outcome, monitoring.ClearMonitors: clear_outcome}
READERS: dict[str, Callable[[Message], Fact | None]] = {
    "NotifyEvent": notify_event,
    "NotifyMonitoringReport": notify_monitoring_report,
}
ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {"NotifyMonitoringReport": acknowledgement}
