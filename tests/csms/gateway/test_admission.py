"""Those who knock at once are looked up together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from csms.charge_points.charge_point import ChargePoint
from csms.database.errors import DatabaseUnavailable
from csms.gateway.admission import STUCK_S, TOGETHER_MAX, Admission

KNOWN = {f"CP-{n}": ChargePoint(id=f"CP-{n}", site="here") for n in range(3 * TOGETHER_MAX)}


class Books:
    """Knows charge points, stumbles over one name, and may be away or stand still."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.away = False
        self.still = asyncio.Event()
        self.still.set()

    async def find_all(self, identities: Sequence[str]) -> Mapping[str, ChargePoint]:
        self.asked.append(len(identities))
        await self.still.wait()
        if self.away:
            raise ConnectionRefusedError
        if "odd" in identities:
            raise LookupError("odd")
        return {each: KNOWN[each] for each in identities if each in KNOWN}


@asynccontextmanager
async def running(books: Books, *, patience_s: float = 30) -> AsyncIterator[Admission]:
    admission = Admission(books.find_all, patience_s=patience_s)
    run = asyncio.create_task(admission.run())
    try:
        yield admission
    finally:
        run.cancel()
        await asyncio.wait((run,))


async def test_a_crowd_is_answered_by_few_questions() -> None:
    books = Books()
    async with running(books) as admission:
        found = await asyncio.gather(*map(admission.find, KNOWN))

    assert found == list(KNOWN.values())
    assert len(books.asked) == len(KNOWN) / TOGETHER_MAX


async def test_who_asks_for_what_cannot_be_asked_is_refused_alone() -> None:
    async with running(Books()) as admission:
        names = ["CP-1", "odd", "CP-2", "nobody", "CP-1"]
        found = await asyncio.gather(*map(admission.find, names), return_exceptions=True)

    assert [found[0], *found[2:]] == [KNOWN["CP-1"], KNOWN["CP-2"], None, KNOWN["CP-1"]]
    assert isinstance(found[1], LookupError)


async def test_trouble_of_the_database_is_told_to_all_who_wait_and_the_next_is_looked_up() -> None:
    books = Books()
    async with running(books) as admission:
        books.away = True
        found = await asyncio.gather(*map(admission.find, list(KNOWN)[:5]), return_exceptions=True)
        assert [type(each) for each in found] == [ConnectionRefusedError] * 5
        assert books.asked == [5]

        books.away = False
        assert await admission.find("CP-7") == KNOWN["CP-7"]


async def test_who_knocks_in_vain_comes_back_later() -> None:
    books = Books()
    books.still.clear()
    async with running(books, patience_s=0.05) as admission:
        with pytest.raises(TimeoutError):
            await admission.find("CP-1")


async def test_a_server_that_stops_lets_nobody_wait() -> None:
    books = Books()
    books.still.clear()
    async with running(books) as admission:
        knocking = [asyncio.create_task(admission.find(name)) for name in list(KNOWN)[:250]]
        while len(books.asked) < 2:  # noqa: ASYNC110 - the questions are on their way
            await asyncio.sleep(0)
    found = await asyncio.gather(*knocking, return_exceptions=True)

    assert {type(each) for each in found} == {DatabaseUnavailable}
    with pytest.raises(DatabaseUnavailable):
        await admission.find("CP-1")


async def test_a_question_without_an_answer_keeps_nobody_waiting_who_comes_later() -> None:
    books = Books()
    books.still.clear()
    async with running(books) as admission:
        stuck = asyncio.create_task(admission.find("CP-1"))
        await asyncio.sleep(2 * STUCK_S)
        later = asyncio.create_task(admission.find("CP-2"))
        while len(books.asked) < 2:  # noqa: ASYNC110 - the question is on its way
            await asyncio.sleep(0)
        books.still.set()

        assert [await stuck, await later] == [KNOWN["CP-1"], KNOWN["CP-2"]]
