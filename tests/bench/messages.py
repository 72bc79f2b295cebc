"""What the charge points of the benchmark say, as compact JSON: every reading with an instant and a register of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

V16, V201 = "ocpp1.6", "ocpp2.0.1"
TOKEN = "BENCH-CARD"
_STEP_WH = 3
"""Register advance per reading, a second apart: 10.8 kW."""
_PHASES = ("L1", "L2", "L3")


def session_start() -> datetime:
    """Long enough ago that a benchmark's readings, a second apart each, stay in the past."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)


def heartbeats() -> Iterator[bytes]:
    return (b'[2,"%d","Heartbeat",{}]' % n for n in itertools.count(1))


def boot(protocol: str) -> bytes:
    if protocol == V16:
        return b'[2,"boot","BootNotification",{"chargePointVendor":"Example","chargePointModel":"Bench"}]'
    station = b'{"vendorName":"Example","model":"Bench"}'
    return b'[2,"boot","BootNotification",{"reason":"PowerUp","chargingStation":%b}]' % station


def start(protocol: str, transaction: str, at: datetime) -> bytes:
    if protocol == V16:
        said = f'{{"connectorId":1,"idTag":"{TOKEN}","meterStart":1000,"timestamp":"{_time(at)}"}}'
        return f'[2,"start","StartTransaction",{said}]'.encode()
    token = f'"idToken":{{"idToken":"{TOKEN}","type":"ISO14443"}}'
    return _event("Started", "CablePluggedIn", transaction, 0, at, f'{token},"meterValue":[{_reading_201(at, 1000)}]')


def readings(protocol: str, transaction: str, begin: datetime) -> Iterator[bytes]:
    """MeterValues (1.6) or TransactionEvent Updated (2.0.1) with ten sampled values each."""
    for n in itertools.count(1):
        at, register_wh = begin + timedelta(seconds=n), 1000 + n * _STEP_WH
        if protocol == V16:
            said = f'{{"connectorId":1,"transactionId":{transaction},"meterValue":[{_reading_16(at, register_wh)}]}}'
            yield f'[2,"{n}","MeterValues",{said}]'.encode()
        else:
            value = f'"meterValue":[{_reading_201(at, register_wh)}]'
            yield _event("Updated", "MeterValuePeriodic", transaction, n, at, value)


def stop(protocol: str, transaction: str, at: datetime, seq_no: int) -> bytes:
    register_wh = 1000 + seq_no * _STEP_WH
    if protocol == V16:
        said = f'{{"transactionId":{transaction},"meterStop":{register_wh},"timestamp":"{_time(at)}"}}'
        return f'[2,"stop","StopTransaction",{said}]'.encode()
    return _event("Ended", "EVDeparted", transaction, seq_no, at, f'"meterValue":[{_reading_201(at, register_wh)}]')


def _event(kind: str, trigger: str, transaction: str, seq_no: int, at: datetime, more: str) -> bytes:
    said = (
        f'{{"eventType":"{kind}","timestamp":"{_time(at)}","triggerReason":"{trigger}","seqNo":{seq_no},'
        f'"transactionInfo":{{"transactionId":"{transaction}","chargingState":"Charging"}},'
        f'"evse":{{"id":1,"connectorId":1}},{more}}}'
    )
    return f'[2,"{seq_no}","TransactionEvent",{said}]'.encode()


def _values(register_wh: int) -> Iterator[tuple[str, str, str, str | None]]:
    """Value, measurand, unit, phase: ten of them, the figures moving as real ones do."""
    yield str(register_wh), "Energy.Active.Import.Register", "Wh", None
    yield f"{10800 + register_wh % 40}", "Power.Active.Import", "W", None
    for n, phase in enumerate(_PHASES):
        yield f"{15.6 + (register_wh + n) % 7 / 10:.1f}", "Current.Import", "A", phase
    for n, phase in enumerate(_PHASES):
        yield f"{229.4 + (register_wh + n) % 9 / 10:.1f}", "Voltage", "V", f"{phase}-N"
    yield str(20 + register_wh // 1000 % 80), "SoC", "Percent", None
    yield "16.0", "Current.Offered", "A", None


def _reading_16(at: datetime, register_wh: int) -> str:
    samples = ",".join(
        f'{{"value":"{value}","context":"Sample.Periodic","measurand":"{measurand}",'
        + (f'"phase":"{phase}",' if phase else "")
        + f'"unit":"{unit}"}}'
        for value, measurand, unit, phase in _values(register_wh)
    )
    return f'{{"timestamp":"{_time(at)}","sampledValue":[{samples}]}}'


def _reading_201(at: datetime, register_wh: int) -> str:
    samples = ",".join(
        f'{{"value":{value},"context":"Sample.Periodic","measurand":"{measurand}",'
        + (f'"phase":"{phase}",' if phase else "")
        + f'"unitOfMeasure":{{"unit":"{unit}"}}}}'
        for value, measurand, unit, phase in _values(register_wh)
    )
    return f'{{"timestamp":"{_time(at)}","sampledValue":[{samples}]}}'


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
