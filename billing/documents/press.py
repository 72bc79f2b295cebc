"""A document's PDF by whatever template its brand has: ours or the operator's own of typst, or one of Word. Knows no database."""

from __future__ import annotations

from billing.documents.brand import Brand, TemplateForm
from billing.documents.samples import SampleKind, sample
from billing.documents.typst_pdf import Typesetter
from billing.documents.words import LANGUAGES
from billing.invoices.document import Document


class Press:
    """Fonts and templates, read once. One document at a time, whoever calls: who wants two beside each other takes two."""

    def __init__(self) -> None:
        self._typesetter = Typesetter()

    def pdf(self, document: Document, brand: Brand, *, language: str | None = None, sample: bool = False) -> bytes:
        """PDF/A-3b. By typst, the same document gives the same bytes; by Word, LibreOffice writes the time of day into them.

        Raises:
            NotFound: there is no template of the brand's name.
            Refused: the template does not work, or there are no words in this language.
            Unavailable: a template of Word needs LibreOffice, and it is not here, or was not done in time.
        """
        if brand.own is None or brand.own.form is not TemplateForm.WORD:
            return self._typesetter.pdf(document, brand, language=language, sample=sample).pdf
        from billing.documents.docx_template import docx_to_pdf, render_docx  # noqa: PLC0415 - only few brands need it

        return docx_to_pdf(render_docx(brand.own.content, document, brand, language=language, sample=sample))

    def try_out(self, brand: Brand) -> None:
        """Make a sample in each language, and throw it away. Of a template of Word without LibreOffice.

        Raises:
            Refused: logo or template do not work.
        """
        for language in LANGUAGES:
            document = sample(SampleKind.INVOICE, language)
            if brand.own is not None and brand.own.form is TemplateForm.WORD:
                from billing.documents.docx_template import render_docx  # noqa: PLC0415 - as above

                render_docx(brand.own.content, document, brand, language=language, sample=True)
            else:
                self._typesetter.pdf(document, brand, language=language, sample=True)
