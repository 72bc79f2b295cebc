"""What the law of a place asks of a tariff, as data: `profiles.toml` beside this module, read once. Pure but for that."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from billing.tariffs.lint import Severity
from billing.tariffs.price_list import Charge


class Fact(StrEnum):
    """What holds at the charge points, and no tariff says."""

    SIGNED_CUTS = "signed-cuts"
    """Signed meter readings exist wherever a price changes within a session."""
    TIME_METER = "time-meter"
    """The meters are approved for measuring time."""


class Headline(StrEnum):
    """What stands above the prices."""

    NONE = "none"
    MAXIMUM = "maximum"
    """The most that a kWh can cost, everything included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Where a tariff is applied. None: not known; `ad_hoc` None is taken as ad hoc unless the tariff's type says no."""

    power_kw: Decimal | None = None
    ad_hoc: bool | None = None
    given: frozenset[Fact] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One demand: a check by name with its parameters, whom it binds, where it is written and what to do."""

    name: str
    check: str
    severity: Severity
    says: str
    source: str
    next: str
    parameters: Mapping[str, Any] = field(hash=False)
    power_kw_min: Decimal | None = None
    power_kw_below: Decimal | None = None
    ad_hoc: bool | None = None
    unless: Fact | None = None

    @property
    def power(self) -> str:
        """The power at which it binds: `50 kW and more`; empty: any."""
        words = [
            "" if self.power_kw_min is None else f"{self.power_kw_min} kW and more",
            "" if self.power_kw_below is None else f"below {self.power_kw_below} kW",
        ]
        return ", ".join(word for word in words if word)

    @property
    def when(self) -> str:
        """Whom it binds: `ad hoc, 50 kW and more`."""
        words = [
            "" if self.ad_hoc is None else "ad hoc" if self.ad_hoc else "contract",
            self.power,
            "" if self.unless is None else f"unless {self.unless.value}",
        ]
        return ", ".join(word for word in words if word) or "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayForm:
    """How prices are shown: what first, in which order (what is not named follows), and with which sign."""

    order: tuple[Charge, ...]
    headline: Headline = Headline.NONE
    currency: str | None = None
    """The signs are this currency's; another one is written as its code."""
    symbol: str | None = None
    minor_symbol: str | None = None
    """Amounts in the minor unit, such as pence."""
    is_explained: bool = False
    """Each fee says what it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A jurisdiction. `display` None: its law orders no prices."""

    name: str
    title: str
    source: str
    binds: str
    in_force: date | None
    countries: tuple[str, ...]
    rules: tuple[Rule, ...]
    display: DisplayForm | None


@cache
def profiles() -> Mapping[str, Profile]:
    """Every profile by name, in the order of the file."""
    text = resources.files(__package__).joinpath("profiles.toml").read_text(encoding="utf-8")
    return {name: _profile(name, said) for name, said in tomllib.loads(text, parse_float=Decimal).items()}


def display_of_country(country: str) -> Profile | None:
    """The first profile of the file that says how prices are shown in a country (ISO 3166-1, two letters)."""
    return next((each for each in profiles().values() if each.display and country in each.countries), None)


def _profile(name: str, said: dict[str, Any]) -> Profile:
    form = said.get("display")
    return Profile(
        name=name,
        title=said["title"],
        source=said["source"],
        binds=said["binds"],
        in_force=said.get("in_force"),
        countries=tuple(said["countries"]),
        rules=tuple(_rule(each) for each in said["rules"]),
        display=None if form is None else _form(form),
    )


def _rule(said: dict[str, Any]) -> Rule:
    powers: dict[str, Any] = {key: Decimal(said.pop(key)) for key in ("power_kw_min", "power_kw_below") if key in said}
    unless = said.pop("unless", None)
    return Rule(
        severity=Severity(said.pop("severity")),
        parameters=said.pop("with", {}),
        unless=None if unless is None else Fact(unless),
        **powers,
        **said,
    )


def _form(said: dict[str, Any]) -> DisplayForm:
    return DisplayForm(
        order=tuple(Charge(each) for each in said.pop("order")),
        headline=Headline(said.pop("headline", Headline.NONE)),
        **said,
    )
