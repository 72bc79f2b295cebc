"""What goes with mails, out of the archive: asked for when a mail is sent, and nothing else than what was stored."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

from billing.archive.contents import ContentChanged, Contents
from billing.archive.service import SEE_VERIFY
from billing.errors import Unavailable
from billing.invoices.filed import ARCHIVED

_REF: Final = re.compile(re.escape(ARCHIVED) + r"([0-9a-f]{64})")


class ArchivedAttachments:
    """Gives the bytes behind a reference. `directory`: of the archive."""

    def __init__(self, directory: Path) -> None:
        self._contents = Contents(directory)

    async def __call__(self, ref: str) -> bytes:
        """Raises:
        Unavailable: it is not there, or is not what was stored: the mail waits until somebody has brought it back.
        """
        match = _REF.fullmatch(ref)
        if match is None:
            raise Unavailable(f"{ref[:100]!r} is nothing of the archive", "correct what queued the mail")
        try:
            return await asyncio.to_thread(self._contents.read, bytes.fromhex(match[1]))
        except ContentChanged as changed:
            raise Unavailable(f"an attachment is not what was stored: {changed}", SEE_VERIFY) from changed
        except FileNotFoundError as missing:
            raise Unavailable(f"an attachment is missing: {missing}", SEE_VERIFY) from missing
        except OSError as trouble:
            raise Unavailable(
                f"an attachment cannot be read: {trouble}", "see its permissions and the disk"
            ) from trouble
