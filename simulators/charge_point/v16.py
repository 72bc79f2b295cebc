"""OCPP 1.6J as a charge point speaks it, through the `ocpp` package's dataclasses and schemas."""

from __future__ import annotations

import contextlib
import json
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any

from ocpp.v16 import ChargePoint as Peer
from ocpp.v16 import call, call_result

from simulators.charge_point.certificates import TRIGGERS, follow_up
from simulators.charge_point.certificates import handlers_16 as certificate_handlers
from simulators.charge_point.dialect import Handler, route_map
from simulators.charge_point.evse import Evse, Phase, Transaction
from simulators.charge_point.firmware import handlers_16 as firmware_handlers
from simulators.charge_point.local_lists import NAMES_16, KnownTokens, answers_16
from simulators.charge_point.outbox import Message, RetryPolicy
from simulators.charge_point.reservations import handlers_16 as reservation_handlers
from simulators.charge_point.settings import settings_16
from simulators.charge_point.signing import Shown
from simulators.charge_point.smart_charging import handlers_16 as smart_charging_handlers
from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.charge_point.link import Connection
    from simulators.charge_point.station import SimulatedChargePoint

UNDELIVERED = -1  # the transaction id that stacks use after a start that never got through (1.6 errata)
COST_VENDOR = "org.openchargealliance.costmsg"
CONFIGURATION_KEYS_MAX = 50


class Dialect16:
    """Requests, transaction messages and answers of OCPP 1.6."""

    subprotocol = "ocpp1.6"

    def __init__(self, station: SimulatedChargePoint) -> None:
        self._station = station
        self.settings = settings_16(station.build.evses)
        self.known_tokens = KnownTokens(self.settings, NAMES_16)
        self._last: dict[int, Transaction] = {}

    def peer(self, connection: Connection) -> Any:
        """The package's ChargePoint for one connection."""
        station = self._station
        peer = Peer(station.identity, connection, response_timeout=station.build.call_timeout_s)
        peer.route_map = route_map(self._handlers(), station.run_follow_ups)
        return peer

    # --- requests

    def boot_request(self, reason: str) -> Any:  # noqa: ARG002 - 1.6 has no boot reason
        build = self._station.build
        return call.BootNotification(
            charge_point_model=build.model,
            charge_point_vendor=build.vendor,
            charge_point_serial_number=self._station.identity[:25],
            firmware_version=self._station.transfers.version,
        )

    def status_request(self, evse: Evse) -> Any:
        return call.StatusNotification(
            connector_id=evse.number,
            error_code="NoError",
            status=evse.phase.value,
            timestamp=stamp(self._station.clock.shown),
        )

    def heartbeat_request(self) -> Any:
        return call.Heartbeat()

    def authorize_request(self, token: str) -> Any:
        return call.Authorize(id_tag=token)

    def token_status(self, answer: Any) -> str:
        return str(answer.id_tag_info["status"])

    def presented(self, token: str, answer: Any) -> None:
        """1.6 has no words for the driver in it; SetUserPrice follows."""

    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            attempts=max(1, self.settings.number("TransactionMessageAttempts", 3)),
            interval_s=self.settings.number("TransactionMessageRetryInterval", 60),
        )

    def sample_interval_s(self) -> int:
        return self.settings.number("MeterValueSampleInterval", 300)

    # --- transaction messages

    def started(self, transaction: Transaction, *, lose: bool) -> None:
        transaction.signed_begin = self._signed("B", transaction)
        payload = call.StartTransaction(
            connector_id=transaction.evse.number,
            id_tag=transaction.token,
            meter_start=whole_wh(transaction.evse.meter.register_wh),
            timestamp=stamp(transaction.started_at),
            reservation_id=transaction.reservation_id,
        )

        def answered(answer: Any) -> None:
            self._started_answered(transaction, answer)

        def discarded() -> None:
            transaction.transaction_id = UNDELIVERED

        message = self._message("StartTransaction", transaction, lambda: payload, answered)
        message.discarded = discarded
        transaction.start_message = message
        self._put(message, lose=lose)

    def _started_answered(self, transaction: Transaction, answer: Any) -> None:
        transaction.truth.start_answers.append(answer.transaction_id)
        if transaction.transaction_id is None:
            transaction.transaction_id = transaction.truth.transaction_id = answer.transaction_id
        transaction.truth.start_told = True
        transaction.deauthorized = answer.id_tag_info["status"] not in {"Accepted", "ConcurrentTx"}

    def sampled(self, transaction: Transaction) -> None:
        evse = transaction.evse
        values = sampled_values(evse)
        if evse.signer is not None and evse.signer.signing.samples:
            values += signed_samples("Sample.Periodic", self._signed("C", transaction))
        reading = {"timestamp": stamp(self._station.clock.shown), "sampled_value": values}

        def build() -> Any:
            return call.MeterValues(
                connector_id=evse.number, meter_value=[reading], transaction_id=transaction.transaction_id
            )

        self._put(self._message("MeterValues", transaction, build, lambda _answer: None), lose=False)

    def phase_changed(self, transaction: Transaction, phase: Phase) -> None:
        """In 1.6 the StatusNotification has said it already."""

    def left(self, evse: Evse) -> None:
        """ConnectorUnplugged, while an idle fee may run on after the stop."""
        found, last = self.settings.find("CustomIdleFeeAfterStop"), self._last.pop(evse.number, None)
        if found is None or found[1].value.lower() != "true" or last is None:
            return
        told = json.dumps({"transactionId": last.transaction_id, "timestamp": stamp(self._station.clock.shown)})
        payload = call.DataTransfer(vendor_id=COST_VENDOR, message_id="ConnectorUnplugged", data=told)
        self._put(self._message("DataTransfer", last, lambda: payload, lambda _answer: None), lose=False)

    def ended(self, transaction: Transaction, *, lose: bool) -> None:
        self._last[transaction.evse.number] = transaction
        truth = transaction.truth
        register, timestamp = whole_wh(transaction.evse.meter.register_wh), stamp(self._station.clock.shown)
        signed = self._signed_data(transaction, timestamp)

        def build() -> Any:
            known = transaction.transaction_id
            return call.StopTransaction(
                meter_stop=register,
                timestamp=timestamp,
                transaction_id=UNDELIVERED if known is None else known,
                reason=truth.stop_reason,
                id_tag=transaction.token if truth.stop_reason == "Local" else None,
                transaction_data=signed,
            )

        def answered(_answer: Any) -> None:
            truth.end_told = True

        message = self._message("StopTransaction", transaction, build, answered)
        transaction.stop_message = message
        self._put(message, lose=lose)

    def _signed(self, reason: str, transaction: Transaction) -> str | None:
        """What the meter signs now, as a 1.6 value."""
        signer = transaction.evse.signer
        if signer is None:
            return None
        now = Shown(reason=reason, wh=transaction.evse.meter.register_wh, at=self._station.clock.shown)
        text = signer.record([now], token=transaction.token)
        return None if text is None else signer.in_16(text)

    def _signed_data(self, transaction: Transaction, timestamp: str) -> list[dict[str, Any]] | None:
        """Begin and end beside the stop, where many tell both."""
        begin = signed_samples("Transaction.Begin", transaction.signed_begin)
        end = signed_samples("Transaction.End", self._signed("E", transaction))
        told = [(stamp(transaction.started_at), begin), (timestamp, end)]
        return [{"timestamp": at, "sampled_value": values} for at, values in told if values] or None

    def _message(self, action: str, transaction: Transaction, build: Handler, answered: Handler) -> Message:
        return Message(
            action=action,
            build=build,
            answered=answered,
            about=lambda: transaction.transaction_id,
            made_at=self._station.clock.now,
        )

    def _put(self, message: Message, *, lose: bool) -> None:
        if lose:
            self._station.outbox.lose(message, "lost by a fault")
        else:
            self._station.outbox.put(message)

    # --- answers

    def _handlers(self) -> dict[str, Handler]:
        return {
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "Reset": self._reset,
            "UnlockConnector": self._unlock,
            "ChangeAvailability": self._change_availability,
            **certificate_handlers(self._station),
            **firmware_handlers(self._station, self._trigger),
            "GetConfiguration": self._get_configuration,
            "ChangeConfiguration": self._change_configuration,
            "TriggerMessage": self._trigger,
            "DataTransfer": self._data_transfer,
            **answers_16(self.known_tokens),
            **reservation_handlers(self._station, self.settings),
            **smart_charging_handlers(self._station, self.settings),
        }

    def _remote_start(self, id_tag: str, connector_id: int | None = None, **_: Any) -> Any:
        number = self._station.free_evse(connector_id, token=id_tag)
        if number is None:
            return call_result.RemoteStartTransaction(status="Rejected")
        self._station.follow_ups.append(lambda: self._station.remote_start(number, id_tag, None))
        return call_result.RemoteStartTransaction(status="Accepted")

    def _remote_stop(self, transaction_id: int, **_: Any) -> Any:
        transaction = self._station.find_transaction(transaction_id)
        if transaction is None:
            return call_result.RemoteStopTransaction(status="Rejected")
        number = transaction.evse.number
        self._station.follow_ups.append(lambda: self._station.stop(number, reason="Remote"))
        return call_result.RemoteStopTransaction(status="Accepted")

    def _reset(self, type: str, **_: Any) -> Any:  # noqa: A002 - the field's name on the wire
        reason = "HardReset" if type == "Hard" else "SoftReset"
        self._station.follow_ups.append(lambda: self._station.reboot(reason="RemoteReset", stop_reason=reason))
        return call_result.Reset(status="Accepted")

    def _unlock(self, connector_id: int, **_: Any) -> Any:
        evse = self._station.evses.get(connector_id)
        if evse is None:
            return call_result.UnlockConnector(status="NotSupported")
        if evse.transaction is not None:
            self._station.follow_ups.append(lambda: self._station.stop(connector_id, reason="UnlockCommand"))
        return call_result.UnlockConnector(status="Unlocked")

    def _change_availability(self, connector_id: int, type: str, **_: Any) -> Any:  # noqa: A002 - as above
        station = self._station
        numbers = list(station.evses) if connector_id == 0 else [connector_id]
        if not set(numbers) <= set(station.evses):
            return call_result.ChangeAvailability(status="Rejected")
        busy = any(station.evses[number].transaction is not None for number in numbers)
        for number in numbers:
            station.follow_ups.append(partial(station.set_operative, number, operative=type == "Operative"))
        return call_result.ChangeAvailability(status="Scheduled" if busy else "Accepted")

    def _get_configuration(self, key: list[str] | None = None, **_: Any) -> Any:
        wanted = key or list(self.settings.entries)[:CONFIGURATION_KEYS_MAX]
        known, unknown = [], []
        for name in wanted:
            found = self.settings.find(name)
            if found is None:
                unknown.append(name)
                continue
            entry: dict[str, Any] = {"key": found[0], "readonly": found[1].readonly}
            if not found[1].write_only:
                entry["value"] = found[1].value
            known.append(entry)
        return call_result.GetConfiguration(configuration_key=known, unknown_key=unknown or None)

    def _change_configuration(self, key: str, value: str, **_: Any) -> Any:
        return call_result.ChangeConfiguration(status=self._station.secrets.change(key, value, self.settings.change))

    def _trigger(self, requested_message: str, connector_id: int | None = None, **_: Any) -> Any:
        station = self._station
        evse = station.evses.get(connector_id or 1)
        if evse is None:
            return call_result.TriggerMessage(status="Rejected")
        match requested_message:
            case "BootNotification":
                station.follow_ups.append(lambda: self._tell(self.boot_request("Triggered")))
            case "Heartbeat":
                station.follow_ups.append(lambda: self._tell(self.heartbeat_request()))
            case "StatusNotification":
                station.follow_ups.append(lambda: self._tell(self.status_request(evse)))
            case "MeterValues":
                station.follow_ups.append(lambda: self._tell(self._triggered_reading(evse)))
            case _ if requested_message in TRIGGERS:
                follow_up(station, requested_message)
            case _:
                told = station.transfers.triggered(requested_message)
                if told is None:
                    return call_result.TriggerMessage(status="NotImplemented")
                station.follow_ups.append(lambda: self._tell(told))
        return call_result.TriggerMessage(status="Accepted")

    def _triggered_reading(self, evse: Evse) -> Any:
        values = [value | {"context": "Trigger"} for value in sampled_values(evse)]
        reading = {"timestamp": stamp(self._station.clock.shown), "sampled_value": values}
        running = None if evse.transaction is None else evse.transaction.transaction_id
        return call.MeterValues(connector_id=evse.number, meter_value=[reading], transaction_id=running)

    async def _tell(self, payload: Any) -> None:
        await self._station.ask(payload)

    def _data_transfer(self, vendor_id: str, data: str | None = None, message_id: str | None = None, **_: Any) -> Any:
        if vendor_id != COST_VENDOR:
            return call_result.DataTransfer(status="UnknownVendorId")
        with contextlib.suppress(ValueError, KeyError, TypeError, InvalidOperation):
            cost = json.loads(data or "", parse_float=Decimal)
            if message_id == "SetUserPrice":
                texts = [(each["language"], each["content"]) for each in cost.get("priceTextExtra", [])]
                self._station.read_price(cost["idToken"], cost["priceText"], message_id, texts)
                return call_result.DataTransfer(status="Accepted")
            self._station.display(cost["transactionId"], Decimal(cost["cost"]), message_id or "DataTransfer")
        return call_result.DataTransfer(status="Accepted")


def whole_wh(register_wh: Decimal) -> int:
    """StartTransaction and StopTransaction have whole Wh only."""
    return int(register_wh.to_integral_value(rounding=ROUND_HALF_UP))


def signed_samples(context: str, value: str | None) -> list[dict[str, Any]]:
    """Signed data is one more value of the reading."""
    if value is None:
        return []
    register = {"measurand": "Energy.Active.Import.Register", "location": "Outlet", "unit": "Wh"}
    return [{"value": value, "context": context, "format": "SignedData", **register}]


def sampled_values(evse: Evse) -> list[dict[str, Any]]:
    """Energy register and power now; values are text in 1.6."""
    values: list[dict[str, Any]] = [
        {
            "value": f"{evse.meter.register_wh.normalize():f}",
            "context": "Sample.Periodic",
            "measurand": "Energy.Active.Import.Register",
            "location": "Outlet",
            "unit": "Wh",
        },
        {
            "value": f"{evse.power_w.normalize():f}",
            "context": "Sample.Periodic",
            "measurand": "Power.Active.Import",
            "location": "Outlet",
            "unit": "W",
        },
    ]
    if evse.load is not None and evse.load.soc_percent is not None:
        soc = {"value": str(evse.load.soc_percent), "context": "Sample.Periodic", "measurand": "SoC"}
        values.append(soc | {"location": "EV", "unit": "Percent"})
    return values
