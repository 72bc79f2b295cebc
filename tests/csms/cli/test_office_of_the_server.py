"""A session ends at a charge point, and its invoice is in the customer's mailbox: csms serve alone does it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

from cli_room import HOUR, TWO_HOURS, serving, until
from pypdf import PdfReader

from billing.accounts.account import Rhythm
from csms.database.pool import open_pool
from tests.billing.mail.mail_room import HOST, Inbox
from tests.billing.mail.mail_room import serving as mail_server
from tests.billing.sending.dispatch import Dispatch, attached, body


async def test_a_session_that_ends_is_billed_invoiced_and_mailed_by_the_server_alone(
    data_home: Path, database: str
) -> None:
    pool = await open_pool(database, size=1, name="furnishing")
    dispatch = Dispatch(pool=pool, directory=data_home / "unused")
    await dispatch.books.open()
    await dispatch.customer("C-1", "TAG-1", email="erika@customer.example", language="de", rhythm=Rhythm.SESSION)
    await pool.close()
    inbox = Inbox()
    async with mail_server(inbox) as port:
        mail = {
            "CSMS_DATABASE_URL": database, "CSMS_SMTP_HOST": HOST, "CSMS_SMTP_PORT": str(port), "CSMS_SMTP_TLS": "none",
            "CSMS_MAIL_SENDER": "Example Charging <billing@operator.example>",
        }  # fmt: skip
        with serving(data_home / "data", **mail) as shop:
            begin = datetime.now(UTC).replace(microsecond=0) - TWO_HOURS
            async with shop.simulated("CP-9", "ocpp1.6", at=begin, evses=1, site="depot") as station:
                await station.plug()
                await station.start(token="TAG-1")
                await station.charge(energy_wh=Decimal(10_000), duration=HOUR)
                await station.stop()
                await station.unplug()
            await until(lambda: _has_come(inbox))
            told = await shop.data("invoice", "show", f"R{begin.year}-000001")
            verified = await shop.csms("archive", "verify")
    [got] = inbox.got
    [(name, pdf)] = attached(got).items()

    assert (got.recipient, name) == ("erika@customer.example", f"R{begin.year}-000001.pdf")
    assert str(got.mail["Subject"]) == f"Rechnung R{begin.year}-000001 von Northern Example Energy GmbH"
    assert "5,00" in body(got)
    assert f"R{begin.year}-000001" in PdfReader(BytesIO(pdf)).pages[0].extract_text()
    assert (told["account"], told["gross"], told["actor"], len(told["sent"])) == ("C-1", "5.00", "csms", 1)
    assert verified.code == 0, verified.err


async def _has_come(inbox: Inbox) -> bool:
    return bool(inbox.got)
