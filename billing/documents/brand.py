"""A brand: under which name and in which looks documents go out. Several may live on one installation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from billing.errors import Refused

LOGO_BYTES_MAX: Final = 512 * 1024
TEMPLATE_BYTES_MAX: Final = 4 * 1024 * 1024
LINES_MAX: Final = 4
LINE_LENGTH_MAX: Final = 120
EVERY_LANGUAGE: Final = "*"
"""In `Brand.footer`: for languages that have no lines of their own."""

_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER: Final = 24
_SVG: Final = re.compile(
    rb"^(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]", re.DOTALL
)


class TemplateForm(StrEnum):
    """In what a template is written."""

    TYPST = ".typ"
    WORD = ".docx"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTemplate:
    """A template that the operator has written, by the name of its file.

    Raises:
        Refused: it is too large, or neither of typst nor of Word.
    """

    name: str
    content: bytes

    def __post_init__(self) -> None:
        """Its form is that of its name."""
        if PurePath(self.name).suffix.lower() not in [each.value for each in TemplateForm]:
            raise Refused(f"{self.name[:80]!r} is neither .docx nor .typ", "name a template")
        if len(self.content) > TEMPLATE_BYTES_MAX:
            raise Refused(
                f"the template has {len(self.content)} bytes, more than {TEMPLATE_BYTES_MAX}", "scale its pictures down"
            )

    @property
    def form(self) -> TemplateForm:
        return TemplateForm(PurePath(self.name).suffix.lower())

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Brand:
    """`sender` stands below the logo, `footer` at the foot of each page, by language.

    `logo` is SVG or PNG. `template` names the typst template: NAME.typ, or NAME.LANGUAGE.typ where there is one; `own` is
    used in its place.

    Raises:
        Refused: a colour, a name or a logo that is none.
    """

    id: str
    name: str
    accent: str = "#1f5f8b"
    sender: tuple[str, ...] = ()
    footer: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    logo: bytes | None = None
    template: str = "standard"
    own: OwnTemplate | None = None

    def __post_init__(self) -> None:
        """Say what is wrong where a brand is made, not where its first document is."""
        if not self.name.strip():
            raise Refused(f"brand {self.id} has no name", "name it as customers know it")
        if not _COLOUR.fullmatch(self.accent):
            raise Refused(f"{self.accent!r} is no colour", "write it as #1f5f8b")
        if not _NAME.fullmatch(self.template):
            raise Refused(
                f"{self.template[:80]!r} cannot name a template", "use letters, digits, dot, dash and underscore"
            )
        for lines in (self.sender, *self.footer.values()):
            if len(lines) > LINES_MAX or any(len(each) > LINE_LENGTH_MAX for each in lines):
                raise Refused(
                    f"brand {self.id} says more than a letterhead has room for",
                    f"write at most {LINES_MAX} lines of {LINE_LENGTH_MAX} characters",
                )
        if self.logo is not None:
            _check_logo(self.logo)

    @property
    def logo_is_svg(self) -> bool:
        return self.logo is not None and not self.logo.startswith(_PNG)

    def footer_lines(self, language: str) -> tuple[str, ...]:
        return self.footer.get(language, self.footer.get(EVERY_LANGUAGE, ()))


def _check_logo(logo: bytes) -> None:
    if len(logo) > LOGO_BYTES_MAX:
        raise Refused(
            f"the logo has {len(logo)} bytes, more than {LOGO_BYTES_MAX}", "scale it down: it is in every document"
        )
    if logo.startswith(_PNG):
        if len(logo) < _PNG_HEADER or not all(png_size(logo)):
            raise Refused("the logo is a PNG without a size", "save it anew")
        return
    try:
        logo.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("the logo is neither SVG nor PNG", "convert it") from None
    if not _SVG.match(logo):
        raise Refused("the logo is neither SVG nor PNG", "convert it")


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, out of its header (PNG, 11.2.2)."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
