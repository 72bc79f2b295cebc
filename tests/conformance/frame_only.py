"""Fields that become no fact: they stay in the kept frame, which `csms cp trace` prints. Each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from csms.protocol.vocabulary import Protocol

_EXTRA_IDS = "further ids of a driver: we know tokens by their id alone"
_MADE_AT = "when the message was put together: its parts carry times of their own, and we keep when it came"
_NO_TARIFF = "prices of others for the EV's choice (ISO 15118): we price by our own tariffs"
_NUMBERED = "the station's number of a schedule: nothing that is asked or told refers to it"
_ONE_DISPLAY = "which of several displays: messages are known by their id, which is the station's as a whole"
_AC_OR_DC = "an EV charges by AC or by DC: where both are told, the figures of AC count"
_VENDOR = "whose error code vendorErrorCode is: the charge point's vendor is known from its boot"
_CABLE = "how the vehicle is connected: no figure of a bill comes of it, and it tells events apart (RULES.md 3)"
_NO_CONTRACT = "Plug & Charge: a driver is authorised by the token, the contract's certificate is not looked at (C07)"
_TARIFF_FIELDS = (
    "salesTariff.id",
    "salesTariff.salesTariffDescription",
    "salesTariff.numEPriceLevels",
    "salesTariff.salesTariffEntry[].relativeTimeInterval.start",
    "salesTariff.salesTariffEntry[].relativeTimeInterval.duration",
    "salesTariff.salesTariffEntry[].ePriceLevel",
    "salesTariff.salesTariffEntry[].consumptionCost[].startValue",
    "salesTariff.salesTariffEntry[].consumptionCost[].cost[].costKind",
    "salesTariff.salesTariffEntry[].consumptionCost[].cost[].amount",
    "salesTariff.salesTariffEntry[].consumptionCost[].cost[].amountMultiplier",
)


def _each(reason: str, fields: Iterable[str], below: str = "") -> dict[str, str]:
    return {f"{below}{field}": reason for field in fields}


def _schedule(below: str) -> dict[str, str]:
    return {f"{below}.id": _NUMBERED, **_each(_NO_TARIFF, _TARIFF_FIELDS, f"{below}.")}


_TOKEN = _each(_EXTRA_IDS, ["idToken.additionalInfo[].additionalIdToken", "idToken.additionalInfo[].type"])

FRAME_ONLY: Mapping[tuple[Protocol, str], Mapping[str, str]] = {
    (Protocol.V16, "StatusNotification"): {"vendorId": _VENDOR},
    (Protocol.V201, "Authorize"): {
        **_TOKEN,
        "certificate": _NO_CONTRACT,
        **_each(
            _NO_CONTRACT,
            ["hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber", "responderURL"],
            "iso15118CertificateHashData[].",
        ),
    },
    (Protocol.V201, "NotifyChargingLimit"): _schedule("chargingSchedule[]"),
    (Protocol.V201, "NotifyCustomerInformation"): {"generatedAt": _MADE_AT},
    (Protocol.V201, "NotifyDisplayMessages"): _each(
        _ONE_DISPLAY, ["evse.id", "evse.connectorId", "name", "instance"], "messageInfo[].display."
    ),
    (Protocol.V201, "NotifyEVChargingNeeds"): _each(
        _AC_OR_DC, ["evMaxCurrent", "evMaxVoltage", "energyAmount"], "chargingNeeds.dcChargingParameters."
    ),
    (Protocol.V201, "NotifyEVChargingSchedule"): _schedule("chargingSchedule"),
    (Protocol.V201, "NotifyEvent"): {"generatedAt": _MADE_AT},
    (Protocol.V201, "NotifyMonitoringReport"): {"generatedAt": _MADE_AT},
    (Protocol.V201, "NotifyReport"): {"generatedAt": _MADE_AT},
    (Protocol.V201, "ReportChargingProfiles"): _schedule("chargingProfile[].chargingSchedule[]"),
    (Protocol.V201, "TransactionEvent"): {
        **_TOKEN,
        **_each(_CABLE, ["numberOfPhasesUsed", "cableMaxCurrent", "transactionInfo.timeSpentCharging"]),
    },
}

ELSEWHERE: Mapping[str, str] = {
    "Authorize": "a question: it is answered, and of what was asked only the frame stays",
    "ClearedChargingLimit": "ends what csms profile show prints",
    "Get15118EVCertificate": "a question, kept as it was asked; csms certificate shows what came of it",
    "GetCertificateStatus": "a question, kept as it was asked",
    "NotifyCustomerInformation": "handed to whoever asked for it by csms cp customer-information, and to nobody else",
    "NotifyDisplayMessages": "the answer that csms display list waits for and prints",
    "NotifyMonitoringReport": "the answer that csms monitor list waits for and prints",
    "NotifyReport": "the answer that csms cp config report and get wait for and print; settings are in csms cp show",
    "ReportChargingProfiles": "the answer that csms profile list waits for and prints",
    "ReservationStatusUpdate": "an entry of csms reservation show, where the reservation is ours",
    "SignCertificate": "a request for a certificate, kept as it came",
}
"""Messages whose fields no command prints at any time, and what becomes of them."""
NUMBERING = frozenset({"seqNo"})
"""Of parts: it puts them in order, and the whole has none."""
