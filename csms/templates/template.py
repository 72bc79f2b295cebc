"""A template: settings that charge points shall have, by what they are called in OCPP 1.6 and in 2.x. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from csms.protocol.redaction import is_secret, without_credentials
from csms.protocol.v201.setting_name import SettingNameInvalid, parse_setting_name
from csms.protocol.vocabulary import Protocol
from csms.templates.individual import why_individual

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
SETTINGS_MAX = 500
FILE_BYTES_MAX = 1_000_000
DESCRIPTION_LENGTH_MAX = 500
SHOWN_BESIDE = frozenset({"name", "version", "charge_points"})
"""What `csms template show` tells besides the template itself."""
KEY_LENGTH_MAX = 50
"""CiString50Type of 1.6, and the longest component and variable name of 2.x."""


class Section(StrEnum):
    """The families of versions in which settings have the same names."""

    KEYS = "ocpp1.6"
    VARIABLES = "ocpp2"

    def has_name(self, name: str) -> bool:
        """Whether a setting could be named so: only 2.x names have a component. Some 1.6 vendors write dots, too."""
        return "." in name or self is Section.KEYS


VALUE_LENGTH_MAX = {Section.KEYS: 500, Section.VARIABLES: 2500}
"""ChangeConfiguration.req value; SetVariables attributeValue of 2.1 (2.0.1 has 1000, which its schema sees to)."""


class TemplateInvalid(ValueError):
    """A template cannot be what it is; every mistake is named."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    settings: Mapping[Section, Mapping[str, str]]
    description: str | None = None

    def for_protocol(self, protocol: Protocol) -> Mapping[str, str]:
        return self.settings.get(section_of(protocol), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A version of a template."""

    name: str
    version: int
    template: Template = field(default_factory=lambda: Template(settings={}))

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def section_of(protocol: Protocol) -> Section:
    return Section.VARIABLES if protocol.has_device_model else Section.KEYS


def name_in(text: str) -> str | None:
    """The name that a file gives itself."""
    name = _parsed(text).get("name")
    return name if isinstance(name, str) else None


def read_template(text: str) -> Template:
    """A template out of a file: TOML, or JSON as `csms template show -o json` prints it.

    Raises:
        TemplateInvalid: with everything that is wrong.
    """
    document = _parsed(text)
    problems = [
        f"{name!r} is none of name, description, {', '.join(Section)}"
        for name in document
        if name not in {"description", *Section, *SHOWN_BESIDE}
    ]
    description = document.get("description")
    if description is not None and (not isinstance(description, str) or len(description) > DESCRIPTION_LENGTH_MAX):
        problems.append(f"description is no text of at most {DESCRIPTION_LENGTH_MAX} characters")
    settings = {section: _section(section, document.get(section, {}), problems) for section in Section}
    if not problems and not any(settings.values()):
        problems.append(f"it sets nothing: write settings below {' or '.join(Section)}")
    if problems:
        raise TemplateInvalid(problems)
    return Template(
        settings={section: values for section, values in settings.items() if values}, description=description
    )


def to_document(template: Template) -> dict[str, Any]:
    """What `read_template` reads."""
    sections: dict[str, Any] = {str(section): dict(values) for section, values in template.settings.items()}
    return sections if template.description is None else {"description": template.description, **sections}


def problems_of(section: Section, name: str, value: str) -> Iterator[str]:
    """Why a setting has no place in a template."""
    if section is Section.VARIABLES:
        try:
            parse_setting_name(name)
        except SettingNameInvalid as wrong:
            yield str(wrong)
    elif not 0 < len(name) <= KEY_LENGTH_MAX or not name.isprintable():
        yield f"{name[:100]!r} names no OCPP 1.6 key: a key has 1 to {KEY_LENGTH_MAX} characters"
    if is_secret(name):
        yield f"{name} is a secret: secrets are given to each charge point by itself, never by a template"
    elif without_credentials(value) != value:
        yield f"{name} holds credentials in a URL: secrets are never in a template"
    if (reason := why_individual(name)) is not None:
        yield f"{name} differs from charge point to charge point ({reason})"
    if len(value) > VALUE_LENGTH_MAX[section]:
        yield f"{name} is longer than the {VALUE_LENGTH_MAX[section]} characters that {section} has room for"


def _parsed(text: str) -> dict[str, Any]:
    try:
        if text.lstrip().startswith("{"):
            document = json.loads(text, parse_float=str)
        else:
            document = tomllib.loads(text, parse_float=str)
    except (ValueError, RecursionError) as wrong:
        raise TemplateInvalid([f"it is neither TOML nor JSON ({wrong})"]) from wrong
    if not isinstance(document, dict):
        raise TemplateInvalid(["it is no object"])
    return document


def _section(section: Section, told: object, problems: list[str]) -> dict[str, str]:
    if not isinstance(told, dict):
        problems.append(f"{section} is no table of settings")
        return {}
    if len(told) > SETTINGS_MAX:
        problems.append(f"{section} has more than {SETTINGS_MAX} settings")
        return {}
    values: dict[str, str] = {}
    for name, value in told.items():
        text = _text(value)
        if text is None:
            problems.append(f"{name[:100]!r} is no text, number, true or false")
            continue
        problems.extend(problems_of(section, name, text))
        if name.casefold() in {each.casefold() for each in values}:
            problems.append(f"{name} stands there twice")
        values[name] = text
    return values


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else None
