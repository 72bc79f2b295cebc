"""OCPP 2.0.1 calls read into facts: one message, one small function. Table at the end.

A reader never raises. It gives None only where a message that is no transaction message lacks what gives it meaning;
transaction messages always become a fact, `malformed` where something essential could not be read (RULES.md 7).
"""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol import alike, keys, vocabulary
from csms.protocol.quirks import Quirk
from csms.protocol.readings import read_readings
from csms.protocol.redaction import REDACTED, redact
from csms.protocol.repair import Fields, Message
from csms.protocol.v201.device_model import describe
from csms.protocol.v201.readings import LAYOUTS
from csms.protocol.v201.setting_name import read_setting_name
from csms.protocol.v201.words import (
    BOOT_REASONS,
    CHARGING_STATES,
    EVENT_TYPES,
    REASONS,
    STATUSES,
    TOKEN_TYPES,
    TRIGGERS,
)
from csms.protocol.vocabulary import ChargingEvent, ChargingState, EventKind, Fact, ReadingsReported

Reader = Callable[[Message], Fact | None]

_VALUE_LENGTH_MAX = 2500  # VariableAttributeType.value
_KINDS = {"Started": EventKind.STARTED, "Updated": EventKind.UPDATED, "Ended": EventKind.ENDED}


def boot_notification(message: Message) -> Fact:
    station = message.fields.child("chargingStation") or Fields({}, message.quirks)
    vendor, model = station.description("vendorName"), station.description("model")
    if vendor is None:
        message.quirks.add(Quirk.VENDOR_EMPTY)
    if model is None:
        message.quirks.add(Quirk.MODEL_EMPTY)
    modem = station.child("modem") or Fields({}, message.quirks)
    return vocabulary.Booted(
        vendor=vendor or "",
        model=model or "",
        serial=station.description("serialNumber"),
        firmware=station.description("firmwareVersion"),
        iccid=modem.description("iccid"),
        imsi=modem.description("imsi"),
        reason=message.fields.word("reason", BOOT_REASONS),
        quirks=message.noted(),
    )


def authorize(message: Message) -> Fact | None:
    token, token_type = _token(message)
    if token is None and "idToken" not in message.fields.payload:
        return None
    return vocabulary.TokenPresented(token=token or "", token_type=token_type, quirks=message.noted())


def status_notification(message: Message) -> Fact | None:
    fields = message.fields
    evse, connector = fields.place("evseId"), fields.place("connectorId")
    status = fields.word("connectorStatus", STATUSES)
    if evse is None or status not in STATUSES:
        return None
    if connector is None:
        message.quirks.add(Quirk.CONNECTOR_MISSING)
        connector = 1 if evse else 0
    at = message.time("timestamp")
    return vocabulary.StatusReported(evse=evse, connector=connector, status=status, at=at, quirks=message.noted())


def transaction_event(message: Message) -> Fact:
    fields = message.fields
    info = fields.child("transactionInfo") or Fields({}, message.quirks)
    kind = _KINDS.get(fields.word("eventType", EVENT_TYPES) or "")
    transaction, seq_no = info.identifier("transactionId"), fields.integer("seqNo")
    stamp = message.stamp(fields.raw("timestamp"))
    token, token_type = _token(message)
    evse, connector = _evse(message)
    state = info.word("chargingState", CHARGING_STATES)
    trigger, reason = fields.word("triggerReason", TRIGGERS), info.word("stoppedReason", REASONS)
    remote_start, reservation = info.integer("remoteStartId"), fields.integer("reservationId")
    if reservation == 0:
        message.quirks.add(Quirk.RESERVATION_ZERO)
        reservation = None
    readings = read_readings(message, "meterValue", LAYOUTS, fallback=stamp.at)
    malformed = kind is None or transaction is None or seq_no is None
    said = (transaction, seq_no, kind, stamp.key, trigger, state, reason, remote_start, reservation, evse, connector)
    cable = (fields.integer("numberOfPhasesUsed"), fields.integer("cableMaxCurrent"), info.integer("timeSpentCharging"))
    driver = (None if token is None else token.upper(), token_type)
    key = keys.event_key((*said, *cable, *driver), [reading.key for reading in readings])
    return ChargingEvent(
        kind=kind or EventKind.UPDATED,
        at=stamp.at,
        key=keys.malformed_key("TransactionEvent", fields.payload) if malformed else key,
        transaction=transaction,
        evse=evse,
        connector=connector,
        token=token,
        token_type=token_type,
        seq_no=seq_no,
        trigger=trigger,
        charging_state=ChargingState(state) if state in CHARGING_STATES else None,
        stopped_reason=reason,
        offline=fields.boolean("offline") or False,
        reservation=reservation,
        remote_start=remote_start,
        readings=readings,
        malformed=malformed,
        quirks=message.noted(),
    )


def meter_values(message: Message) -> Fact:
    fields = message.fields
    evse = fields.place("evseId")
    readings = read_readings(message, "meterValue", LAYOUTS, fallback=message.received_at)
    unreadable_list = not isinstance(fields.payload.get("meterValue"), list | dict)
    return ReadingsReported(
        evse=evse or 0,
        connector=None,
        transaction=None,
        readings=readings,
        malformed=evse is None or unreadable_list,
        quirks=message.noted(),
    )


def notify_report(message: Message) -> Fact | None:
    fields = message.fields
    request, seq_no = fields.integer("requestId"), fields.integer("seqNo")
    if request is None:
        return None
    items = [Fields(item, message.quirks) for item in fields.items("reportData")]
    settings, described = [_setting(item) for item in items], [describe(item) for item in items]
    return vocabulary.SettingsReported(
        request=request,
        seq_no=seq_no or 0,
        more=fields.boolean("tbc") or False,
        settings=tuple(setting for setting in settings if setting is not None),
        described=tuple(each for each in described if each is not None),
    )


READERS: dict[str, Reader] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "DataTransfer": alike.data_transfer,
    "FirmwareStatusNotification": alike.firmware_status_notification,
    "Heartbeat": alike.heartbeat,
    "LogStatusNotification": alike.log_status_notification,
    "MeterValues": meter_values,
    "NotifyReport": notify_report,
    "SecurityEventNotification": alike.security_event_notification,
    "StatusNotification": status_notification,
    "TransactionEvent": transaction_event,
}


def _token(message: Message) -> tuple[str | None, str | None]:
    """IdTokenType: the token and its type. An empty one (type NoAuthorization) is no token."""
    raw = message.fields.raw("idToken")
    if raw is None:
        return None, None
    if isinstance(raw, str):
        message.quirks.add(Quirk.TOKEN_AS_TEXT)
        return message.fields.identifier("idToken"), None
    fields = Fields(raw, message.quirks)
    token, token_type = fields.identifier("idToken"), fields.word("type", TOKEN_TYPES)
    if token is None and token_type != "NoAuthorization":  # noqa: S105  # a token type, no secret
        message.quirks.add(Quirk.TOKEN_EMPTY)
    return token, token_type


def _evse(message: Message) -> tuple[int | None, int | None]:
    """EVSEType; many send the EVSE without connector, some the bare number."""
    raw = message.fields.raw("evse")
    if raw is None:
        return None, None
    if isinstance(raw, int | float | str):
        evse, connector = message.fields.place("evse"), None
    else:
        fields = Fields(raw, message.quirks)
        evse, connector = fields.place("id"), fields.place("connectorId")
    if evse is not None and connector is None:
        message.quirks.add(Quirk.CONNECTOR_MISSING)
    return evse, connector


def _setting(fields: Fields) -> tuple[str, str | None, str | None] | None:
    """Name, value and mutability of the Actual attribute. Secrets and write-only values are not taken over."""
    name = read_setting_name(fields)
    if name is None:
        return None
    attributes = [Fields(item, fields.quirks) for item in fields.items("variableAttribute")]
    for attribute in attributes:
        if attribute.text("type", 50) not in (None, "Actual"):
            continue
        value, mutability = attribute.text("value", _VALUE_LENGTH_MAX), attribute.text("mutability", 50)
        hidden = REDACTED if value and mutability == "WriteOnly" else redact(str(name), value)
        return str(name), hidden, mutability
    return str(name), None, None
