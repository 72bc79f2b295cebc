"""Entries as DATEV's Buchungsstapel: EXTF, header 700, format version 13. Pure.

A line moves one amount between two accounts (developer.datev.de, DATEV-Format): an entry with more postings becomes
several, and what every account turns over stays as it is in our books. Text is Windows-1252, lines end with CR LF, and
dates within a line have no year: a file is of one month.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from billing.ledger.account_map import AccountMap, Mapped
from billing.ledger.entry import BookedEntry, LedgerAccount, Posting, Side
from billing.ledger.month import last_day, month_text
from billing.money import Money, minor_digits

TEXT_MAX: Final = 60
DOCUMENT_MAX: Final = 36
TITLE_MAX: Final = 30
AMOUNT_DIGITS_MAX: Final = 10
CENTS: Final = 2
"""Decimals of every amount in the file."""
ENCODING: Final = "cp1252"

_NUMBERED: Final = tuple(range(1, 21))
COLUMNS: Final = (
    "Umsatz (ohne Soll/Haben-Kz)", "Soll/Haben-Kennzeichen", "WKZ Umsatz", "Kurs", "Basis-Umsatz", "WKZ Basis-Umsatz",
    "Konto", "Gegenkonto (ohne BU-Schlüssel)", "BU-Schlüssel", "Belegdatum", "Belegfeld 1", "Belegfeld 2", "Skonto",
    "Buchungstext", "Postensperre", "Diverse Adressnummer", "Geschäftspartnerbank", "Sachverhalt", "Zinssperre", "Beleglink",
    *(f"Beleginfo - {what} {n}" for n in _NUMBERED[:8] for what in ("Art", "Inhalt")),
    "KOST1 - Kostenstelle", "KOST2 - Kostenstelle", "Kost-Menge", "EU-Land u. UStID (Bestimmung)",
    "EU-Steuersatz (Bestimmung)", "Abw. Versteuerungsart", "Sachverhalt L+L", "Funktionsergänzung L+L",
    "BU 49 Hauptfunktionstyp", "BU 49 Hauptfunktionsnummer", "BU 49 Funktionsergänzung",
    *(f"Zusatzinformation - {what} {n}" for n in _NUMBERED for what in ("Art", "Inhalt")),
    "Stück", "Gewicht", "Zahlweise", "Forderungsart", "Veranlagungsjahr", "Zugeordnete Fälligkeit", "Skontotyp",
    "Auftragsnummer", "Buchungstyp", "USt-Schlüssel (Anzahlungen)", "EU-Land (Anzahlungen)",
    "Sachverhalt L+L (Anzahlungen)", "EU-Steuersatz (Anzahlungen)", "Erlöskonto (Anzahlungen)", "Herkunft-Kz",
    "Buchungs GUID", "KOST-Datum", "SEPA-Mandatsreferenz", "Skontosperre", "Gesellschaftername", "Beteiligtennummer",
    "Identifikationsnummer", "Zeichnernummer", "Postensperre bis", "Bezeichnung SoBil-Sachverhalt",
    "Kennzeichen SoBil-Buchung", "Festschreibung", "Leistungsdatum", "Datum Zuord. Steuerperiode", "Fälligkeit",
    "Generalumkehr (GU)", "Steuersatz", "Land", "Abrechnungsreferent", "BVV-Position",
    "EU-Land u. UStID (Ursprung)", "EU-Steuersatz (Ursprung)", "Abw. Skontokonto",
)  # fmt: skip
"""Of version 13, in order: DATEV reads them by their place."""
_PLACES: Final = {name: place for place, name in enumerate(COLUMNS)}
_NOT_IN_A_DOCUMENT: Final = re.compile(r"[^A-Za-z0-9_$%/-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatevSettings:
    """What DATEV asks for of a seller.

    `consultant` and `client` are the numbers of the tax adviser and of the seller there (Berater, Mandant); accounts of
    the general ledger have `account_digits` digits, those of customers one more; financial years begin with the first day
    of the month `year_begins`.
    """

    consultant: int
    client: int
    account_digits: int
    year_begins: int

    def year_start(self, month: date) -> date:
        """The begin of the financial year in which a month lies."""
        return date(month.year - (month.month < self.year_begins), self.year_begins, 1)

    @property
    def number_digits_max(self) -> int:
        return self.account_digits + 1


@dataclass(frozen=True, slots=True)
class Pair:
    """So much moves between two accounts: `side` is that of `account`."""

    account: Posting
    contra: Posting
    side: Side
    amount_minor: int


def pairs_of(postings: Sequence[Posting]) -> list[Pair]:
    """Postings in one currency that sum to zero, as movements between two accounts each.

    The account is on the side with fewer postings, such as the customer's of an invoice: it stands in every line then.
    """
    debited = [each for each in postings if each.amount_minor > 0]
    credited = [each for each in postings if each.amount_minor < 0]
    side = Side.DEBIT if len(debited) <= len(credited) else Side.CREDIT
    ones, others = (debited, credited) if side is Side.DEBIT else (credited, debited)
    left_ones, left_others = [abs(each.amount_minor) for each in ones], [abs(each.amount_minor) for each in others]
    pairs, i, j = [], 0, 0
    while i < len(ones) and j < len(others):
        amount = min(left_ones[i], left_others[j])
        pairs.append(Pair(ones[i], others[j], side, amount))
        left_ones[i] -= amount
        left_others[j] -= amount
        i += not left_ones[i]
        j += not left_others[j]
    return pairs


def unwritable(currency: str) -> str | None:
    """Why amounts in a currency cannot be written; None where they can."""
    return f"{currency} has more than {CENTS} decimals" if minor_digits(currency) > CENTS else None


class DatevLayout:
    """The lines of one month in one currency. Every account is mapped; who asks has seen to it."""

    def __init__(
        self, settings: DatevSettings, numbers: AccountMap, *, month: date, currency: str, made_at: datetime
    ) -> None:
        self._settings = settings
        self._numbers = numbers
        self._month = month
        self._currency = currency
        self._made_at = made_at.astimezone(UTC)

    def head(self) -> bytes:
        fields = (
            _text("EXTF"), "700", "21", _text("Buchungsstapel"), "13",
            f"{self._made_at:%Y%m%d%H%M%S}{self._made_at.microsecond // 1000:03}", "", _text(""), _text("csms"), _text(""),
            str(self._settings.consultant), str(self._settings.client),
            f"{self._settings.year_start(self._month):%Y%m%d}", str(self._settings.account_digits),
            f"{self._month:%Y%m%d}", f"{last_day(self._month):%Y%m%d}",
            _text(f"Buchungen {month_text(self._month)}", TITLE_MAX), _text(""), "1", "0", "0", _text(self._currency),
            "", _text(""), "", "", _text(""), "", "", _text(""), _text(""),
        )  # fmt: skip
        return _line(fields) + _line(COLUMNS)

    def entry(self, booked: BookedEntry) -> bytes:
        return b"".join(_line(self._fields(booked, pair)) for pair in pairs_of(booked.entry.postings))

    def _fields(self, booked: BookedEntry, pair: Pair) -> Iterator[str]:
        draft = booked.entry
        account, contra = self._mapped(pair.account.account), self._mapped(pair.contra.account)
        tax_key = contra.tax_key or account.tax_key
        document = pair.account.document or pair.contra.document or draft.document
        due_on = pair.account.due_on or pair.contra.due_on
        said = {
            "Umsatz (ohne Soll/Haben-Kz)": amount_text(pair.amount_minor, self._currency),
            "Soll/Haben-Kennzeichen": _text("S" if pair.side is Side.DEBIT else "H"),
            "WKZ Umsatz": _text(self._currency),
            "Konto": account.number,
            "Gegenkonto (ohne BU-Schlüssel)": contra.number,
            "BU-Schlüssel": "" if tax_key is None else _text(tax_key.zfill(4)),
            "Belegdatum": f"{booked.booked_on:%d%m}",
            "Belegfeld 1": _text(_NOT_IN_A_DOCUMENT.sub("-", document or ""), DOCUMENT_MAX),
            "Buchungstext": _text(f"{draft.fact.replace('_', ' ')} {draft.text}".strip(), TEXT_MAX),
            "Zusatzinformation - Art 1": _text("Buchung"),
            "Zusatzinformation - Inhalt 1": _text(str(booked.number)),
            "Festschreibung": "0",
            "Fälligkeit": f"{due_on:%d%m%Y}" if due_on else "",
        }
        if booked.is_late:
            said |= {
                "Zusatzinformation - Art 2": _text("Vorgang vom"),
                "Zusatzinformation - Inhalt 2": _text(draft.fact_on.isoformat()),
            }
        fields = [""] * len(COLUMNS)
        for name, value in said.items():
            fields[_PLACES[name]] = value
        yield from fields

    def _mapped(self, account: LedgerAccount) -> Mapped:
        mapped = self._numbers.find(account)
        assert mapped is not None, f"{account} is not mapped, and was not refused"
        return mapped


def amount_text(minor: int, currency: str) -> str:
    """1234,56: always with two decimals, whatever the currency has."""
    whole, _, part = Money(minor, currency).text.partition(".")
    assert len(whole) <= AMOUNT_DIGITS_MAX, f"{whole} has more digits than a line can bear"
    return f"{whole},{part:0<{CENTS}}"


def _text(text: str, length_max: int | None = None) -> str:
    """In quotation marks, those within it doubled; what Windows-1252 does not know is written as near as it can be."""
    plain = "".join(_known(character) for character in " ".join(text.split()))[:length_max]
    return '"' + plain.replace('"', '""') + '"'


def _known(character: str) -> str:
    for form in (character, unicodedata.normalize("NFKD", character)):
        written = form.encode(ENCODING, "ignore").decode(ENCODING)
        if written:
            return written
    return "?"


def _line(fields: Iterator[str] | Sequence[str]) -> bytes:
    return (";".join(fields) + "\r\n").encode(ENCODING)
