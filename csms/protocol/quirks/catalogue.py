"""The catalogue of quirks: data beside this module, read once. Pure but for that.

A repair is on unless an operator switches it off; a work-around is on where the make matches, or an operator says so.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple

from csms.protocol.quirks.names import Accommodation

FILES = ("connecting", "frames", "times", "metering", "transactions", "status")
VERSIONS = ("1.6", "2.0.1")


class Kind(StrEnum):
    """What we do about it."""

    REPAIR = "repair"
    """Read as it was meant."""
    TOLERATE = "tolerate"
    """Taken as it is: it means what it says."""
    WORK_AROUND = "work_around"
    """We ask, or wait, otherwise than usual."""
    REPORT = "report"
    """Only named: in the transcript of the charge point, its sessions or its settings."""


class Finder(StrEnum):
    """Who notices it."""

    TRANSLATOR = "translator"
    GATEWAY = "gateway"
    SESSION = "session"
    """A rule of the review, under the same name."""
    DOCTOR = "doctor"
    PROFILE = "profile"


class Severity(StrEnum):
    """`error`: sessions are held, lost or wrong; `warning`: they may be; `info`: nothing suffers."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Move(StrEnum):
    """Who can end it."""

    NOBODY = "nobody"
    OPERATOR = "operator"
    INSTALLER = "installer"
    VENDOR = "vendor"


class Choice(StrEnum):
    """What an operator says of a repair or work-around of one charge point."""

    ON = "on"
    OFF = "off"
    AUTO = "auto"


class Make(NamedTuple):
    """What a charge point says that it is."""

    vendor: str | None
    model: str | None
    firmware: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One quirk. `fault` is the class of error by which it is refused where it is not repaired; None: no version's rules
    forbid it, so strict mode lets it pass. `models` are patterns vendor/model[/firmware] of makes known for it.
    """

    name: str
    kind: Kind
    by: Finder
    severity: Severity
    says: str
    ours: str
    move: Move
    billing: str = "Nothing: what was meant is clear."
    next_step: str | None = None
    versions: tuple[str, ...] = VERSIONS
    fault: str | None = None
    switchable: bool = False
    models: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def next(self) -> str | None:
        """What whoever's move it is does next; None: nothing needs to be done."""
        return self.next_step or _USUAL_STEPS[self.move]

    def is_known_for(self, make: Make) -> bool:
        """Whether the make is one of those that are known for it, in whatever case it is written."""
        said = tuple((part or "").strip().casefold() for part in make)
        if not said[0] and not said[1]:
            return False
        return any(_matches(pattern, said) for pattern in self.models)


_USUAL_STEPS: Mapping[Move, str | None] = {
    Move.NOBODY: None,
    Move.OPERATOR: "csms cp show CP",
    Move.INSTALLER: "see to the charge point and its network: csms cp trace CP",
    Move.VENDOR: "show the frame to its manufacturer, and ask for a firmware that writes what the standard wants",
}


def _matches(pattern: str, said: tuple[str, ...]) -> bool:
    parts = pattern.casefold().split("/")
    return all(fnmatchcase(text, part) for part, text in zip(parts, said, strict=False))


@cache
def catalogue() -> Mapping[str, Entry]:
    """Every entry by name, in the order of the files."""
    entries: dict[str, Entry] = {}
    for file in FILES:
        text = resources.files(__package__).joinpath(f"{file}.toml").read_text(encoding="utf-8")
        for name, said in tomllib.loads(text).items():
            assert name not in entries, f"{name} stands twice in the catalogue"
            entries[name] = _entry(name, said)
    return entries


def _entry(name: str, said: dict[str, Any]) -> Entry:
    kind = Kind(said.pop("kind"))
    return Entry(
        name=name,
        kind=kind,
        by=Finder(said.pop("by")),
        severity=Severity(said.pop("severity")),
        move=Move(said.pop("move")),
        next_step=said.pop("next", None),
        switchable=said.pop("switch", kind in {Kind.REPAIR, Kind.WORK_AROUND}),
        versions=tuple(said.pop("versions", VERSIONS)),
        models=tuple(said.pop("models", ())),
        sources=tuple(said.pop("sources", ())),
        **said,
    )


@lru_cache(maxsize=1024)
def known_for(make: Make) -> tuple[Entry, ...]:
    """What the make is known for."""
    return tuple(entry for entry in catalogue().values() if entry.is_known_for(make))


def is_known_make(make: Make) -> bool:
    return bool(known_for(make))


@lru_cache(maxsize=1024)
def accommodations(
    make: Make, switched_on: frozenset[str] = frozenset(), switched_off: frozenset[str] = frozenset()
) -> frozenset[Accommodation]:
    """The work-arounds that a charge point gets: by what an operator said, else by its make."""
    by_make = {entry.name for entry in known_for(make) if entry.kind is Kind.WORK_AROUND}
    wanted = (by_make | switched_on) - switched_off
    return frozenset(each for each in Accommodation if each in wanted)


@cache
def forbidden() -> frozenset[str]:
    """Deviations that strict mode refuses: those that break a rule of the standard."""
    return frozenset(entry.name for entry in catalogue().values() if entry.fault is not None)


def unrepaired(names: set[str], *, strict: bool, switched_off: frozenset[str]) -> list[Entry]:
    """Of the deviations found in one message, those that must not be repaired for this charge point; the gravest first."""
    refused = names & (forbidden() | switched_off) if strict else names & switched_off
    return sorted((catalogue()[name] for name in refused), key=lambda entry: (_GRAVITY[entry.severity], entry.name))


_GRAVITY = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
