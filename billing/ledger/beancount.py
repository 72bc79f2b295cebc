"""Entries as plain text for beancount, which `bean-check` accepts: alone, and included beside those of other months. Pure.

Nothing of beancount is used here. Its accounts begin with what they are (Assets, Income ...), and each part of a name begins
with a capital letter or a digit; where an owner has to be written otherwise, a piece of its hash keeps two of them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Final

from billing.ledger.entry import AccountKind, BookedEntry, LedgerAccount, Posting
from billing.money import Money

_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9-]")
_LINK: Final = re.compile(r"[A-Za-z0-9._/-]+")
_HASH_LENGTH: Final = 8
_NAMES_KEPT: Final = 50_000
"""A month has fewer accounts than postings."""


class BeancountLayout:
    """One transaction for each entry. What is ours alone stands in its metadata."""

    def __init__(self, title: str) -> None:
        self._title = title

    def head(self) -> bytes:
        return (
            f"; {self._title}\n"
            "; A file that includes this one beside others needs the next line as well.\n"
            'plugin "beancount.plugins.auto_accounts"\n'
        ).encode()

    def entry(self, booked: BookedEntry) -> bytes:
        return "".join(f"{line}\n" for line in self._lines(booked)).encode()

    def _lines(self, booked: BookedEntry) -> Iterator[str]:
        draft = booked.entry
        link = f" ^{draft.document}" if draft.document and _LINK.fullmatch(draft.document) else ""
        yield ""
        yield f"{booked.booked_on} * {_quoted(draft.fact.replace('_', ' '))} {_quoted(draft.text)}{link}"
        yield f"  entry: {booked.number}"
        yield f"  key: {_quoted(draft.key)}"
        if booked.is_late:
            yield f"  fact-on: {draft.fact_on}"
        if draft.reverses is not None:
            yield f"  reverses: {draft.reverses}"
        for posting in draft.postings:
            yield from _posting_lines(posting)


def _posting_lines(posting: Posting) -> Iterator[str]:
    yield f"  {account_name(posting.account)}  {Money(posting.amount_minor, posting.currency)}"
    if posting.document is not None:
        yield f"    item: {_quoted(posting.document)}"
    if posting.due_on is not None:
        yield f"    due-on: {posting.due_on}"


@lru_cache(maxsize=_NAMES_KEPT)
def account_name(account: LedgerAccount) -> str:
    """Assets:Receivable:C-1001, Liabilities:TaxPayable:DE:S:19."""
    head = f"{account.kind.nature}:{_camel(account.kind)}"
    if not account.owner:
        return head
    name = ":".join(_part(part) for part in account.owner.split(":"))
    if name != account.owner:
        name += f"-{sha256(account.owner.encode()).hexdigest()[:_HASH_LENGTH]}"
    return f"{head}:{name}"


def _camel(kind: AccountKind) -> str:
    return kind.value.title().replace("_", "")


def _part(part: str) -> str:
    written = _NOT_IN_A_NAME.sub("-", part)
    begins_well = written[:1].isdigit() or written[:1].isupper()
    return written if begins_well else f"{written[:1].upper()}{written[1:]}" if written[:1].isalpha() else f"X{written}"


def _quoted(text: str) -> str:
    return '"' + " ".join(text.replace("\\", "\\\\").replace('"', '\\"').split()) + '"'
