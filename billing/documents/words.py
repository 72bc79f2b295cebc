"""The words of documents in each language: titles, labels, legal texts. Knows no document and no number."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from billing.errors import Refused

Table = Mapping[str, Mapping[str, str]]


@cache
def _read() -> Mapping[str, Any]:
    return tomllib.loads((files("billing.documents") / "words.toml").read_text(encoding="utf-8"))


LANGUAGES: Final = tuple(sorted(name for name in _read() if "-" not in name))
"""ISO 639-1: documents can be written in these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Of one language as it is written in one country."""

    language: str
    region: str
    table: Table

    def __call__(self, section: str, name: str, **put_in: str) -> str:
        """The word; what it names in braces is put in."""
        return self.table[section][name].format(**put_in)

    def known(self, section: str, name: str) -> str:
        """The word for a code that others may add to: what is not known is shown as it is."""
        return self.table[section].get(name, name)


@cache
def words_of(language: str, country: str | None) -> Words:
    """In the usage of `country` where the language is at home there, else of where it is at home first.

    So a document in English writes 1,234.50 whoever sells, and one in German 1.234,50, or 1'234.50 from Switzerland.

    Raises:
        Refused: there are no words in this language.
    """
    read = _read()
    if language not in LANGUAGES:
        raise Refused(
            f"there are no words for documents in the language {language!r}", f"write it in {', '.join(LANGUAGES)}"
        )
    regions: list[str] = read[language]["regions"]
    region = country if country in regions else regions[0]
    own: Table = read.get(f"{language}-{region}", {})
    table = {
        section: {**words, **own.get(section, {})} for section, words in read[language].items() if section != "regions"
    }
    return Words(language=language, region=region, table=table)
