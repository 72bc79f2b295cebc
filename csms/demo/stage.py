"""The demo as a person sees it: what runs, what it costs so far, and at the end whether each was billed right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from csms.demo.world import ACTS, Act, Expected

NOTES = {"waived": "waived: too little energy to bill"}
"""Notes of bills in words, where their names say too little."""
STATE_STYLES = {"open": "cyan", "ended": "yellow", "held": "magenta", "rated": "green", "dropped": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One session against what must have become of it."""

    act: Act
    session: Mapping[str, Any] | None
    expected: Expected
    right: bool
    why: str


def picture(
    charge_points: Sequence[Mapping[str, Any]], sessions: Sequence[Mapping[str, Any]], bills: Mapping[str, int]
) -> Group:
    """The live view: charge points on the left of time, sessions with kWh and cost so far, bills counted."""
    return Group(_charge_points(charge_points), Text(), _sessions(sessions), Text(), _counted(bills))


def _charge_points(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Charge points", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("id", "protocol", "online", "status", "story"):
        table.add_column(name, no_wrap=True)
    stories = {act.charge_point: act.story for act in ACTS}
    for row in rows:
        status = " ".join(str(each["status"]) for each in row["evses"] if each["evse"])
        online = Text("yes", "green") if row["online"] else Text("no", "red")
        table.add_row(row["id"], row["protocol"] or "", online, status, stories.get(row["id"], ""))
    return table


def _sessions(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Sessions", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("id", "charge point", "token", "state", "kWh", "cost so far", "held for"):
        table.add_column(
            name, no_wrap=name != "held for", justify="right" if name in {"kWh", "cost so far"} else "left"
        )
    for row in rows:
        amount = "" if row["total_incl_tax"] is None else f"{row['total_incl_tax']} {row['currency']}"
        table.add_row(
            str(row["id"]),
            row["charge_point"],
            row["token"] or "",
            Text(row["state"], STATE_STYLES[row["state"]]),
            f"{Decimal(row['energy_wh']) / 1000:.3f}",
            amount,
            ", ".join(row["hold_reasons"]),
        )
    return table


def _counted(bills: Mapping[str, int]) -> Text:
    words = [f"{bills.get(kind, 0)} {kind}" for kind in ("interim", "final")]
    return Text("Bills so far: " + ", ".join(words), "bold")


def plain(sessions: Sequence[Mapping[str, Any]], bills: Mapping[str, int]) -> str:
    """One line for where nobody watches a screen."""
    running = [row for row in sessions if row["state"] == "open"]
    counted = energy(sessions)
    return (
        f"{len(running)} running, {len(sessions)} sessions, {counted.billed_kwh:.1f} kWh billed, "
        f"{counted.held_kwh:.1f} kWh held, {counted.open_kwh:.1f} kWh still open, "
        f"{bills.get('interim', 0)} interim and {bills.get('final', 0)} final bills"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What was told, apart by what becomes of it: a final bill, a person's decision, or neither as yet."""

    billed_kwh: Decimal
    held_kwh: Decimal
    open_kwh: Decimal


def energy(sessions: Sequence[Mapping[str, Any]]) -> Energy:
    """Sums by fate. A running session on which a rule fires is held: it bills nothing."""
    kwh = {"billed": Decimal(0), "held": Decimal(0), "open": Decimal(0)}
    for row in sessions:
        fate = "billed" if row["state"] == "rated" else "held" if row["hold_reasons"] else "open"
        kwh[fate] += Decimal(row["energy_wh"]) / 1000
    return Energy(billed_kwh=kwh["billed"], held_kwh=kwh["held"], open_kwh=kwh["open"])


def judge(sessions: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """Each expected session beside the one that came of it and its bill's notes, in the order in which they began."""
    verdicts: list[Verdict] = []
    for act in ACTS:
        found = sorted(
            (row for row in sessions if row["charge_point"] == act.charge_point), key=lambda row: row["started_at"]
        )
        for n, expected in enumerate(act.expected):
            session = found[n] if n < len(found) else None
            verdicts.append(_verdict(act, session, expected))
        verdicts.extend(
            Verdict(act=act, session=extra, expected=Expected(energy_wh=0), right=False, why="nobody charged here")
            for extra in found[len(act.expected) :]
        )
    return verdicts


def _verdict(act: Act, session: Mapping[str, Any] | None, expected: Expected) -> Verdict:
    if session is None:
        return Verdict(act=act, session=None, expected=expected, right=False, why="the session is missing")
    wrong = _difference(session, expected)
    if wrong is not None:
        return Verdict(act=act, session=session, expected=expected, right=False, why=wrong)
    if expected.total_incl_tax is None:
        why = ", ".join(session["hold_reasons"])
        return Verdict(act=act, session=session, expected=expected, right=True, why=why)
    why = ", ".join(["to the cent", *(NOTES.get(note, note) for note in session["notes"])])
    return Verdict(act=act, session=session, expected=expected, right=True, why=why)


def _difference(session: Mapping[str, Any], expected: Expected) -> str | None:
    if session["energy_wh"] != expected.energy_wh:
        return f"{session['energy_wh']} Wh, not {expected.energy_wh}"
    if expected.total_incl_tax is None:
        if session["state"] != "held" or set(session["hold_reasons"]) != expected.holds:
            return f"{session['state']} {session['hold_reasons']}, not held {sorted(expected.holds)}"
        return None
    if session["state"] != "rated" or Decimal(session["total_incl_tax"]) != expected.total_incl_tax:
        return f"{session['state']} {session['total_incl_tax']}, not {expected.total_incl_tax}"
    if set(session["notes"]) != expected.notes:
        return f"the bill notes {sorted(session['notes'])}, not {sorted(expected.notes)}"
    return None


def result(verdicts: Sequence[Verdict]) -> Table:
    """The closing table."""
    table = Table(title="What became of each", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("session", "charge point", "protocol", "what happened", "kWh", "billed", "right", "why"):
        table.add_column(name, justify="right" if name in {"session", "kWh", "billed"} else "left", overflow="fold")
    for each in verdicts:
        session = each.session or {}
        amount = session.get("total_incl_tax")
        table.add_row(
            str(session.get("id", "")),
            each.act.charge_point,
            str(each.act.protocol),
            each.act.story,
            "" if not session else f"{Decimal(session['energy_wh']) / 1000:.3f}",
            f"{amount} {session['currency']}" if amount is not None else Text("held", "magenta"),
            Text("yes", "green") if each.right else Text("NO", "bold red"),
            each.why,
        )
    return table
