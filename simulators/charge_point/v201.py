"""OCPP 2.0.1 as a charging station speaks it, through the `ocpp` package's dataclasses and schemas."""

from __future__ import annotations

import uuid
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from ocpp.v201 import ChargePoint as Peer
from ocpp.v201 import call, call_result

from simulators.charge_point.certificates import TRIGGERS, follow_up
from simulators.charge_point.certificates import handlers_201 as certificate_handlers
from simulators.charge_point.customer_information import handlers_201 as customer_information_handlers
from simulators.charge_point.dialect import Handler, route_map
from simulators.charge_point.displays import handlers_201 as display_handlers
from simulators.charge_point.evse import Evse, Phase, Transaction
from simulators.charge_point.firmware import handlers_201 as firmware_handlers
from simulators.charge_point.local_lists import NAMES_201, KnownTokens, answers_201
from simulators.charge_point.monitoring import handlers_201 as monitoring_handlers
from simulators.charge_point.monitoring import watch
from simulators.charge_point.outbox import Message, RetryPolicy
from simulators.charge_point.reservations import handlers_201 as reservation_handlers
from simulators.charge_point.settings import Setting, component_name, settings_201, variable_name
from simulators.charge_point.signing import Shown
from simulators.charge_point.smart_charging import handlers_201 as smart_charging_handlers
from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.charge_point.link import Connection
    from simulators.charge_point.station import SimulatedChargePoint

NAMESPACE = uuid.UUID("6f1d3a52-90c4-4e0b-8a3c-51a5b0c0ffee")
CONNECTOR_STATUS = {
    Phase.AVAILABLE: "Available",
    Phase.UNAVAILABLE: "Unavailable",
    Phase.FAULTED: "Faulted",
    Phase.RESERVED: "Reserved",
}
CHARGING_STATE = {
    Phase.PREPARING: "EVConnected",
    Phase.CHARGING: "Charging",
    Phase.SUSPENDED_EV: "SuspendedEV",
    Phase.SUSPENDED_EVSE: "SuspendedEVSE",
}
# reason in 1.6 words -> (stoppedReason, triggerReason)
SIGNED_FOR = {"Transaction.Begin": "B", "Transaction.End": "E"}
STOPPED = {
    "Local": ("Local", "StopAuthorized"),
    "Remote": ("Remote", "RemoteStop"),
    "EVDisconnected": ("EVDisconnected", "EVCommunicationLost"),
    "DeAuthorized": ("DeAuthorized", "Deauthorized"),
    "HardReset": ("ImmediateReset", "ResetCommand"),
    "SoftReset": ("ImmediateReset", "ResetCommand"),
    "Reboot": ("Reboot", "AbnormalCondition"),
    "PowerLoss": ("PowerLoss", "AbnormalCondition"),
    "EmergencyStop": ("EmergencyStop", "AbnormalCondition"),
    "UnlockCommand": ("Other", "UnlockCommand"),
    "Other": ("Other", "AbnormalCondition"),
}


class Dialect201:
    """Requests, transaction messages and answers of OCPP 2.0.1."""

    subprotocol = "ocpp2.0.1"

    def __init__(self, station: SimulatedChargePoint) -> None:
        self._station = station
        self.settings = settings_201(station.build.evses)
        self.known_tokens = KnownTokens(self.settings, NAMES_201)

    def peer(self, connection: Connection) -> Any:
        """The package's ChargePoint for one connection."""
        station = self._station
        peer = Peer(station.identity, connection, response_timeout=station.build.call_timeout_s)
        peer.route_map = route_map(self._handlers(), station.run_follow_ups)
        return peer

    # --- requests

    def boot_request(self, reason: str) -> Any:
        build = self._station.build
        about = {
            "model": build.model,
            "vendor_name": build.vendor,
            "serial_number": self._station.identity[:25],
            "firmware_version": self._station.transfers.version,
        }
        return call.BootNotification(charging_station=about, reason=reason)

    def status_request(self, evse: Evse) -> Any:
        return call.StatusNotification(
            timestamp=stamp(self._station.clock.shown),
            connector_status=CONNECTOR_STATUS.get(evse.phase, "Occupied"),
            evse_id=evse.number,
            connector_id=1,
        )

    def heartbeat_request(self) -> Any:
        return call.Heartbeat()

    def authorize_request(self, token: str) -> Any:
        return call.Authorize(id_token=id_token(token))

    def token_status(self, answer: Any) -> str:
        return str(answer.id_token_info["status"])

    def presented(self, token: str, answer: Any) -> None:
        self._read_price(token, answer.id_token_info, "Authorize")

    def _read_price(self, token: str, info: dict[str, Any], by: str) -> None:
        """What the answer to a token says to the driver, if it says anything."""
        message = info.get("personal_message")
        if message is not None:
            self._station.read_price(token, message["content"], by)

    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            attempts=max(1, self.settings.number("OCPPCommCtrlr.MessageAttempts#TransactionEvent", 3)),
            interval_s=self.settings.number("OCPPCommCtrlr.MessageAttemptInterval#TransactionEvent", 60),
        )

    def sample_interval_s(self) -> int:
        return self.settings.number("SampledDataCtrlr.TxUpdatedInterval", 300)

    # --- transaction messages

    def started(self, transaction: Transaction, *, lose: bool) -> None:
        station = self._station
        name = f"{station.identity}/{transaction.evse.number}/{transaction.started_at.isoformat()}/{len(station.truth.sessions)}"
        transaction.transaction_id = transaction.truth.transaction_id = str(uuid.uuid5(NAMESPACE, name))
        transaction.charging_state = "EVConnected" if transaction.evse.plugged else "Idle"
        trigger = "Authorized" if transaction.remote_start_id is None else "RemoteStart"
        payload = self._event(
            transaction,
            "Started",
            trigger,
            id_token=id_token(transaction.token),
            meter_value=[self._reading(transaction.evse, "Transaction.Begin")],
        )

        def answered(answer: Any) -> None:
            transaction.truth.start_told = True
            transaction.truth.start_answers.append(str(transaction.transaction_id))
            info = answer.id_token_info or {}
            self._read_price(transaction.token, info, "TransactionEvent")
            status = info.get("status", "Accepted")
            transaction.deauthorized = status not in {"Accepted", "ConcurrentTx"}

        transaction.start_message = self._put(transaction, payload, answered, lose=lose)

    def sampled(self, transaction: Transaction) -> None:
        reading = self._reading(transaction.evse, "Sample.Periodic")
        payload = self._event(transaction, "Updated", "MeterValuePeriodic", meter_value=[reading])
        self._put(transaction, payload, None, lose=False)

    def phase_changed(self, transaction: Transaction, phase: Phase) -> None:
        transaction.charging_state = CHARGING_STATE.get(phase, transaction.charging_state)
        self._put(transaction, self._event(transaction, "Updated", "ChargingStateChanged"), None, lose=False)

    def left(self, evse: Evse) -> None:
        """The connector's status says it."""

    def ended(self, transaction: Transaction, *, lose: bool) -> None:
        truth = transaction.truth
        stopped, trigger = STOPPED.get(truth.stop_reason or "Other", STOPPED["Other"])
        transaction.charging_state = "EVConnected" if transaction.evse.plugged else "Idle"
        payload = self._event(
            transaction,
            "Ended",
            trigger,
            stopped_reason=stopped,
            id_token=id_token(transaction.token) if stopped == "Local" else None,
            meter_value=[self._reading(transaction.evse, "Transaction.End")],
        )

        def answered(_answer: Any) -> None:
            truth.end_told = True

        transaction.stop_message = self._put(transaction, payload, answered, lose=lose)

    def _event(
        self,
        transaction: Transaction,
        event_type: str,
        trigger: str,
        *,
        stopped_reason: str | None = None,
        id_token: dict[str, str] | None = None,
        meter_value: list[dict[str, Any]] | None = None,
    ) -> Any:
        info: dict[str, Any] = {
            "transaction_id": transaction.transaction_id,
            "charging_state": transaction.charging_state,
        }
        if stopped_reason is not None:
            info["stopped_reason"] = stopped_reason
        if transaction.remote_start_id is not None and event_type == "Started":
            info["remote_start_id"] = transaction.remote_start_id
        event = call.TransactionEvent(
            event_type=event_type,
            timestamp=stamp(self._station.clock.shown),
            trigger_reason=trigger,
            seq_no=transaction.seq_no,
            transaction_info=info,
            meter_value=meter_value,
            reservation_id=transaction.reservation_id if event_type == "Started" else None,
            offline=None if self._station.link.connected.is_set() else True,
            evse={"id": transaction.evse.number, "connector_id": 1},
            id_token=id_token,
        )
        transaction.seq_no += 1
        return event

    def _put(self, transaction: Transaction, payload: Any, answered: Handler | None, *, lose: bool) -> Message:
        def take(answer: Any) -> None:
            if answered is not None:
                answered(answer)
            if answer.total_cost is not None:
                total = Decimal(str(answer.total_cost))
                self._station.display(transaction.transaction_id, total, f"TransactionEvent {payload.event_type}")

        message = Message(
            action="TransactionEvent",
            build=lambda: payload,
            answered=take,
            about=lambda: transaction.transaction_id,
            made_at=self._station.clock.now,
        )
        if lose:
            self._station.outbox.lose(message, "lost by a fault")
        else:
            self._station.outbox.put(message)
        return message

    def _reading(self, evse: Evse, context: str) -> dict[str, Any]:
        values = sampled_values(evse, context)
        signed = self._signed(evse, context)
        if signed is not None:
            values[0]["signed_meter_value"] = signed
        return {"timestamp": stamp(self._station.clock.shown), "sampled_value": values}

    def _signed(self, evse: Evse, context: str) -> dict[str, str] | None:
        """What the meter signs now, beside the plain register."""
        signer, reason = evse.signer, SIGNED_FOR.get(context, "C")
        running = evse.transaction or evse.last_transaction
        if signer is None or running is None or (reason == "C" and not signer.signing.samples):
            return None
        now = Shown(reason=reason, wh=evse.meter.register_wh, at=self._station.clock.shown)
        text = signer.record([now], token=running.token)
        return None if text is None else signer.in_201(text)

    # --- answers

    def _handlers(self) -> dict[str, Handler]:
        return {
            "RequestStartTransaction": self._request_start,
            "RequestStopTransaction": self._request_stop,
            "Reset": self._reset,
            "UnlockConnector": self._unlock,
            "ChangeAvailability": self._change_availability,
            **certificate_handlers(self._station),
            **firmware_handlers(self._station),
            "GetVariables": self._get_variables,
            "SetVariables": self._set_variables,
            "GetBaseReport": self._get_base_report,
            "TriggerMessage": self._trigger,
            "DataTransfer": lambda **_: call_result.DataTransfer(status="UnknownVendorId"),
            "GetTransactionStatus": self._get_transaction_status,
            "CostUpdated": self._cost_updated,
            **answers_201(self.known_tokens),
            **customer_information_handlers(self._station, self.known_tokens),
            **display_handlers(self._station),
            **monitoring_handlers(self._station, self.settings, self._send_report),
            **reservation_handlers(self._station, self.settings),
            **smart_charging_handlers(self._station, self.settings),
        }

    def _request_start(
        self, id_token: dict[str, Any], remote_start_id: int, evse_id: int | None = None, **_: Any
    ) -> Any:
        token = str(id_token["id_token"])
        number = self._station.free_evse(evse_id, token=token)
        if number is None:
            return call_result.RequestStartTransaction(status="Rejected")
        self._station.follow_ups.append(lambda: self._station.remote_start(number, token, remote_start_id))
        return call_result.RequestStartTransaction(status="Accepted")

    def _request_stop(self, transaction_id: str, **_: Any) -> Any:
        transaction = self._station.find_transaction(transaction_id)
        if transaction is None:
            return call_result.RequestStopTransaction(status="Rejected")
        number = transaction.evse.number
        self._station.follow_ups.append(lambda: self._station.stop(number, reason="Remote"))
        return call_result.RequestStopTransaction(status="Accepted")

    def _reset(self, type: str, **_: Any) -> Any:  # noqa: A002 - the field's name on the wire
        reason = "HardReset" if type == "Immediate" else "Reboot"
        self._station.follow_ups.append(lambda: self._station.reboot(reason="RemoteReset", stop_reason=reason))
        return call_result.Reset(status="Accepted")

    def _unlock(self, evse_id: int, **_: Any) -> Any:
        evse = self._station.evses.get(evse_id)
        if evse is None:
            return call_result.UnlockConnector(status="UnknownConnector")
        if evse.transaction is not None:
            return call_result.UnlockConnector(status="OngoingAuthorizedTransaction")
        return call_result.UnlockConnector(status="Unlocked")

    def _change_availability(self, operational_status: str, evse: dict[str, Any] | None = None, **_: Any) -> Any:
        station = self._station
        numbers = list(station.evses) if evse is None else [int(evse["id"])]
        if not set(numbers) <= set(station.evses):
            return call_result.ChangeAvailability(status="Rejected")
        busy = any(station.evses[number].transaction is not None for number in numbers)
        operative = operational_status == "Operative"
        for number in numbers:
            station.follow_ups.append(partial(station.set_operative, number, operative=operative))
        return call_result.ChangeAvailability(status="Scheduled" if busy else "Accepted")

    def _get_variables(self, get_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        return call_result.GetVariables(get_variable_result=[self._variable(asked) for asked in get_variable_data])

    def _variable(self, asked: dict[str, Any]) -> dict[str, Any]:
        result = {"component": asked["component"], "variable": asked["variable"]}
        found = self.settings.find(variable_name(asked))
        if found is None:
            known = any(name.split(".")[0] == component_name(asked) for name in self.settings.entries)
            return result | {"attribute_status": "UnknownVariable" if known else "UnknownComponent"}
        if asked.get("attribute_type", "Actual") != "Actual":
            return result | {"attribute_status": "NotSupportedAttributeType"}
        if found[1].write_only:
            return result | {"attribute_status": "Rejected"}
        return result | {"attribute_status": "Accepted", "attribute_value": found[1].value}

    def _set_variables(self, set_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        results = []
        for asked in set_variable_data:
            change = self.settings.change
            status = self._station.secrets.change(variable_name(asked), asked["attribute_value"], change)
            if status == "NotSupported":
                status = "UnknownVariable"
            results.append({"attribute_status": status, "component": asked["component"], "variable": asked["variable"]})
        self._station.follow_ups.append(partial(watch, self._station))
        return call_result.SetVariables(set_variable_result=results)

    def _get_base_report(self, request_id: int, report_base: str, **_: Any) -> Any:
        if report_base == "SummaryInventory":
            return call_result.GetBaseReport(status="NotSupported")
        self._station.follow_ups.append(lambda: self._send_report(request_id, list(self.settings.entries)))
        return call_result.GetBaseReport(status="Accepted")

    async def _send_report(self, request_id: int, names: list[str]) -> None:
        """NotifyReport in parts of ItemsPerMessage, ``tbc`` on all but the last (B07)."""
        size = self.settings.number("DeviceDataCtrlr.ItemsPerMessage", 4)
        items = [report_item(name, self.settings.entries[name]) for name in names]
        parts = [items[at : at + size] for at in range(0, len(items), size)]
        for seq_no, part in enumerate(parts):
            report = call.NotifyReport(
                request_id=request_id,
                generated_at=stamp(self._station.clock.shown),
                seq_no=seq_no,
                report_data=part,
                tbc=seq_no < len(parts) - 1,
            )
            await self._station.ask(report)

    def _trigger(self, requested_message: str, evse: dict[str, Any] | None = None, **_: Any) -> Any:
        station = self._station
        chosen = station.evses.get(1 if evse is None else int(evse["id"]))
        if chosen is None:
            return call_result.TriggerMessage(status="Rejected")
        match requested_message:
            case "BootNotification":
                return call_result.TriggerMessage(status="Rejected")  # F06.FR.17: already accepted
            case "Heartbeat":
                station.follow_ups.append(lambda: self._tell(self.heartbeat_request()))
            case "StatusNotification":
                station.follow_ups.append(lambda: self._tell(self.status_request(chosen)))
            case "MeterValues":
                reading = self._reading(chosen, "Trigger")
                station.follow_ups.append(
                    lambda: self._tell(call.MeterValues(evse_id=chosen.number, meter_value=[reading]))
                )
            case "TransactionEvent" if chosen.transaction is not None:
                reading = self._reading(chosen, "Trigger")
                event = self._event(chosen.transaction, "Updated", "Trigger", meter_value=[reading])
                self._put(chosen.transaction, event, None, lose=False)
            case _ if requested_message in TRIGGERS:
                follow_up(station, requested_message)
            case _:
                told = station.transfers.triggered(requested_message)
                if told is None:
                    return call_result.TriggerMessage(status="NotImplemented")
                station.follow_ups.append(lambda: self._tell(told))
        return call_result.TriggerMessage(status="Accepted")

    async def _tell(self, payload: Any) -> None:
        await self._station.ask(payload)

    def _get_transaction_status(self, transaction_id: str | None = None, **_: Any) -> Any:
        queued = len(self._station.outbox) > 0
        if transaction_id is None:
            return call_result.GetTransactionStatus(messages_in_queue=queued)
        running = self._station.find_transaction(transaction_id) is not None
        return call_result.GetTransactionStatus(messages_in_queue=queued, ongoing_indicator=running)

    def _cost_updated(self, total_cost: float, transaction_id: str, **_: Any) -> Any:
        self._station.display(transaction_id, Decimal(str(total_cost)), "CostUpdated")
        return call_result.CostUpdated()


def id_token(token: str) -> dict[str, str]:
    """An RFID card."""
    return {"id_token": token, "type": "ISO14443"}


def report_item(name: str, setting: Setting) -> dict[str, Any]:
    """One reportData element."""
    component_part, variable_part = name.split(".")
    component_name_, _, evse = component_part.partition("#")
    variable_name_, _, instance = variable_part.partition("#")
    component: dict[str, Any] = {"name": component_name_}
    if evse:
        component["evse"] = {"id": int(evse)}
    variable: dict[str, Any] = {"name": variable_name_}
    if instance:
        variable["instance"] = instance
    attribute: dict[str, Any] = {"type": "Actual", "mutability": "ReadOnly" if setting.readonly else "ReadWrite"}
    if setting.write_only:
        attribute["mutability"] = "WriteOnly"
    else:
        attribute["value"] = setting.value
    characteristics = {"data_type": data_type(setting), "supports_monitoring": setting.whole_number}
    return {
        "component": component,
        "variable": variable,
        "variable_attribute": [attribute],
        "variable_characteristics": characteristics,
    }


def data_type(setting: Setting) -> str:
    """DataEnumType, by what the value looks like."""
    if setting.whole_number:
        return "integer"
    return "boolean" if setting.value in {"true", "false"} else "string"


def number(value: Decimal) -> int | float:
    """A JSON number that keeps three decimals (the package rounds a Decimal to one)."""
    return int(value) if value == value.to_integral_value() else float(value)


def sampled_values(evse: Evse, context: str) -> list[dict[str, Any]]:
    """Energy register, and power and state of charge in samples; values are numbers in 2.0.1."""
    values: list[dict[str, Any]] = [
        {
            "value": number(evse.meter.register_wh),
            "context": context,
            "measurand": "Energy.Active.Import.Register",
            "location": "Outlet",
            "unit_of_measure": {"unit": "Wh"},
        }
    ]
    if not context.startswith("Transaction."):
        power = {"value": number(evse.power_w), "context": context, "measurand": "Power.Active.Import"}
        values.append(power | {"location": "Outlet", "unit_of_measure": {"unit": "W"}})
        if evse.load is not None and evse.load.soc_percent is not None:
            soc = {"value": evse.load.soc_percent, "context": context, "measurand": "SoC", "location": "EV"}
            values.append(soc | {"unit_of_measure": {"unit": "Percent"}})
    return values
