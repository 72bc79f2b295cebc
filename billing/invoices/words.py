"""The few words that stand in the lines of documents, in each language that documents are written in. Pure."""

from __future__ import annotations

from datetime import date
from typing import Final

_DAYS: Final = {"de": "%d.%m.%Y", "en": "%Y-%m-%d", "fr": "%d/%m/%Y", "nl": "%d-%m-%Y"}
CHARGING: Final = {"de": "Ladevorgang", "en": "Charging session", "fr": "Session de recharge", "nl": "Laadsessie"}
ROUNDING: Final = {
    "de": "Rundungsdifferenz zu den Einzelbelegen",
    "en": "Rounding difference to the single receipts",
    "fr": "Différence d'arrondi avec les reçus",
    "nl": "Afrondingsverschil met de bonnen",
}
BORNE: Final = {
    "de": "Ihr Anteil an {number} vom {day}",
    "en": "Your part of {number} of {day}",
    "fr": "Votre part de {number} du {day}",
    "nl": "Uw deel van {number} van {day}",
}
BORNE_TAX: Final = {
    "de": "Entgelt von dritter Seite: Die Steuer steht auf den Rechnungen der Leistungsempfänger",
    "en": "Consideration paid by a third party: its tax is on the documents of those who were supplied",
    "fr": "Contrepartie versée par un tiers : la taxe figure sur les factures des bénéficiaires",
    "nl": "Vergoeding door een derde: de btw staat op de facturen van de afnemers",
}
"""Why no tax is charged on what a third party bears (Art. 73 of the VAT directive): it was charged with the whole price."""
NO_LONGER_OWED: Final = {
    "de": "Nicht mehr geschuldet: {what}",
    "en": "No longer owed: {what}",
    "fr": "N'est plus dû : {what}",
    "nl": "Niet langer verschuldigd: {what}",
}
NOT_SUBJECT_TO_VAT: Final = {
    "de": "Nicht steuerbar",
    "en": "Not subject to VAT",
    "fr": "Non soumis à la TVA",
    "nl": "Niet onderworpen aan btw",
}


def day_in(language: str, day: date) -> str:
    """A day as it is written in the language; in English, which has several ways, as ISO 8601 does."""
    return day.strftime(_DAYS[language])
