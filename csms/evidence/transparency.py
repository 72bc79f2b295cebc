"""Signed values in the input format of the transparency software: XML by its values.xsd. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from xml.sax.saxutils import escape

from csms.evidence.judgement import Value

BEGIN = "Transaction.Begin"
END = "Transaction.End"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML can say (XML 1.0, 2.2)."""


def to_xml(values: Sequence[Value], *, transaction: int) -> str:
    """Each value with the registered key that it was, or would be, verified with.

    The software joins two values of one transaction by their context, one begin and one end; a value that holds both
    stands for itself.
    """
    written = [_value(value, _context(value, values), transaction) for value in values]
    return f"{_HEAD}<values>\n{''.join(written)}</values>\n"


def _value(value: Value, context: str | None, transaction: int) -> str:
    attributes = f' transactionId="{transaction}"' + (f' context="{context}"' if context else "")
    key = f'    <publicKey encoding="hex">{value.key.key.hex}</publicKey>\n' if value.key is not None else ""
    return f"  <value{attributes}>\n{_signed_data(value.text)}{key}  </value>\n"


def _signed_data(text: str) -> str:
    if _UNSPEAKABLE.search(text):
        coded = b64encode(text.encode("utf-8", "replace")).decode()
        return f'    <signedData format="OCMF" encoding="base64">{coded}</signedData>\n'
    # XML readers make one kind of line end out of three; the signature is over the one that was written.
    return f'    <signedData format="OCMF" encoding="plain">{escape(text, {chr(13): "&#13;"})}</signedData>\n'


def _context(value: Value, values: Sequence[Value]) -> str | None:
    """Begin or end, where there is one value of each kind; None where the value is whole by itself."""
    kinds = {id(each): _kinds(each) for each in values}
    mine = kinds[id(value)]
    if mine == {BEGIN, END} or len(mine) != 1:
        return None
    [kind] = mine
    return kind if sum(each == {kind} for each in kinds.values()) == 1 else None


def _kinds(value: Value) -> set[str]:
    readings = () if value.record is None else value.record.readings
    found = {BEGIN for each in readings if each.is_begin}
    return found | {END for each in readings if each.is_end}
