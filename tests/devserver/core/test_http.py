# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Requests and answers as a client sees them on the wire."""

from __future__ import annotations

import socket
import threading
import uuid
from typing import Any

import pytest
import requests

from tests.devserver.conftest import RunningServer

ENVELOPE = {
    "request_id",
    "lease_id",
    "renewable",
    "lease_duration",
    "data",
    "wrap_info",
    "warnings",
    "auth",
    "mount_type",
}


def errors(response: requests.Response, status: int) -> list[str]:
    assert response.status_code == status, response.text
    found: list[str] = response.json()["errors"]
    return found


def test_the_envelope(server: RunningServer) -> None:
    response = server.request("POST", "kv/data/envelope", json={"text": "x"})
    body = response.json()
    assert set(body) == ENVELOPE
    assert uuid.UUID(body["request_id"])
    assert body["data"]["text"] == "x"
    assert body["mount_type"] == "kv"
    assert (body["lease_id"], body["renewable"], body["lease_duration"]) == ("", False, 0)
    assert body["warnings"] is body["auth"] is body["wrap_info"] is None
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


def test_post_is_put_and_the_backend_decides_what_creates(server: RunningServer) -> None:
    first = server.request("PUT", "kv/data/put", json={"text": "1"}).json()["data"]
    second = server.request("POST", "kv/data/put", json={"text": "2"}).json()["data"]
    assert (first["operation"], second["operation"]) == ("create", "update")
    assert server.request("GET", "kv/data/put").json()["data"]["text"] == "2"


def test_list_in_its_three_spellings(server: RunningServer) -> None:
    server.request("PUT", "kv/data/listed", json={})
    for method, path in (
        ("LIST", "kv/data"),
        ("LIST", "kv/data/"),
        ("GET", "kv/data?list=true"),
        ("GET", "kv/data/?list=1"),
    ):
        assert "listed" in server.request(method, path).json()["data"]["keys"], (method, path)
    assert errors(server.request("GET", "kv/data?list=perhaps"), 400)


def test_list_in_pieces_and_twice_on_one_connection(server: RunningServer) -> None:
    server.request("PUT", "kv/data/pieces", json={})
    host, port = server.url.removeprefix("http://").split(":")
    request = b"LIST /v1/kv/data HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pieces in ([request], [request[:1], request[1:3], request[3:40], request[40:]]):
            for piece in pieces:
                connection.sendall(piece)
                threading.Event().wait(0.02)  # so that each is a segment of its own
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"pieces" in answer
        connection.sendall(request.replace(b"LIST", b"LINK"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 405")


def test_nothing_there_is_404_without_errors(server: RunningServer) -> None:
    assert errors(server.request("GET", "kv/data/none"), 404) == []
    assert errors(server.request("LIST", "sys/namespaces"), 404) == []
    assert server.request("DELETE", "kv/data/none").status_code == 204
    assert server.request("DELETE", "kv/data/none").content == b""


def test_parameters_are_weakly_typed(server: RunningServer) -> None:
    sent = {"number": "7", "flag": "true", "items": "a, b,c", "wait": "1m", "text": 5}
    stored = server.request("PUT", "kv/data/typed", json=sent).json()["data"]
    assert (stored["number"], stored["flag"], stored["items"], stored["wait"]) == (7, True, ["a", "b", "c"], 60)
    assert stored["text"] == "5"
    assert server.request("PUT", "kv/data/typed", json={"items": ["a", "b"]}).json()["data"]["items"] == ["a", "b"]


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ({"number": "many"}, "'number': cannot parse 'many' as int"),
        ({"number": 2**63}, "'number': value out of range"),
        ({"flag": "perhaps"}, "flag"),
        ({"flag": {}}, "expected type 'bool'"),
        ({"wait": "soon"}, "wait"),
        ({"text": {"a": 1}}, "text"),
        ({"colour": "blue"}, "expected one of red, green"),
    ],
)
def test_a_parameter_that_does_not_convert_is_named(
    server: RunningServer, sent: dict[str, Any], complaint: str
) -> None:
    assert complaint in errors(server.request("PUT", "kv/data/bad", json=sent), 400)[0]
    assert server.request("GET", "kv/data/bad").status_code == 404


def test_unknown_parameters_are_ignored_with_a_warning(server: RunningServer) -> None:
    body = server.request("PUT", "kv/data/warned", json={"text": "x", "zebra": 1, "apple": 2}).json()
    assert body["warnings"] == ["Endpoint ignored these unrecognized parameters: [apple zebra]"]


def test_a_parameter_that_the_path_settles_is_replaced_with_a_warning(server: RunningServer) -> None:
    body = server.request("PUT", "kv/data/mine", json={"text": "x", "key": "yours"}).json()
    assert body["data"]["key"] == "mine"
    assert body["warnings"] == [
        "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [key]"
    ]
    assert server.request("PUT", "kv/data/mine", json={"key": None}).json()["warnings"] is None


def test_a_duration_that_is_null_was_not_sent(server: RunningServer) -> None:
    assert "wait" not in server.request("PUT", "kv/data/null", json={"wait": None, "text": "x"}).json()["data"]


def test_an_operation_that_is_none_is_a_405_whatever_is_sent(server: RunningServer) -> None:
    assert "unsupported operation" in errors(server.request("LIST", "kv/data/x", params={"number": "many"}), 405)[0]


def test_a_form_is_as_good_as_json(server: RunningServer) -> None:
    assert server.request("PUT", "kv/data/form", data={"text": "x"}).json()["data"]["text"] == "x"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl -d says of its JSON
    assert server.request("PUT", "kv/data/form", data='{"text":"y"}', headers=headers).json()["data"]["text"] == "y"


def test_half_a_character_becomes_a_replacement_character(server: RunningServer) -> None:
    for sent, kept in (
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"a\ud800b", "a\ufffdb"),
        (b"caf\xc3\xa9", "caf\u00e9"),
        (b"caf\xe9", "caf\ufffd"),
    ):
        written = server.request("PUT", "kv/data/text", data=b'{"text": "' + sent + b'"}')
        assert written.json()["data"]["text"] == kept
        assert server.request("GET", "kv/data/text").json()["data"]["text"] == kept


_UTF_16 = '{"text": "x"}'.encode("utf-16")


@pytest.mark.parametrize(
    "body", ["{", "[1]", '"text"', "\x00", "{" * 100_000, '{"number": NaN}', '{"number": 1e999}', _UTF_16]
)
def test_a_body_that_is_no_object_is_a_400(server: RunningServer, body: str | bytes) -> None:
    assert "parse JSON" in errors(server.request("PUT", "kv/data/x", data=body), 400)[0]


def test_a_body_beyond_the_limit_is_a_413(server: RunningServer) -> None:
    response = server.request("PUT", "kv/data/x", data=b" " * (33 * 1024 * 1024))
    assert "too large" in errors(response, 413)[0]


def test_tokens_come_in_either_header(server: RunningServer) -> None:
    bearer = {"Authorization": "Bearer root"}
    assert server.request("GET", "sys/mounts", token=None, headers=bearer).status_code == 200
    assert server.request("GET", "sys/mounts", token=None, headers={"Authorization": "Basic root"}).status_code == 403
    assert errors(server.request("GET", "sys/mounts", token=None), 403) == ["permission denied"]
    assert "invalid token" in errors(server.request("GET", "sys/mounts", token="hvs.none"), 403)[0]


def test_routes_that_are_none(server: RunningServer) -> None:
    text = 'no handler for route "nowhere/x". route entry not found.'
    assert errors(server.request("GET", "nowhere/x"), 404) == [text]
    assert errors(server.request("GET", "kv/none"), 404) == ["1 error occurred:\n\t* unsupported path\n\n"]
    assert errors(server.request("DELETE", "kv/teapot"), 405) == ["1 error occurred:\n\t* unsupported operation\n\n"]
    assert server.request("PATCH", "kv/data/x").status_code == 405
    assert requests.get(f"{server.url}/elsewhere", timeout=5).status_code == 404


def test_only_what_can_be_listed_may_end_in_a_slash(server: RunningServer) -> None:
    assert server.request("LIST", "sys/namespaces/").status_code == 404, "nothing there, but a path"
    for method, path in (
        ("GET", "sys/policies/acl/default/"),
        ("LIST", "sys/policies/acl/default"),
        ("GET", "kv/teapot/"),
    ):
        assert "unsupported path" in errors(server.request(method, path), 404)[0]
    assert "unsupported path" in errors(server.request("GET", "kv/teapot%0A"), 404)[0]
    assert server.request("GET", "sys/mounts/kv/").status_code == 200


def test_without_a_token_nobody_learns_what_is_mounted(server: RunningServer) -> None:
    for path in ("nowhere/x", "kv/data/x", "kv/none"):
        assert server.request("GET", path, token="hvs.unknown").status_code == 403


def test_paths_with_dots_and_slashes(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /v1/kv/data/../secret HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\n\r\n")
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"relative paths not supported" in answer
    assert "ending in '/'" in errors(server.request("PUT", "kv/data/x/", json={}), 400)[0]


def test_an_error_may_carry_data(server: RunningServer) -> None:
    body = server.request("GET", "kv/teapot").json()
    assert body == {"errors": ["short", "stout"], "data": {"success": False}}


def test_a_bug_is_a_500_that_tells_nothing(server: RunningServer) -> None:
    assert errors(server.request("GET", "kv/broken"), 500) == ["internal error"]


def test_an_envelope_around_nothing(server: RunningServer) -> None:
    body = server.request("GET", "kv/mount-data").json()
    assert body["data"] is None
    assert set(body) == ENVELOPE


def test_a_blocking_handler_keeps_nobody_waiting(server: RunningServer) -> None:
    found: list[str] = []
    slow = threading.Thread(target=lambda: found.append(server.request("GET", "kv/slow").json()["data"]["thread"]))
    slow.start()
    assert server.request("GET", "sys/health", token=None).status_code == 200
    assert not found, "the slow request was done before the quick one"
    slow.join(10)
    assert found[0].startswith("vault-handler")


def test_help_on_a_path_and_on_a_mount(server: RunningServer) -> None:
    weak = server.policy_token('path "kv/data/*" { capabilities = ["deny"] }')
    said = server.request("GET", "kv/data/none?help=1", token=weak).json()
    assert said.keys() == {"help", "see_also"}, "there is no envelope"
    assert "data/(?P<key>.+)" in said["help"]
    assert "colour (string; default: red; one of: red, green)" in said["help"]
    listed = server.request("GET", "kv?help=1", token=weak).json()["help"]
    assert all(path in listed for path in ("^data$", "^broken$", "^public$"))
    assert "unsupported path" in errors(server.request("GET", "kv/nothing?help=1"), 404)[0]
    assert "no handler for route" in errors(server.request("GET", "nowhere/x?help=1"), 404)[0]
    assert errors(server.request("GET", "kv/data/x?help=1", token="stranger"), 403)
    assert server.request("GET", "sys/health?help=1", token="").status_code == 200, "nobody needs a token there"
    assert server.request("GET", "kv/data/none?help=").status_code == 404


def test_health(server: RunningServer) -> None:
    client = server.client(token="")
    health = client.sys.read_health_status(method="GET")
    assert (health["version"], health["enterprise"]) == ("2.1.0+ent", True)
    assert (health["initialized"], health["sealed"], health["standby"]) == (True, False, False)
    status = client.sys.read_seal_status()
    assert health["cluster_id"] == status["cluster_id"] == str(uuid.UUID(health["cluster_id"]))
    head = client.sys.read_health_status()
    assert (head.status_code, head.content) == (200, b"")
    assert server.request("GET", "sys/health?activecode=299&standbyok=true", token=None).status_code == 299
    for code in (99, 600, 2**31):
        assert str(code) in errors(server.request("GET", f"sys/health?activecode={code}", token=None), 400)[0]
    with requests.Session() as connection:  # a body where there is none to be would be taken for the next answer
        for code in (204, 304, 200):
            bare = connection.get(f"{server.url}/v1/sys/health?activecode={code}", timeout=5)
            assert (bare.status_code, bool(bare.content)) == (code, code == 200)
    assert client.sys.is_initialized()
    assert client.sys.read_leader_status()["ha_enabled"] is False


def test_seal_and_unseal(server: RunningServer) -> None:
    client = server.client()
    client.sys.seal()
    try:
        assert client.sys.is_sealed()
        assert errors(server.request("GET", "kv/data"), 503) == ["Vault is sealed"]
        assert server.request("GET", "sys/health", token=None).status_code == 503
        assert server.request("GET", "sys/health?sealedcode=200", token=None).status_code == 200
        assert server.request("PUT", "sys/unseal", json={}, token=None).status_code == 400
    finally:
        assert client.sys.submit_unseal_key("any")["sealed"] is False
    assert server.request("GET", "sys/mounts").status_code == 200


def test_sealing_needs_sudo(server: RunningServer) -> None:
    token = server.policy_token('path "sys/seal" { capabilities = ["update"] }', name="sealer")
    assert server.request("PUT", "sys/seal", token=token).status_code == 403
