"""The few words of our own in an e-invoice, in the languages that documents are written in; in any other language English."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from billing.invoices.document import GroupBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """`borne` is filled with `label`, `party` and `amount`, `meter` with `start` and `stop`."""

    discount: str
    charge_point: str
    meter: str
    meter_serial: str
    quantity: str
    tariff: str
    token: str
    late: str
    borne: str
    credited: str
    groups: dict[GroupBy, str]


_ENGLISH: Final = Words(
    discount="Discount",
    charge_point="charge point",
    meter="meter {start} to {stop} kWh",
    meter_serial="meter no.",
    quantity="Quantity",
    tariff="Tariff",
    token="Token",  # noqa: S106 - the word for a driver's card
    late="of an earlier period",
    borne="{label}: {party} bears {amount}.",
    credited="The amount is set off against open invoices or paid out.",
    groups={
        GroupBy.DRIVER: "Driver",
        GroupBy.VEHICLE: "Vehicle",
        GroupBy.COST_CENTRE: "Cost centre",
        GroupBy.SITE: "Site",
    },
)
_GERMAN: Final = Words(
    discount="Rabatt",
    charge_point="Ladestation",
    meter="Zählerstand {start} bis {stop} kWh",
    meter_serial="Zähler-Nr.",
    quantity="Menge",
    tariff="Tarif",
    token="Ladekarte",  # noqa: S106
    late="aus einem früheren Zeitraum",
    borne="{label}: {party} trägt {amount}.",
    credited="Der Betrag wird mit offenen Rechnungen verrechnet oder ausgezahlt.",
    groups={
        GroupBy.DRIVER: "Fahrer",
        GroupBy.VEHICLE: "Fahrzeug",
        GroupBy.COST_CENTRE: "Kostenstelle",
        GroupBy.SITE: "Standort",
    },
)
_FRENCH: Final = Words(
    discount="Remise",
    charge_point="borne",
    meter="compteur {start} à {stop} kWh",
    meter_serial="compteur n°",
    quantity="Quantité",
    tariff="Tarif",
    token="Badge",  # noqa: S106
    late="d'une période antérieure",
    borne="{label} : {party} prend en charge {amount}.",
    credited="Le montant est déduit des factures en cours ou remboursé.",
    groups={
        GroupBy.DRIVER: "Conducteur",
        GroupBy.VEHICLE: "Véhicule",
        GroupBy.COST_CENTRE: "Centre de coûts",
        GroupBy.SITE: "Site",
    },
)
_DUTCH: Final = Words(
    discount="Korting",
    charge_point="laadpaal",
    meter="meterstand {start} tot {stop} kWh",
    meter_serial="meternr.",
    quantity="Hoeveelheid",
    tariff="Tarief",
    token="Laadpas",  # noqa: S106
    late="uit een eerdere periode",
    borne="{label}: {party} betaalt {amount}.",
    credited="Het bedrag wordt verrekend met openstaande facturen of uitbetaald.",
    groups={
        GroupBy.DRIVER: "Bestuurder",
        GroupBy.VEHICLE: "Voertuig",
        GroupBy.COST_CENTRE: "Kostenplaats",
        GroupBy.SITE: "Locatie",
    },
)
LANGUAGES: Final = {"en": _ENGLISH, "de": _GERMAN, "fr": _FRENCH, "nl": _DUTCH}


def words_of(language: str) -> Words:
    """The words of an ISO 639-1 language."""
    return LANGUAGES.get(language, _ENGLISH)
