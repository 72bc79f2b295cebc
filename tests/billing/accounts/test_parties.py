"""What may stand on a document as a seller or a customer, and why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.accounts.account import Account, AccountDetails, AccountKind, mistakes_in_account
from billing.accounts.party import creditor_id_mistake, vat_id_mistake
from billing.accounts.seller import Seller, SellerDetails, mistakes_in_seller
from billing.invoices.document import Address, BankAccount, Party

KAI = Address(street="Kai 1", postal_code="20457", city="Hamburg", country="DE")
NORTH = Party(name="Northern Example Energy GmbH", address=KAI, vat_id="DE136695976")
SELLER = Seller(
    id="north",
    details=SellerDetails(
        party=NORTH,
        bank=BankAccount(iban="DE89370400440532013000", holder="Northern Example Energy GmbH", bic="COBADEFFXXX"),
        creditor_id="DE98ZZZ09999999999",
    ),
)
ERIKA = Account(
    id="C-1", seller="north", kind=AccountKind.PRIVATE, details=AccountDetails(party=Party(name="Erika Example", address=None))
)  # fmt: skip


def test_a_seller_and_a_customer_that_lack_nothing_have_no_mistakes() -> None:
    assert mistakes_in_seller(SELLER) == []
    assert mistakes_in_account(ERIKA) == []


@pytest.mark.parametrize(
    ("party", "told"),
    [
        (replace(NORTH, name=" "), "a party has a name"),
        (replace(NORTH, name="two\nlines"), "name is one line"),
        (replace(NORTH, address=None), "a seller has an address"),
        (replace(NORTH, vat_id=None), "a VAT id or a tax number"),
        (replace(NORTH, vat_id="DE136695975"), "its check digit is wrong"),
        (replace(NORTH, vat_id="DE12"), "has not the form"),
        (replace(NORTH, email="nobody"), "no e-mail address"),
        (replace(NORTH, electronic_address="DE136695976"), "belong together"),
        (replace(NORTH, electronic_address="x", electronic_scheme="VAT"), "EAS code list"),
        (replace(NORTH, address=replace(KAI, country="Germany")), "two capital letters"),
        (replace(NORTH, address=replace(KAI, city="")), "an address has a city"),
    ],
)
def test_a_seller_that_documents_cannot_name_is_refused_with_the_reason(party: Party, told: str) -> None:
    mistakes = mistakes_in_seller(replace(SELLER, details=replace(SELLER.details, party=party)))

    assert any(told in mistake for mistake in mistakes), mistakes


@pytest.mark.parametrize(
    ("bank", "told"),
    [
        (BankAccount(iban="DE89370400440532013001", holder="N"), "no IBAN"),
        (BankAccount(iban="DE89370400440532013000", holder="N", bic="COBA"), "no BIC"),
        (BankAccount(iban="DE89370400440532013000", holder=""), "has a holder"),
    ],
)
def test_a_bank_account_that_nobody_can_pay_into_is_refused(bank: BankAccount, told: str) -> None:
    [mistake] = mistakes_in_seller(replace(SELLER, details=replace(SELLER.details, bank=bank)))

    assert told in mistake


@pytest.mark.parametrize("creditor", ["DE98ZZZ09999999998", "98ZZZ09999999999", "DE98", "DE98ZZZ" + "0" * 40])
def test_a_creditor_identifier_with_a_wrong_digit_is_none(creditor: str) -> None:
    assert creditor_id_mistake(creditor) is not None


@pytest.mark.parametrize(
    "number", ["DE136695976", "ATU13585627", "BE0403019261", "FR40303265045", "NL004495445B01", "XI980780684"]
)
def test_vat_ids_of_many_countries_are_taken(number: str) -> None:
    assert vat_id_mistake(number) is None


@pytest.mark.parametrize(
    ("account", "told"),
    [
        (replace(ERIKA, id="a b"), "is no id"),
        (replace(ERIKA, language="xx"), "documents are written in"),
        (replace(ERIKA, time_zone="Europe/Nowhere"), "no time zone"),
        (replace(ERIKA, payment_days=-1), "0 to 365 days"),
        (replace(ERIKA, payer="C-1"), "not its own payer"),
        (replace(ERIKA, kind=AccountKind.FLEET), "shows its address"),
        (replace(ERIKA, details=AccountDetails(party=replace(NORTH))), "no private customer has a VAT id"),
        (replace(ERIKA, groups=("a b",)), "groups are"),
        (replace(ERIKA, details=replace(ERIKA.details, note="")), "note is one line"),
    ],
)
def test_an_account_that_cannot_be_is_refused_with_the_reason(account: Account, told: str) -> None:
    mistakes = mistakes_in_account(account)

    assert any(told in mistake for mistake in mistakes), mistakes
