"""What an e-invoice charges stands on the paper and in the ledger: three readings of one document, compared to the cent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import asyncpg
import pytest

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountDetails, AccountKind
from billing.documents.brand import Brand
from billing.documents.typst_pdf import Typesetter
from billing.e_invoices.profiles import Profile
from billing.invoices import service as invoices
from billing.invoices.document import Document, DocumentForm, DocumentKind, GroupBy, Party
from billing.ledger.entry import AccountKind as LedgerKind
from billing.ledger.posting_rules import entry_of
from billing.money import Money
from billing.rating.rating import ComponentName
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Audience, Scope
from billing.taxes import service as taxes
from billing.taxes.tax_rule import Category, TaxRule, VatIdAsked
from tests.billing.bills.world import BEFORE, tariff_file
from tests.billing.e_invoices.official import Schematron, schema_errors, sheets
from tests.billing.e_invoices.paper_reading import read_paper, told_paper
from tests.billing.e_invoices.papers import BELGIAN, BUYER, SELLER
from tests.billing.e_invoices.reading import read
from tests.billing.e_invoices.test_e_invoice_set import EVERY_DOCUMENT, xml_of
from tests.billing.e_invoices.variety import LANGUAGES
from tests.billing.invoices.books import Books

APRIL_9 = date(2026, 4, 9)
LONG_AGO = date(2021, 1, 1)
BRAND = Brand(id="b", name="Harbour Energy")
BOTH = (Profile.XRECHNUNG_UBL, Profile.XRECHNUNG_CII)
Posted = Iterable[tuple[LedgerKind, str, int]]


@pytest.fixture
async def books(pool: asyncpg.Pool) -> Books:
    books = Books(pool)
    await books.open()
    return books


@pytest.fixture(scope="module")
def typesetter() -> Typesetter:
    return Typesetter()


def require_one_amount(document: Document, pdf: bytes, posted: Posted) -> None:
    """The totals of both syntaxes are those of the paper, and what the ledger has on its accounts."""
    paper = read_paper(pdf)
    for profile in BOTH if document.buyer else ():  # a receipt has nobody who could be sent one
        assert told_paper(read(xml_of(document, profile))) == paper, profile
    books = _sums(document, posted)

    assert books["owed"] == paper.gross
    assert books["sold"] == paper.net
    assert books["taxed"] == paper.tax
    assert _taxes(document, posted) == {rate: tax for rate, (_, tax) in paper.rates.items() if tax}


_KINDS: Mapping[LedgerKind, str] = {
    LedgerKind.RECEIVABLE: "owed", LedgerKind.INCENTIVE_RECEIVABLE: "owed", LedgerKind.PAYABLE: "owed",
    LedgerKind.REVENUE: "sold", LedgerKind.REVENUE_SHARE: "sold", LedgerKind.ROUNDING: "sold",
    LedgerKind.TAX_PAYABLE: "taxed", LedgerKind.INPUT_TAX: "taxed",
}  # fmt: skip


def _side(document: Document) -> int:
    """Minus where what is owed stands on the credit side: a credit note, or a document in a partner's name, but not both."""
    credited = document.kind is DocumentKind.CREDIT_NOTE
    return -1 if credited is not (document.form is DocumentForm.SELF_BILLED) else 1


def _sums(document: Document, posted: Posted) -> dict[str, Decimal]:
    minors = Counter({"owed": 0, "sold": 0, "taxed": 0})
    for kind, _, minor in posted:
        minors[_KINDS[kind]] += minor
    side = _side(document)
    return {
        name: Money(side * minor if name == "owed" else -side * minor, document.currency).decimal
        for name, minor in minors.items()
    }


def _taxes(document: Document, posted: Posted) -> dict[Decimal, Decimal]:
    found: dict[Decimal, Decimal] = {}
    for kind, owner, minor in posted:
        if _KINDS[kind] == "taxed":
            rate = Decimal(owner.rpartition(":")[2])
            found[rate] = found.get(rate, Decimal(0)) + Money(-_side(document) * minor, document.currency).decimal
    return found


@EVERY_DOCUMENT
def test_the_xml_the_paper_and_the_entry_charge_the_same(document: Document, typesetter: Typesetter) -> None:
    posted = [
        (each.account.kind, each.account.owner, each.amount_minor) for each in entry_of(document, "acme").postings
    ]

    require_one_amount(document, typesetter.pdf(document, BRAND).pdf, posted)


async def _a_month(books: Books) -> None:
    """Private customers with two rates, businesses with one or with reverse charge; in four languages, and partly taken back."""
    await _opened(books)
    sessions = {}
    for language in LANGUAGES:
        await _customer(books, f"P-{language}", language, replace(BUYER, vat_id=None), AccountKind.PRIVATE)
        party = replace(BUYER, vat_id="DE136695976") if language in ("de", "en") else BELGIAN
        await _customer(books, f"B-{language}", language, party, AccountKind.BUSINESS)
        books.source.groups[f"T-B-{language.upper()}"] = "FIRMS"
        for day, kwh in ((2, "10.123"), (3, "0.77"), (4, "99.9")):
            for kind in "PB":
                sessions[kind, language] = await books.charged(f"T-{kind}-{language.upper()}", kwh=kwh, day=day)
    for day in (5, 6):
        await books.charged("NOBODY", kwh="3.21", day=day)
    await books.run(workers=1)

    for language in LANGUAGES:
        await _credited(books, f"P-{language}", {1: 101})
        await _credited(books, f"B-{language}", {2: 7} if language in ("de", "fr") else None)
    for kind, language in (("P", "de"), ("P", "nl"), ("B", "fr")):
        await books.rerated(sessions[kind, language], kwh=80)
        async with books.pool.acquire() as connection:
            await invoices.correct_session(
                connection,
                sessions[kind, language],
                issued_on=APRIL_9,
                now=books.clock.now,
                actor="ada",
                reason="meter",
            )


async def _opened(books: Books) -> None:
    """A seller of whom e-invoices find all that they ask for; a price with a fee for all, one without tax for firms."""
    party = replace(SELLER, vat_id="DE136695976")
    rules = [
        TaxRule(id="DE-19", country="DE", rate=Decimal(19), category=Category.STANDARD, valid_from=LONG_AGO,
                supply=ComponentName.ENERGY),
        TaxRule(id="DE-7", country="DE", rate=Decimal(7), category=Category.STANDARD, valid_from=LONG_AGO,
                supply=ComponentName.FLAT),
        TaxRule(id="DE-AE", country="DE", rate=Decimal(0), category=Category.REVERSE_CHARGE, valid_from=LONG_AGO,
                supply=ComponentName.ENERGY, vat_id=VatIdAsked.FOREIGN, note="Reverse charge"),
    ]  # fmt: skip
    net = tariff_file("net", price="0.4875").replace('"tax_included": "YES"', '"tax_included": "NO"')
    async with books.pool.acquire() as connection:
        books.seller = await sellers.change(
            connection, "north", lambda known: replace(known, party=party),
            now=BEFORE, actor="ada", reason="complete",
        )  # fmt: skip
        await taxes.add_rules(connection, rules, now=BEFORE, actor="ada")
        await tariffs.create(connection, net, now=BEFORE)
        await tariffs.assign(
            connection, "net", scope=Scope.DEFAULT, target=None, now=BEFORE, audience=Audience(token_group="FIRMS")
        )
    await books.world.tariff(tariff_file("fee", price="0.59", flat="0.35"), now=BEFORE + timedelta(hours=1))


async def _customer(books: Books, id_: str, language: str, party: Party, kind: AccountKind) -> None:
    details = AccountDetails(party=party, buyer_reference="04011000-1234512345-06")
    account = Account(
        id=id_, seller="north", kind=kind, details=details, language=language, grouped_by=(GroupBy.COST_CENTRE,)
    )
    await books.world.token(f"T-{id_.upper()}")
    async with books.pool.acquire() as connection:
        await accounts.create(connection, account, now=BEFORE, actor="ada", reason="new")
        await accounts.give_token(
            connection, id_, f"T-{id_.upper()}", labels={GroupBy.COST_CENTRE: "4711"}, valid_from=BEFORE, now=BEFORE,
            actor="ada", reason="new",
        )  # fmt: skip


async def _credited(books: Books, account: str, wanted: dict[int, int] | None) -> None:
    number = next(each.number for each in await books.documents() if each.account == account)
    async with books.pool.acquire() as connection:
        await invoices.credit_invoice(
            connection,
            number,
            wanted=wanted,
            issued_on=APRIL_9,
            now=books.clock.now,
            actor="ada",
            reason="cable broken",
        )


async def test_so_do_documents_that_were_issued_and_what_the_ledger_keeps_of_them(
    books: Books, typesetter: Typesetter, schematron: Schematron
) -> None:
    await _a_month(books)
    issued = await books.documents()
    kinds = {(each.kind, each.form, each.tax_mode.value, each.language) for each in issued}
    assert len(issued) == 24, [each.number for each in issued]
    assert {language for *_, language in kinds} == set(LANGUAGES)
    assert {mode for _, _, mode, _ in kinds} == {"keep_gross", "sum_then_round"}

    for document in issued:
        rows = await books.pool.fetch(POSTED, document.number)
        posted = [(LedgerKind(row["kind"]), row["owner"], row["amount_minor"]) for row in rows]
        require_one_amount(document, typesetter.pdf(document, BRAND).pdf, posted)
        if document.form is DocumentForm.FULL:
            for profile in BOTH:
                assert schema_errors(xml_of(document, profile)) == []
                assert schematron.findings(xml_of(document, profile), *sheets(profile)) == []


POSTED = """
SELECT a.kind, a.owner, p.amount_minor
  FROM ledger_entry e JOIN ledger_posting p ON p.entry = e.id JOIN ledger_account a ON a.id = p.account
 WHERE e.document = $1 AND e.key = 'document:' || $1
"""
