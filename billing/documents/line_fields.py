"""The lines of a document as templates get them: in groups with headings and subtotals, each session with its details. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from billing.documents.notation import DASH, NO_BREAK, clean, clean_lines, duration
from billing.documents.writing import Writing
from billing.invoices.document import ComponentDetail, Line, LineKind, SessionDetail

ARROW: Final = "\N{RIGHTWARDS ARROW}"
TIMES: Final = "\N{MULTIPLICATION SIGN}"
DOT: Final = " · "
_NO_SESSION: Final = dict.fromkeys(
    (
        "id", "bill", "site", "charge_point", "evse", "started_at", "ended_at", "duration", "energy", "meter_serial",
        "meter_start", "meter_stop", "energy_source", "token", "tariff", "tariff_version", "late",
    ),
    "",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Group:
    """Lines that have the same names by everything that the document is grouped by."""

    names: tuple[str, ...]
    lines: tuple[Line, ...]


def groups(writing: Writing) -> list[dict[str, Any]]:
    """Every line once. A document that is not grouped has one group without headings and subtotals."""
    found = _grouped(writing)
    written = []
    for n, group in enumerate(found):
        before = found[n - 1].names if n else ()
        after = found[n + 1].names if n + 1 < len(found) else ()
        opening = range(_shared(before, group.names), len(group.names))
        closing = range(len(group.names), _shared(group.names, after), -1)
        written.append(
            {
                "headings": [_heading(writing, level, group.names[level]) for level in opening],
                "lines": [_line(writing, line) for line in group.lines],
                "subtotals": [_subtotal(writing, depth, group.names, found) for depth in closing],
            }
        )
    return written


def _grouped(writing: Writing) -> list[_Group]:
    """In the order in which names first appear, level by level; what no group can have stands last."""
    by = writing.document.grouped_by
    if not by:
        return [_Group((), writing.document.lines)]
    found: dict[tuple[str, ...], list[Line]] = {}
    for line in writing.document.lines:
        found.setdefault(_names(line, by), []).append(line)
    first: dict[tuple[str, ...], int] = {}
    for place, names in enumerate(found):
        for depth in range(1, len(names) + 1):
            first.setdefault(names[:depth], place)

    def turn(names: tuple[str, ...]) -> tuple[bool, list[int]]:
        return (not names, [first[names[:depth]] for depth in range(1, len(names) + 1)])

    return [_Group(names, tuple(found[names])) for names in sorted(found, key=turn)]


def _names(line: Line, by: Sequence[str]) -> tuple[str, ...]:
    """Down to the last that is known; what is assigned to nothing has one empty name, and cents of rounding have none."""
    if line.kind is LineKind.ROUNDING:
        return ()
    names = [clean(line.labels.get(each)) for each in by]
    while len(names) > 1 and not names[-1]:
        names.pop()
    return tuple(names)


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """With how many names both begin."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def _heading(writing: Writing, level: int, name: str) -> dict[str, Any]:
    return {
        "level": str(level + 1),
        "label": writing.words("group", writing.document.grouped_by[level]),
        "name": name or writing.words("group", "none"),
    }


def _subtotal(writing: Writing, depth: int, names: tuple[str, ...], found: Sequence[_Group]) -> dict[str, Any]:
    """Of everything below a heading."""
    lines = [line for group in found if group.names[:depth] == names[:depth] and group.names for line in group.lines]
    net, tax = sum(each.net_minor for each in lines), sum(each.tax_minor for each in lines)
    energy_wh = sum(each.session.energy_wh for each in lines if each.session is not None)
    return {
        **_heading(writing, depth - 1, names[depth - 1]),
        "energy": writing.notation.kwh(energy_wh) if energy_wh else "",
        "net": writing.money(net),
        "tax": writing.money(tax),
        "gross": writing.money(net + tax),
        "amount": writing.money(net + tax if writing.with_tax else net),
    }


def _line(writing: Writing, line: Line) -> dict[str, Any]:
    notation, currency = writing.notation, writing.document.currency
    return {
        "position": str(line.position),
        "kind": writing.words("line_kind", line.kind),
        "source": line.source,
        "name": clean(line.name),
        "description": clean_lines(line.description),
        "period": "" if line.days is None else notation.days(line.days),
        "quantity": notation.quantity(line.quantity, line.unit),
        "unit_price": "" if line.unit_price is None else notation.exact_money(line.unit_price, currency),
        "discount": {
            "name": clean(line.discount_name) or writing.label("discount") if line.discount_minor else "",
            "amount": writing.money(-line.discount_minor) if line.discount_minor else "",
        },
        "tax_rate": notation.percent(line.tax.rate),
        "tax_category": line.tax.category,
        "net": writing.money(line.net_minor),
        "tax": writing.money(line.tax_minor),
        "gross": writing.money(line.gross_minor),
        "amount": writing.money(line.gross_minor if writing.with_tax else line.net_minor),
        "labels": [
            {"label": writing.words.known("group", name), "value": clean(value)}
            for name, value in sorted(line.labels.items())
        ],
        "session": _NO_SESSION if line.session is None else _session(writing, line.session),
        "components": [] if line.session is None else [_component(writing, each) for each in line.session.components],
        "details": [] if line.session is None else _details(writing, line.session),
    }


def _session(writing: Writing, session: SessionDetail) -> dict[str, str]:
    notation = writing.notation
    return {
        "id": str(session.session),
        "bill": str(session.bill),
        "site": clean(session.site),
        "charge_point": clean(session.charge_point),
        "evse": "" if session.evse is None else str(session.evse),
        "started_at": notation.instant(session.started_at),
        "ended_at": notation.instant(session.ended_at),
        "duration": duration(session.ended_at - session.started_at),
        "energy": notation.kwh(session.energy_wh),
        "meter_serial": clean(session.meter_serial),
        "meter_start": "" if session.meter_start_wh is None else notation.kwh(session.meter_start_wh),
        "meter_stop": "" if session.meter_stop_wh is None else notation.kwh(session.meter_stop_wh),
        "energy_source": clean(writing.words.known("energy_source", session.energy_source or "")),
        "token": clean(session.token),
        "tariff": clean(session.tariff),
        "tariff_version": str(session.tariff_version),
        "late": writing.words("text", "late") if session.late else "",
    }


def _component(writing: Writing, component: ComponentDetail) -> dict[str, str]:
    notation, currency = writing.notation, writing.document.currency
    try:
        amount = notation.exact_money(Decimal(component.amount), currency)
    except InvalidOperation:  # a word, such as free
        amount = clean(component.amount)
    return {
        "name": clean(writing.words.known("component", component.name)),
        "quantity": notation.quantity(component.quantity, component.unit),
        "price": "" if component.price is None else notation.exact_money(component.price, currency),
        "amount": amount,
    }


def _details(writing: Writing, session: SessionDetail) -> list[str]:
    """A session in a few lines of text, with everything that somebody needs to check it."""
    said = _session(writing, session)
    evse = f", {writing.label('evse')}{NO_BREAK}{said['evse']}" if said["evse"] else ""
    tariff = f"{writing.label('tariff')} {said['tariff']}, {writing.label('version')} {said['tariff_version']}"
    token = f"{writing.label('token')} {said['token']}" if said["token"] else ""
    place = [said["site"], f"{writing.label('charge_point')} {said['charge_point']}{evse}", token, tariff]
    when = [f"{said['started_at']}{DASH}{said['ended_at']}", f"{writing.label('duration')} {said['duration']}"]
    return [
        DOT.join(each for each in place if each),
        DOT.join(when),
        DOT.join(_measured(writing, said)),
        *([parts] if (parts := DOT.join(_part(writing, each) for each in session.components)) else []),
        *([said["late"]] if said["late"] else []),
    ]


def _measured(writing: Writing, said: dict[str, str]) -> list[str]:
    """Readings, serial number and where they come from: who is billed by measurement can check it (§ 33 MessEG)."""
    parts = [f"{writing.label('energy')} {said['energy']}"]
    if said["meter_start"] and said["meter_stop"]:
        serial = f" {said['meter_serial']}" if said["meter_serial"] else ""
        colon = writing.words("text", "colon")
        parts.append(f"{writing.label('meter')}{serial}{colon}{said['meter_start']} {ARROW} {said['meter_stop']}")
    elif said["meter_serial"]:
        parts.append(f"{writing.label('meter')} {said['meter_serial']}")
    if said["energy_source"]:
        parts.append(said["energy_source"])
    return parts


def _part(writing: Writing, component: ComponentDetail) -> str:
    said = _component(writing, component)
    times = f" {TIMES} {said['price']}" if said["price"] else ""
    return f"{said['name']} {said['quantity']}{times} = {said['amount']}"
