"""Documents that we write in a partner's name: agreed beforehand, its tax, our series, booked as what we owe."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountDetails, AccountKind, SelfBilling
from billing.accounts.seller import SellerDetails
from billing.e_invoices.from_document import invoice_of
from billing.e_invoices.profiles import Profile
from billing.e_invoices.rule import Severity
from billing.e_invoices.rules import findings, fitted
from billing.errors import AlreadyDone, Refused
from billing.invoices import service
from billing.invoices.document import Address, BankAccount, DocumentForm, DocumentKind, Party, Tax
from billing.invoices.self_billing import Owed, SelfBill, self_bill
from billing.invoices.store import Issued
from billing.ledger import check
from billing.ledger.balance import balances
from billing.taxes import service as taxes
from billing.taxes.tax_rule import Category, TaxRule, VatIdAsked, supplied
from tests.billing.invoices.books import APRIL_1, MARCH, NORTH, Books

PARTNER = AccountDetails(
    party=Party(
        name="Example Parking KG",
        address=Address(street="Markt 3", postal_code="24103", city="Kiel", country="DE"),
        vat_id="DE136695976",
        email="books@parking.example",
        electronic_address="books@parking.example",
        electronic_scheme="EM",
        contact="Accounts",
        phone="+49 431 123",
    ),
    bank=BankAccount(iban="DE89370400440532013000", holder="Example Parking KG"),
)
VAT = Tax("S", Decimal(19))
SMALL = "Kein Ausweis von Umsatzsteuer: Kleinunternehmer nach § 19 UStG"
AGREED = SelfBilling(agreed_on=date(2026, 3, 1), until=date(2026, 12, 31))


class Office:
    def __init__(self, books: Books) -> None:
        self.books = books

    async def partner(self, details: AccountDetails = PARTNER, **more: Any) -> Account:
        account = Account(
            **{
                "id": "P-7", "seller": "north", "kind": AccountKind.PARTNER, "language": "de", "self_billing": AGREED,
                "details": details, **more,
            }
        )  # fmt: skip
        async with self.books.pool.acquire() as connection:
            return await accounts.create(connection, account, now=self.now, actor="ada", reason="contract 7")

    @property
    def now(self) -> datetime:
        return self.books.clock.now

    async def bills(self, *owed: tuple[str, str], key: str = "2026-03", tax: Tax | None = VAT, **more: Any) -> Issued:
        lines = tuple(Owed(text=text, net=Decimal(net)) for text, net in owed or [("Share of March", "118.40")])
        wanted = SelfBill(
            **{
                "account": "P-7", "owed": lines, "currency": "EUR", "days": (date(2026, 3, 1), MARCH), "key": key,
                "issued_on": APRIL_1, "tax": tax, **more,
            }
        )  # fmt: skip
        async with self.books.pool.acquire() as connection:
            return await self_bill(connection, wanted, now=self.now, actor="ada", reason="March")

    async def credits(self, number: str, wanted: dict[int, int] | None = None, on: date = APRIL_1) -> Issued:
        async with self.books.pool.acquire() as connection:
            return await service.credit_invoice(
                connection, number, wanted=wanted, issued_on=on, now=self.now, actor="ada", reason="counted twice"
            )

    async def we_are_reached_at(self, address: str) -> None:
        def reached(details: SellerDetails) -> SellerDetails:
            return replace(details, party=replace(details.party, electronic_address=address, electronic_scheme="9930"))

        async with self.books.pool.acquire() as connection:
            await sellers.change(connection, "north", reached, now=self.now, actor="ada", reason="asked")

    async def in_the_books(self) -> dict[str, int]:
        async with self.books.pool.acquire() as connection:
            found = await balances(connection, "north", as_of=date(2026, 12, 31))
            assert await check.check(connection, None) == []
        return {str(each.account): each.minor for each in found}


@pytest.fixture
def office(books: Books) -> Office:
    return Office(books)


async def test_the_partner_is_the_seller_and_we_owe_it_with_its_tax(office: Office) -> None:
    await office.partner()
    issued = await office.bills(("Share of March, 412 sessions", "118.40"), ("Rent of two places", "80.00"))
    other = await office.bills(key="2026-04")
    document = issued.document

    assert (document.form, document.kind, document.number) == (
        DocumentForm.SELF_BILLED, DocumentKind.INVOICE, "S2026-000001",
    )  # fmt: skip
    assert other.document.number == "S2026-000002"
    assert (document.seller, document.buyer, document.account) == (PARTNER.party, NORTH.details.party, "P-7")
    assert (document.net_minor, document.tax_minor, document.gross_minor) == (19_840, 3_770, 23_610)
    assert (document.due_on, document.bank, document.days) == (
        date(2026, 4, 15), PARTNER.bank, (date(2026, 3, 1), MARCH),
    )  # fmt: skip
    assert await office.books.problems() == []
    assert await office.in_the_books() == {
        "payable:P-7": -(23_610 + 14_090), "input_tax:DE:S:19": 3_770 + 2_250,
        "revenue_share:item:DE:S:19": 19_840 + 11_840,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("agreed", "day", "said"),
    [
        (None, APRIL_1, r"nothing was agreed"),
        (AGREED, date(2026, 2, 28), r"the agreement is from 2026-03-01 to 2026-12-31"),
        (replace(AGREED, until=date(2026, 3, 31)), APRIL_1, r"the agreement is from 2026-03-01 to 2026-03-31"),
    ],
)
async def test_without_an_agreement_on_the_day_of_issue_no_number_is_taken(
    office: Office, agreed: SelfBilling | None, day: date, said: str
) -> None:
    await office.partner(self_billing=agreed)
    with pytest.raises(Refused, match=said) as refused:
        await office.bills(issued_on=day)

    assert "the partner's move to agree beforehand" in refused.value.next_step
    assert await office.books.documents() == []


async def test_a_credit_note_takes_it_back_to_the_cent_and_needs_the_agreement_too(office: Office) -> None:
    await office.partner()
    number = (await office.bills(("One", "33.33"), ("Two", "66.67"))).document.number
    part = await office.credits(number, {1: 1_111})
    with pytest.raises(Refused, match=r"the agreement is from"):
        await office.credits(number, on=date(2027, 1, 1))
    rest = await office.credits(number)
    with pytest.raises(AlreadyDone):
        await office.credits(number)

    assert [each.document.number for each in (part, rest)] == ["SC2026-000001", "SC2026-000002"]
    assert {each.document.form for each in (part, rest)} == {DocumentForm.SELF_BILLED}
    assert part.document.corrects is not None
    assert part.document.corrects.number == number
    assert sum(each.document.gross_minor for each in (part, rest)) == 11_900
    assert set((await office.in_the_books()).values()) == {0}
    assert await office.books.problems() == []


async def test_the_same_key_is_one_document(office: Office) -> None:
    await office.partner()
    await office.bills()
    with pytest.raises(AlreadyDone):
        await office.bills(("Something else", "1.00"))

    assert len(await office.books.documents()) == 1


async def test_a_small_business_charges_no_tax_and_says_why(office: Office) -> None:
    small = replace(PARTNER, small_business=SMALL, party=replace(PARTNER.party, vat_id=None, tax_number="20/123/45678"))
    await office.partner(small)
    document = (await office.bills(tax=None)).document
    with pytest.raises(Refused, match=r"tax in its name would be owed for being shown"):
        await office.bills(key="other", tax=VAT)

    [group] = document.tax_groups
    assert (group.tax, document.tax_minor) == (Tax("E", Decimal(0), SMALL, "DE"), 0)
    assert await office.in_the_books() == {"payable:P-7": -11_840, "revenue_share:item:DE:E:0": 11_840}


async def test_without_a_word_on_tax_the_rules_of_the_partners_country_decide_with_us_as_the_customer(
    office: Office,
) -> None:
    at_home = Address(street="Rue 1", postal_code="75001", city="Paris", country="FR")
    await office.partner(replace(PARTNER, party=replace(PARTNER.party, address=at_home, vat_id="FR40303265045")))
    with pytest.raises(Refused, match=r"which tax P-7 owes is not decided"):
        await office.bills(tax=None)
    rule = TaxRule(
        id="fr-ae", country="FR", rate=Decimal(0), category=Category.REVERSE_CHARGE, valid_from=date(2026, 1, 1),
        supply=supplied("revenue_share"), note="Autoliquidation", vat_id=VatIdAsked.YES,
    )  # fmt: skip
    async with office.books.pool.acquire() as connection:
        await taxes.add_rules(connection, [rule], now=office.now, actor="ada")
    document = (await office.bills(tax=None)).document

    assert [group.tax for group in document.tax_groups] == [Tax("AE", Decimal(0), "Autoliquidation", "FR")]
    assert document.gross_minor == 11_840


@pytest.mark.parametrize(
    ("tax", "said"),
    [
        (Tax("S", Decimal(0)), r"category S has a rate above 0"),
        (Tax("E", Decimal(0)), r"needs the legal note"),
        (Tax("Z", Decimal(19)), r"no tax is charged: its rate is 0"),
    ],
)
async def test_a_tax_that_cannot_be_is_refused(office: Office, tax: Tax, said: str) -> None:
    await office.partner()
    with pytest.raises(Refused, match=said):
        await office.bills(tax=tax)


@pytest.mark.parametrize(
    ("party", "said"),
    [
        ({"vat_id": None}, r"neither VAT id nor tax number"),
        ({"name": "P"}, None),
    ],
)
async def test_what_an_invoice_must_have_of_its_supplier_is_asked_for(
    office: Office, party: dict[str, Any], said: str | None
) -> None:
    await office.partner(replace(PARTNER, party=replace(PARTNER.party, **party)))
    if said is None:
        assert (await office.bills()).document.number
        return
    with pytest.raises(Refused, match=said):
        await office.bills()


async def test_what_is_taken_off_may_not_exceed_what_is_owed(office: Office) -> None:
    await office.partner()
    less = await office.bills(("Share", "50.00"), ("Too much in February", "-20.00"))
    with pytest.raises(Refused, match=r"gives back more than is to pay"):
        await office.bills(("Share", "10.00"), ("Too much", "-20.00"), key="more")
    with pytest.raises(Refused, match=r"nothing is owed"):
        await office.bills(("Share", "10.00"), ("Too much", "-10.00"), key="none")

    assert less.document.gross_minor == 3_570


@pytest.mark.parametrize("profile", [Profile.ZUGFERD, Profile.PEPPOL, Profile.XRECHNUNG_UBL])
async def test_its_e_invoice_is_of_type_389_and_its_credit_note_of_type_261(office: Office, profile: Profile) -> None:
    await office.we_are_reached_at("DE136695976")
    party = replace(PARTNER.party, electronic_address="DE136695976", electronic_scheme="9930")
    await office.partner(replace(PARTNER, buyer_reference="PO-1", party=party))
    issued = await office.bills(("Share of March", "118.40"), ("Too much in February", "-8.40"))
    note = await office.credits(issued.document.number)
    made = [fitted(invoice_of(each.document), profile) for each in (issued, note)]

    assert [each.type_code for each in made] == ["389", "261"]
    assert [rule.id for each in made for rule in findings(each, profile) if rule.severity is Severity.FATAL] == []


async def test_a_rule_of_the_e_invoice_is_told_before_a_number_is_taken(office: Office) -> None:
    bare = replace(PARTNER, party=replace(PARTNER.party, contact=None, phone=None))
    await office.partner(bare, e_invoice=Profile.XRECHNUNG_UBL)
    with pytest.raises(Refused, match=r"BR-DE-5"):
        await office.bills()

    assert await office.books.documents() == []


async def test_two_at_once_get_two_numbers_and_one_key_one_document(office: Office) -> None:
    await office.partner()
    done = await asyncio.gather(*(office.bills(key=f"{n % 5}") for n in range(10)), return_exceptions=True)

    made = sorted(each.document.number for each in done if isinstance(each, Issued))
    assert made == [f"S2026-{n:06}" for n in range(1, 6)]
    assert sum(isinstance(each, AlreadyDone) for each in done) == 5
