# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What the process that answers challenges does, in a thread of this one; as a process, it is tested with the responders."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import threading
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_process import answer
from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_servers import (
    Address,
    HttpServer,
    ServerAt,
    TlsAlpnServer,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.tls_alpn import answered_digest


class Answering:
    """``answer`` at work, and the task's end of what they talk over."""

    def __init__(self, server_at: ServerAt, address: Address, lingers: float = 600.0) -> None:
        self._control, theirs = socket.socketpair()
        self._answers = self._control.makefile("rb")
        self._thread = threading.Thread(target=answer, args=(theirs, server_at, address, lingers), daemon=True)
        self._thread.start()
        self.trouble = self._hear()

    def tell(self, message: Any) -> Any:
        self._control.sendall(json.dumps(message).encode() + b"\n")
        return self._hear()

    def _hear(self) -> Any:
        return json.loads(self._answers.readline())

    def die(self) -> None:
        """As a task that is killed: nothing is said."""
        self._answers.close()
        self._control.close()

    def has_ended(self) -> bool:
        self._thread.join(10)
        return not self._thread.is_alive()


def free_address() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Address("127.0.0.1", server.getsockname()[1])


def get(address: Address, path: str) -> bytes:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=5)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def test_it_answers_until_it_is_told_to_stop() -> None:
    address = free_address()
    one = Answering(HttpServer, address)
    assert one.trouble is None
    assert one.tell({"/a": "1", "/b": "2"}) is None
    assert [get(address, path) for path in ("/a", "/b", "/c")] == [b"1", b"2", b"no such challenge\n"]
    assert one.tell("stop") is None
    assert one.has_ended()
    with pytest.raises(ConnectionRefusedError):
        get(address, "/a")


def test_who_comes_while_a_task_is_under_way_is_refused_and_afterwards_takes_over() -> None:
    address = free_address()
    first = Answering(HttpServer, address)
    first.tell({"/a": "1"})
    refused = Answering(HttpServer, address)
    assert (refused.trouble["held"], refused.trouble["errno"]) == (True, errno.EADDRINUSE)
    assert refused.has_ended()
    first.die()
    second = Answering(HttpServer, address)
    assert second.trouble is None
    assert first.has_ended()
    second.tell({"/b": "2"})
    assert [get(address, path) for path in ("/a", "/b")] == [b"1", b"2"]
    second.tell("stop")
    assert second.has_ended()


def test_it_ends_by_itself_some_time_after_the_task() -> None:
    address = free_address()
    digest = "ab" * 32
    one = Answering(TlsAlpnServer, address, lingers=0.2)
    assert one.tell({"www.example.com": digest}) is None
    assert one.tell({"www.example.org": "no hex"})["strerror"]
    assert answered_digest(tuple(address), "www.example.com", 5) == digest
    with pytest.raises(OSError, match="UNRECOGNIZED_NAME"):
        answered_digest(tuple(address), "www.example.org", 5)
    one.die()
    assert one.has_ended()
    with pytest.raises(ConnectionRefusedError):
        answered_digest(tuple(address), "www.example.com", 5)


def test_nothing_is_waited_for_where_nothing_was_published() -> None:
    one = Answering(HttpServer, free_address())
    one.die()
    assert one.has_ended()


def test_another_server_is_told_apart_from_a_task() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = Answering(HttpServer, Address(*server.getsockname()))
    assert (one.trouble["held"], one.trouble["errno"]) == (False, errno.EADDRINUSE)
    assert one.has_ended()
