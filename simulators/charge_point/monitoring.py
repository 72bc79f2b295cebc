"""What a simulated charging station watches by itself and tells: monitors on its variables (OCPP 2.0.1 block N), and
reports of some of its device model and network profiles (block B).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any

from ocpp.v201 import call, call_result

from simulators.charge_point.dialect import Handler
from simulators.charge_point.settings import component_name, variable_name
from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.charge_point.settings import Settings
    from simulators.charge_point.station import SimulatedChargePoint

ITEMS = "DeviceDataCtrlr.ItemsPerMessage"
SECURITY_PROFILE = "SecurityCtrlr.SecurityProfile"
MOST_TALKATIVE = 9
THRESHOLDS = frozenset({"UpperThreshold", "LowerThreshold"})
CRITERIA = {
    "UpperThreshold": "ThresholdMonitoring",
    "LowerThreshold": "ThresholdMonitoring",
    "Delta": "DeltaMonitoring",
    "Periodic": "PeriodicMonitoring",
}


@dataclass(slots=True, kw_only=True)
class Watch:
    """A monitor. `reference`: the value told last; `next_at`: when a periodic one speaks again."""

    id: int
    name: str
    place: dict[str, Any]
    type: str
    value: Decimal
    severity: int
    during_transaction: bool
    reference: str
    is_beyond: bool = False
    next_at: datetime | None = None

    def look(self, value: str, now: datetime) -> tuple[str, bool] | None:
        """What there is to tell of the variable as it is: (trigger, cleared)."""
        match self.type:
            case "Periodic":
                return self._look_at_clock(now)
            case "Delta":
                if not self._differs(value):
                    return None
                self.reference = value
                return "Delta", False
            case _:
                number = _number(value)
                is_upper = self.type == "UpperThreshold"
                is_beyond = number is not None and (number > self.value if is_upper else number < self.value)
                if is_beyond is self.is_beyond:
                    return None
                self.is_beyond = is_beyond
                return "Alerting", not is_beyond

    def _look_at_clock(self, now: datetime) -> tuple[str, bool] | None:
        assert self.next_at is not None, "a periodic monitor knows when it speaks"
        if now < self.next_at:
            return None
        every = timedelta(seconds=int(self.value))
        self.next_at += every * ((now - self.next_at) // every + 1)
        return "Periodic", False

    def _differs(self, value: str) -> bool:
        before, now = _number(self.reference), _number(value)
        return value != self.reference if before is None or now is None else abs(now - before) >= self.value


@dataclass(slots=True)
class Monitors:
    """All of a station. `level`: severities above it are not told. `networks`: network profiles by slot."""

    watches: dict[int, Watch] = field(default_factory=dict)
    level: int = MOST_TALKATIVE
    events: int = 0
    numbers: int = 0
    networks: dict[int, dict[str, Any]] = field(default_factory=dict)


# --- what happens by itself


async def watch(station: SimulatedChargePoint) -> None:
    """Look at everything that is watched, and tell what there is to tell in one NotifyEvent."""
    monitors, now = station.monitors, station.clock.now
    is_charging = any(evse.transaction is not None for evse in station.evses.values())
    told = []
    for each in monitors.watches.values():
        found = station.dialect.settings.find(each.name)
        if found is None or (each.during_transaction and not is_charging):
            continue
        seen = each.look(found[1].value, now)
        if seen is None or each.severity > monitors.level:
            continue
        monitors.events += 1
        told.append(_event(each, found[1].value, seen, number=monitors.events, at=stamp(station.clock.shown)))
    if told:
        await station.ask(call.NotifyEvent(generated_at=stamp(station.clock.shown), seq_no=0, event_data=told))


def next_looks(station: SimulatedChargePoint) -> list[datetime]:
    """When periodic monitors speak, in model time."""
    return [each.next_at for each in station.monitors.watches.values() if each.next_at is not None]


def _event(each: Watch, value: str, seen: tuple[str, bool], *, number: int, at: str) -> dict[str, Any]:
    trigger, is_cleared = seen
    return {
        "event_id": number,
        "timestamp": at,
        "trigger": trigger,
        "actual_value": value,
        "cleared": is_cleared,
        "variable_monitoring_id": each.id,
        "event_notification_type": "CustomMonitor",
        **each.place,
    }


def _number(value: str) -> Decimal | None:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


# --- answers


def handlers_201(
    station: SimulatedChargePoint,
    settings: Settings,
    report: Callable[[int, list[str]], Coroutine[Any, Any, None]],
) -> dict[str, Handler]:
    """Answers to the calls of OCPP 2.0.1; `report` sends a NotifyReport about variables."""
    return {**_monitor_handlers(station, settings), **_model_handlers(station, settings, report)}


def _monitor_handlers(station: SimulatedChargePoint, settings: Settings) -> dict[str, Handler]:
    """Block N."""
    monitors = station.monitors

    def set_monitors(set_monitoring_data: list[dict[str, Any]], **_: Any) -> Any:
        results = [_set(station, settings, asked) for asked in set_monitoring_data]
        station.follow_ups.append(partial(watch, station))
        return call_result.SetVariableMonitoring(set_monitoring_result=results)

    def clear(id: list[int], **_: Any) -> Any:  # noqa: A002 - the field's name on the wire
        gone = {each: monitors.watches.pop(each, None) is not None for each in id}
        results = [{"id": each, "status": "Accepted" if is_gone else "NotFound"} for each, is_gone in gone.items()]
        return call_result.ClearVariableMonitoring(clear_monitoring_result=results)

    def base(monitoring_base: str, **_: Any) -> Any:
        if monitoring_base != "All":
            monitors.watches.clear()
        return call_result.SetMonitoringBase(status="Accepted")

    def level(severity: int, **_: Any) -> Any:
        monitors.level = severity
        return call_result.SetMonitoringLevel(status="Accepted")

    def list_monitors(
        request_id: int,
        monitoring_criteria: list[str] | None = None,
        component_variable: list[dict[str, Any]] | None = None,
        **_: Any,
    ) -> Any:
        chosen = _chosen(monitors, monitoring_criteria, component_variable)
        if not chosen:
            return call_result.GetMonitoringReport(status="EmptyResultSet")
        station.follow_ups.append(partial(_report, station, settings, request_id, chosen))
        return call_result.GetMonitoringReport(status="Accepted")

    return {
        "SetVariableMonitoring": set_monitors,
        "ClearVariableMonitoring": clear,
        "SetMonitoringBase": base,
        "SetMonitoringLevel": level,
        "GetMonitoringReport": list_monitors,
    }


def _model_handlers(
    station: SimulatedChargePoint,
    settings: Settings,
    report: Callable[[int, list[str]], Coroutine[Any, Any, None]],
) -> dict[str, Handler]:
    """Block B."""

    def get_report(
        request_id: int,
        component_criteria: list[str] | None = None,
        component_variable: list[dict[str, Any]] | None = None,
        **_: Any,
    ) -> Any:
        names = [
            name
            for name in settings.entries
            if _is_asked(name, component_variable) and _is_so(settings, name, component_criteria)
        ]
        if not names:
            return call_result.GetReport(status="EmptyResultSet")
        station.follow_ups.append(partial(report, request_id, names))
        return call_result.GetReport(status="Accepted")

    def network(configuration_slot: int, connection_data: dict[str, Any], **_: Any) -> Any:
        if connection_data["security_profile"] < settings.number(SECURITY_PROFILE, 0):
            return call_result.SetNetworkProfile(status="Rejected")
        station.monitors.networks[configuration_slot] = connection_data
        return call_result.SetNetworkProfile(status="Accepted")

    return {"GetReport": get_report, "SetNetworkProfile": network}


def _chosen(monitors: Monitors, criteria: list[str] | None, wanted: list[dict[str, Any]] | None) -> list[Watch]:
    """Those of the kinds and variables that were asked for; all where none is named."""
    return [
        each
        for each in monitors.watches.values()
        if (not criteria or CRITERIA[each.type] in criteria) and _is_asked(each.name, wanted)
    ]


def _set(station: SimulatedChargePoint, settings: Settings, asked: dict[str, Any]) -> dict[str, Any]:
    monitors = station.monitors
    place = {"component": asked["component"], "variable": asked["variable"]}
    result = {"type": asked["type"], "severity": asked["severity"], **place}
    found = settings.find(variable_name(asked))
    status = _hindrance(monitors, settings, asked)
    if found is None or status is not None:
        return {"status": status or "UnknownVariable", **result}
    if "id" not in asked:
        monitors.numbers += 1
    name, setting = found
    made = Watch(
        id=asked.get("id", monitors.numbers),
        name=name,
        place=place,
        type=asked["type"],
        value=Decimal(str(asked["value"])),
        severity=asked["severity"],
        during_transaction=bool(asked.get("transaction", False)),
        reference=setting.value,
    )
    if made.type == "Periodic":
        made.next_at = station.clock.now + timedelta(seconds=int(made.value))
    monitors.watches[made.id] = made
    return {"status": "Accepted", "id": made.id, **result}


def _hindrance(monitors: Monitors, settings: Settings, asked: dict[str, Any]) -> str | None:
    """Why this cannot be watched so."""
    found = settings.find(variable_name(asked))
    if found is None:
        known = any(name.partition(".")[0] == component_name(asked) for name in settings.entries)
        return "UnknownVariable" if known else "UnknownComponent"
    name, setting = found
    if asked["type"] not in CRITERIA or (asked["type"] in THRESHOLDS and _number(setting.value) is None):
        return "UnsupportedMonitorType"
    if setting.write_only or ("id" in asked and asked["id"] not in monitors.watches):
        return "Rejected"
    if asked["type"] == "Periodic" and asked["value"] < 1:
        return "Rejected"
    is_there = any(
        (each.name, each.type, each.severity) == (name, asked["type"], asked["severity"])
        for each in monitors.watches.values()
        if each.id != asked.get("id")
    )
    return "Duplicate" if is_there else None


async def _report(station: SimulatedChargePoint, settings: Settings, request_id: int, chosen: list[Watch]) -> None:
    """NotifyMonitoringReport in parts of ItemsPerMessage, ``tbc`` on all but the last (N02)."""
    size = settings.number(ITEMS, 4)
    parts = [chosen[at : at + size] for at in range(0, len(chosen), size)]
    # required by 2.1, and in 2.0.1 a field that nobody knows
    kind = {"event_notification_type": "CustomMonitor"} if station.build.protocol == "ocpp2.1" else {}
    for seq_no, part in enumerate(parts):
        await station.ask(
            call.NotifyMonitoringReport(
                request_id=request_id,
                seq_no=seq_no,
                generated_at=stamp(station.clock.shown),
                tbc=seq_no < len(parts) - 1,
                monitor=[{**each.place, "variable_monitoring": [_described(each) | kind]} for each in part],
            )
        )


def _described(each: Watch) -> dict[str, Any]:
    return {
        "id": each.id,
        "transaction": each.during_transaction,
        "value": float(each.value),
        "type": each.type,
        "severity": each.severity,
    }


def _is_asked(name: str, wanted: list[dict[str, Any]] | None) -> bool:
    """Whether a variable is one of those, or of their components; of an EVSE's where none is named (B08)."""
    if not wanted:
        return True
    component = name.partition(".")[0]
    return any(
        name.lower() == variable_name(each).lower() if "variable" in each else _is_of(component, component_name(each))
        for each in wanted
    )


def _is_of(component: str, wanted: str) -> bool:
    return wanted.lower() in {component.lower(), component.partition("#")[0].lower()}


def _is_so(settings: Settings, name: str, criteria: list[str] | None) -> bool:
    """Whether the variable's component meets one of the criteria; one that does not speak of itself has no problem, and is
    active, available and enabled (B08).
    """
    if not criteria:
        return True
    component = name.partition(".")[0]
    return any(_meets(settings, component, criterion) for criterion in criteria)


def _meets(settings: Settings, component: str, criterion: str) -> bool:
    found = settings.find(f"{component}.{criterion}")
    return criterion != "Problem" if found is None else found[1].value.lower() == "true"
