"""Documents in a partner's name on what we owe it (Art. 224 of the VAT directive). Callers hold the connection.

The partner is the seller and we are the buyer; the tax is the partner's. Numbers are of a series of our own for such
documents. None is made on a day on which no agreement lets us: the supplier answers for what stands on its invoices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountState
from billing.accounts.seller import Seller
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.bills.transaction import one_act
from billing.errors import AlreadyDone, Refused
from billing.invoices.charge import PricedCharge
from billing.invoices.composition import CannotBeInvoiced, TaxedCharge, compose
from billing.invoices.document import Document, DocumentForm, DocumentKind, LineKind, Tax, TaxMode
from billing.invoices.drafting import CannotBeIssued, require_e_invoice
from billing.invoices.issuing import Prepared, issue
from billing.invoices.store import SQL, Issued
from billing.sql import Connection
from billing.taxes.service import ProductSold, taxes_of_products
from billing.taxes.tax_decision import TaxedCustomer
from billing.taxes.tax_rule import Category, CustomerKind, TaxRule, VatIdAsked, mistakes

SUPPLY: Final = "revenue_share"
"""By this name tax rules are asked, in the partner's country, with us as the customer."""
PIECE: Final = "C62"
_OWED_BY_US: Final = frozenset({Category.REVERSE_CHARGE, Category.INTRA_COMMUNITY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """Something that we owe a partner: all of it is `net`, without tax; below zero it is taken off the rest."""

    text: str
    net: Decimal
    description: str | None = None
    tax: Tax | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfBill:
    """What a document is to say. `key` makes it this one and no other: asked for again it is refused.

    `days`: of the partner's supplies, both included. `tax` is for lines without one of their own; None: as its status says.
    """

    account: str
    owed: tuple[Owed, ...]
    currency: str
    days: tuple[date, date]
    issued_on: date
    key: str
    tax: Tax | None = None


def require_agreement(account: Account, day: date) -> None:
    """Raises:
    Refused: nothing lets us write documents in its name on that day.
    """
    agreed = account.self_billing
    if account.state is AccountState.PSEUDONYMISED:
        raise Refused(f"account {account.id} is pseudonymised: nobody can tell in whose name", "make another one")
    if agreed is not None and agreed.covers(day):
        return
    known = "nothing was agreed"
    if agreed is not None:
        until = "" if agreed.until is None else f" to {agreed.until}"
        known = f"the agreement is from {agreed.agreed_on}{until}"
    raise Refused(
        f"no document can be written in the name of {account.id} on {day}: {known}",
        f"it is the partner's move to agree beforehand: then csms account set {account.id} --self-billing-from DAY",
    )


@one_act
async def self_bill(connection: Connection, wanted: SelfBill, *, now: datetime, actor: str, reason: str) -> Issued:
    """Issue a document in a partner's name.

    Raises:
        NotFound: no such account.
        Refused: no agreement, a party or a tax is not known well enough, or its e-invoice would break a rule.
        AlreadyDone: there is a document of this key.
    """
    why = audit.require_reason(reason)
    async with connection.transaction():
        await SQL.lock_account.fetchval(connection, id=wanted.account)
        partner = await accounts.get(connection, wanted.account)
        seller = await sellers.get(connection, partner.seller)
        before = await SQL.invoice_of_source.fetchrow(connection, source=_source(wanted, 1))
        if before is not None:
            raise AlreadyDone(
                f"key {wanted.key} of account {partner.id} is document {before['number']}",
                f"see csms invoice show {before['number']}, or choose another key",
            )
        require_agreement(partner, wanted.issued_on)
        _require_supplier(partner)
        taxes = await _taxes(connection, wanted, partner, seller)
        document = _document(wanted, partner, seller, taxes)
        issued = await issue(
            connection, Prepared(seller=seller.id, document=document), now=now, actor=actor, reason=why
        )
        change = Change(
            noun="document", subject=issued.document.number, action="self_bill",
            after={"seller": seller.id, "account": partner.id, "gross_minor": issued.document.gross_minor},
        )  # fmt: skip
        await audit.record(connection, [change], now=now, actor=actor, reason=why)
    return issued


def _source(wanted: SelfBill, n: int) -> str:
    return f"self_bill:{wanted.account}:{wanted.key}:{n}"


def _require_supplier(partner: Account) -> None:
    party = partner.details.party
    if party.address is None:
        raise Refused(
            f"account {partner.id} has no address: an invoice has that of its supplier (Art. 226 (5) of the VAT directive)",
            f"csms account set {partner.id} --street ...",
        )
    if party.vat_id is None and party.tax_number is None:
        raise Refused(
            f"account {partner.id} has neither VAT id nor tax number: an invoice has its supplier's (Art. 226 (3))",
            f"ask the partner, then csms account set {partner.id} --vat-id or --tax-number",
        )


async def _taxes(connection: Connection, wanted: SelfBill, partner: Account, seller: Seller) -> list[Tax]:
    """Of each line: its own, else what was said for all, else what the partner's status and the rules say."""
    address, text = partner.details.party.address, partner.details.small_business
    assert address is not None, "it was looked at before"
    usual = wanted.tax
    if text is not None:
        usual = Tax(Category.EXEMPT.value, Decimal(0), text, address.country)
        if any(tax is not None and tax.rate for tax in (wanted.tax, *(each.tax for each in wanted.owed))):
            raise Refused(
                f"account {partner.id} is exempt as a small business: tax in its name would be owed for being shown",
                f"leave the tax out, or csms account set {partner.id} --clear small_business",
            )
    if usual is None and any(each.tax is None for each in wanted.owed):
        us = TaxedCustomer(kind=CustomerKind.BUSINESS, vat_id=seller.details.party.vat_id)
        sold = ProductSold(country=address.country, day=wanted.days[1], customer=us, supply=SUPPLY)
        [rule] = await taxes_of_products(connection, [sold])
        if isinstance(rule, str):
            raise Refused(
                f"which tax {partner.id} owes is not decided: {rule}",
                f"csms tax rule add --country {address.country} --supply {SUPPLY} ..., or say --tax S:19",
            )
        usual = Tax(rule.category.value, rule.rate, rule.note, address.country)
    found = [each.tax or usual for each in wanted.owed]
    for tax in found:
        assert tax is not None, "there is a usual one where a line has none"
        _require_sound(tax, address.country, wanted.days[1], seller)
    return [replace(tax, country=address.country) for tax in found if tax is not None]


def _require_sound(tax: Tax, country: str, day: date, seller: Seller) -> None:
    category = Category(tax.category)
    asked = VatIdAsked.FOREIGN if category in _OWED_BY_US else None
    rule = TaxRule(
        id="said", country=country, rate=tax.rate, category=category, valid_from=day, note=tax.note, vat_id=asked
    )
    wrong = mistakes(rule)
    if asked is not None and seller.details.party.vat_id is None:
        wrong.append(f"we would owe it, and seller {seller.id} has no VAT id (Art. 226 (4) of the VAT directive)")
    if wrong:
        raise Refused(f"tax {category.value}:{tax.rate:f}: {wrong[0]}", "correct it", details={"problems": wrong})


def _document(wanted: SelfBill, partner: Account, seller: Seller, taxes: Sequence[Tax]) -> Document:
    charges = [  # what is taken off has a quantity below zero: prices have none (BR-27)
        TaxedCharge(
            charge=PricedCharge(
                source=_source(wanted, n), kind=LineKind.ITEM, account=partner.id,
                currency=wanted.currency, name=each.text, quantity=Decimal(1 if each.net >= 0 else -1), unit=PIECE, unit_price=abs(each.net),
                price_with_tax=False, supply=SUPPLY, country=tax.country or "", tax_point=wanted.days[1],
                due_on=wanted.issued_on, days=wanted.days, description=each.description,
            ),
            tax=tax,
        )
        for n, (each, tax) in enumerate(zip(wanted.owed, taxes, strict=True), start=1)
    ]  # fmt: skip
    try:
        figures = compose(charges, mode=TaxMode.SUM_THEN_ROUND, currency=wanted.currency)
    except CannotBeInvoiced as why:
        raise Refused(str(why), "leave out what is taken off, and credit it later") from why
    if figures.gross_minor == 0:
        raise Refused(f"nothing is owed to {partner.id}", "there is no document on nothing")
    details = partner.details
    document = Document(
        kind=DocumentKind.INVOICE, form=DocumentForm.SELF_BILLED, number="", issued_on=wanted.issued_on, days=wanted.days,
        due_on=wanted.issued_on + timedelta(days=partner.payment_days), currency=wanted.currency,
        tax_mode=TaxMode.SUM_THEN_ROUND, language=partner.language, seller=details.party, buyer=seller.details.party,
        lines=figures.lines, tax_groups=figures.tax_groups, account=partner.id, brand=partner.brand,
        buyer_reference=details.buyer_reference, order_reference=details.order_reference, bank=details.bank,
    )  # fmt: skip
    require_rules(document, partner)
    return document


def require_rules(document: Document, partner: Account) -> None:
    """Before it has a number. Raises: Refused: its e-invoice would break a rule."""
    try:
        require_e_invoice(document, partner)
    except CannotBeIssued as why:
        raise Refused(str(why), why.next_step) from why
