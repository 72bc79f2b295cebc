"""Brands: what one may be, and how its logo gets into documents."""

from __future__ import annotations

import io

import pytest
import segno

from billing.documents.brand import EVERY_LANGUAGE, LOGO_BYTES_MAX, Brand
from billing.documents.typst_pdf import logo_svg
from billing.errors import Refused

SVG = b'<?xml version="1.0"?>\n<!-- ours -->\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 3"><rect width="9" height="3"/></svg>'


def png() -> bytes:
    out = io.BytesIO()
    segno.make("logo").save(out, kind="png", scale=4)
    return out.getvalue()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": " "}, "has no name"),
        ({"accent": "blue"}, "is no colour"),
        ({"accent": '#12345"'}, "is no colour"),
        ({"template": "../secret"}, "cannot name a template"),
        ({"sender": ("x",) * 5}, "more than a letterhead"),
        ({"footer": {"de": ("x" * 121,)}}, "more than a letterhead"),
        ({"logo": b"GIF89a"}, "neither SVG nor PNG"),
        ({"logo": b"\xff\xfe\x00"}, "neither SVG nor PNG"),
        ({"logo": b"\x89PNG\r\n\x1a\n" + b"\0" * 20}, "without a size"),
        ({"logo": SVG + b" " * LOGO_BYTES_MAX}, "more than"),
    ],
)
def test_a_brand_that_no_document_could_bear_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(Refused, match=message):
        Brand(**{"id": "b", "name": "B", **wrong})


def test_lines_at_the_foot_are_those_of_the_language_or_of_every_one() -> None:
    brand = Brand(id="b", name="B", footer={"de": ("Hallo",), EVERY_LANGUAGE: ("Hello",)})

    assert (brand.footer_lines("de"), brand.footer_lines("fr")) == (("Hallo",), ("Hello",))
    assert Brand(id="b", name="B").footer_lines("de") == ()


def test_a_png_is_wrapped_and_an_svg_stays() -> None:
    wrapped = logo_svg(Brand(id="b", name="B", logo=png()))

    assert wrapped.startswith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 76 76"')
    assert logo_svg(Brand(id="b", name="B", logo=SVG)) == SVG.decode()
    assert logo_svg(Brand(id="b", name="B")) == ""
