"""Reads a .story: what a tariff says, what happens when, and what must come of it. Knows no server.

however late it arrives                 # the age of what a story tells is no hold unless the story is about it
tariff evening [(not assigned)]         # lines below: [HH:MM-HH:MM] [parking|fee] PRICE EUR[/kWh|/h] [step N]
    VAT 19 % on top|included
2025-03-01 19:30  plug in  0.000 kWh    # local time of the site; or `8 days ago 19:30`, or `90 minutes ago`
operator ...                            # what the operator does at this point
session [N]                             # claims about the Nth session, below
bill [N]                                # its lines: QUANTITY x PRICE AMOUNT, then `total AMOUNT`
no bill [N]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.world import tariff_document

TIME = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d)|(?P<days>\d+) days ago) (?P<clock>\d\d:\d\d(?::\d\d)?)|(?P<minutes>\d+) minutes ago"
)
PRICE = re.compile(
    r"(?:(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)\s+)?(?:(?P<what>parking|fee)\s+)?"
    r"(?P<price>[\d.]+) EUR(?P<per>/kWh|/h)?(?:\s+step (?P<step>\d+))?"
)
VAT = re.compile(r"VAT (?P<rate>\d+) % (?P<how>on top|included)")
TARIFF = re.compile(r"tariff (?P<id>\w+)(?P<loose> \(not assigned\))?")
LINE = re.compile(r"(?P<quantity>1|[\d.]+ kWh|[\d:]+ h) x (?P<price>[\d.]+)\s+(?P<amount>[\d.]+)")
CLAIMED = re.compile(r"(?P<what>session|bill|no bill)(?: (?P<number>\d+))?")
REGISTER = re.compile(r"\s+(?P<kwh>\d+\.\d{3}) kWh$")
DIMENSIONS = {("parking", "/h"): "PARKING_TIME", ("fee", None): "FLAT", (None, "/kWh"): "ENERGY", (None, "/h"): "TIME"}


@dataclass(frozen=True)
class Happening:
    """At a charge point, at the instant `at`; `register_wh` is what its meter shows then."""

    at: datetime
    what: str
    register_wh: Decimal | None


@dataclass(frozen=True)
class Operator:
    """Something that the operator does, with an instant where one is named."""

    what: str
    at: datetime | None


@dataclass(frozen=True)
class Claim:
    """`session`, `bill` or `no bill` number N, with the lines below."""

    what: str
    number: int
    lines: list[str]


@dataclass
class Story:
    name: str
    zone: ZoneInfo
    however_late: bool = False
    power_kw: Decimal | None = None
    tariffs: list[tuple[dict[str, Any], bool]] = field(default_factory=list)  # the tariff, and whether it is assigned
    course: list[Happening | Operator | Claim] = field(default_factory=list)


def read(path: Path, *, now: datetime) -> Story:
    """The story of a file, its relative times counted from `now`."""
    story = Story(path.stem, ZoneInfo("Europe/Berlin"))
    blocks: list[list[str]] = []
    for raw in path.read_text(encoding="utf-8").splitlines():
        line = raw.split("#")[0].rstrip()
        if line.startswith(" "):
            blocks[-1].append(line.strip())
        elif line:
            blocks.append([line])
    for head, *body in blocks:
        _take(story, head, body, now)
    return story


def _take(story: Story, head: str, body: list[str], now: datetime) -> None:
    if head == "however late it arrives":
        story.however_late = True
    elif head.startswith("in "):
        story.zone = ZoneInfo(head.removeprefix("in "))
    elif head.startswith("power "):
        story.power_kw = Decimal(head.split()[1])
    elif tariff := TARIFF.fullmatch(head):
        story.tariffs.append((_tariff(tariff["id"], body), tariff["loose"] is None))
    elif claim := CLAIMED.fullmatch(head):
        story.course.append(Claim(claim["what"], int(claim["number"] or 1), body))
    elif head.startswith("operator "):
        at = TIME.search(head)
        story.course.append(Operator(head.removeprefix("operator "), at and _instant(at, story.zone, now)))
    else:
        story.course.append(_happening(head, story.zone, now))


def _happening(line: str, zone: ZoneInfo, now: datetime) -> Happening:
    at = TIME.match(line)
    assert at, f"this line says no time and is none of the known words: {line!r}"
    what = line[at.end() :]
    register = REGISTER.search(what)
    return Happening(
        at=_instant(at, zone, now),
        what=(what[: register.start()] if register else what).strip(),
        register_wh=Decimal(register["kwh"]) * 1000 if register else None,
    )


def _instant(at: re.Match[str], zone: ZoneInfo, now: datetime) -> datetime:
    if at["minutes"]:
        return now - timedelta(minutes=int(at["minutes"]))
    day = at["date"] or (now.astimezone(zone) - timedelta(days=int(at["days"]))).date().isoformat()
    return datetime.fromisoformat(f"{day}T{at['clock']}").replace(tzinfo=zone).astimezone(UTC)


def _tariff(id_: str, lines: list[str]) -> dict[str, Any]:
    vat, included, elements = None, "N/A", []
    for line in lines:
        if tax := VAT.fullmatch(line):
            vat, included = tax["rate"], "YES" if tax["how"] == "included" else "NO"
            continue
        price = PRICE.fullmatch(line)
        assert price, f"this is no price: {line!r}"
        component = {
            "type": DIMENSIONS[price["what"], price["per"]],
            "price": price["price"],
            "step_size": int(price["step"] or 1),
        }
        element: dict[str, Any] = {"price_components": [component]}
        if price["begin"]:
            element["restrictions"] = {"start_time": price["begin"], "end_time": price["end"]}
        elements.append(element)
    for element in elements:
        if vat is not None:
            element["price_components"][0]["vat"] = vat
    return tariff_document(id_, *elements, tax_included=included)
