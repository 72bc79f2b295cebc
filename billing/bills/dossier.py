"""What is handed to whoever doubts an amount: the bill that counts, how it came about, the tariff as it was. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from billing.bills import history
from billing.bills.history import Explanation
from billing.errors import NotFound
from billing.sql import Connection
from billing.tariffs.store import TariffCache, canonical_body


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """`tariff` is its JSON as stored; `explanation` and its lines are None where there is no bill."""

    tariff_id: str | None
    tariff_version: int | None
    tariff: str | None
    explanation: dict[str, object] | None


def head_of(explanation: Explanation) -> dict[str, object]:
    """A bill with what its lines do not say."""
    bill, rating = explanation.bill, explanation.rating
    return bill.to_dict() | {
        "total_excl_tax_exact": bill.total_excl_exact,
        "total_incl_tax_exact": bill.total_incl_exact,
        "components": {part.name.value: part.excl_tax.text for part in rating.components},
        "notes": [note.value for note in rating.notes],
        "policy_version": bill.policy_version,
        "engine_version": bill.engine_version,
        "inputs_hash": bill.inputs_hash,
        "recomputed": True,
        "created_at": bill.created_at,
    }


def explained(explanation: Explanation) -> dict[str, object]:
    """The bill and its lines, as they are printed in JSON."""
    return head_of(explanation) | {"lines": history.lines_to_dicts(explanation.lines)}


async def dossier_of(connection: Connection, session: int) -> Dossier:
    """What billing knows of a session; of one that has no bill, the tariff that was chosen, if any.

    Raises:
        BillContradicted: the bill does not follow from what it stored.
    """
    try:
        explanation = await history.explain_bill(connection, session, None)
    except NotFound:
        explanation = None
    if explanation is not None:
        chosen = (explanation.bill.tariff, explanation.bill.tariff_version)
    else:
        rating = (await history.session_ratings(connection, [session])).get(session)
        if rating is None or rating.tariff is None or rating.tariff_version is None:
            return Dossier(tariff_id=None, tariff_version=None, tariff=None, explanation=None)
        chosen = (rating.tariff, rating.tariff_version)
    version = (await TariffCache().get(connection, [chosen]))[chosen]
    return Dossier(
        tariff_id=chosen[0],
        tariff_version=chosen[1],
        tariff=canonical_body(version.tariff),
        explanation=None if explanation is None else explained(explanation),
    )
