"""csms node: what runs on this database, and what stands in front of it."""

from __future__ import annotations

import re

from cli_room import Installation


async def test_nodes_are_listed_and_an_example_of_haproxy_is_printed(shop: Installation) -> None:
    nodes = await shop.data("node", "list")
    printed = await shop.csms("node", "haproxy-example")

    assert [(each["pid"], each["ocpp_url"], each["http_url"]) for each in nodes] == [
        (shop.pid, shop.ready["ocpp_url"], shop.ready["http_url"])
    ]
    assert nodes[0]["charge_points"] >= 0
    assert printed.code == 0
    servers = re.findall(r"^    server (\S+) \S+ (send-proxy-v2\S*)$", printed.out, re.MULTILINE)
    assert {proxy for _, proxy in servers} == {"send-proxy-v2", "send-proxy-v2-ssl"}  # who comes, and whether by TLS
    assert "/readyz" in printed.out
    assert "leastconn" in printed.out
