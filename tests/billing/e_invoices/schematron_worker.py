"""A process of its own that judges XML by compiled schematron: Saxon's native code never lives in the process of the tests.

Reads one JSON value a line, `{"sheet": path, "xml": text}`, and answers each with one line, `{"failed": [[id, flag, text]]}`
or `{"trouble": text}`. A sheet is compiled when it is first asked for.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from lxml import etree
from saxonche import PySaxonProcessor

_SVRL = "{http://purl.oclc.org/dsdl/svrl}"


def _failed(report: str) -> list[list[str]]:
    root = etree.fromstring(report.encode())
    return [
        [node.get("id") or "?", node.get("flag") or "?", " ".join("".join(node.itertext()).split())]
        for node in root.iter(f"{_SVRL}failed-assert", f"{_SVRL}successful-report")
    ]


def _main() -> None:
    sheets: dict[str, Any] = {}
    with PySaxonProcessor(license=False) as saxon:
        compiler = saxon.new_xslt30_processor()
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                if asked["sheet"] not in sheets:
                    sheets[asked["sheet"]] = compiler.compile_stylesheet(stylesheet_file=asked["sheet"])
                judged = saxon.parse_xml(xml_text=asked["xml"])
                answer: dict[str, Any] = {
                    "failed": _failed(sheets[asked["sheet"]].transform_to_string(xdm_node=judged))
                }
            except Exception as trouble:  # noqa: BLE001 - told to the test, which fails with it
                answer = {"trouble": f"{type(trouble).__name__}: {trouble}"}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _main()
