"""The pack of evidence of one session: a zip that is the same, byte for byte, for the same state. Pure."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing import Dossier, json_text
from csms.evidence.frames import Frame, as_lines
from csms.evidence.judgement import Evidence, Value
from csms.evidence.ocmf import MeterReading
from csms.evidence.signatures import KeyUnreadable, read_key
from csms.evidence.transparency import to_xml

_NO_TIME = (1980, 1, 1, 0, 0, 0)
_README = """Evidence of charging session {session}

Signed values: {verdict}
{summary}
What is in here
  signed-values.xml  the values that the meter signed, with its registered public key, as the transparency software
                     (https://transparenz.software, free of charge) reads them: open this file with it.
  values/            the same values, each as the meter wrote it, byte for byte.
  keys/              the registered public keys (PEM). Compare them with the type plate of the charge point.
  evidence.json      what was found: each value's verdict, begin, end, energy, and what stands against billing.
  frames.jsonl       the messages of the charge point for this session, and the answers. {frames}
  tariff.json        the tariff as it stood when it was chosen. {tariff}
  explanation.json   how the amount came about, line by line; explanation.txt is the same for people. {explanation}
  SHA256SUMS         check that nothing was changed since: sha256sum -c SHA256SUMS

Without that software
  A value is OCMF: three parts with a bar between them. The second part is what was signed, and the third has the signature
  (SD, hex, DER) and the algorithm (SA; ECDSA-secp256r1-SHA256 where it is left out). For values/T1.ocmf and keys/1.pem:

    cut -d'|' -f2 values/T1.ocmf | tr -d '\\n' > payload
    cut -d'|' -f3 values/T1.ocmf | sed 's/.*"SD" *: *"\\([0-9A-Fa-f]*\\)".*/\\1/' | xxd -r -p > signature
    openssl dgst -sha256 -verify keys/1.pem -signature signature payload

  This holds for values of one line, as meters write them. Then read in the payload: MS the meter, PG the number of the
  record, RD its readings (TX B begin, E end; RV the register in RU). kWh are billed between begin and end.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that goes into a pack. `frames` empty: none are kept any more. `session` is as `session show` has it."""

    session: Mapping[str, Any]
    profile: str
    evidence: Evidence
    frames: Sequence[Frame]
    dossier: Dossier


def to_zip(contents: Contents) -> bytes:
    """The pack. Nothing in it tells of the time at which it was made."""
    files = _files(contents)
    sums = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in sorted(files.items()))
    files["SHA256SUMS"] = sums.encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)
    return made.getvalue()


def _files(contents: Contents) -> dict[str, bytes]:
    id_, evidence, dossier = contents.session["id"], contents.evidence, contents.dossier
    files = {
        "README.txt": _readme(contents).encode(),
        "evidence.json": _json(report(contents)),
        "signed-values.xml": to_xml(evidence.values, transaction=id_).encode(),
        "frames.jsonl": as_lines(contents.frames).encode(),
    }
    for name, value in _named(evidence.values):
        files[f"values/{name}.ocmf"] = value.text.encode("utf-8", "replace")
    for key in {value.key.id: value.key for value in evidence.values if value.key is not None}.values():
        files[f"keys/{key.id}.pem"] = key.key.pem.encode()
    if dossier.tariff is not None:
        files["tariff.json"] = dossier.tariff.encode()
    if dossier.explanation is not None:
        files["explanation.json"] = _json(dossier.explanation)
        files["explanation.txt"] = _lines(dossier.explanation).encode()
    return files


def _named(values: Sequence[Value]) -> list[tuple[str, Value]]:
    """Each value with a name for its file: the number of its record, and one of ours where that is missing or repeats."""
    named: dict[str, Value] = {}
    for number, value in enumerate(values, start=1):
        page = None if value.record is None or value.record.page is None else value.record.label
        name = page if page is not None and page not in named else f"value-{number}"
        named[name] = value
    return list(named.items())


def _json(value: object) -> bytes:
    return (json.dumps(json.loads(json_text(value)), ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def report(contents: Contents) -> dict[str, Any]:
    """What was found, for machines and people."""
    evidence = contents.evidence
    return {
        "session": dict(contents.session),
        "profile": contents.profile,
        "is_whole": evidence.is_whole,
        "meter": evidence.meter,
        "register": evidence.register,
        "begin_wh": None if evidence.begin is None else evidence.begin.wh,
        "begin_time": None if evidence.begin is None else evidence.begin.time,
        "end_wh": None if evidence.end is None else evidence.end.wh,
        "end_time": None if evidence.end is None else evidence.end.time,
        "energy_wh": evidence.energy_wh,
        "problems": [{"rule": each.rule, "why": each.why} for each in evidence.problems],
        "values": [value_row(name, value) for name, value in _named(evidence.values)],
        "tariff": contents.dossier.tariff_id,
        "tariff_version": contents.dossier.tariff_version,
        "frames": len(contents.frames),
    }


def value_row(name: str, value: Value) -> dict[str, Any]:
    """One signed value and its verdict."""
    record = value.record
    return {
        "name": name,
        "verdict": str(value.verdict),
        "why": value.why,
        "meter": None if record is None else record.device,
        "readings": [] if record is None else [_reading(each) for each in record.readings],
        "key": None if value.key is None else value.key.id,
        "key_fingerprint": None if value.key is None else value.key.key.fingerprint,
        "sent_key": value.sent_key,
        "sent_key_is_registered": _is_registered(value),
        "at": value.sent.at,
        "received_at": value.sent.received_at,
        "carried_by": value.sent.carried_by,
    }


def _is_registered(value: Value) -> bool | None:
    """Whether the key that came with the value is the one that it was verified with; None where there is one of them only."""
    if value.sent_key is None or value.key is None:
        return None
    try:
        return read_key(value.sent_key).der == value.key.key.der
    except KeyUnreadable:
        return False


def _reading(reading: MeterReading) -> dict[str, Any]:
    return {
        "reason": reading.reason,
        "value": reading.value,
        "unit": reading.unit,
        "register": reading.identifier,
        "time": reading.time,
        "status": reading.status,
        "errors": reading.errors,
    }


def verdict_of(evidence: Evidence) -> str:
    """In one line."""
    if not evidence.values:
        return "there are none"
    if evidence.is_whole:
        return f"whole: {len(evidence.values)}, each signed by a registered key of meter {evidence.meter}"
    return f"not whole: {'; '.join(dict.fromkeys(each.why for each in evidence.problems)) or 'the session still runs'}"


def _readme(contents: Contents) -> str:
    evidence = contents.evidence
    energy = evidence.energy_wh
    dossier = contents.dossier
    summary = "" if energy is None else f"Energy between signed begin and end: {energy.normalize():f} Wh\n"
    return _README.format(
        session=contents.session["id"],
        verdict=verdict_of(evidence),
        summary=summary,
        frames="Secrets are hidden." if contents.frames else "None are kept any more.",
        tariff="" if dossier.tariff is not None else "None was chosen: the file is missing.",
        explanation="" if dossier.explanation is not None else "There is no bill: both are missing.",
    )


def _lines(explanation: Mapping[str, Any]) -> str:
    """The explanation as a text: what, how much, at which price, by which rule, the amount."""
    rows = [_line(each) for each in explanation["lines"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    total = f"{explanation['total_incl_tax']} {explanation['currency']}"
    return f"Session {explanation['session']}: {total}, tax included\n\n{table}\n"


def _line(line: Mapping[str, Any]) -> tuple[str, ...]:
    since, until = (None if line[name] is None else line[name].isoformat() for name in ("since", "until"))
    span = "" if since is None else f"{since} - {until}"
    names = ("quantity", "unit_price", "rule", "tax", "excl_tax", "incl_tax")
    return (str(line["what"]), span, *(str(line[name]) for name in names))
