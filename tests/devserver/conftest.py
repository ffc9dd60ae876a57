# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A development Vault on a real socket, in a thread of the test process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests

from devserver.app import VaultApp, create_app
from devserver.framework import Backend, MountContext
from devserver.server import create_server, listen
from devserver.vault import Vault

ROOT_TOKEN = "root"


@dataclass
class RunningServer:
    """A server that answers at ``url``; ``vault`` and ``app`` are its insides, to set the scene with."""

    url: str
    vault: Vault
    app: VaultApp
    stop: Callable[[], None]
    verify: str | bool = True

    def client(self, token: str = ROOT_TOKEN, namespace: str | None = None, **options: Any) -> hvac.Client:
        """An hvac client."""
        return hvac.Client(url=self.url, token=token, namespace=namespace, verify=self.verify, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = ROOT_TOKEN,
        namespace: str = "",
        headers: Mapping[str, str] | None = None,
        **rest: Any,
    ) -> requests.Response:
        """A bare request below /v1/, on a connection of its own; redirects are not followed."""
        sent = dict(headers or {})
        if token is not None:
            sent["X-Vault-Token"] = token
        if namespace:
            sent["X-Vault-Namespace"] = namespace
        rest.setdefault("timeout", 10)
        rest.setdefault("verify", self.verify)
        return requests.request(method, f"{self.url}/v1/{path}", headers=sent, allow_redirects=False, **rest)

    def dev(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A request to the administrative endpoint."""
        return requests.request(method, f"{self.url}/dev/{path}", json=body, timeout=10, verify=self.verify)

    def policy_token(self, policy: str, *, namespace: str = "", name: str = "test", **rest: Any) -> str:
        """A token that holds exactly this policy (and default)."""
        root = self.client(namespace=namespace or None)
        root.sys.create_or_update_policy(name, policy)
        token: str = root.auth.token.create(policies=[name], **rest)["auth"]["client_token"]
        return token


def run_server(vault: Vault, **tls: Any) -> RunningServer:
    """Serve a Vault on a free port until ``stop`` is called."""
    listener = listen("127.0.0.1", 0)
    app = create_app(vault)
    server = create_server(app, listener, log_level="error", **tls)
    ready = threading.Event()
    server.on_ready = ready.set
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert ready.wait(20), "the server did not start"

    def stop() -> None:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"

    return RunningServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}", vault, app, stop)


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start servers: ``make_server(backends=…, state_file=…, tls={…})``; all are stopped in the end."""
    started: list[RunningServer] = []

    def make(
        *,
        backends: Mapping[str, Callable[[MountContext], Backend]] | None = None,
        tls: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> RunningServer:
        options.setdefault("root_token", ROOT_TOKEN)
        running = run_server(Vault(backends=backends, **options), **(tls or {}))
        started.append(running)
        return running

    yield make
    for running in started:
        running.stop()
