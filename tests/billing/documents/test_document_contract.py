"""The contract of fields: documented, the same for every template, and true to the document's amounts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.documents.brand import Brand
from billing.documents.contract import fields, meanings, paths
from billing.documents.line_fields import TIMES
from billing.documents.notation import Notation, clean, duration
from billing.documents.payment_fields import epc_code
from billing.documents.samples import SampleKind, sample, sample_brand
from billing.documents.words import LANGUAGES, words_of
from billing.invoices.document import (
    Address,
    BankAccount,
    Document,
    DocumentForm,
    DocumentKind,
    GroupBy,
    Line,
    LineKind,
    Party,
    Reference,
    Tax,
    TaxGroup,
)
from billing.money import MINOR_DIGITS
from tests.examples import tried

BRAND = Brand(id="b", name="Harbour Energy")
GERMAN = Notation(words_of("de", "DE"))
NBSP = "\N{NO-BREAK SPACE}"


def every_sample() -> Iterator[tuple[SampleKind, str, Document]]:
    for kind in SampleKind:
        for language in LANGUAGES:
            yield kind, language, sample(kind, language)


def said(document: Document, **more: object) -> dict:
    return fields(replace(document, **more), BRAND)


def test_every_field_is_documented_and_every_documented_field_is_there() -> None:
    found = set()
    for _, language, document in every_sample():
        noted = replace(document, notes=("Note",), payment_terms="Terms", reason=document.reason)
        found |= set(paths(fields(noted, sample_brand(language))))

    # What is an empty list in one document has its parts in another.
    whole = {path for path in found if not (path.endswith("[]") and any(p.startswith(f"{path}.") for p in found))}
    assert whole == set(meanings())
    assert all(meaning for meaning in meanings().values())


def test_every_document_has_every_field_whatever_it_lacks() -> None:
    bare = sample(SampleKind.RECEIPT, "en")
    bare = replace(bare, seller=Party(name="Bare", address=None), lines=(), tax_groups=(), paid_minor=0, paid_how=None)
    top = {path.split(".")[0].split("[")[0] for path in meanings()}

    written = fields(bare, BRAND)

    assert set(written) == top
    assert written["buyer"]["name"] == ""
    assert written["recipient"]["lines"] == []
    assert written["corrects"] == {"number": "", "issued_on": ""}


def texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    else:
        assert isinstance(value, str), f"{value!r} is no text"
        yield value


@pytest.mark.parametrize("kind", list(SampleKind))
def test_everything_in_it_is_text(kind: SampleKind) -> None:
    for language in LANGUAGES:
        assert all(text != "None" for text in texts(fields(sample(kind, language), BRAND)))


@pytest.mark.parametrize("kind", list(SampleKind))
def test_samples_are_documents_that_add_up(kind: SampleKind) -> None:
    document = sample(kind, "de")

    assert all(line.net_minor + line.tax_minor == line.gross_minor for line in document.lines)
    for group in document.tax_groups:
        lines = [line for line in document.lines if line.tax == group.tax]
        assert sum(line.net_minor for line in lines) == group.net_minor
        assert sum(line.tax_minor for line in lines) == group.tax_minor
    assert document.due_minor >= 0


def test_amounts_are_written_as_the_sellers_country_does() -> None:
    document = sample(SampleKind.INVOICE, "de")
    home = document.seller.address
    assert home is not None
    swiss = replace(document.seller, address=replace(home, country="CH"))

    assert said(document)["totals"]["gross"] == f"135,87{NBSP}€"
    assert fields(document, BRAND, "en")["totals"]["gross"] == "€135.87"
    assert fields(document, BRAND, "nl")["totals"]["gross"] == f"€{NBSP}135,87"
    assert said(document, seller=swiss)["totals"]["gross"] == f"EUR{NBSP}135.87"
    assert said(document, seller=swiss)["tax_groups"][0]["name"] == "Mehrwertsteuer"


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123456, "EUR", "1.234,56 €"),
        (-5, "EUR", "-0,05 €"),
        (1234, "JPY", "1.234 ¥"),
        (1234567, "KWD", "1.234,567 KWD"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert GERMAN.money(minor, currency) == text.replace(" ", NBSP)


@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(MINOR_DIGITS)), st.sampled_from(LANGUAGES))
@tried(300)
def test_no_digit_of_an_amount_is_lost_in_any_language(minor: int, currency: str, language: str) -> None:
    written = Notation(words_of(language, None)).money(minor, currency)

    digits = "".join(character for character in written if character.isdigit())
    assert int(digits) == abs(minor)
    assert ("-" in written) == (minor < 0)


@given(st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False, places=6))
@tried(300)
def test_no_digit_of_a_quantity_or_price_is_lost(value: Decimal) -> None:
    for written in (GERMAN.quantity(value, "KWH"), GERMAN.exact_money(value, "EUR")):
        assert Decimal(written.split(NBSP)[0].replace(".", "").replace(",", ".")) == value


def test_quantities_have_units_in_the_language_and_in_number() -> None:
    assert GERMAN.quantity(Decimal(1), "MON") == f"1{NBSP}Monat"
    assert GERMAN.quantity(Decimal("2.50"), "MON") == f"2,5{NBSP}Monate"
    assert GERMAN.quantity(Decimal("10.5"), "KWH") == f"10,500{NBSP}kWh"
    assert GERMAN.quantity(Decimal(3), "C62") == "3"
    assert GERMAN.quantity(Decimal(3), "XPP") == f"3{NBSP}XPP"


def test_local_times_bear_the_offset_of_their_site() -> None:
    winter = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=1)))

    assert GERMAN.instant(winter) == "25.10.2026 02:30:00 +01:00"
    assert GERMAN.instant(winter.astimezone(UTC)) == "25.10.2026 01:30:00 +00:00"
    assert duration(timedelta(days=1, hours=2, minutes=3, seconds=4, microseconds=9)) == "26:03:04"


def test_a_session_says_what_one_needs_to_check_it() -> None:
    line = said(sample(SampleKind.RECEIPT, "de"))["groups"][0]["lines"][0]

    assert line["session"] == {
        "id": "4712",
        "bill": "9002",
        "site": "Parkhaus Am Hafen",
        "charge_point": "CP-002",
        "evse": "2",
        "started_at": "04.10.2026 11:17:29 +02:00",
        "ended_at": "04.10.2026 12:31:40 +02:00",
        "duration": "1:14:11",
        "energy": f"16,039{NBSP}kWh",
        "meter_serial": "1EXM000123401",
        "meter_start": f"1.261,417{NBSP}kWh",
        "meter_stop": f"1.277,456{NBSP}kWh",
        "energy_source": "signierte Messwerte",
        "token": "••••C0DE",
        "tariff": "STREET-2026",
        "tariff_version": "3",
        "late": "",
    }
    text = "\n".join(line["details"])
    for each in line["session"]:
        assert each in {"id", "bill", "late"} or line["session"][each] in text, each
    assert f"Standzeit 0,5{NBSP}Std. {TIMES} 6,00{NBSP}€ = 3,00{NBSP}€" in text


def test_a_late_session_says_that_it_is() -> None:
    lines = said(sample(SampleKind.INVOICE, "en"))["groups"][0]["lines"]

    assert [n for n, line in enumerate(lines) if line["session"]["late"]] == [4]
    assert lines[4]["details"][-1] == lines[4]["session"]["late"]


def test_a_credit_note_names_what_it_corrects_and_why() -> None:
    written = said(sample(SampleKind.CREDIT_NOTE, "de"))

    assert written["title"] == "Rechnungskorrektur"
    assert written["statements"] == [
        "Dieses Dokument korrigiert RE-2026-000123 vom 02.11.2026.",
        "Grund: Zähler zeigte zu viel an",
    ]
    assert written["totals"]["due_label"] == "Betrag zu Ihren Gunsten"
    assert written["payment"] == {
        "text": f"Wir verrechnen {written['totals']['gross']} mit Ihren offenen Beträgen; was davon übrig bleibt, erstatten wir Ihnen.",
        "rows": [], "terms": [], "qr": "",
    }  # fmt: skip


def test_a_self_billed_document_goes_from_the_buyer_to_the_seller() -> None:
    document = sample(SampleKind.SELF_BILLING, "de")
    written = said(document)

    assert (written["title"], written["subtitle"].split(" ")[0]) == ("Gutschrift", "Gutschrift")
    assert document.buyer is not None
    assert written["sender"]["name"] == document.buyer.name
    assert written["recipient"]["lines"][0] == document.seller.name
    assert [row["value"] for row in written["facts"] if row["label"] == "USt-IdNr."] == [document.seller.vat_id]
    assert written["payment"]["qr"] == ""
    assert written["payment"]["text"] == f"Wir überweisen Ihnen {written['totals']['gross']} bis zum 30.11.2026."


def test_what_is_taken_back_of_a_self_billed_document_is_deducted() -> None:
    document = sample(SampleKind.SELF_BILLING, "en")
    corrected = Reference(number="GS-1", issued_on=date(2026, 10, 2))
    written = said(document, kind=DocumentKind.CREDIT_NOTE, corrects=corrected)

    assert written["title"] == "Self-billing credit note"
    assert written["totals"]["due_label"] == "Amount deducted"
    assert written["payment"]["text"].endswith("is deducted from your next statement.")


def test_reverse_charge_is_said_in_the_documents_language_and_only_once() -> None:
    document = sample(SampleKind.REVERSE_CHARGE, "nl")
    noted = [TaxGroup(tax=Tax("AE", Decimal(0), note), net_minor=1, tax_minor=0) for note in ("btw verlegd", "Art. 44")]

    assert [group["note"] for group in said(document)["tax_groups"]] == ["Btw verlegd"]
    assert [group["note"] for group in said(document, tax_groups=tuple(noted))["tax_groups"]] == [
        "Btw verlegd",
        "Btw verlegd \N{EN DASH} Art. 44",
    ]
    assert said(document)["recipient"]["lines"][-1] == "Oostenrijk"


@pytest.mark.parametrize("form", list(DocumentForm))
@pytest.mark.parametrize("kind", list(DocumentKind))
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_and_form_has_a_title_and_a_way_of_its_money(
    kind: DocumentKind, form: DocumentForm, language: str
) -> None:
    document = replace(sample(SampleKind.INVOICE, language), kind=kind, form=form)
    for paid in (0, document.gross_minor, document.gross_minor + 100):
        written = said(document, paid_minor=paid)

        assert written["title"]
        assert written["payment"]["text"]
        assert "-" not in written["totals"]["due"]


def test_a_direct_debit_is_announced_with_mandate_creditor_amount_and_day() -> None:
    payment = said(sample(SampleKind.DEBIT, "en"))["payment"]

    assert payment["text"] == "We collect €37.20 on 16 Nov 2026 by SEPA direct debit."
    assert [row["value"] for row in payment["rows"]][:2] == ["M-2025-0815", "DE98ZZZ09999999999"]
    assert payment["qr"] == ""


def test_the_code_of_a_payment_has_the_fields_of_the_scheme() -> None:
    bank = BankAccount(iban="DE89 3704 0044 0532 0130 00", holder="Musterstrom" * 9, bic=None)

    assert epc_code(bank, "EUR", 13587, "RE-1").split("\n") == [
        "BCD", "002", "1", "SCT", "", ("Musterstrom" * 9)[:70], "DE89370400440532013000", "EUR135.87", "", "", "RE-1",
    ]  # fmt: skip
    assert epc_code(bank, "CHF", 13587, "RE-1") == ""
    assert epc_code(bank, "EUR", 0, "RE-1") == ""
    assert epc_code(bank, "EUR", 10**12, "RE-1") == ""


def test_a_third_party_and_what_was_paid_stand_between_total_and_due() -> None:
    written = said(sample(SampleKind.DEBIT, "de"), paid_minor=220, paid_how="Guthaben")

    assert [(row["label"], row["value"].replace(NBSP, " ")) for row in written["total_rows"][2:]] == [
        ("Gesamtbetrag", "42,20 €"),
        ("Trägt Stadt Beispielhausen (2026)", "-5,00 €"),
        ("Bezahlt (Guthaben)", "-2,20 €"),
    ]
    assert written["totals"]["due"] == f"35,00{NBSP}€"


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        (Address(street="1 Quay", city="Leeds", postal_code="LS1 1AA", country="GB"), ["1 Quay", "Leeds", "LS1 1AA"]),
        (
            Address(street="1 Main St", city="Austin", region="TX", postal_code="78701", country="US"),
            ["1 Main St", "Austin TX 78701"],
        ),
        (Address(street="Weg 1", further="c/o X", city="Ort", country="DE"), ["Weg 1", "c/o X", "Ort"]),
    ],
)
def test_addresses_are_written_as_in_their_country(address: Address, lines: list[str]) -> None:
    assert GERMAN.address(address, home=address.country) == lines
    assert len(GERMAN.address(address, home="FR")) == len(lines) + 1


def test_text_is_composed_and_bears_no_controls() -> None:
    assert clean("Mu\u0308l\u200bl\u00ader\x07 \u202eabc\tGmbH\n") == "Müller\N{REPLACEMENT CHARACTER} abc GmbH"
    assert clean(None) == ""


def grouped(names: list[tuple[str | None, str | None]], *, rounding: bool = False) -> Document:
    """A line for each pair of cost centre and driver, a cent more each."""
    document = sample(SampleKind.INVOICE, "en")
    lines: list[Line] = []
    for n, (centre, driver) in enumerate(names):
        pairs = ((GroupBy.COST_CENTRE.value, centre), (GroupBy.DRIVER.value, driver))
        labels = {name: value for name, value in pairs if value}
        lines.append(
            replace(
                document.lines[n % 6],
                position=n + 1,
                labels=labels,
                net_minor=100 + n,
                tax_minor=0,
                gross_minor=100 + n,
            )
        )
    if rounding:
        lines.insert(0, replace(document.lines[6], kind=LineKind.ROUNDING, name="Rounding", labels={}))
    return replace(document, lines=tuple(lines), grouped_by=(GroupBy.COST_CENTRE, GroupBy.DRIVER))


def test_groups_open_with_headings_and_close_with_sums_innermost_first() -> None:
    document = grouped(
        [("C1", "Ada"), ("C1", "Bo"), ("C2", "Ada"), ("C1", "Ada"), (None, None), ("C2", None)], rounding=True
    )

    outline = [
        (
            [f"{each['level']} {each['label']} {each['name']}" for each in group["headings"]],
            [line["position"] for line in group["lines"]],
            [(each["name"], each["amount"]) for each in group["subtotals"]],
        )
        for group in said(document)["groups"]
    ]
    assert outline == [
        (["1 Cost centre C1", "2 Driver Ada"], ["1", "4"], [("Ada", "€2.03")]),
        (["2 Driver Bo"], ["2"], [("Bo", "€1.01"), ("C1", "€3.04")]),
        (["1 Cost centre C2"], ["6"], []),
        (["2 Driver Ada"], ["3"], [("Ada", "€1.02"), ("C2", "€2.07")]),
        (["1 Cost centre not assigned"], ["5"], [("not assigned", "€1.04")]),
        ([], ["7"], []),
    ]


NAMES = st.sampled_from([None, "A", "B", "C"])


@given(st.lists(st.tuples(NAMES, NAMES), max_size=12), st.booleans())
@tried(100)
def test_grouping_keeps_every_line_once_and_its_sums_are_those_of_the_lines(
    names: list[tuple[str | None, str | None]], rounding: bool
) -> None:
    document = grouped(names, rounding=rounding)
    groups = said(document)["groups"]

    positions = [line["position"] for group in groups for line in group["lines"]]
    assert sorted(positions) == sorted(str(line.position) for line in document.lines)
    opened = [heading["name"] for group in groups for heading in group["headings"]]
    closed = [total["name"] for group in groups for total in group["subtotals"]]
    assert sorted(opened) == sorted(closed)
    outer = [total["amount"] for group in groups for total in group["subtotals"] if total["level"] == "1"]
    of_groups = sum(line.net_minor for line in document.lines if line.kind is not LineKind.ROUNDING)
    assert sum(Decimal(amount.removeprefix("€")) * 100 for amount in outer) == of_groups
