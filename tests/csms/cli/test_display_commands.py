"""Messages on displays, and what stations know of customers: asked for from the command line, in both versions."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cli_room import TOKEN, Installation, until
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from csms.customer_information import service as customers
from csms.protocol.blocks.customer_facts import CustomerInformationReported

SHOWN = ("id", "text", "priority", "state", "format", "language")


async def test_messages_are_set_listed_replaced_and_cleared(shop: Installation) -> None:
    name = "DIS-1"
    later = datetime.now(UTC) + timedelta(hours=1)
    async with shop.simulated(name, "ocpp2.0.1") as station:
        none = await shop.csms("display", "list", name, "-o", "json")
        first = await shop.data("display", "set", name, "Closed soon", "--until", later.isoformat())
        second = await shop.data("display", "set", name, "Grüß Gott", "--state", "Idle", "--language", "de")
        await shop.data("display", "set", name, "Out of order", "--id", 9, "--priority", "InFront")
        fourth = await shop.data("display", "set", name, "Moved", "--id", second["id"])
        listed = await shop.data("display", "list", name)
        cleared = await shop.data("display", "clear", name, 9)
        again = await shop.csms("display", "clear", name, 9, "-o", "json")
        await station.advance(timedelta(hours=2))
        left = await shop.data("display", "list", name)

    assert (none.code, none.json) == (0, [])
    assert (first["outcome"], first["id"], second["id"], fourth["id"]) == ("Accepted", 1, 2, 2)
    assert [tuple(each[column] for column in SHOWN) for each in listed] == [
        (1, "Closed soon", "NormalCycle", None, "ASCII", None),
        (2, "Moved", "NormalCycle", None, "ASCII", None),
        (9, "Out of order", "InFront", None, "ASCII", None),
    ]
    assert datetime.fromisoformat(listed[0]["end"]).replace(microsecond=0) == later.replace(microsecond=0)
    assert cleared["outcome"] == "Accepted"
    assert (again.code, again.json["outcome"]) == (5, "Unknown")
    assert [each["id"] for each in left] == [2]
    async with shop.connection() as connection:
        asked = await connection.fetch(
            "SELECT r.message, a.status FROM display_request r JOIN display_answer a ON a.request = r.id"
            " WHERE r.charge_point = $1 ORDER BY r.id",
            name,
        )
    assert [tuple(row) for row in asked] == [
        (None, "Unknown"), (1, "Accepted"), (2, "Accepted"), (9, "Accepted"), (2, "Accepted"), (None, "Accepted"),
        (9, "Accepted"), (9, "Unknown"), (None, "Accepted"),
    ]  # fmt: skip


async def test_a_message_for_a_session_goes_to_where_it_runs(shop: Installation) -> None:
    async with shop.simulated("DIS-TX", "ocpp2.0.1") as station, shop.simulated("DIS-TY", "ocpp2.0.1"):
        await station.plug()
        await station.start(token=TOKEN)
        session = (await shop.await_session("DIS-TX", "open"))["id"]
        made = await shop.data("display", "set", "DIS-TX", "Enjoy", "--session", session)
        elsewhere = await shop.csms("display", "set", "DIS-TY", "Enjoy", "--session", session)
        [listed] = await shop.data("display", "list", "DIS-TX")
        await station.stop()
        over = await shop.data("display", "list", "DIS-TX")

    assert made["outcome"] == "Accepted"
    assert listed["transaction"]
    assert elsewhere.code == 3
    assert over == []


async def test_1_6_and_stations_that_know_no_displays_say_so(shop: Installation) -> None:
    actions = frozenset({"SetDisplayMessage", "CustomerInformation"})
    refused: list[tuple[int, str]] = []
    async with shop.simulated("DIS-16", "ocpp1.6"), shop.simulated("DIS-DUMB", "ocpp2.0.1", unknown=actions):
        for name in ("DIS-16", "DIS-DUMB"):
            said = [
                await shop.csms("display", "set", name, "Hello", "-o", "json"),
                await shop.csms("cp", "customer-information", name, "--token", TOKEN, "--report", "-o", "json"),
            ]
            refused += [(each.code, each.json["outcome"]) for each in said]
            assert all(each.json["detail"] for each in said)
        rejected = [
            await shop.csms("display", "list", "DIS-16", "-o", "json"),
            await shop.csms("display", "clear", "DIS-16", 1, "-o", "json"),
        ]

    assert refused == [(5, "not_supported")] * 4
    assert [each.code for each in rejected] == [5, 5]


async def test_what_cannot_be_shown_is_refused_with_its_reason(shop: Installation) -> None:
    await shop.charge_point("DIS-AWAY")
    away = [
        await shop.csms("display", "list", "DIS-AWAY"),
        await shop.csms("cp", "customer-information", "DIS-AWAY", "--token", TOKEN, "--clear"),
    ]
    async with shop.simulated("DIS-NO", "ocpp2.0.1"):
        unsupported = await shop.csms("display", "set", "DIS-NO", "<b>Hi</b>", "--format", "HTML", "-o", "json")
        wrong = [
            await shop.csms("display", "set", "DIS-NO", "x" * 513),
            await shop.csms("display", "set", "DIS-NO", "Grüße", "--format", "ASCII"),
            await shop.csms("display", "set", "DIS-NO", "x", "--until", "2020-01-01T00:00:00Z"),
            await shop.csms("cp", "customer-information", "DIS-NO", "--token", TOKEN),
            await shop.csms("cp", "customer-information", "DIS-NO", "--token", "x" * 37, "--clear"),
        ]
    nowhere = await shop.csms("display", "list", "DIS-NONE")

    assert [(each.code, each.error["code"]) for each in away] == [(1, "offline")] * 2
    assert (unsupported.code, unsupported.json["outcome"]) == (5, "NotSupportedMessageFormat")
    assert [each.code for each in wrong] == [2] * 5
    assert nowhere.code == 3


async def test_what_a_station_knows_of_a_customer_is_printed_and_kept_nowhere(shop: Installation) -> None:
    name = "CUS-1"
    question = ("cp", "customer-information", name, "--token", TOKEN)
    async with shop.simulated(name, "ocpp2.0.1") as station:
        await station.authorize(TOKEN)
        told = await shop.data(*question, "--report", "--clear")
        forgotten = await shop.data(*question, "--report")
        cleared = await shop.data(*question, "--clear")
        async with shop.connection() as connection:

            async def frames() -> list[str]:
                rows = await connection.fetch(
                    "SELECT body FROM frame WHERE charge_point = $1 AND action = 'NotifyCustomerInformation'"
                    " AND direction = 'in'",
                    name,
                )
                return [row["body"] for row in rows]

            async def all_kept() -> bool:
                return len(await frames()) >= parts

            parts = await connection.fetchval(
                "SELECT sum(parts) FROM customer_handover h JOIN customer_request r ON r.id = h.request"
                " WHERE r.charge_point = $1",
                name,
            )
            await until(all_kept)
            kept = await frames()
            held = await connection.fetchval("SELECT count(*) FROM customer_part")

    assert f"authorization cache: {TOKEN} is Accepted" in told["information"]
    assert told["complete"] is True
    assert f"authorization cache: nothing on {TOKEN}" in forgotten["information"]
    assert (cleared["outcome"], "information" in cleared) == ("Accepted", False)
    assert held == 0
    assert parts > 2
    assert all("authorization" not in body and "(hidden)" in body for body in kept)
    assert "authorization cache" not in shop.log_path.read_text()


@contextlib.asynccontextmanager
async def unfinished(shop: Installation, name: str) -> AsyncIterator[None]:
    """A 2.0.1 station that accepts what it is asked and tells only the first part of everything."""
    password = await shop.charge_point(name, "--no-template")
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    async with connect(
        f"{shop.url}/{name}",
        subprotocols=[Subprotocol("ocpp2.0.1")],
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:

        async def tell(action: str, payload: dict[str, Any]) -> None:
            await socket.send(json.dumps([2, f"part-{payload['requestId']}", action, payload]))

        async def listen() -> None:
            async for message in socket:
                kind, id_, *rest = json.loads(message)
                if kind != 2:
                    continue
                await socket.send(json.dumps([3, id_, {"status": "Accepted"}]))
                part = {"requestId": rest[1].get("requestId"), "tbc": True}
                if rest[0] == "GetDisplayMessages":
                    content = {"format": "ASCII", "content": "Hello"}
                    message_info = [{"id": 4, "priority": "InFront", "message": content}]
                    await tell("NotifyDisplayMessages", {**part, "messageInfo": message_info})
                elif rest[0] == "CustomerInformation":
                    now = datetime.now(UTC).isoformat(timespec="seconds")
                    told = {"data": "Ada Example", "seqNo": 0, "generatedAt": now}
                    await tell("NotifyCustomerInformation", {**part, **told})

        listening = asyncio.create_task(listen())
        try:
            yield
        finally:
            listening.cancel()


async def test_what_came_before_time_was_over_is_printed_and_the_exit_status_says_that_it_is_not_all(
    shop: Installation,
) -> None:
    async with unfinished(shop, "DIS-PART"):
        listed = await shop.csms("display", "list", "DIS-PART", "--timeout", 10, "-o", "json")
        question = ("cp", "customer-information", "DIS-PART", "--token", TOKEN, "--report", "--timeout", 10)
        told = await shop.csms(*question, "-o", "json")

    assert (listed.code, [each["text"] for each in listed.json]) == (8, ["Hello"])
    assert (told.code, told.json["information"], told.json["complete"]) == (8, "Ada Example", False)


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(hours=1)])
async def test_what_nobody_fetches_is_deleted_after_an_hour(shop: Installation, wait: timedelta) -> None:
    name = f"CUS-{wait.seconds}"
    await shop.charge_point(name)
    async with shop.connection() as connection:

        async def held() -> int:
            return int(await connection.fetchval("SELECT count(*) FROM customer_part WHERE request = $1", number))

        number = await customers.open_request(connection, name, token=TOKEN, report=True, clear=False, actor="somebody")
        part = CustomerInformationReported(request=number, seq_no=0, more=True, data="Ada Example")
        await customers.record(connection, "CUS-OTHER", part, at=datetime.now(UTC))
        foreign = await held()
        await customers.record(connection, name, part, at=datetime.now(UTC))
        before = await held()
        await customers.forget_old(connection, longest=wait)
        after = await held()
        await customers.hand_over(connection, number, customers.Told())
        await customers.record(connection, name, part, at=datetime.now(UTC))
        late = await held()

    assert (foreign, before, after, late) == (0, 1, 0 if wait == timedelta(0) else 1, 0)
