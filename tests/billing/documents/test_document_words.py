"""The words of documents: every language has all of them, and the law's own words stand where they must."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from string import Formatter
from typing import Any

import pytest

from billing.documents.words import LANGUAGES, words_of
from billing.errors import Refused

READ: dict[str, Any] = tomllib.loads((files("billing.documents") / "words.toml").read_text(encoding="utf-8"))


def said(language: str) -> dict[tuple[str, str], str]:
    return {
        (section, name): text
        for section, words in READ[language].items()
        if section != "regions"
        for name, text in words.items()
    }


def places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_missing_in_any_language(language: str) -> None:
    ours, english = said(language), said("en")

    assert {"de", "en", "fr", "nl"} <= set(LANGUAGES)
    assert ours.keys() == english.keys()
    assert [key for key, text in ours.items() if not text and english[key]] == []
    assert [key for key, text in ours.items() if places(text) != places(english[key])] == []


@pytest.mark.parametrize("region", [name for name in READ if "-" in name])
def test_a_region_only_says_otherwise_what_its_language_says(region: str) -> None:
    language, country = region.split("-")

    assert country in READ[language]["regions"]
    assert said(region).keys() <= said(language).keys()


def test_a_language_is_written_as_in_the_sellers_country_where_it_is_at_home_there() -> None:
    assert words_of("fr", "BE")("title", "credit_note") == "Note de crédit"
    assert words_of("fr", "DE")("title", "credit_note") == "Facture d\N{RIGHT SINGLE QUOTATION MARK}avoir"
    assert words_of("en", "DE").region == "GB"
    assert words_of("de", None).region == "DE"


def test_a_language_without_words_is_refused() -> None:
    with pytest.raises(Refused, match="no words for documents in the language 'tlh'"):
        words_of("tlh", "DE")
    with pytest.raises(Refused):
        words_of("fr-BE", None)


def test_a_german_gutschrift_is_what_the_customer_writes_and_never_a_credit_note() -> None:
    title = words_of("de", "DE").table["title"]

    assert title["credit_note"] == "Rechnungskorrektur"
    assert title["self_billed"] == "Gutschrift"
    assert "Gutschrift" not in title["receipt_credit_note"]


@pytest.mark.parametrize(
    ("language", "reverse_charge", "self_billing"),
    [
        ("en", "Reverse charge", "Self-billing"),
        ("de", "Steuerschuldnerschaft des Leistungsempfängers", "Gutschrift"),
        ("fr", "Autoliquidation", "Autofacturation"),
        ("nl", "Btw verlegd", "Factuur uitgereikt door afnemer"),
    ],
)
def test_what_the_vat_directive_prescribes_stands_in_its_words(
    language: str, reverse_charge: str, self_billing: str
) -> None:
    words = words_of(language, None)

    assert words("tax", "AE") == reverse_charge
    assert self_billing in words("subtitle", "self_billed")
