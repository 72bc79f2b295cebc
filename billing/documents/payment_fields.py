"""What a document says of its payment: who pays whom, how, and the code that banking apps scan. Pure.

The code is that of credit transfers in the single euro payments area (EPC069-12, in Germany GiroCode).
"""

from __future__ import annotations

from typing import Any, Final

from billing.documents.notation import clean, clean_lines, iban
from billing.documents.writing import Writing
from billing.invoices.document import BankAccount

EPC_NAME_MAX: Final = 70
EPC_TEXT_MAX: Final = 140
EPC_MINOR_MAX: Final = 999_999_999_99


def payment(writing: Writing) -> dict[str, Any]:
    document = writing.document
    terms = clean_lines(document.payment_terms)
    if document.due_minor == 0:
        return {"text": writing.words("text", "settled"), "rows": [], "terms": terms, "qr": ""}
    if writing.is_credit or document.due_minor < 0:
        return {"text": _owed_back(writing), "rows": [], "terms": terms, "qr": ""}
    if writing.self_billed:
        rows = [] if document.bank is None else _account(writing, document.bank)
        return {"text": _by_day(writing, "payout"), "rows": rows, "terms": terms, "qr": ""}
    if document.direct_debit is not None:
        return {"text": _by_day(writing, "direct_debit"), "rows": _debit(writing), "terms": terms, "qr": ""}
    if document.bank is None:
        return {"text": "", "rows": [], "terms": terms, "qr": ""}
    rows = [*_account(writing, document.bank), writing.row("remittance", document.number)]
    return {
        "text": _by_day(writing, "transfer"),
        "rows": rows,
        "terms": terms,
        "qr": epc_code(document.bank, document.currency, document.due_minor, document.number),
    }


def _owed_back(writing: Writing) -> str:
    amount = writing.money(abs(writing.document.due_minor))
    if not writing.is_credit:
        return writing.words("text", "owed_to_buyer", amount=amount)
    return writing.words("text", "clawback" if writing.self_billed else "refund", amount=amount)


def _by_day(writing: Writing, what: str) -> str:
    amount, due_on = writing.money(writing.document.due_minor), writing.document.due_on
    if due_on is None:
        return writing.words("text", f"{what}_undated", amount=amount)
    return writing.words("text", what, amount=amount, due_on=writing.notation.day(due_on))


def _account(writing: Writing, bank: BankAccount) -> list[dict[str, str]]:
    rows = [writing.row("holder", clean(bank.holder)), writing.row("iban", iban(bank.iban))]
    return [*rows, *([writing.row("bic", bank.bic)] if bank.bic else [])]


def _debit(writing: Writing) -> list[dict[str, str]]:
    """What a debtor is told beforehand (SEPA core rulebook, pre-notification)."""
    debit = writing.document.direct_debit
    assert debit is not None, "asked only where there is a direct debit"
    rows = [writing.row("mandate", clean(debit.mandate)), writing.row("creditor_id", clean(debit.creditor_id))]
    return [*rows, *([writing.row("iban", iban(debit.iban))] if debit.iban else [])]


def epc_code(bank: BankAccount, currency: str, minor: int, text: str) -> str:
    """The text of the code; empty where the scheme has none: another currency, or no amount that it can say."""
    if currency != "EUR" or not 0 < minor <= EPC_MINOR_MAX:
        return ""
    euros, cents = divmod(minor, 100)
    lines = [
        "BCD", "002", "1", "SCT", bank.bic or "", clean(bank.holder)[:EPC_NAME_MAX], "".join(bank.iban.split()),
        f"EUR{euros}.{cents:02}", "", "", clean(text)[:EPC_TEXT_MAX],
    ]  # fmt: skip
    return "\n".join(lines)
