# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Parts of the unit tests' stage that tests name in their annotations."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import secrets
import socket
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests
import urllib3


def free_port() -> int:
    """A port to listen on a moment later: none of those that the system hands out meanwhile to whoever asks for any."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextlib.contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process grows beyond ``room`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class ManualClock:
    """Time that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Answer:
    """One scripted answer: an envelope around ``data``, Vault's ``errors``, a raw ``text``, or an exception to raise."""

    data: Mapping[str, Any] | None = None
    status: int = 200
    errors: list[str] | None = None
    warnings: list[str] | None = None
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raises: Exception | None = None
    auth: Mapping[str, Any] | None = None

    def body(self) -> bytes:
        if self.text is not None:
            return self.text.encode()
        if self.errors is not None:
            return json.dumps({"errors": self.errors}).encode()
        if self.status == 204:
            return b""
        envelope = {
            "request_id": str(uuid.uuid4()),
            "lease_id": "",
            "renewable": False,
            "lease_duration": 0,
            "data": self.data,
            "wrap_info": None,
            "warnings": self.warnings,
            "auth": self.auth,
        }
        return json.dumps(envelope).encode()


NO_CONTENT = Answer(status=204)
NOTHING_THERE = Answer(status=404, errors=[])


@dataclass
class Sent:
    """A request as it left the HTTP library."""

    method: str
    path: str  # below /v1/, decoded
    raw_path: str
    params: dict[str, list[str]]
    body: Any
    headers: Mapping[str, str]


class FakeVault:
    """Answers by method and path. Several answers to one request are given in turn, the last one for ever."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self.sent: list[Sent] = []

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Script the answers to ``method`` on ``path`` (below /v1/)."""
        self._answers[(method, path)] = list(answers)

    @property
    def calls(self) -> list[str]:
        """The requests so far, as ``METHOD path``."""
        return [f"{one.method} {one.path}" for one in self.sent]

    def send(
        self, adapter: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response:
        parts = urlsplit(request.url or "")
        path = unquote(parts.path).removeprefix("/v1/")
        body = json.loads(request.body) if request.body else None
        sent = Sent(request.method or "", path, parts.path, parse_qs(parts.query), body, request.headers)
        self.sent.append(sent)
        answers = self._answers.get((sent.method, path))
        if answers is None:
            answer = Answer(status=404, errors=[f"no handler for route {path!r}. (not scripted: {sent.method})"])
        else:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer.raises is not None:
            raise answer.raises
        raw = urllib3.HTTPResponse(
            body=io.BytesIO(answer.body()),
            status=answer.status,
            headers={"Content-Type": "application/json", **answer.headers},
            preload_content=False,
        )
        return adapter.build_response(request, raw)
