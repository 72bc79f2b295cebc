"""A Word template to begin with: the letter of our typst template, for the operator to make its own. Knows no document."""

from __future__ import annotations

import io
from typing import Any, Final

import docx
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor

FONT: Final = "Arial"
GREY: Final = RGBColor(0x5A, 0x5A, 0x5A)
ACCENT: Final = RGBColor(0x1F, 0x5F, 0x8B)
RIGHT: Final = WD_ALIGN_PARAGRAPH.RIGHT
WIDTHS_MM: Final = (10, 72, 26, 22, 14, 26)
HEAD: Final = (
    "{{ words.position }}", "{{ words.description }}", "{{ words.quantity }}", "{{ words.unit_price }}",
    "{{ words.tax_rate }}", "{{ amount_label }}",
)  # fmt: skip
FIGURES: Final = (
    "{{ line.position }}", "{{ line.name }}", "{{ line.quantity }}", "{{ line.unit_price }}", "{{ line.tax_rate }}",
    "{{ line.amount }}",
)  # fmt: skip
DETAILS: Final = (
    "{%p if line.period %}", "{{ line.period }}", "{%p endif %}",
    "{%p for each in line.description + line.details %}", "{{ each }}", "{%p endfor %}",
    "{%p if line.discount.amount %}", "{{ line.discount.name }}{{ words.colon }}{{ line.discount.amount }}", "{%p endif %}",
)  # fmt: skip
SUBTOTAL: Final = (
    "",
    "{{ words.subtotal }} {{ sum.label }} {{ sum.name }}",
    "{{ sum.energy }}",
    "",
    "",
    "{{ sum.amount }}",
)


def starter_template() -> bytes:
    """The bytes of a .docx."""
    made = docx.Document()
    section = made.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin, section.right_margin = Mm(22), Mm(18)
    section.top_margin, section.bottom_margin = Mm(15), Mm(25)
    made.styles["Normal"].font.name = FONT
    made.styles["Normal"].font.size = Pt(9)
    made.styles["Normal"].paragraph_format.space_after = Pt(2)
    made.styles["Footer"].font.size = Pt(7)
    _letterhead(made)
    _lines(made)
    _totals(made)
    _payment(made)
    _footer(section)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def _say(paragraph: Any, text: str, *, size: int = 9, bold: bool = False, colour: RGBColor | None = None) -> Any:
    run = paragraph.add_run(text)
    run.font.size, run.bold = Pt(size), bold
    if colour is not None:
        run.font.color.rgb = colour
    return paragraph


def _letterhead(made: Any) -> None:
    brand = made.add_paragraph()
    brand.alignment = RIGHT
    _say(brand, "{% if picture.logo %}{{ picture.logo }}{% else %}")
    _say(brand, "{{ brand.name }}", size=15, bold=True, colour=ACCENT)
    _say(brand, "{% endif %}")
    for text in ("{%p for each in brand.sender %}", "{{ each }}", "{%p endfor %}"):
        _say(made.add_paragraph(), text, size=8, colour=GREY).alignment = RIGHT
    _say(made.add_paragraph(), "{% if sample %}{{ sample }}{% endif %}", size=11, bold=True, colour=GREY)
    sides = made.add_table(rows=1, cols=2)
    _set_widths(sides, (90, 80))
    left, right = sides.rows[0].cells
    _say(left.paragraphs[0], "{{ sender.lines | join(' · ') }}", size=7, colour=GREY)
    for text in ("{%p for each in recipient.lines %}", "{{ each }}", "{%p endfor %}"):
        _say(left.add_paragraph(), text, size=10)
    for text in ("{%p for row in facts %}", "{{ row.label }}{{ words.colon }}{{ row.value }}", "{%p endfor %}"):
        _say(right.add_paragraph(), text)
    title = made.add_paragraph()
    title.paragraph_format.space_before = Pt(18)
    _say(title, "{{ title }} ", size=17, bold=True, colour=ACCENT)
    _say(title, "{{ number }}", size=13)
    _say(made.add_paragraph(), "{{ subtitle }}", size=10, bold=True)
    for text in ("{%p for each in statements %}", "{{ each }}", "{%p endfor %}"):
        _say(made.add_paragraph(), text)


def _lines(made: Any) -> None:
    table = made.add_table(rows=0, cols=len(WIDTHS_MM))
    table.alignment = WD_TABLE_ALIGNMENT.CENTER
    _set_widths(table, WIDTHS_MM)
    head = _row(table, HEAD, bold=True, colour=ACCENT)
    head._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))  # noqa: SLF001 - python-docx has no word for it
    _line_below(head, "1F5F8B")
    _tag(table, "for group in groups")
    _tag(table, "for heading in group.headings")
    _across(table, "{{ heading.label }}{{ words.colon }}{{ heading.name }}", bold=True, colour=ACCENT)
    _tag(table, "endfor")
    _tag(table, "for line in group.lines")
    _row(table, FIGURES)
    details = _across(table, DETAILS[0], size=7)
    for text in DETAILS[1:]:
        _say(details.cells[1].add_paragraph(), text, size=7, colour=GREY).paragraph_format.space_after = Pt(0)
    _line_below(details, "C8C8C8")
    _tag(table, "endfor")
    _tag(table, "for sum in group.subtotals")
    _line_below(_row(table, SUBTOTAL, bold=True), "C8C8C8")
    _tag(table, "endfor")
    _tag(table, "endfor")


def _set_widths(table: Any, widths_mm: tuple[int, ...]) -> None:
    table.autofit = False
    for column, width in zip(table.columns, widths_mm, strict=True):
        column.width = Mm(width)


def _row(table: Any, texts: tuple[str, ...], *, bold: bool = False, colour: RGBColor | None = None) -> Any:
    row = table.add_row()
    _keep_together(row)
    for n, (cell, text) in enumerate(zip(row.cells, texts, strict=True)):
        cell.width = Mm(WIDTHS_MM[n])
        _say(cell.paragraphs[0], text, bold=bold, colour=colour).alignment = None if n == 1 else RIGHT
        cell.paragraphs[0].paragraph_format.keep_with_next = True
    return row


def _across(table: Any, text: str, *, size: int = 9, bold: bool = False, colour: RGBColor | None = None) -> Any:
    row = table.add_row()
    _keep_together(row)
    for n, cell in enumerate(row.cells):
        cell.width = Mm(WIDTHS_MM[n])
    merged = row.cells[1].merge(row.cells[-1])
    _say(merged.paragraphs[0], text, size=size, bold=bold, colour=colour)
    merged.paragraphs[0].paragraph_format.space_after = Pt(0)
    return row


def _tag(table: Any, text: str) -> None:
    """A row that is gone when the template has run."""
    table.add_row().cells[0].paragraphs[0].add_run(f"{{%tr {text} %}}")


def _keep_together(row: Any) -> None:
    row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))  # noqa: SLF001 - python-docx has no word for it


def _line_below(row: Any, colour: str) -> None:
    for cell in row.cells:
        properties = cell._tc.get_or_add_tcPr()  # noqa: SLF001 - python-docx has no word for borders
        if properties.find(qn("w:tcBorders")) is not None:
            continue  # merged: one cell, seen several times
        borders, bottom = OxmlElement("w:tcBorders"), OxmlElement("w:bottom")
        for name, value in (("val", "single"), ("sz", "4"), ("space", "0"), ("color", colour)):
            bottom.set(qn(f"w:{name}"), value)
        borders.append(bottom)
        properties.append(borders)


def _totals(made: Any) -> None:
    made.add_paragraph()
    table = made.add_table(rows=0, cols=5)
    table.alignment = WD_TABLE_ALIGNMENT.LEFT
    _set_widths(table, (36, 26, 26, 26, 56))
    texts = ("{{ words.tax_summary }}", "{{ words.net }}", "{{ words.tax }}", "{{ words.gross }}", "")
    _plain_row(table, texts, colour=GREY)
    _tag(table, "for group in tax_groups")
    _plain_row(
        table, ("{{ group.rate }}", "{{ group.net }}", "{{ group.tax }}", "{{ group.gross }}", "{{ group.note }}")
    )
    _tag(table, "endfor")
    made.add_paragraph()
    sums = made.add_table(rows=0, cols=2)
    sums.alignment = WD_TABLE_ALIGNMENT.RIGHT
    _set_widths(sums, (60, 30))
    _tag(sums, "for row in total_rows")
    _plain_row(sums, ("{{ row.label }}", "{{ row.value }}"))
    _tag(sums, "endfor")
    _plain_row(sums, ("{{ totals.due_label }}", "{{ totals.due }}"), size=11, bold=True)


def _plain_row(
    table: Any, texts: tuple[str, ...], *, size: int = 9, bold: bool = False, colour: RGBColor | None = None
) -> None:
    row = table.add_row()
    _keep_together(row)
    for n, (cell, text) in enumerate(zip(row.cells, texts, strict=True)):
        _say(cell.paragraphs[0], text, size=size, bold=bold, colour=colour).alignment = RIGHT if n else None
        cell.paragraphs[0].paragraph_format.keep_with_next = True


def _payment(made: Any) -> None:
    made.add_paragraph()
    _say(made.add_paragraph(), "{{ payment.text }}", bold=True)
    for text in ("{%p for each in payment.terms %}", "{{ each }}", "{%p endfor %}"):
        _say(made.add_paragraph(), text)
    for text in (
        "{%p for row in payment.rows %}", "{{ row.label }}{{ words.colon }}{{ row.value }}", "{%p endfor %}",
        "{%p if picture.qr %}", "{{ picture.qr }}", "{{ words.scan }}", "{%p endif %}",
        "{%p for each in notes %}", "{{ each }}", "{%p endfor %}",
    ):  # fmt: skip
        _say(made.add_paragraph(), text)


def _footer(section: Any) -> None:
    lines = section.footer.paragraphs[0]
    _say(lines, "{{ sender.lines | join(' · ') }}\n", size=7, colour=GREY)
    _say(lines, "{% for row in sender.rows %}{{ row.label }}{{ words.colon }}{{ row.value }}", size=7, colour=GREY)
    _say(lines, "{% if not loop.last %} · {% endif %}{% endfor %}", size=7, colour=GREY)
    _say(lines, "{% for each in brand.footer %}\n{{ each }}{% endfor %}", size=7, colour=GREY)
    number = section.footer.add_paragraph(style="Footer")
    number.alignment = RIGHT
    _say(number, "{{ number }} · ", size=7, colour=GREY)
    for code, separator in (("PAGE", " / "), ("NUMPAGES", "")):
        _field(_say(number, "", size=7, colour=GREY).runs[-1], code)
        _say(number, separator, size=7, colour=GREY)


def _field(run: Any, code: str) -> None:
    """A number that the word processor puts in."""
    for kind in ("begin", "text", "end"):
        element = OxmlElement("w:instrText" if kind == "text" else "w:fldChar")
        if kind == "text":
            element.text = code
        else:
            element.set(qn("w:fldCharType"), kind)
        run._r.append(element)  # noqa: SLF001 - python-docx has no word for fields
