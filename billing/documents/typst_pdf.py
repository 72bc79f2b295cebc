"""PDF/A-3b out of a document, by typst within this process. Knows no database; the same document gives the same bytes.

What a document says reaches the template as JSON, never as source: text of customers stays text. A template is NAME.typ, or
NAME.LANGUAGE.typ where there is one, in a directory; it may read what lies there and nothing else.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import tempfile
import threading
import unicodedata
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson
import segno
import typst

from billing.documents.brand import Brand, OwnTemplate, TemplateForm, png_size
from billing.documents.contract import fields
from billing.errors import NotFound, Refused
from billing.invoices.document import Document

OWN_TEMPLATES: Final = Path(__file__).with_name("templates")
QR_VERSION_MAX: Final = 13
"""EPC069-12: banking apps read no larger ones."""
QR_MASK: Final = 3
"""Trying all eight takes five times as long, and every reader reads each."""
REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
SHOWN_PPI: Final = 110

_FONT_PACKAGE: Final = "font_source_sans_pro"
_NO_GLYPH: Final = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_ESCAPED: Final = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|(.))", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_TRIES_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Typeset:
    """A finished PDF. `replaced`: characters that no font has, for which U+FFFD stands."""

    pdf: bytes
    replaced: tuple[str, ...]


class Typesetter:
    """Fonts and templates, read once; made for many documents, one after the other whoever calls.

    `templates`: the operator's own, before ours. `fonts`: directories with fonts for scripts that ours do not have.
    """

    def __init__(self, templates: Path | None = None, *, fonts: Sequence[Path] = ()) -> None:
        self._directories = [OWN_TEMPLATES] if templates is None else [templates, OWN_TEMPLATES]
        paths = [str(each) for each in (_own_fonts(), *fonts)]
        self._fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=paths)
        self._compilers: dict[Path, typst.Compiler] = {}
        self._own: Path | None = None
        self._lock = threading.Lock()

    def pdf(self, document: Document, brand: Brand, *, language: str | None = None, sample: bool = False) -> Typeset:
        """Raises:
        NotFound: there is no template of the brand's name.
        Refused: the template does not work, or there are no words in this language.
        """
        said = fields(document, brand, language, sample=sample)
        issued_at = datetime.combine(document.issued_on, time(), UTC)
        pages, replaced = self._compile(
            brand, said, format="pdf", pdf_standards="a-3b", timestamp=int(issued_at.timestamp())
        )
        [pdf] = pages
        return Typeset(pdf, replaced)

    def pictures(
        self,
        document: Document,
        brand: Brand,
        *,
        language: str | None = None,
        sample: bool = False,
        ppi: int = SHOWN_PPI,
    ) -> list[bytes]:
        """Its pages as PNG."""
        said = fields(document, brand, language, sample=sample)
        return self._compile(brand, said, format="png", ppi=ppi)[0]

    def _compile(self, brand: Brand, said: dict[str, Any], **options: Any) -> tuple[list[bytes], tuple[str, ...]]:
        template = self._template(brand.template, said["language"]) if brand.own is None else self._written(brand.own)
        body, replaced = orjson.dumps(said).decode(), []
        pictures = {"logo": logo_svg(brand), "qr": qr_svg(said["payment"]["qr"])}
        with self._lock:
            for _ in range(_TRIES_MAX):
                try:
                    made = self._compiler(template).compile(sys_inputs={"fields": body, **pictures}, **options)
                except typst.TypstError as trouble:
                    self._compilers.pop(template, None)  # after a failure it no longer finds its input
                    missing = _without_glyph(str(trouble.diagnostic))
                    if not missing:
                        raise Refused(
                            f"template {template.name} does not work: {trouble.message}",
                            "correct it", details={"diagnostic": str(trouble.diagnostic)[:4000]},
                        ) from trouble  # fmt: skip
                    replaced += [each for each in missing if unicodedata.category(each[0]) != "Cf"]
                    for each in missing:
                        body = body.replace(orjson.dumps(each).decode()[1:-1], REPLACED)
                else:
                    return ([made] if isinstance(made, bytes) else list(made or ())), tuple(replaced)
        raise Refused(
            f"template {template.name} writes characters that no font has", f"take them out of it: {''.join(replaced)}"
        )

    def _template(self, name: str, language: str) -> Path:
        for directory in self._directories:
            for file in (directory / f"{name}.{language}.typ", directory / f"{name}.typ"):
                if file.is_file():
                    return file
        raise NotFound(
            f"no template {name}.typ in {', '.join(map(str, self._directories))}",
            "put it there, or name another one in the brand",
        )

    def _written(self, own: OwnTemplate) -> Path:
        """A template that came without a file, in a directory that has nothing else to be read."""
        if own.form is not TemplateForm.TYPST:
            raise Refused(f"{own.name} is no typst template", "typeset it by what its form asks for")
        with self._lock:
            if self._own is None:
                self._own = Path(tempfile.mkdtemp(prefix="csms-templates-"))
                weakref.finalize(self, shutil.rmtree, self._own, ignore_errors=True)
            file = self._own / own.sha256 / "template.typ"
            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(own.content)
        return file

    def _compiler(self, template: Path) -> typst.Compiler:
        known = self._compilers.get(template)
        if known is None:
            known = self._compilers[template] = typst.Compiler(
                str(template), root=str(template.parent), font_paths=self._fonts, ignore_system_fonts=True
            )
        return known


def _own_fonts() -> Path:
    """The sans of our documents; its package is not run."""
    spec = find_spec(_FONT_PACKAGE)
    assert spec is not None, f"{_FONT_PACKAGE} is a dependency"
    assert spec.submodule_search_locations, "it is a package"
    return Path(spec.submodule_search_locations[0]) / "files"


def _without_glyph(diagnostic: str) -> list[str]:
    """What typst says that no font has; PDF/A refuses it. As written there, escapes taken back."""
    return [_ESCAPED.sub(_unescaped, each) for each in dict.fromkeys(_NO_GLYPH.findall(diagnostic))]


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPES.get(match[2], match[2])


def logo_svg(brand: Brand) -> str:
    """A brand's logo as SVG; a PNG is wrapped in one. Empty where it has none."""
    if brand.logo is None:
        return ""
    if brand.logo_is_svg:
        return brand.logo.decode("utf-8-sig")
    width, height = png_size(brand.logo)
    data = base64.b64encode(brand.logo).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{data}"/></svg>'
    )


def qr_of(payload: str) -> segno.QRCode | None:
    """The code of a payment (error correction M); None where there is none, or it would be too large to be read."""
    if not payload:
        return None
    code = segno.make_qr(payload, error="m", boost_error=False, encoding="utf-8", mask=QR_MASK)
    return code if int(code.version) <= QR_VERSION_MAX else None


def qr_svg(payload: str) -> str:
    code = qr_of(payload)
    if code is None:
        return ""
    out = io.BytesIO()
    code.save(out, kind="svg", border=2, xmldecl=False)
    return out.getvalue().decode()
