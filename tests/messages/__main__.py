"""python -m tests.messages [--write]: print the table of messages, or put it into the README."""

from __future__ import annotations

import sys

from tests.messages.table import BEGIN, END, ROOT, as_markdown


def main() -> None:
    if "--write" not in sys.argv:
        sys.stdout.write(as_markdown() + "\n")
        return
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n{as_markdown()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
