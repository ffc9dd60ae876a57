# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Every response that the contract documents is given once here, and held to it (the harness validates each)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.devserver.contract import conformed, documented
from tests.devserver.engine.harness import Server, Services, fresh
from tests.devserver.engine.test_dns_providers import EXAMPLES

NOWHERE = "00000000-0000-7000-8000-000000000000"


def test_every_documented_response_is_given(with_bind: Services, servers: Callable[..., Server]) -> None:
    conformed.clear()
    server = servers(with_bind)
    empty_lists(server)
    accounts(server)
    roles(server)
    providers(server)
    orders(server)
    lookups(server)
    missing = set(documented()) - conformed
    assert not missing, f"never seen: {sorted(missing)}"


def empty_lists(server: Server) -> None:
    for path in ("config/acme-account", "role", "config/dns", "lookup/orders", "lookup/orders/recent"):
        assert server.request("LIST", path).body == {"errors": []}
    for kind in EXAMPLES:
        assert server.request("LIST", f"config/dns/{kind}").body == {"errors": []}
        assert server.request("GET", f"config/dns/{kind}/x").body == {"errors": []}
    for path in ("config/acme-account/x", "role/x", f"lookup/order/{NOWHERE}", "lookup/cert/0a:0b"):
        assert server.request("GET", path).body == {"errors": []}


def accounts(server: Server) -> None:
    server.refused("POST", "config/acme-account/le")
    server.ok("POST", "config/acme-account/le", **server.services.account())
    server.ok("GET", "config/acme-account/le")
    server.ok("LIST", "config/acme-account")
    backend: Any = server.vault.namespaces[""].mounts["pki-external-ca/"].backend
    parameters: dict[str, Any] = {
        "directory_url": server.services.pebble.directory_url,
        "account_key": backend._accounts._storage.get("acme-account/le")["account_keys"]["0"]["pem"],
        "trusted_ca": server.services.ca.pem,
    }
    server.ok("POST", "config/acme-account/twin/import", **parameters)
    server.refused("POST", "config/acme-account/twin/import", **parameters)
    server.ok("DELETE", "config/acme-account/twin")  # deactivates the account that both share
    server.ok("DELETE", "config/acme-account/le")
    server.prepare()
    server.refused("DELETE", "config/acme-account/le")
    server.ok("POST", "config/acme-account/le/rotate-key")
    server.set_answers(OQ_13="200")
    server.ok("POST", "config/acme-account/le/rotate-key")
    server.set_answers()


def roles(server: Server) -> None:
    server.refused("POST", "role/other")
    server.ok("POST", "role/other", acme_account_name="le")
    server.ok("GET", "role/other")
    server.ok("LIST", "role")
    server.ok("DELETE", "role/other")


def providers(server: Server) -> None:
    for kind, example in EXAMPLES.items():
        path = f"config/dns/{kind}/main"
        server.refused("POST", path)
        server.ok("POST", path, identifiers="example.edu", **example)
        server.ok("GET", path)
        server.ok("LIST", f"config/dns/{kind}")
        server.role(dns_provider_name="main", dns_provider_type=kind)
        server.refused("DELETE", path)
        server.role(dns_provider_name="", dns_provider_type="")
        server.ok("LIST", "config/dns")
        asked: dict[str, Any] = {"identifier": "dyn.example.com", "provider_type": kind, "provider_name": "main"}
        server.refused("POST", "dns/test/workflow", **asked)
        server.ok("DELETE", path)
    server.provider()
    asked = {"identifier": "dyn.example.com", "provider_type": "rfc2136", "provider_name": "bind"}
    server.ok("POST", "dns/test/workflow", **asked)


def orders(server: Server) -> None:
    server.refused("POST", "role/web/new-order")
    name = fresh()
    assert server.request("LIST", "role/web/active-orders").body == {"errors": []}
    order_id = server.order(name)
    below = f"role/web/order/{order_id}"
    server.wait(order_id, "awaiting-challenge-fulfillment")
    server.ok("LIST", "role/web/active-orders")
    server.refused("DELETE", "role/web")
    server.request("GET", f"role/web/order/{NOWHERE}/status")
    server.refused("GET", f"{below}/challenge")
    server.refused("POST", f"{below}/fulfilled-challenge")
    server.refused("POST", f"{below}/revoke", reason="unspecified")
    server.refused("GET", f"{below}/fetch-cert")
    server.set_answers(OQ_1="404")
    server.request("GET", f"{below}/fetch-cert")
    server.set_answers()
    server.fulfil(order_id, name)
    server.wait(order_id, "completed")
    server.fetch(order_id)
    server.refused("GET", "role/web/cached")
    server.request("GET", "role/web/cached", identifiers="a.b", min_validity_percentage=1)
    server.ok("GET", "role/web/cached", identifiers=name, min_validity_percentage=1)
    server.ok("LIST", "lookup/orders")
    server.ok("GET", f"lookup/cert/{server.status(order_id)['serial_number']}")
    server.ok("POST", f"{below}/revoke", reason="unspecified")


def lookups(server: Server) -> None:
    order_id = server.order(fresh())
    server.ok("GET", f"lookup/order/{order_id}")
    server.ok("LIST", "lookup/orders/recent")
    server.refused("LIST", "lookup/orders/recent", within="1s")
