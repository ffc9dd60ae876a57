# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Orders that do not end well, and servers that are not there."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from devserver.engine import orders
from tests.devserver.engine.harness import Server, Services, eventually, fresh
from tests.testbed import Pebble, PebbleOptions, PrivateCa


def test_a_challenge_with_the_wrong_content(server: Server) -> None:
    name = fresh()
    order_id = server.order(name)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    challenge = server.challenge(order_id, name, "http-01")
    server.services.chall.add_http01(challenge["challenge_token"], "rubbish")
    server.mark(order_id, name)
    failed = server.wait(order_id, "error")
    assert failed["last_error"].startswith(f"failed to get authorization for order {order_id}: 1 error occurred:\n\t* ")
    assert f"identifier dns:{name} within order {order_id}: 403 urn:ietf:params:acme:error:" in failed["last_error"]
    assert "rubbish" in failed["last_error"], "what the ACME server says belongs into it"
    assert failed["next_work_date"] == "0001-01-01T00:00:00Z"
    invalid = [one for one in failed["challenges"][name] if one["challenge_status"] == "invalid"]
    assert [one["challenge_type"] for one in invalid] == ["http-01"]
    assert "urn:ietf" in invalid[0]["error"]
    assert order_id in server.ok("LIST", "lookup/orders/recent")["keys"]
    assert server.request("LIST", "role/web/active-orders").status_code == 404
    assert server.request("LIST", "lookup/orders").status_code == 404
    assert "not completed: it is in state error" in server.refused("GET", f"role/web/order/{order_id}/fetch-cert")


def test_two_wrong_challenges_are_both_told(server: Server) -> None:
    names = [fresh(), fresh()]
    order_id = server.order(*names)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    for name in names:
        server.mark(order_id, name)
    failed = server.wait(order_id, "error")
    assert all(name in failed["last_error"] for name in names) or "1 error" in failed["last_error"]


def test_an_identifier_that_the_ca_refuses(pebbles: Callable[..., Services], servers: Callable[..., Server]) -> None:
    name = fresh()
    server = servers(pebbles(domain_blocklist=(name,)))
    server.prepare()
    failed = server.wait(server.order(name), "error")
    assert "urn:ietf:params:acme:error:rejectedIdentifier" in failed["last_error"]
    assert name in failed["last_error"]


def test_an_order_that_nobody_fulfils_expires(server: Server) -> None:
    order_id = server.order(fresh())
    server.wait(order_id, "awaiting-challenge-fulfillment")
    server.vault.clock.advance(25 * 3600)
    server.wait(order_id, "expired")
    assert server.request("LIST", "role/web/active-orders").status_code == 404
    server.vault.clock.advance(3600)
    assert server.status(order_id)["order_status"] == "expired"


def test_an_order_that_is_made_after_the_clock_was_moved_has_its_time(server: Server) -> None:
    server.vault.clock.advance(48 * 3600)
    name = fresh()
    order_id = server.order(name)
    status = server.wait(order_id, "awaiting-challenge-fulfillment")
    left = datetime.fromisoformat(status["expires"]) - datetime.fromisoformat(status["creation_date"])
    assert timedelta(hours=23) < left < timedelta(hours=25)
    server.fulfil(order_id, name)
    server.wait(order_id, "completed")
    waiting = server.order(fresh())
    server.wait(waiting, "awaiting-challenge-fulfillment")
    server.vault.clock.advance(25 * 3600)
    server.wait(waiting, "expired")


def test_an_order_that_never_reached_the_ca_expires(servers: Callable[..., Server], services: Services) -> None:
    server = servers(services)
    server.prepare()
    server.vault.scripts.put({"stay": {"new": 10**9}})
    order_id = server.order(fresh())
    eventually(lambda: server.status(order_id)["next_work_date"] > server.status(order_id)["creation_date"])
    server.vault.clock.advance(24 * 3600 + 1)
    server.wait(order_id, "expired")


def test_a_ca_that_comes_back(
    services: Services, servers: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ca = PrivateCa(tmp_path_factory.mktemp("ca"))
    options = PebbleOptions(dns_server=services.chall.dns_server, http_port=services.chall.http_port)
    with Pebble(ca, options) as pebble:
        server = servers(Services(ca, pebble, services.chall))
        server.prepare()
        broken = PrivateCa(tmp_path_factory.mktemp("other"))
        server.ok("POST", "config/acme-account/le", trusted_ca=broken.pem)
        order_id = server.order(fresh())
        troubled = eventually(lambda: (now := server.status(order_id))["last_error"] and now)
        assert troubled["order_status"] == "new"
        assert "is not trusted (trusted_ca)" in troubled["last_error"]
        assert troubled["next_work_date"] >= troubled["creation_date"]
        server.ok("POST", "config/acme-account/le", trusted_ca=ca.pem)
        recovered = server.wait(order_id, "awaiting-challenge-fulfillment")
        assert recovered["last_error"] == ""


def test_a_ca_that_is_not_there(services: Services, servers: Callable[..., Server]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{unused.getsockname()[1]}/dir"
    server = servers(services)
    refusal = server.refused("POST", "config/acme-account/x", **services.account(directory_url=url))
    assert url in refusal
    assert "cannot be reached" in refusal
    assert "Connection refused" in refusal
    plain = f"https://127.0.0.1:{services.chall.http_port}/dir"
    refusal = server.refused("POST", "config/acme-account/x", **services.account(directory_url=plain))
    assert "cannot be reached" in refusal, "there is no certificate that could be trusted"
    refusal = server.refused(
        "POST", "config/acme-account/x", **services.account(directory_url="https://nowhere.invalid/dir")
    )
    assert "does not resolve" in refusal


def test_what_is_no_acme_server(services: Services, servers: Callable[..., Server]) -> None:
    server = servers(services)
    chall = f"http://127.0.0.1:{services.chall.http_port}/dir"
    assert "no ACME" in server.refused("POST", "config/acme-account/x", **services.account(directory_url=chall))
    roots = f"{services.pebble.management_url}/roots/0"
    assert "no ACME" in server.refused("POST", "config/acme-account/x", **services.account(directory_url=roots))


@contextmanager
def answering(status: int, content_type: str, body: str) -> Iterator[str]:
    """The URL of a server that has one answer to everything, and a nonce with it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, HTTPServer)
            base = f"http://127.0.0.1:{self.server.server_port}"
            directory = json.dumps(dict.fromkeys(("newNonce", "newAccount", "newOrder"), base))
            self._send(200, "application/json", directory if self.command == "GET" and status >= 400 else body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(status, content_type, body)

        def _send(self, status: int, content_type: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Replay-Nonce", "bm9uY2U")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nobody wants to read it."""

    with HTTPServer(("127.0.0.1", 0), Answer) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/dir"
        httpd.shutdown()


@pytest.mark.parametrize(
    ("status", "content_type", "body", "words"),
    [
        (200, "application/json", "[]", "no ACME"),
        (200, "application/json", '"directory"', "no ACME"),
        (200, "application/json", '{"newNonce": 5}', "it has no newAccount, newOrder"),
        (
            403,
            "application/problem+json",
            '{"type": 5, "detail": ["x"], "subproblems": [1, {"identifier": "y"}]}',
            "['x']",
        ),
        (403, "application/problem+json", "[]", "without a problem document"),
    ],
)
def test_json_of_another_shape_than_an_acme_servers(
    servers: Callable[..., Server], services: Services, status: int, content_type: str, body: str, words: str
) -> None:
    with answering(status, content_type, body) as url:
        account = services.account(directory_url=url, trusted_ca="")
        assert words in servers(services).refused("POST", "config/acme-account/x", **account)


@pytest.mark.parametrize("state", ["new", "awaiting-challenge-fulfillment", "processing-challenge"])
def test_a_scripted_failure(server: Server, state: str) -> None:
    server.vault.scripts.put({"role": "web", "fail": "as the test wants it", "in": state})
    name = fresh()
    order_id = server.order(name)
    if state != "new":
        server.wait(order_id, "awaiting-challenge-fulfillment", "error")
    if state == "processing-challenge":
        server.fulfil(order_id, name)
    assert server.wait(order_id, "error")["last_error"] == "as the test wants it"


def test_a_script_for_one_order(server: Server) -> None:
    name = fresh()
    order_id = server.order(name)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    server.vault.scripts.put({"order": order_id, "stay": {"processing-challenge": 3600}})
    server.fulfil(order_id, name)
    status = server.wait(order_id, "processing-challenge")
    eventually(lambda: server.status(order_id)["next_work_date"] > status["creation_date"][:13])
    assert server.status(order_id)["order_status"] == "processing-challenge"
    server.vault.clock.advance(3601)
    server.wait(order_id, "completed", within=3)


def test_a_deleted_role_ends_its_orders(server: Server) -> None:
    order_id = server.order(fresh())
    server.wait(order_id, "awaiting-challenge-fulfillment")
    assert "1 active order" in server.refused("DELETE", "role/web")
    server.ok("DELETE", "role/web", force="true")
    assert server.request("GET", f"role/web/order/{order_id}/status").status_code == 404
    ended = server.ok("GET", f"lookup/order/{order_id}")
    assert ended["order_status"] == "error"
    assert ended["last_error"] == "role 'web' was deleted"
    server.ok("DELETE", "config/acme-account/le")


def test_work_that_comes_too_late_moves_no_ended_order(server: Server) -> None:
    """A thread may be at an order while a request ends it."""
    order_id = server.order(fresh())
    server.wait(order_id, "awaiting-challenge-fulfillment")
    server.ok("DELETE", "role/web", force=True)
    store: Any = server.vault.namespaces[""].mounts["pki-external-ca/"].backend._orders  # type: ignore[attr-defined]
    for state in orders.STATES:
        assert store.change(order_id, lambda order, state=state: replace(order, state=state)).state == "error"
    assert server.ok("GET", f"lookup/order/{order_id}")["order_status"] == "error"
