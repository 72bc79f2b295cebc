"""Commands as operators give them: of each kind one that both versions can write, and random ones."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import HealthCheck, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from csms.protocol.blocks import certificates, credentials, firmware, monitoring
from csms.protocol.blocks.certificate_facts import CertificateHash, HashAlgorithm
from csms.protocol.blocks.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    SchedulePeriod,
)
from csms.protocol.blocks.customer_information import CustomerInformation
from csms.protocol.blocks.display_facts import DisplayMessage
from csms.protocol.blocks.displays import ClearDisplayMessage, GetDisplayMessages, SetDisplayMessage
from csms.protocol.blocks.local_lists import ClearCache, GetLocalListVersion, ListEntry, SendLocalList
from csms.protocol.blocks.reservations import CancelReservation, ReserveNow
from csms.protocol.blocks.smart_charging import (
    ClearChargingProfile,
    GetChargingProfiles,
    GetCompositeSchedule,
    SetChargingProfile,
)
from csms.protocol.translator import COMMANDS, CommandInvalid, translator
from csms.protocol.vocabulary import (
    AskTransactionStatus,
    ChangeAvailability,
    Command,
    GetFullReport,
    GetSettings,
    Protocol,
    Reset,
    SendVendorData,
    SetSettings,
    ShowCost,
    StartCharging,
    StopCharging,
    TokenStatus,
    TokenVerdict,
    TriggerMessage,
    UnlockConnector,
)
from tests.conformance.schemas import PROTOCOLS

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URL = "https://files.example/pump-2.1.bin"
PEM = "-----BEGIN CERTIFICATE-----\nTm8gY2VydGlmaWNhdGUgYXQgYWxs\n-----END CERTIFICATE-----\n"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
_SCHEDULE = ChargingSchedule(
    unit=RateUnit.A, periods=(SchedulePeriod(start_s=0, limit=Decimal(16)),), start=AT, duration_s=3600
)
_PROFILE = ChargingProfile(
    id=7, purpose=Purpose.TX_DEFAULT, kind=ProfileKind.ABSOLUTE, stack_level=1, schedules=(_SCHEDULE,)
)

EXAMPLES: tuple[Command, ...] = (
    AskTransactionStatus(transaction="7"),
    CancelReservation(reservation=7),
    ChangeAvailability(operative=False, evse=1),
    ClearCache(),
    ClearChargingProfile(profile=7),
    ClearDisplayMessage(message=7),
    CustomerInformation(request=7, token="CARD-0001", report=True),
    GetChargingProfiles(request=7),
    GetCompositeSchedule(evse=1, duration_s=3600, unit=RateUnit.W),
    GetDisplayMessages(request=7),
    GetFullReport(request=7),
    GetLocalListVersion(),
    GetSettings(names=("EVSE.Power",)),
    ReserveNow(reservation=7, token="CARD-0001", until=AT, evse=1),
    Reset(hard=True),
    SendLocalList(
        version=7,
        entries=(ListEntry(token="CARD-0001", verdict=TokenVerdict(status=TokenStatus.ACCEPTED)),),
        full=True,
    ),
    SendVendorData(vendor="com.example", message="Hello", data="text"),
    SetChargingProfile(evse=1, profile=_PROFILE),
    SetDisplayMessage(message=DisplayMessage(id=7, text="Free until noon")),
    SetSettings(values=(("EVSE.Power", "11000"),)),
    ShowCost(transaction="7", total_cost=Decimal("9.10")),
    StartCharging(token="CARD-0001", evse=1, remote_start=7),
    StopCharging(transaction="7"),
    TriggerMessage(message="Heartbeat"),
    UnlockConnector(evse=1),
    certificates.DeleteCertificate(
        certificate=CertificateHash(
            algorithm=HashAlgorithm.SHA256, issuer_name="ab" * 32, issuer_key="cd" * 32, number="7f"
        )
    ),
    certificates.GetInstalledCertificates(uses=(certificates.CertificateUse.CSMS,)),
    certificates.InstallCertificate(use=certificates.CertificateUse.CSMS, certificate=PEM),
    certificates.SendSignedCertificate(chain=PEM),
    credentials.ChangePassword(change=7, password="a-password-of-24-letters"),
    credentials.RaiseSecurityProfile(profile=2),
    firmware.ExtendedTriggerMessage(message="Heartbeat"),
    firmware.GetDiagnostics(url="ftp://files.example/in/"),
    firmware.GetLog(request=7, kind=firmware.LogKind.SECURITY, url="https://files.example/in/"),
    firmware.PublishFirmware(request=7, url=URL, checksum=MD5),
    firmware.UnpublishFirmware(checksum=MD5),
    firmware.UpdateFirmware(request=7, url=URL, retrieve_at=AT),
    firmware.UpdateFirmware(request=7, url=URL, retrieve_at=AT, certificate=PEM, signature="AA=="),
    monitoring.ClearMonitors(monitors=(7,)),
    monitoring.GetMonitoringReport(request=7, criteria=(monitoring.MonitoringCriterion.DELTA,)),
    monitoring.GetReport(request=7, names=("EVSE.Power",)),
    monitoring.SetMonitor(
        name="EVSE.Power", type=monitoring.MonitorType.UPPER_THRESHOLD, value=Decimal(11000), severity=5
    ),
    monitoring.SetMonitoringBase(base=monitoring.MonitoringBase.ALL),
    monitoring.SetMonitoringLevel(severity=5),
    monitoring.SetNetworkProfile(
        slot=1, url="wss://csms.example/ocpp", security_profile=2, interface="Wired0", message_timeout_s=30
    ),
)
"""Kinds that are not named here, and can be made of plain values, are made up."""

_TEXTS_BY_NAME = {
    "url": (URL, "http://files.example:8080/x", "wss://csms.example/ocpp", "ftp://u:p@files.example/"),
    "certificate": (PEM,),
    "chain": (PEM, PEM * 2),
    "message": ("Heartbeat", "StatusNotification", "MeterValues", "BootNotification"),
    "names": ("EVSE.Power", "EVSE@1.Power", "OCPPCommCtrlr", "HeartbeatInterval"),
    "name": ("EVSE.Power", "EVSE@1.Power[x]", "OCPPCommCtrlr.HeartbeatInterval"),
}
"""What a text of this name may well be."""
_TEXTS = st.text(max_size=8) | st.sampled_from(
    ["", "7", "CARD-0001", "x" * 21, "x" * 37, "x" * 600, "\x00", "a,b", "-1"]
)
_INTEGERS = st.integers(-3, 12) | st.integers() | st.sampled_from([2**31 - 1, 2**31, -(2**31), 2**63])
_DECIMALS = st.decimals(-1000, 100_000, places=1) | st.decimals(allow_nan=True, allow_infinity=True)
_INSTANTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is drawn
_DATA = st.none() | _TEXTS | st.dictionaries(st.text(max_size=3), _INTEGERS, max_size=2) | st.floats()


def written(protocol: Protocol, command: Command) -> tuple[str, dict[str, Any]] | None:
    """The call, None where the version has no such message or it cannot be written so."""
    try:
        return translator(protocol).command(command)
    except CommandInvalid:
        return None


@cache
def examples(kind: type[Command]) -> tuple[Command, ...]:
    """At least one for each version that has a message for this kind."""
    given = [each for each in EXAMPLES if type(each) is kind]
    for protocol in PROTOCOLS:
        if has_message(protocol, kind) and not any(written(protocol, each) for each in given):
            given.append(_made_up(kind, protocol))
    return tuple(given)


def has_message(protocol: Protocol, kind: type[Command]) -> bool:
    """Whether this version knows this kind of command at all."""
    some = next((each for each in EXAMPLES if type(each) is kind), None) or _found(kind, lambda _: True)
    try:
        return translator(protocol).command(some) is not None
    except CommandInvalid:
        return True


@cache
def asked(protocol: Protocol) -> dict[str, Command]:
    """By action: a command that makes this call."""
    found: dict[str, Command] = {}
    for kind in COMMANDS.values():
        for command in examples(kind):
            call = written(protocol, command)
            if call is not None:
                found.setdefault(call[0], command)
    return found


def _made_up(kind: type[Command], protocol: Protocol) -> Command:
    """The simplest command of a kind that a version can write."""
    try:
        return _found(kind, lambda command: written(protocol, command) is not None)
    except NoSuchExample:
        raise AssertionError(f"no {kind.__name__} could be made up: give one in {__name__}.EXAMPLES") from None


def _found(kind: type[Command], is_right: Callable[[Command], bool]) -> Command:
    quick = settings(max_examples=5000, database=None, suppress_health_check=list(HealthCheck))
    return find(random_command(kind), is_right, settings=quick)


def random_command(kind: type[Command]) -> st.SearchStrategy[Command]:
    """Any command of a kind, mostly one that cannot be sent; half of them are near to an example."""
    anything = _built(kind)
    near = [each for each in EXAMPLES if type(each) is kind]
    return anything if not near else st.sampled_from(near).flatmap(_near) | anything


def _near(example: Command) -> st.SearchStrategy[Command]:
    """An example with up to two of its fields put to anything."""
    fields = _fields(type(example))
    if not fields:
        return st.just(example)
    chosen = st.lists(st.sampled_from(sorted(fields)), max_size=2, unique=True)
    changes = chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))
    return changes.map(lambda values: dataclasses.replace(example, **values))


def _built(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **_fields(kind))


@cache
def _fields(kind: type[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: _of(hint, name) for name, hint in typing.get_type_hints(kind).items()}


def _of(hint: Any, name: str) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each type
    plain = {bool: st.booleans(), int: _INTEGERS, Decimal: _DECIMALS, datetime: _INSTANTS, Any: _DATA}
    if hint is str:
        return st.sampled_from(_TEXTS_BY_NAME[name]) | _TEXTS if name in _TEXTS_BY_NAME else _TEXTS
    if hint in plain:
        return plain[hint]
    if hint is type(None):
        return st.none()
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        if inner[-1] is Ellipsis:
            return st.lists(_of(inner[0], name), max_size=3).map(tuple)
        return st.tuples(*(_of(each, name) for each in inner))
    if inner:
        return st.one_of(*(_of(each, name) for each in inner))
    if dataclasses.is_dataclass(hint):
        return st.deferred(lambda: _built(typing.cast("type[Any]", hint)))
    return st.from_type(hint)
