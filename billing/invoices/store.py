"""Documents in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from billing.invoices.bill_charge import BilledSession
from billing.invoices.credit import Credited
from billing.invoices.document import Document, DocumentForm, DocumentKind, Tax
from billing.invoices.document_json import Texts, document_from_json
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.invoices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series of numbers. `year` 0: it never ends. `chain`: of its last document."""

    seller: str
    kind: DocumentKind
    form: DocumentForm
    year: int
    pattern: str
    last: int
    issued_on: date | None
    chain: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A document in the books."""

    id: int
    seller: str
    document: Document
    hash: bytes
    corrects: int | None
    issued_at: datetime
    actor: str
    reason: str


def chain_after(chain: bytes, document_hash: bytes) -> bytes:
    """The end of a series' chain once a document with this hash is in it."""
    return hashlib.sha256(chain + document_hash).digest()


def read_session(row: Any) -> BilledSession:
    return BilledSession(
        session=row["session"],
        seq=row["seq"],
        account=row["account"],
        currency=row["currency"],
        detail=json.loads(row["detail"]),
        charge_point=row["charge_point"],
        evse=row["evse"],
        site=row["site"],
        country=row["country"],
        time_zone=row["time_zone"],
        token=row["token"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        energy_wh=row["energy_wh"],
        register_begin_wh=row["register_begin_wh"],
        register_end_wh=row["register_end_wh"],
        energy_source=row["energy_source"],
        tariff=row["tariff"],
        tariff_version=row["tariff_version"],
        labels=json.loads(row["labels"]),
        brand=row.get("brand"),
    )


def country_of(document: Document, tax: Tax) -> str:
    """Whose tax it is: of no seller without an address is there a document."""
    address = document.seller.address
    assert tax.country or address, "a seller has an address"
    return tax.country or (address.country if address else "")


async def write_parts(
    connection: Connection,
    document: Document,
    bodies: Sequence[str],
    *,
    seller: str,
    sources: Mapping[str, int | None],
    after: Sequence[str],
) -> tuple[int, str | None]:
    """The lines and taxes, and what they are for: sources with their sessions. The new document's id, and its number's shape.

    `after`: for each source which claim it follows; empty where nothing claimed it, or its session, before.
    """
    lines, groups = document.lines, document.tax_groups
    row = await SQL.insert_parts.fetchrow(
        connection,
        seller=seller,
        kind=document.kind,
        form=document.form,
        sources=list(sources),
        claimed=list(sources.values()),
        after=list(after),
        positions=[line.position for line in lines],
        kinds=[line.kind for line in lines],
        nets=[line.net_minor for line in lines],
        taxes=[line.tax_minor for line in lines],
        days=[None if line.days is None else line.days[1] for line in lines],
        sessions=[None if line.session is None else line.session.session for line in lines],
        bodies=list(bodies),
        countries=[country_of(document, group.tax) for group in groups],
        categories=[group.tax.category for group in groups],
        rates=[group.tax.rate for group in groups],
        notes=[group.tax.note or "" for group in groups],
        group_nets=[group.net_minor for group in groups],
        group_taxes=[group.tax_minor for group in groups],
    )
    assert row is not None, "it has one row"
    return row["id"], row["pattern"]


async def write_invoice(
    connection: Connection,
    id_: int,
    document: Document,
    *,
    seller: str,
    year: int,
    n: int,
    corrects: int | None,
    texts: Texts,
    chain: bytes,
    now: datetime,
    actor: str,
    reason: str,
) -> None:
    await SQL.insert_invoice.execute(
        connection,
        id=id_,
        seller=seller,
        kind=document.kind,
        form=document.form,
        year=year,
        n=n,
        number=document.number,
        account=document.account,
        currency=document.currency,
        issued_on=document.issued_on,
        issued_at=now,
        due_on=document.due_on,
        net=document.net_minor,
        tax=document.tax_minor,
        borne=document.borne_minor,
        paid=document.paid_minor,
        corrects=corrects,
        body=texts.head,
        hash=texts.hash,
        chain=chain,
        actor=actor,
        reason=reason,
    )


async def read_documents(connection: Connection, rows: Sequence[Any]) -> list[Issued]:
    """Documents with their lines, as they were issued."""
    lines: dict[int, list[Any]] = {row["id"]: [] for row in rows}
    for line in await SQL.lines_of.fetch(connection, invoices=list(lines)):
        lines[line["invoice"]].append(json.loads(line["body"]))
    return [
        Issued(
            id=row["id"],
            seller=row["seller"],
            document=document_from_json({**json.loads(row["body"]), "lines": lines[row["id"]]}),
            hash=row["hash"],
            corrects=row["corrects"],
            issued_at=row["issued_at"],
            actor=row["actor"],
            reason=row["reason"],
        )
        for row in rows
    ]


async def credited(connection: Connection, invoice: int, document: Document) -> Credited:
    """What credit notes took back of a document so far."""
    lines = await SQL.credited_lines.fetch(connection, invoice=invoice)
    groups = await SQL.credited_groups.fetch(connection, invoice=invoice)
    taxes = {
        (country_of(document, tax), tax.category, tax.rate, tax.note or ""): tax
        for tax in (group.tax for group in document.tax_groups)
    }
    borne: dict[str, int] = {}
    if document.borne:
        for note in await SQL.credit_notes_of.fetch(connection, invoice=invoice):
            for part in json.loads(note["body"])["borne"]:
                key = f"{part['party']}:{part['label']}"
                borne[key] = borne.get(key, 0) + part["amount_minor"]
    return Credited(
        lines={row["position"]: row["base_minor"] for row in lines},
        nets={row["position"]: row["net_minor"] for row in lines},
        groups={
            taxes[row["country"], row["tax_category"], row["tax_rate"], row["note"]]: (
                row["net_minor"],
                row["tax_minor"],
            )
            for row in groups
        },
        borne_minor=borne,
    )


async def series(connection: Connection, seller: str | None = None) -> list[Series]:
    """Every series that has begun."""
    return [
        Series(
            seller=row["seller"],
            kind=DocumentKind(row["kind"]),
            form=DocumentForm(row["form"]),
            year=row["year"],
            pattern=row["pattern"],
            last=row["last"],
            issued_on=row["issued_on"],
            chain=row["chain"],
        )
        for row in await SQL.series_of.fetch(connection, seller=seller)
    ]
