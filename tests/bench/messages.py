"""What the charge points of the benchmark say, as compact JSON: every reading with an instant and a register of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

V16, V201 = "ocpp1.6", "ocpp2.0.1"
TOKEN = "BENCH-CARD"
_STEP_WH = 3
"""Register advance per reading, a second apart: 10.8 kW."""
_PHASES = ("L1", "L2", "L3")
SESSION_READINGS = 10
_MINUTE = timedelta(minutes=1)


class Visit(NamedTuple):
    """What a charge point says of one session; the transaction goes in where the server gives it."""

    begin: datetime
    register_wh: int

    def start(self, protocol: str, transaction: str) -> bytes:
        return start(protocol, transaction, self.begin, register_wh=self.register_wh)

    def readings(self, protocol: str, transaction: str) -> Iterator[bytes]:
        said = readings(protocol, transaction, self.begin, every_s=60, register_wh=self.register_wh)
        return itertools.islice(said, SESSION_READINGS)

    def stop(self, protocol: str, transaction: str) -> bytes:
        end = self.begin + (SESSION_READINGS + 1) * _MINUTE
        return stop(protocol, transaction, end, SESSION_READINGS + 1, register_wh=self.end_wh)

    @property
    def end_wh(self) -> int:
        return self.register_wh + (SESSION_READINGS + 1) * 60 * _STEP_WH


def visits() -> Iterator[Visit]:
    """One session after the other, a quarter of an hour apart, with a meter that counts on."""
    begin, register_wh = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60), 1000
    while True:
        visit = Visit(begin, register_wh)
        yield visit
        begin, register_wh = begin + 15 * _MINUTE, visit.end_wh


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


def start(protocol: str, transaction: str, at: datetime, *, register_wh: int = 1000) -> bytes:
    if protocol == V16:
        said = f'{{"connectorId":1,"idTag":"{TOKEN}","meterStart":{register_wh},"timestamp":"{_time(at)}"}}'
        return f'[2,"start","StartTransaction",{said}]'.encode()
    token = f'"idToken":{{"idToken":"{TOKEN}","type":"ISO14443"}}'
    return _event(
        "Started", "CablePluggedIn", transaction, 0, at, f'{token},"meterValue":[{_reading_201(at, register_wh)}]'
    )


def transaction_of(answer: bytes) -> str:
    """The id that the server gives a 1.6 start."""
    found = re.search(rb'"transactionId":(\d+)', answer)
    assert found is not None, f"no transaction was given: {answer!r}"
    return found[1].decode()


def readings(
    protocol: str, transaction: str, begin: datetime, *, values: int = 10, every_s: int = 1, register_wh: int = 1000
) -> Iterator[bytes]:
    """MeterValues (1.6) or TransactionEvent Updated (2.0.1) with so many sampled values each, ten at most."""
    for n in itertools.count(1):
        at, wh = begin + timedelta(seconds=n * every_s), register_wh + n * every_s * _STEP_WH
        if protocol == V16:
            said = f'{{"connectorId":1,"transactionId":{transaction},"meterValue":[{_reading_16(at, wh, values)}]}}'
            yield f'[2,"{n}","MeterValues",{said}]'.encode()
        else:
            value = f'"meterValue":[{_reading_201(at, wh, values)}]'
            yield _event("Updated", "MeterValuePeriodic", transaction, n, at, value)


def stop(protocol: str, transaction: str, at: datetime, seq_no: int, *, register_wh: int | None = None) -> bytes:
    register_wh = 1000 + seq_no * _STEP_WH if register_wh is None else register_wh
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


def _reading_16(at: datetime, register_wh: int, values: int = 10) -> str:
    samples = ",".join(
        f'{{"value":"{value}","context":"Sample.Periodic","measurand":"{measurand}",'
        + (f'"phase":"{phase}",' if phase else "")
        + f'"unit":"{unit}"}}'
        for value, measurand, unit, phase in itertools.islice(_values(register_wh), values)
    )
    return f'{{"timestamp":"{_time(at)}","sampledValue":[{samples}]}}'


def _reading_201(at: datetime, register_wh: int, values: int = 10) -> str:
    samples = ",".join(
        f'{{"value":{value},"context":"Sample.Periodic","measurand":"{measurand}",'
        + (f'"phase":"{phase}",' if phase else "")
        + f'"unitOfMeasure":{{"unit":"{unit}"}}}}'
        for value, measurand, unit, phase in itertools.islice(_values(register_wh), values)
    )
    return f'{{"timestamp":"{_time(at)}","sampledValue":[{samples}]}}'


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
