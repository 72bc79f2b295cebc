"""OCPP 1.6J calls read into facts: one message, one small function. Table at the end.

A reader never raises. It gives None only where a message that is no transaction message lacks what gives it meaning;
transaction messages always become a fact, `malformed` where something essential could not be read (RULES.md 7).
"""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol import alike, keys, vocabulary
from csms.protocol.layouts import Layouts
from csms.protocol.quirks import Quirk
from csms.protocol.readings import read_readings, unit_text
from csms.protocol.repair import SIGNED_LENGTH_MAX, Fields, Message, parse_decimal, storable_text
from csms.protocol.samples import CONTEXTS, LOCATIONS, PHASES, in_base_unit, rounded_wh
from csms.protocol.v16.cost_messages import UNPLUGGED, VENDOR, told
from csms.protocol.v16.words import ERROR_CODES, FORMATS, MEASURANDS, REASONS, STATUSES
from csms.protocol.vocabulary import ChargingEvent, EventKind, Fact, Measurand, ReadingsReported, Sample

_SIGNED_BEGINNINGS = ("OCMF|", '{"signedMeterData"')

Reader = Callable[[Message], Fact | None]


def boot_notification(message: Message) -> Fact:
    fields = message.fields
    vendor, model = fields.description("chargePointVendor"), fields.description("chargePointModel")
    if vendor is None:
        message.quirks.add(Quirk.VENDOR_EMPTY)
    if model is None:
        message.quirks.add(Quirk.MODEL_EMPTY)
    serial, box_serial = fields.description("chargePointSerialNumber"), fields.description("chargeBoxSerialNumber")
    return vocabulary.Booted(
        vendor=vendor or "",
        model=model or "",
        serial=serial or box_serial,
        firmware=fields.description("firmwareVersion"),
        iccid=fields.description("iccid"),
        imsi=fields.description("imsi"),
        box_serial=box_serial if serial else None,
        meter_type=fields.description("meterType"),
        meter_serial=fields.description("meterSerialNumber"),
        quirks=message.noted(),
    )


def authorize(message: Message) -> Fact | None:
    token = message.fields.text("idTag", 255)
    if token is None:
        return None
    if not token:
        message.quirks.add(Quirk.TOKEN_EMPTY)
    return vocabulary.TokenPresented(token=token, quirks=message.noted())


def status_notification(message: Message) -> Fact | None:
    fields = message.fields
    evse = fields.place("connectorId")
    status = fields.word("status", STATUSES)
    if evse is None or status not in STATUSES:
        return None
    error_code = fields.word("errorCode", ERROR_CODES)
    if error_code is not None and error_code not in ERROR_CODES:
        message.quirks.add(Quirk.ERROR_CODE_UNKNOWN)
    at = message.time("timestamp")
    info, vendor_error = fields.description("info"), fields.description("vendorErrorCode")
    return vocabulary.StatusReported(
        evse=evse,
        connector=connector_of(evse) or 0,
        status=status,
        at=at,
        error_code=error_code,
        info=info,
        vendor_error_code=vendor_error,
        quirks=message.noted(),
    )


def start_transaction(message: Message) -> Fact:
    fields = message.fields
    evse = fields.place("connectorId")
    token = _token(message)
    register = fields.register("meterStart")
    stamp = message.stamp(fields.raw("timestamp"))
    reservation = fields.integer("reservationId")
    if reservation == 0:
        message.quirks.add(Quirk.RESERVATION_ZERO)
        reservation = None
    if evse == 0:
        message.quirks.add(Quirk.CONNECTOR_ZERO)
    malformed = evse is None or register is None or (token is None and Quirk.TOKEN_EMPTY not in message.quirks)
    key = keys.start_key(connector=evse, token=token, at=stamp.key, register=register)
    return ChargingEvent(
        kind=EventKind.STARTED,
        at=stamp.at,
        key=keys.malformed_key("StartTransaction", fields.payload) if malformed else key,
        evse=evse,
        connector=None if evse is None else connector_of(evse),
        token=token,
        register_wh=None if register is None else rounded_wh(register),
        reservation=reservation,
        malformed=malformed,
        quirks=message.noted(),
    )


def stop_transaction(message: Message) -> Fact:
    fields = message.fields
    transaction, is_id = fields.integer_id("transactionId")
    register = fields.register("meterStop")
    stamp = message.stamp(fields.raw("timestamp"))
    token = _token(message) if "idTag" in fields.payload else None
    reason = fields.word("reason", REASONS)
    readings = read_readings(message, "transactionData", _LAYOUTS, fallback=stamp.at)
    malformed = not is_id or register is None
    key = keys.stop_key(
        transaction=transaction,
        token=token,
        at=stamp.key,
        register=register,
        reason=reason,
        readings=[reading.key for reading in readings],
    )
    return ChargingEvent(
        kind=EventKind.ENDED,
        at=stamp.at,
        key=keys.malformed_key("StopTransaction", fields.payload) if malformed else key,
        transaction=transaction,
        token=token,
        register_wh=None if register is None else rounded_wh(register),
        stopped_reason=reason,
        readings=readings,
        malformed=malformed,
        quirks=message.noted(),
    )


def meter_values(message: Message) -> Fact:
    fields = message.fields
    evse = fields.place("connectorId")
    transaction, is_id = fields.integer_id("transactionId")
    readings = read_readings(message, "meterValue", _LAYOUTS, fallback=message.received_at)
    if evse == 0 and transaction is not None:
        message.quirks.add(Quirk.CONNECTOR_ZERO)
    unreadable_id = transaction is not None and not is_id
    unreadable_list = not isinstance(fields.payload.get("meterValue"), list | dict)
    known_evse = evse or 0
    return ReadingsReported(
        evse=known_evse,
        connector=connector_of(known_evse),
        transaction=transaction,
        readings=readings,
        malformed=evse is None or unreadable_id or unreadable_list,
        quirks=message.noted(),
    )


def data_transfer(message: Message) -> Fact | None:
    """What a vendor says; of the OCA's cost messages the one that is about a transaction becomes an event of it."""
    fact = alike.data_transfer(message)
    if not isinstance(fact, vocabulary.VendorDataReceived) or (fact.vendor, fact.message) != (VENDOR, UNPLUGGED):
        return fact
    fields = Fields(told(fact.data), message.quirks)
    transaction, is_id = fields.integer_id("transactionId")
    if not is_id or transaction is None:
        return fact
    stamp = message.stamp(fields.raw("timestamp"))
    return ChargingEvent(
        kind=EventKind.UPDATED,
        at=stamp.at,
        key=keys.unplugged_key(transaction=transaction, at=stamp.key),
        transaction=transaction,
        trigger=vocabulary.DEPARTED,
        quirks=message.noted(),
    )


READERS: dict[str, Reader] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "DataTransfer": data_transfer,
    "DiagnosticsStatusNotification": alike.log_status_notification,
    "FirmwareStatusNotification": alike.firmware_status_notification,
    "Heartbeat": alike.heartbeat,
    "LogStatusNotification": alike.log_status_notification,
    "MeterValues": meter_values,
    "SecurityEventNotification": alike.security_event_notification,
    "SignedFirmwareStatusNotification": alike.firmware_status_notification,
    "StartTransaction": start_transaction,
    "StatusNotification": status_notification,
    "StopTransaction": stop_transaction,
}


def connector_of(evse: int) -> int | None:
    """1.6 connector n is EVSE n, connector 1; connector 0 is the charge point and has none."""
    return 1 if evse > 0 else None


def _token(message: Message) -> str | None:
    token = message.fields.text("idTag", 255)
    if token == "":
        message.quirks.add(Quirk.TOKEN_EMPTY)
    return token or None


def _sample(fields: Fields) -> Sample | None:
    raw = fields.raw("value")
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    quirks = fields.quirks
    measurand = fields.word_or("measurand", MEASURANDS, Measurand.ENERGY_IMPORT_REGISTER.value)
    signed = _signed_data(raw, fields)
    if isinstance(raw, int | float):
        quirks.add(Quirk.TEXT_AS_NUMBER)
    # Signed data may consist of digits only (hex): it is never a quantity.
    value = None if signed is not None else parse_decimal(raw, quirks)
    value, unit = in_base_unit(value, unit_text(fields, "unit"), measurand, quirks)
    return Sample(
        value=value,
        measurand=measurand,
        unit=unit,
        context=fields.word_or("context", CONTEXTS, "Sample.Periodic"),
        phase=fields.word("phase", PHASES),
        location=fields.word_or("location", LOCATIONS, "Outlet"),
        signed=signed,
    )


_LAYOUTS = Layouts(_sample)


def _signed_data(raw: object, fields: Fields) -> str | None:
    """Signed meter data byte for byte, where the sample is such."""
    if not isinstance(raw, str):
        return None
    is_declared = "format" in fields.payload and fields.word("format", FORMATS) == "SignedData"
    if not is_declared:
        if not raw.startswith(_SIGNED_BEGINNINGS):
            return None
        fields.quirks.add(Quirk.SIGNED_WITHOUT_FORMAT)
    return storable_text(raw, SIGNED_LENGTH_MAX, fields.quirks)
