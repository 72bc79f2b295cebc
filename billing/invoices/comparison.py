"""Whether the rows of a document say what it says: its columns, lines, taxes, claims and allocations. Reads no database.

The hash of a document is of its body and of those of its lines. Everything else that the books keep of it, to find and to add
it up by, is worked out of these once more, and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from billing.invoices.composition import base_of
from billing.invoices.document import Document, DocumentKind, Line, LineKind
from billing.invoices.store import country_of

Row: TypeAlias = Mapping[str, Any]
_Fields: TypeAlias = dict[str, object]
_HEAD: Final = (
    "kind", "form", "number", "account", "currency", "issued_on", "due_on", "net_minor", "tax_minor", "gross_minor",
    "borne_minor", "paid_minor",
)  # fmt: skip
"""Columns of a document that bear the names of what they say."""
_MINOR: Final = ("net_minor", "tax_minor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The rows of a document, of each table; `row` with the number of the document that it corrects, and its ledger entry."""

    row: Row
    lines: tuple[Row, ...] = ()
    taxes: tuple[Row, ...] = ()
    claims: tuple[Row, ...] = ()
    allocations: tuple[Row, ...] = ()


def differences(document: Document, kept: Kept) -> Iterator[str]:
    """What each row or column says otherwise than the document does, its table and field first."""
    yield from _differing("invoice", {"": _head_kept(document, kept.row)}, {"": _head_said(document, kept.row)})
    yield from _differing(
        "invoice_line",
        {
            str(row["position"]): {
                name: row[name] for name in ("kind", *_MINOR, "gross_minor", "day", "session")
            }
            for row in kept.lines
        },
        {str(line.position): _line_said(line) for line in document.lines},
    )  # fmt: skip
    yield from _differing("invoice_tax", _taxes_kept(kept.taxes), _taxes_said(document))
    yield from _differing("invoice_source", _claims_kept(kept.claims), _claims_said(document, kept.claims))
    yield from _differing(
        "credit_allocation", _allocations_kept(document, kept.allocations), _allocations_said(document, kept.row)
    )


def claims_of(document: Document) -> dict[str, int | None]:
    """What a document that is no credit note is paid for: each source with its session, if it is of one."""
    return {
        line.source: None if line.session is None else line.session.session
        for line in document.lines
        if line.kind is not LineKind.ROUNDING
    }


def _differing(table: str, kept: Mapping[str, _Fields], said: Mapping[str, _Fields]) -> Iterator[str]:
    for key in said.keys() - kept.keys():
        yield f"{table} {key} is missing"
    for key in kept.keys() - said.keys():
        yield f"{table} {key} was added: the document has none"
    for key, fields in said.items():
        for name, value in fields.items():
            if key in kept and kept[key][name] != value:
                where = f"{table} {key}".strip()
                yield f"{where}: {name} is {_shown(kept[key][name])}, and the document says {_shown(value)}"


def _shown(value: object) -> str:
    return "nothing" if value is None or value == "" else str(value)


def _head_kept(document: Document, row: Row) -> _Fields:
    fields = {name: row[name] for name in _HEAD} | {"corrects": row["corrects_number"]}
    if document.kind is DocumentKind.CREDIT_NOTE:
        fields["reason"] = row["reason"]
    if row["booked_at"] is not None:  # where there is no entry, the check of the ledger says so
        fields |= {"issued_at": row["issued_at"], "actor": row["actor"]}
    return fields


def _head_said(document: Document, row: Row) -> _Fields:
    fields: _Fields = {name: getattr(document, name) for name in _HEAD}
    fields["corrects"] = None if document.corrects is None else document.corrects.number
    if document.kind is DocumentKind.CREDIT_NOTE:
        fields["reason"] = document.reason
    if row["booked_at"] is not None:  # what no document says, its entry does: it was made in the same act
        fields |= {"issued_at": row["booked_at"], "actor": row["booked_by"]}
    return fields


def _line_said(line: Line) -> _Fields:
    return {
        "kind": line.kind,
        "net_minor": line.net_minor,
        "tax_minor": line.tax_minor,
        "gross_minor": line.gross_minor,
        "day": None if line.days is None else line.days[1],
        "session": None if line.session is None else line.session.session,
    }


def _taxes_kept(rows: Iterable[Row]) -> dict[str, _Fields]:
    return {
        _tax_named(row["country"], row["tax_category"], row["tax_rate"], row["note"]): {name: row[name] for name in _MINOR}
        for row in rows
    }  # fmt: skip


def _taxes_said(document: Document) -> dict[str, _Fields]:
    return {
        _tax_named(country_of(document, group.tax), group.tax.category, group.tax.rate, group.tax.note or ""): {
            "net_minor": group.net_minor,
            "tax_minor": group.tax_minor,
        }
        for group in document.tax_groups
    }


def _tax_named(country: str, category: str, rate: Any, note: str) -> str:
    return f"{country}:{category}:{rate.normalize():f}" + (f" ({note})" if note else "")


def _claims_kept(rows: Iterable[Row]) -> dict[str, _Fields]:
    return {row["source"]: {"session": row["session"], "after": row["after"]} for row in rows}


def _claims_said(document: Document, rows: Iterable[Row]) -> dict[str, _Fields]:
    if document.kind is DocumentKind.CREDIT_NOTE:
        return {}
    before = {row["source"]: row["before"] for row in rows}
    return {
        source: {"session": session, "after": before.get(source, "")} for source, session in claims_of(document).items()
    }


def _allocations_kept(document: Document, rows: Iterable[Row]) -> dict[str, _Fields]:
    """By what the credit note's own lines are for: of a part that a third party bears that is the part itself."""
    number = "" if document.corrects is None else document.corrects.number
    return {
        row["source"] if row["kind"] == LineKind.BORNE else f"credit:{number}:{row['position']}": {
            name: row[name] for name in ("invoice", "base_minor", "net_minor")
        }
        for row in rows
    }


def _allocations_said(document: Document, row: Row) -> dict[str, _Fields]:
    if document.kind is DocumentKind.INVOICE:
        return {}
    bases = [(line, base_of(line, document.tax_mode)) for line in document.lines if line.kind is not LineKind.ROUNDING]
    return {
        line.source: {"invoice": row["corrects"], "base_minor": base, "net_minor": line.net_minor}
        for line, base in bases
        if base
    }
