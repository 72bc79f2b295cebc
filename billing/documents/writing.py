"""What the parts of the contract of fields are written with: a document, its words and its notation. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from billing.documents.notation import Notation
from billing.documents.words import Words, words_of
from billing.invoices.document import Document, DocumentForm, DocumentKind, Party, TaxMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """A document that is being written in a language."""

    document: Document
    words: Words
    notation: Notation

    @classmethod
    def of(cls, document: Document, language: str) -> Writing:
        """In the usage of the seller's country.

        Raises:
            Refused: there are no words in this language.
        """
        seller = document.seller.address
        words = words_of(language, None if seller is None else seller.country)
        return cls(document=document, words=words, notation=Notation(words))

    @property
    def self_billed(self) -> bool:
        return self.document.form is DocumentForm.SELF_BILLED

    @property
    def is_credit(self) -> bool:
        return self.document.kind is DocumentKind.CREDIT_NOTE

    @property
    def with_tax(self) -> bool:
        """Whether prices and amounts of lines are meant with tax."""
        return self.document.tax_mode is TaxMode.KEEP_GROSS

    @property
    def sender(self) -> Party:
        """Who writes: the seller, or of what is self-billed the buyer."""
        if not self.self_billed:
            return self.document.seller
        assert self.document.buyer is not None, "a self-billed document is written by its buyer"
        return self.document.buyer

    @property
    def recipient(self) -> Party | None:
        return self.document.seller if self.self_billed else self.document.buyer

    def money(self, minor: int) -> str:
        return self.notation.money(minor, self.document.currency)

    def label(self, name: str) -> str:
        return self.words("label", name)

    def row(self, label: str, value: str) -> dict[str, str]:
        return {"label": self.label(label), "value": value}
