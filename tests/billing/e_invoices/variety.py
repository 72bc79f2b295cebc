"""The varied set of documents that every e-invoice test goes through: stories by name, each in two of the four languages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import cycle

from billing.invoices.document import (
    BankAccount,
    BornePart,
    Document,
    DocumentForm,
    GroupBy,
    LineKind,
    Party,
    Tax,
    TaxMode,
)
from tests.billing.e_invoices.papers import (
    BELGIAN,
    BUYER,
    CANARY,
    CEUTA,
    DANISH,
    DEBIT,
    DUTCH,
    EXEMPT,
    EXPORT,
    INTRA,
    ITALIAN,
    REVERSE,
    S7,
    SCOPELESS,
    SELLER,
    SWISS,
    ZERO,
    Item,
    credit_note,
    paper,
    session,
)

LANGUAGES = ("en", "de", "fr", "nl")
KEEP = TaxMode.KEEP_GROSS
PER_LINE = TaxMode.PER_LINE
FEE = Item(
    name="Monthly fee",
    quantity=Decimal(1),
    unit="MON",
    price=Decimal("4.99"),
    kind=LineKind.SUBSCRIPTION,
    days=(date(2026, 3, 1), date(2026, 3, 31)),
)
BOX = Item(
    name="Wallbox 11 kW", quantity=Decimal(2), unit="C62", price=Decimal("749.00"), kind=LineKind.ITEM, days=None
)
ODD = Item(quantity=Decimal("10.123"), price=Decimal("0.4875"))
UNPRICED = Item(price=None, amount_minor=1234)
ROUNDING = Item(
    name="Rounding", quantity=Decimal(1), unit="C62", price=None, amount_minor=-1, kind=LineKind.ROUNDING, days=None
)
SPANISH = Party(
    name="Ejemplo Carga S.L.",
    address=replace(SELLER.address, city="Las Palmas", country="ES", postal_code="35001") if SELLER.address else None,
    vat_id="ESB12345674",
    electronic_address="ESB12345674",
    electronic_scheme="9920",
)
FRENCH = Party(
    name="Recharge Exemple SAS",
    address=replace(SELLER.address, city="Lyon", country="FR", postal_code="69001") if SELLER.address else None,
    vat_id="FR32123456789",
    register="123 456 789",
    electronic_address="123456789",
    electronic_scheme="0225",
)
LONG = "Ladepark an der Autobahnraststätte Musterhausen-Nord mit Überdachung, Reihe 12 " * 6


def german(party: Party) -> Party:
    """A party that XRechnung asks all of its seller's fields of, whatever its country."""
    return replace(party, contact="Sam Sample", phone="+49 30 1234567", email="billing@charging.example")


def _with_session(**changes: object) -> Item:
    return Item(session=session(**changes), labels={GroupBy.COST_CENTRE: "4711", GroupBy.DRIVER: "Alex Example"})


def _fleet() -> Document:
    items = [
        Item(
            name=f"Charging {driver}",
            quantity=Decimal(kwh),
            labels={
                GroupBy.DRIVER: driver,
                GroupBy.COST_CENTRE: centre,
                GroupBy.VEHICLE: "B-EX 17",
                GroupBy.SITE: "Depot",
            },
            session=session(session=number),
        )
        for number, (driver, centre, kwh) in enumerate(
            [("Alex", "4711", "31.5"), ("Kim", "4712", "7.251"), ("Robin", "4711", "0.999")], 1
        )
    ]
    return paper(items, grouped_by=(GroupBy.COST_CENTRE, GroupBy.DRIVER))


def _borne() -> Document:
    return paper(
        [Item(), FEE],
        tax_mode=KEEP,
        borne=(BornePart(party="City of Sample", label="Clean air bonus", amount_minor=250),),
        paid_minor=100,
    )


def _late() -> Document:
    early = date(2026, 1, 30)
    return paper([Item(days=(early, early), session=session(late=True)), FEE])


STORIES: dict[str, Callable[[], Document]] = {
    "one rate, prices without tax": lambda: paper([Item()]),
    "one rate, prices with tax": lambda: paper([Item(), ODD], tax_mode=KEEP),
    "several rates, prices without tax": lambda: paper([Item(), FEE, replace(BOX, tax=S7)]),
    "several rates, prices with tax": lambda: paper([Item(), ODD, replace(FEE, tax=S7)], tax_mode=KEEP),
    "tax worked out line by line": lambda: paper([ODD, ODD, replace(FEE, tax=S7)], tax_mode=PER_LINE),
    "many lines, whose rounding adds up": lambda: paper([ODD] * 70, tax_mode=KEEP),
    "reverse charge": lambda: paper([replace(ODD, tax=REVERSE)], buyer=BELGIAN),
    "reverse charge beside tax": lambda: paper([replace(ODD, tax=REVERSE), BOX], buyer=BELGIAN),
    "intra-community supply": lambda: paper([replace(BOX, tax=INTRA)], buyer=BELGIAN),
    "export": lambda: paper([replace(BOX, tax=EXPORT)], buyer=SWISS),
    "not subject to VAT": lambda: paper([replace(FEE, tax=SCOPELESS)], buyer=SWISS),
    "exempt": lambda: paper([replace(FEE, tax=EXEMPT), Item()]),
    "exempt for two reasons": lambda: paper(
        [replace(FEE, tax=EXEMPT), replace(FEE, tax=Tax("E", Decimal(0), "Exempt under section 9")), Item()]
    ),
    "zero rate": lambda: paper([replace(BOX, tax=ZERO), Item()]),
    "zero rate with a note": lambda: paper([replace(BOX, tax=Tax("Z", Decimal(0), "Solar equipment is zero-rated"))]),
    "IGIC": lambda: paper([replace(BOX, tax=CANARY)], seller=german(SPANISH)),
    "IPSI": lambda: paper([replace(BOX, tax=CEUTA)], seller=german(SPANISH), tax_mode=KEEP),
    "a rate with decimals": lambda: paper([replace(ODD, tax=Tax("S", Decimal("5.5")))], seller=german(FRENCH)),
    "discounts, prices without tax": lambda: paper(
        [replace(ODD, discount_minor=99, discount_name="Loyalty 20 %"), replace(FEE, discount_minor=499)]
    ),
    "discounts, prices with tax": lambda: paper(
        [replace(ODD, discount_minor=99), replace(UNPRICED, discount_minor=34), FEE], tax_mode=KEEP
    ),
    "all of it given away": lambda: paper([replace(Item(), discount_minor=590)], tax_mode=KEEP),
    "a line that costs nothing": lambda: paper([Item(price=Decimal(0)), Item(quantity=Decimal(0), price=Decimal(3)), FEE]),
    "no single price": lambda: paper([UNPRICED, replace(UNPRICED, unit="C62", amount_minor=1)], tax_mode=KEEP),
    "a cent of rounding taken off": lambda: paper([ODD, ODD, ROUNDING]),
    "a cent of rounding put on": lambda: paper([ODD, replace(ROUNDING, amount_minor=1)]),
    "credit note, prices without tax": lambda: credit_note([Item(), replace(ODD, discount_minor=12)]),
    "credit note, prices with tax": lambda: credit_note([ODD, replace(FEE, tax=S7)], tax_mode=KEEP),
    "credit note over reverse charge": lambda: credit_note([replace(ODD, tax=REVERSE)], buyer=BELGIAN),
    "self-billed": lambda: paper(
        [Item(name="Share of revenue")], form=DocumentForm.SELF_BILLED, seller=german(BUYER), buyer=SELLER
    ),
    "self-billed credit note": lambda: credit_note(
        [Item(name="Share of revenue")], form=DocumentForm.SELF_BILLED, seller=german(BUYER), buyer=SELLER
    ),
    "a third party bears a part": _borne,
    "direct debit": lambda: paper([Item(), FEE], direct_debit=DEBIT, payment_terms="Debited on 16 April 2026"),
    "paid already": lambda: paper([FEE], paid_minor=594, paid_how="Card ending in 0005", due_on=None, bank=None),
    "sessions of a fleet": _fleet,
    "a session in the hour that comes twice": lambda: paper([_with_session()], tax_mode=KEEP),
    "a session of which little is known": lambda: paper(
        [_with_session(evse=None, meter_start_wh=None, meter_serial=None, token=None)]
    ),
    "a session that came to be known late": _late,
    "long names": lambda: paper(
        [Item(name=LONG, description=LONG * 3)],
        seller=replace(SELLER, name=LONG),
        buyer=replace(BUYER, name=LONG),
        notes=(LONG, LONG),
        brand=LONG[:200],
    ),
    "characters that XML does not take as they are": lambda: paper(
        [Item(name='<Laden> & "mehr" \x00\x0b]]> 充電 ⚡ 🔌', description="a\x1bb\r\nc\ud800d\ufffe")],
        reason=None,
        notes=("first line\nsecond line", "\x07", "<!-- & -->"),
        order_reference="PO <1> & 2",
    ),
    "yen": lambda: paper([Item(price=Decimal(61)), replace(FEE, price=Decimal(500))], currency="JPY", tax_mode=KEEP),
    "Swiss francs": lambda: paper(
        [Item(tax=Tax("S", Decimal("8.1")))],
        currency="CHF",
        seller=german(SWISS),
        bank=BankAccount(iban="CH93 0076 2011 6238 5295 7", holder="Muster Energie AG"),
    ),
    "discount for early payment": lambda: paper(
        [BOX], payment_terms="14 days net.\n#SKONTO#TAGE=7#PROZENT=2.00#\n", due_on=None
    ),
    "order, contract and brand": lambda: paper(
        [Item()], order_reference="PO-77", contract_reference="K-2026-4", brand="Sample Charge"
    ),
    "Dutch parties": lambda: paper([Item(tax=Tax("S", Decimal(21)))], seller=german(DUTCH), buyer=replace(DUTCH, name="Koper")),
    "credit note of a Dutch seller": lambda: credit_note([Item(tax=Tax("S", Decimal(21)))], seller=german(DUTCH), buyer=DUTCH),
    "Danish seller": lambda: paper([Item(tax=Tax("S", Decimal(25)))], seller=german(DANISH), buyer=BELGIAN, currency="DKK"),
    "Italian seller": lambda: paper([Item(tax=Tax("S", Decimal(22)))], seller=german(ITALIAN), buyer=BELGIAN),
    "Belgian parties": lambda: paper([Item(tax=Tax("S", Decimal(21)))], seller=german(BELGIAN), buyer=replace(BELGIAN, name="Koper")),
}  # fmt: skip


def _documents() -> dict[str, Document]:
    """Every story in two languages, which go round."""
    languages = cycle(LANGUAGES)
    found: dict[str, Document] = {}
    for name, story in STORIES.items():
        first, second = next(languages), next(languages)
        for language in (first, second):
            found[f"{name} ({language})"] = replace(story(), language=language)
        next(languages)
    return found


DOCUMENTS = _documents()
"""By name; at least sixty, of every kind that the issue asks for."""
