# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Servers that are not Vault, or lie: nothing of theirs is returned or written, and nothing of ours goes to them."""

from __future__ import annotations

import base64
import gzip
import json
import resource
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.issuing import SmallCA, key_pem, new_key

from .harness import Result
from .pitfalls import SmallServer
from .scenarios import Job, asks_vault, job, modules, run
from .stage import Stage, skipping

Change = Callable[[dict[str, Any]], dict[str, Any]]
OTHER = SmallCA("Other CA")


def _lie(fetched: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return fetched | changes


def _other_leaf(stage_name: str, *more: str) -> dict[str, Any]:
    return OTHER.issue(stage_name, *more).data()


def _turned(true: dict[str, Any]) -> list[str]:
    assert len(true["ca_chain"]) > 1
    return list(true["ca_chain"][::-1])


OTHER_ROOT_FIRST: list[str] = _other_leaf("root.example.com")["ca_chain"]

# What a server says in the place of the truth, and what the task must say to that.
LIES: dict[str, tuple[Callable[[dict[str, Any], str], dict[str, Any]], str]] = {
    "megabytes of certificate": (
        lambda true, name: _lie(true, certificate=true["certificate"] + "A" * 3_000_000),
        "no certificate chain; at most",
    ),
    "megabytes of chain": (
        lambda true, name: _lie(true, ca_chain=[true["ca_chain"][0] + "\n" * 3_000_000]),
        "no certificate chain; at most",
    ),
    "no certificate in the certificate": (lambda true, name: _lie(true, certificate="hello"), "neither PEM nor base64"),
    "a certificate cut in half": (
        lambda true, name: _lie(true, certificate=true["certificate"][:200] + "\n-----END CERTIFICATE-----\n"),
        "cannot be parsed",
    ),
    "a key as certificate": (lambda true, name: _lie(true, certificate=true["private_key"]), "no PEM certificate"),
    "a chain of another CA": (
        lambda true, name: _lie(true, ca_chain=_other_leaf(name)["ca_chain"]),
        "chain is not in order",
    ),
    "a chain in the wrong order": (lambda true, name: _lie(true, ca_chain=_turned(true)), "chain is not in order"),
    "a chain with another CA before it": (
        lambda true, name: _lie(true, ca_chain=[OTHER_ROOT_FIRST[0], *true["ca_chain"]]),
        "chain is not in order",
    ),
    "a leaf of another CA below our chain": (
        lambda true, name: _lie(_other_leaf(name), ca_chain=true["ca_chain"]),
        "chain is not in order|serial number",
    ),
    "a key that does not match": (
        lambda true, name: _lie(true, private_key=key_pem(new_key())),
        "private key does not belong",
    ),
    "a key that is none": (lambda true, name: _lie(true, private_key="-----BEGIN PRIVATE KEY-----"), "cannot be read"),
    "another serial number": (lambda true, name: _lie(true, serial_number="01:02:03"), "serial number is"),
    "a serial number that is none": (lambda true, name: _lie(true, serial_number="first"), "but Vault says first"),
    "a certificate for somebody else": (lambda true, name: _other_leaf("other.example.net"), "lacks|not for"),
    "a certificate for more than was asked": (
        lambda true, name: _other_leaf(name, "login.example.net"),
        "login.example.net",
    ),
}


def _answers(data: Any) -> dict[str, Any]:
    return {"kind": "status", "status": 200, "body": {"request_id": "1", "data": data}}


def _assert_refused(result: Result, said: str, prepared: Job) -> None:
    import re

    assert result.get("failed"), result
    assert re.search(said, result["msg"]), result["msg"]
    assert len(result["msg"]) < 2000
    assert "certificate" not in result, "it is returned all the same"
    assert "private_key" not in result, "it is returned all the same"
    assert "ansible_facts" not in result
    if prepared.folder is not None:
        left = sorted(path.name for path in prepared.folder.iterdir() if path.suffix != ".vault_extca")
        assert left == ["precious"], "it was written"


@pytest.mark.parametrize("module", ["order_certificate", "certificate"])
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_a_certificate_is_found_out(module: str, lie: str, stage: Stage) -> None:
    tell, said = LIES[lie]
    prepared = job(module, stage)
    data = tell(stage.engine.fetch(stage.known_order), stage.known)
    with stage.bench.faults({**_answers(data), "path": "/fetch-cert$"}), skipping(stage):
        result = run(module, stage, prepared.options)
    # Of an order of its own, the task sees another certificate: what does not fit may be found out earlier.
    _assert_refused(result, said if module == "order_certificate" else "", prepared)


def test_junk_around_the_certificate_is_left_out(stage: Stage) -> None:
    prepared = job("order_certificate", stage)
    true = stage.engine.fetch(stage.known_order)
    folder = stage.directory / "junk"
    folder.mkdir(exist_ok=True)
    junk = "Bag Attributes\n    friendlyName: www\n" + true["certificate"] + "\n#!/bin/sh\nrm -rf /\n"
    given = {**prepared.options, "destination": {"fullchain": str(folder / "fullchain.pem")}}
    with stage.bench.faults({**_answers(_lie(true, certificate=junk)), "path": "/fetch-cert$"}):
        result = stage.run("order_certificate", given)
    assert not result.get("failed"), result
    written = (folder / "fullchain.pem").read_text()
    for text in (written, result["fullchain"]):
        assert "rm -rf" not in text
        assert "friendlyName" not in text
        assert text.startswith("-----BEGIN CERTIFICATE-----")


# ---------------------------------------------------------------------- JSON of the wrong types

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
FIELDS = (
    *("keys", "key_info", "order_id", "order_status", "identifiers", "challenges", "expires", "last_error", "csr"),
    *("serial_number", "role_name", "certificate", "ca_chain", "private_key", "private_key_type", "not_before"),
    *("not_after", "challenge_token", "challenge_auth", "challenge_status", "email_contacts", "key_type", "ttl"),
    *("name", "directory_url", "trusted_ca", "acme_account_name", "allowed_domains", "allowed_domain_options"),
    *("allowed_challenge_types", "csr_generate_key_type", "csr_identifier_population", "force", "success", "message"),
    *(
        "last_updated_date",
        "creation_date",
        "active_key_version",
        "keys",
        "type",
        "nameserver",
        "config",
        "description",
    ),
    *("paths", "options", "dns_provider_name", "dns_provider_type", "rotated_at", "identifier", "record_name"),
)
wrong_data = st.one_of(anything, st.dictionaries(st.sampled_from(FIELDS), anything, min_size=1, max_size=12))


@pytest.mark.parametrize("module", [module for module in modules() if asks_vault(module)])
def test_json_of_the_wrong_types_is_no_traceback(module: str, stage: Stage) -> None:
    @settings(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(wrong_data, st.sampled_from(["", "(status|challenge|fetch-cert|cached|recent|orders)$"]))
    def survives(data: Any, path: str) -> None:
        prepared = job(module, stage)
        with stage.bench.faults({**_answers(data), "path": path}), skipping(stage):
            result = run(module, stage, {**prepared.options, **({"wait_timeout": 1} if prepared.waits_on else {})})
        assert "Traceback" not in str(result), result
        if result.get("failed"):
            assert len(result["msg"]) > 10, result

    survives()


@pytest.mark.parametrize(
    "body", ["[]", '"text"', "7", "null", "true", "{", '{"data": [1]}', '{"data": "text"}', "\x00\xff"]
)
def test_an_answer_that_is_no_envelope(body: str, stage: Stage) -> None:
    fault = {"kind": "status", "status": 200, "body": body, "path": ""}
    with stage.bench.faults(fault):
        result = stage.run("role_info", {"name": "web"})
    assert result["failed"]
    assert "Check that url is Vault's address" in result["msg"]


# ---------------------------------------------------------------------- other places


def test_the_token_does_not_follow_a_redirect_to_another_host(stage: Stage) -> None:
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with SmallServer(listen) as thief:
        for location in (f"http://localhost:{thief.port}", f"http://127.0.0.2:{thief.port}", "https://127.0.0.1:1"):
            for status in (301, 302, 307, 308):
                fault = {
                    "kind": "status",
                    "status": status,
                    "path": "",
                    "headers": {"Location": f"{location}/v1/x"},
                    "count": 1,
                }
                with stage.bench.faults(fault):
                    result = stage.run("role_info", {"name": "web", "timeout": 2})
                if "localhost" in location or "127.0.0.2" in location:
                    assert "another place. The token was not sent there" in result["msg"], result
        assert heard == []


@pytest.mark.parametrize(
    "location", ["", "//", "http://", "nonsense", "http://[::1", "http://127.0.0.1:port/", "\\\\x"]
)
def test_a_redirect_to_nowhere(location: str, stage: Stage) -> None:
    fault = {"kind": "status", "status": 307, "path": "", "headers": {"Location": location}}
    with stage.bench.faults(fault):
        result = stage.run("role_info", {"name": "web", "timeout": 2})
    assert result["failed"]
    assert "redirects" in result["msg"] or "Invalid IPv6 URL. Check url" in result["msg"], result["msg"]


# ---------------------------------------------------------------------- too much, too slowly


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_bomb_does_not_go_off(encoding: str, stage: Stage) -> None:
    import zlib

    plain = b'{"data": {"x": "' + b"A" * (128 * 1024 * 1024) + b'"}}'
    bomb = gzip.compress(plain, 9) if encoding == "gzip" else zlib.compress(plain, 9)
    del plain
    fault = {
        "kind": "status",
        "status": 200,
        "path": "",
        "body_base64": base64.b64encode(bomb).decode(),
        "headers": {"Content-Encoding": encoding},
    }
    with stage.bench.faults(fault):
        before = _peak()
        result = stage.run("role_info", {"name": "web", "timeout": 10})
        grown = _peak() - before
    assert result["failed"]
    assert "larger than 16 MiB" in result["msg"], result["msg"]
    assert grown < 64 * 1024, f"{grown} kB of memory for it"


def test_an_encoding_that_is_none(stage: Stage) -> None:
    fault = {"kind": "status", "status": 200, "path": "", "body": "{}", "headers": {"Content-Encoding": "gzip"}}
    with stage.bench.faults(fault):
        result = stage.run("role_info", {"name": "web", "timeout": 5})
    assert result["failed"]
    assert "broke off" in result["msg"], result["msg"]


def _drip(prefix: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(prefix)
        for _drop in range(200):
            time.sleep(0.1)
            connection.sendall(drop)

    return serve


DRIPS = {
    "body": _drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", b" "),
    "chunks": _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "headers": _drip(b"HTTP/1.1 200 OK\r\n", b"X-Drop: x\r\n"),
    "one header": _drip(b"HTTP/1.1 200 OK\r\nX-Drop: ", b"x"),
    "status line": _drip(b"HTTP/1.1 200 ", b"O"),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_a_server_that_drips_is_not_waited_for(drip: str, stage: Stage) -> None:
    with SmallServer(DRIPS[drip]) as server:
        start = time.monotonic()
        result = stage.run("role_info", {"name": "web", "timeout": 1, "url": f"http://127.0.0.1:{server.port}"})
        took = time.monotonic() - start
    assert result["failed"]
    assert "did not answer within 1 s" in result["msg"], result["msg"]
    assert took < 4, f"{took:.1f} s"


def test_an_answer_that_breaks_off(stage: Stage) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + json.dumps({"data": {}}).encode())

    with SmallServer(serve) as server:
        result = stage.run("role_info", {"name": "web", "timeout": 2, "url": f"http://127.0.0.1:{server.port}"})
    assert result["failed"]
    assert "broke off" in result["msg"], result["msg"]


def test_a_server_that_speaks_another_protocol(stage: Stage) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.recv(65536)

    with SmallServer(serve) as server:
        result = stage.run("role_info", {"name": "web", "timeout": 2, "url": f"http://127.0.0.1:{server.port}"})
    assert result["failed"]
    assert "cannot be reached" in result["msg"], result["msg"]
