# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Faults on demand, as a client meets them, and the rest of the administrative endpoint."""

from __future__ import annotations

import base64
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from devserver.answers import ANSWERS
from devserver.request_log import RequestLog
from tests.devserver.conftest import RunningServer


@pytest.fixture(autouse=True)
def afterwards_all_is_well(server: RunningServer) -> Iterator[None]:
    yield
    for what in ("faults", "scripts", "answers", "requests"):
        server.dev("DELETE", what)


def fault(server: RunningServer, **given: Any) -> None:
    response = server.dev("POST", "faults", given)
    assert response.status_code == 200, response.text


def status(server: RunningServer, path: str = "sys/mounts", method: str = "GET") -> int:
    return server.request(method, path).status_code


def test_a_count_a_path_and_a_method(server: RunningServer) -> None:
    fault(server, kind="status", path="^sys/mounts$", method="GET", status=502, count=2)
    assert status(server, "sys/auth") == 200
    assert status(server, "sys/mounts", "LIST") != 502
    assert [status(server) for _request in range(3)] == [502, 502, 200]
    assert server.dev("GET", "faults").json()["faults"] == []


def test_a_time_and_a_beginning(server: RunningServer) -> None:
    fault(server, kind="status", status=500, seconds=60, skip=1)
    assert [status(server) for _request in range(3)] == [200, 500, 500]
    server.dev("POST", "clock", {"advance": 61})
    assert status(server) == 200


def test_any_status_with_any_body(server: RunningServer) -> None:
    page = "<html><body>503 Service Unavailable</body></html>"
    headers = {"Content-Type": "text/html", "Retry-After": "7"}
    fault(server, kind="status", status=503, body=page, headers=headers, count=1)
    response = server.request("GET", "sys/mounts")
    assert (response.status_code, response.text) == (503, page)
    assert (response.headers["retry-after"], response.headers["content-type"]) == ("7", "text/html")
    fault(server, kind="status", status=200, body='{"data": {"keys": ["a', count=1)
    with pytest.raises(requests.JSONDecodeError):
        server.request("GET", "sys/mounts").json()
    fault(server, kind="status", status=200, count=1)
    assert server.request("GET", "sys/mounts").content == b""
    fault(server, kind="status", status=400, body={"errors": ["made up"]}, count=1)
    assert server.request("GET", "sys/mounts").json() == {"errors": ["made up"]}
    raw = bytes(range(256))
    fault(server, kind="status", status=200, body_base64=base64.b64encode(raw).decode(), count=1)
    assert server.request("GET", "sys/mounts").content == raw


def test_a_body_that_breaks_off(server: RunningServer) -> None:
    fault(server, kind="status", status=200, body='{"data"', headers={"Content-Length": "1000"}, count=1)
    with pytest.raises(requests.exceptions.RequestException):
        server.request("GET", "sys/mounts")
    assert status(server) == 200


def test_delay(server: RunningServer) -> None:
    fault(server, kind="delay", delay=0.3, count=1)
    begin = time.monotonic()
    assert status(server) == 200
    assert time.monotonic() - begin >= 0.3
    fault(server, kind="delay", delay=5, count=1)
    with pytest.raises(requests.ReadTimeout):
        server.request("GET", "sys/mounts", timeout=0.2)


def test_hang_until_the_client_gives_up(server: RunningServer) -> None:
    fault(server, kind="hang", count=1)
    with pytest.raises(requests.ReadTimeout):
        server.request("GET", "sys/mounts", timeout=0.2)
    fault(server, kind="hang", delay=0.1, count=1)
    with pytest.raises(requests.ConnectionError):
        server.request("GET", "sys/mounts")


def test_reset_is_a_reset(server: RunningServer) -> None:
    fault(server, kind="reset", count=1)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError) as caught:
            connection.recv(1000)
    assert caught.value.errno == errno.ECONNRESET
    assert status(server) == 200


def test_refuse_closes_the_port_for_a_while(server: RunningServer) -> None:
    fault(server, kind="refuse", delay=0.5, count=1)
    with pytest.raises(requests.ConnectionError):
        server.request("GET", "sys/mounts")
    host, port = server.url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert status(server) == 200
            return
        except requests.ConnectionError:
            threading.Event().wait(0.05)
    pytest.fail("the port did not open again")


def test_seal_and_redirect(server: RunningServer) -> None:
    fault(server, kind="seal", count=1)
    response = server.request("GET", "sys/mounts")
    assert (response.status_code, response.json()) == (503, {"errors": ["Vault is sealed"]})
    fault(server, kind="redirect", location="https://standby.example.com:8200/", count=1)
    response = server.request("GET", "kv/data?list=true")
    assert response.status_code == 307
    assert response.headers["location"] == "https://standby.example.com:8200/v1/kv/data?list=true"


def test_the_token_is_revoked_in_the_middle(server: RunningServer) -> None:
    token = server.policy_token('path "kv/*" { capabilities = ["read", "list"] }')
    server.request("PUT", "kv/data/x", json={})
    fault(server, kind="revoke-token", path="^kv/", skip=1, count=1)
    seen = [server.request("GET", "kv/data/x", token=token).status_code for _request in range(3)]
    assert seen == [200, 403, 403]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"kind": "explode"}, "none of refuse"),
        ({}, "none of refuse"),
        ({"kind": "status"}, "needs status"),
        ({"kind": "status", "status": 99}, "200 to 599"),
        ({"kind": "redirect"}, "needs location"),
        ({"kind": "delay"}, "needs delay"),
        ({"kind": "reset", "path": "("}, "regular expression"),
        ({"kind": "reset", "cuont": 1}, "has no cuont"),
        ({"kind": "reset", "count": "two"}, "count is a number"),
        ({"kind": "reset", "count": 0}, "at least 1"),
        ({"kind": "reset", "seconds": -1}, "seconds is a number"),
        ({"kind": "status", "status": 200, "body_base64": "?"}, "body_base64"),
    ],
)
def test_a_bad_fault_says_what_is_wrong(server: RunningServer, given: dict[str, Any], complaint: str) -> None:
    response = server.dev("POST", "faults", given)
    assert response.status_code == 400
    assert complaint in response.json()["errors"][0]
    assert status(server) == 200


def test_requests_are_counted(server: RunningServer) -> None:
    server.dev("DELETE", "requests")
    server.request("GET", "sys/mounts", namespace="nowhere")
    server.request("PUT", "kv/data/secret?key=word", json={"text": "hunter2"})
    fault(server, kind="reset", count=1)
    with pytest.raises(requests.ConnectionError):
        server.request("GET", "sys/auth")
    log = server.dev("GET", "requests").json()
    assert log["total"] == 3
    seen = [(one["method"], one["path"], one["namespace"], one["status"]) for one in log["requests"]]
    assert seen == [
        ("GET", "sys/mounts", "nowhere", 404),
        ("PUT", "kv/data/secret", "", 200),
        ("GET", "sys/auth", "", 0),
    ]
    assert not {"hunter2", "word", "root"} & set(str(log).split("'"))


def test_the_log_of_requests_is_bounded() -> None:
    log = RequestLog(limit=10)
    for number in range(25):
        log.add("GET", str(number), "", 200, 0.0)
    assert log.total == 25
    assert [entry["path"] for entry in log.entries()] == [str(number) for number in range(15, 25)]


def test_answers_change_while_the_server_runs(server: RunningServer) -> None:
    def answer() -> str:
        text: str = server.request("GET", "kv/answer/OQ-1").json()["data"]["answer"]
        return text

    assert answer() == "400"
    assert server.dev("PUT", "answers", {"OQ-1": "404", "OQ-7": "empty"}).json()["OQ-7"] == "empty"
    assert answer() == "404"
    for bad, complaint in (({"OQ-1": "500"}, "400, 404, 200"), ({"OQ-0": "1"}, "there is no question")):
        response = server.dev("PUT", "answers", bad)
        assert response.status_code == 400
        assert complaint in response.json()["errors"][0]
    assert set(server.dev("DELETE", "answers").json()) == set(ANSWERS)
    assert answer() == "400"


def test_scripts_for_one_order_a_role_and_all(server: RunningServer) -> None:
    def script(role: str, order: str) -> dict[str, Any]:
        found: dict[str, Any] = server.request("GET", f"kv/script/{role}/{order}").json()["data"]["script"]
        return found

    assert script("web", "1") == {}
    server.dev("PUT", "scripts", {"stay": {"submitted": 1}})
    server.dev("PUT", "scripts", {"role": "web", "fail": "no"})
    server.dev("PUT", "scripts", {"order": "1", "fail": "never", "in": "submitted"})
    assert script("db", "2") == {"stay": {"submitted": 1}}
    assert script("web", "2") == {"stay": {"submitted": 1}, "fail": "no"}
    assert script("web", "1") == {"stay": {"submitted": 1}, "fail": "never", "in": "submitted"}
    bad: dict[str, Any]
    for bad in ({"stays": {}}, {"stay": {"submitted": "long"}}, {"role": "a", "order": "b"}):
        assert server.dev("PUT", "scripts", bad).status_code == 400
    for bad in ({"stay": {"processing": 1}}, {"fail": "no", "in": "completed"}, {"order": "1", "in": "fetching"}):
        response = server.dev("PUT", "scripts", bad)
        assert response.status_code == 400
        assert "there are new, submitted, awaiting-challenge-fulfillment, " in response.json()["errors"][0]
    assert script("web", "1") == {"stay": {"submitted": 1}, "fail": "never", "in": "submitted"}
    server.dev("DELETE", "scripts")
    assert script("web", "1") == {}


def test_the_clock_and_the_state(server: RunningServer) -> None:
    before = server.request("GET", "sys/health").json()["server_time_utc"]
    server.dev("POST", "clock", {"advance": 3600})
    assert server.request("GET", "sys/health").json()["server_time_utc"] - before >= 3600
    bad: dict[str, Any]
    for bad in ({"advance": -1}, {"advance": "far"}, {"advance": 10**400}, {}):
        assert server.dev("POST", "clock", bad).status_code == 400
    state = server.dev("GET", "state").json()
    assert state["namespaces"]["root"]["kv/"] == "kv"
    for body in ("no json", '{"stay": {"new": Infinity}}', '{"stay": {"new": -1}}', '{"fail": 5}', "[" * 100_000):
        assert requests.put(f"{server.url}/dev/scripts", data=body, timeout=5).status_code == 400
    assert server.dev("GET", "scripts").json() == {"all": {}, "roles": {}, "orders": {}}


def test_a_server_that_hangs_still_stops(make_server: Callable[..., RunningServer]) -> None:
    server = make_server(backends={})
    fault(server, kind="hang")
    caught: list[Exception] = []

    def ask() -> None:
        try:
            server.request("GET", "sys/mounts")
        except requests.RequestException as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not server.dev("GET", "faults").json()["faults"][0]["hits"]:
        threading.Event().wait(0.01)
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 5
    thread.join(5)
    assert caught
