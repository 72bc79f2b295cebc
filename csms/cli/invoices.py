"""csms invoice and csms credit: billing's commands on our connections."""

from __future__ import annotations

from functools import partial

from billing import add_send, credit_group, invoice_group
from csms.cli.archive import archive_directory
from csms.cli.context import connect, default_actor, open_pool_of

RUN_CONNECTIONS = 5
"""Of an invoice run, and of a sending: four issue and two send, one looks for what is next."""

invoice = invoice_group(
    connect, open_pool=partial(open_pool_of, size=RUN_CONNECTIONS), archive=archive_directory, actor=default_actor
)
add_send(invoice, partial(open_pool_of, size=RUN_CONNECTIONS), archive_directory, default_actor)
credit = credit_group(connect, actor=default_actor)
