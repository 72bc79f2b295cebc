"""csms document: billing's commands on our connection."""

from __future__ import annotations

from billing import document_group, document_with_brand
from csms.cli.context import connect

document = document_group(connect, document_with_brand)
