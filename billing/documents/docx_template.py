"""Documents by the operator's own Word template, with the same contract of fields as every template. Knows no database.

A template is a .docx with Jinja tags, such as {{ number }} or {%tr for line in group.lines %}; `{{ picture.logo }}` and
`{{ picture.qr }}` are the logo (PNG) and the code of the payment. It runs in a sandbox. A PDF of it needs LibreOffice.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import docxtpl
from docx.shared import Mm
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from billing.documents.brand import Brand, png_size
from billing.documents.contract import fields
from billing.documents.typst_pdf import qr_of
from billing.errors import Refused, Unavailable
from billing.invoices.document import Document

UNPACKED_BYTES_MAX: Final = 64 * 1024 * 1024
QR_MM: Final = 26
LOGO_HEIGHT_MM: Final = 14
OFFICE_TIMEOUT_S: Final = 120
OFFICE_PROGRAMS: Final = ("soffice", "libreoffice")

_PDF_A_3B: Final = 'pdf:writer_pdf_Export:{"SelectPdfVersion":{"type":"long","value":"3"}}'
_QR_PIXELS_PER_MODULE: Final = 8


def render_docx(
    template: bytes, document: Document, brand: Brand, *, language: str | None = None, sample: bool = False
) -> bytes:
    """The template with the document's fields put in.

    Raises:
        Refused: it is no .docx, asks for a field that there is not, or there are no words in this language.
    """
    _require_docx(template)
    said = fields(document, brand, language, sample=sample)
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=True)
    out = io.BytesIO()
    try:
        made = docxtpl.DocxTemplate(io.BytesIO(template))
        made.render(said | {"picture": _pictures(made, said, brand)}, jinja_env=environment, autoescape=True)
        made.save(out)
    except TemplateError as wrong:
        raise Refused(
            f"the template does not work: {wrong.message or wrong}", "see csms document fields, and correct it"
        ) from wrong
    except (KeyError, ValueError, TypeError, SyntaxError) as wrong:  # the last one is what lxml raises
        raise Refused(
            f"the template cannot be read: {wrong}", "open it in a word processor and save it anew"
        ) from wrong
    return out.getvalue()


def _require_docx(template: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(template)) as archive:
            if "word/document.xml" not in archive.namelist():
                raise Refused("the template is no .docx", "save it as Word document (.docx)")
            if sum(each.file_size for each in archive.infolist()) > UNPACKED_BYTES_MAX:
                raise Refused(
                    f"the template unpacks to more than {UNPACKED_BYTES_MAX} bytes", "scale its pictures down"
                )
    except zipfile.BadZipFile:
        raise Refused("the template is no .docx", "save it as Word document (.docx)") from None


def _pictures(made: docxtpl.DocxTemplate, said: dict[str, Any], brand: Brand) -> dict[str, Any]:
    """Empty where there is none; an SVG logo has no place in a .docx that every program reads."""
    pictures: dict[str, Any] = {"qr": "", "logo": ""}
    code = qr_of(said["payment"]["qr"])
    if code is not None:
        png = io.BytesIO()
        code.save(png, kind="png", scale=_QR_PIXELS_PER_MODULE, border=2)
        pictures["qr"] = docxtpl.InlineImage(made, io.BytesIO(png.getvalue()), width=Mm(QR_MM))
    if brand.logo is not None and not brand.logo_is_svg:
        assert all(png_size(brand.logo)), "checked where the brand is made"
        pictures["logo"] = docxtpl.InlineImage(made, io.BytesIO(brand.logo), height=Mm(LOGO_HEIGHT_MM))
    return pictures


def docx_to_pdf(document: bytes, *, timeout_s: int = OFFICE_TIMEOUT_S) -> bytes:
    """As PDF/A-3b by LibreOffice, in a process of its own with a profile of its own. Takes a second or two.

    Raises:
        Unavailable: LibreOffice is not installed, failed, or was not done in time.
    """
    program = next((found for each in OFFICE_PROGRAMS if (found := shutil.which(each))), None)
    if program is None:
        raise Unavailable(
            "LibreOffice is not installed, and a .docx becomes a PDF by nothing else",
            "install it (Debian: apt-get install libreoffice-writer-nogui), or use a typst template",
        )
    with tempfile.TemporaryDirectory(prefix="csms-office-") as place:
        source = Path(place) / "document.docx"
        source.write_bytes(document)
        said = _run(program, source, timeout_s)
        made = source.with_suffix(".pdf")
        if not made.exists():
            raise Unavailable(
                f"LibreOffice made no PDF: {said or 'it said nothing'}", "open the .docx in it to see why"
            )
        return made.read_bytes()


def _run(program: str, source: Path, timeout_s: int) -> str:
    """What it said. Killed with all its processes where it takes too long."""
    place = source.parent
    command = [
        program, f"-env:UserInstallation={(place / 'profile').as_uri()}", "--headless", "--norestore",
        "--convert-to", _PDF_A_3B, "--outdir", str(place), str(source),
    ]  # fmt: skip
    environment = {**os.environ, "HOME": str(place)}
    with subprocess.Popen(  # noqa: S603 - the program was looked for, the arguments are ours
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Unavailable(
                f"LibreOffice was not done after {timeout_s} s", "try it again, with a smaller document first"
            ) from None
    return said.decode(errors="replace").strip()[-1000:]
