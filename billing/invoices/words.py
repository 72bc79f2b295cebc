"""The few words that stand in the lines of documents, in each language that documents are written in. Pure."""

from __future__ import annotations

from typing import Final

CHARGING: Final = {"de": "Ladevorgang", "en": "Charging session", "fr": "Session de recharge", "nl": "Laadsessie"}
ROUNDING: Final = {
    "de": "Rundungsdifferenz zu den Einzelbelegen",
    "en": "Rounding difference to the single receipts",
    "fr": "Différence d'arrondi avec les reçus",
    "nl": "Afrondingsverschil met de bonnen",
}
NOT_SUBJECT_TO_VAT: Final = {
    "de": "Nicht steuerbar",
    "en": "Not subject to VAT",
    "fr": "Non soumis à la TVA",
    "nl": "Niet onderworpen aan btw",
}
