# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The ASGI application: ``/v1/`` is Vault, ``/dev/`` is for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette

from .admin import admin_routes
from .faults import Fault, Faults
from .framework import Refusal
from .messages import MAX_BODY, HttpAnswer, HttpRequest, error_answer
from .request_log import RequestLog
from .router import admit, attempt, finish
from .server import client_certificates, reset
from .vault import Vault

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_THREADS = 16  # for handlers that talk to the network


def create_app(vault: Vault) -> VaultApp:
    """The application for a Vault. Served by ``server.create_server``, its faults reach down to the sockets."""
    return VaultApp(vault)


class VaultApp:
    """Plain ASGI for ``/v1/``, because every microsecond is paid there, and Starlette for the rest.

    ``close_port(seconds)`` is set by who serves the application on a socket.
    """

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self.faults = Faults(vault.clock)
        self.requests = RequestLog()
        self.close_port: Callable[[float], None] | None = None
        self._stopping = asyncio.Event()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault-handler")
        self._others = Starlette(routes=admin_routes(self))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await self._serve(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self.vault.start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.get_running_loop().run_in_executor(None, self.vault.stop)
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method, path = scope["method"], scope["path"][len("/v1/") :]
        namespace = headers.get("x-vault-namespace", "")
        now = self.vault.clock.now().timestamp()
        body = await _read_body(headers, receive)
        fault = self.faults.take(method, path)
        answer = await self._fault(fault, scope, headers, receive) if fault is not None else None
        if fault is not None and answer is None and fault.kind in ("refuse", "reset", "hang"):
            self.requests.add(method, path, namespace, 0, now)
            return
        if answer is None:
            if body is None:
                answer = error_answer(Refusal(413, "http: request body too large"))
            else:
                transport = scope.get("state", {}).get("transport")
                certificates = client_certificates(transport) if transport is not None else []
                query = scope["query_string"].decode("latin-1")
                answer = await self._answer(HttpRequest(method, path, query, headers, body, certificates))
        self.requests.add(method, path, namespace, answer.status, now)
        await _send_answer(send, answer, with_body=method != "HEAD")

    async def _answer(self, message: HttpRequest) -> HttpAnswer:
        try:
            call = admit(self.vault, message)
        except Refusal as refusal:
            return error_answer(refusal)
        if call.blocking:
            result = await asyncio.get_running_loop().run_in_executor(self._threads, attempt, call)
        else:
            result = attempt(call)
        return finish(self.vault, call, result)

    async def _fault(
        self, fault: Fault, scope: Scope, headers: MutableMapping[str, str], receive: Receive
    ) -> HttpAnswer | None:
        """Let it go wrong; the answer to give, or None where the request is served, or the connection is gone."""
        transport = scope.get("state", {}).get("transport")
        match fault.kind:
            case "delay":
                await asyncio.sleep(fault.delay or 0)
            case "hang":
                await self._hang(fault, receive)
                if transport is not None:
                    transport.abort()
            case "reset" | "refuse":
                if fault.kind == "refuse" and self.close_port is not None:
                    self.close_port(1.0 if fault.delay is None else fault.delay)
                if transport is not None:
                    reset(transport)
            case "seal":
                return error_answer(Refusal(503, "Vault is sealed"))
            case "redirect":
                query = scope["query_string"].decode("latin-1")
                target = fault.location.rstrip("/") + scope["path"] + (f"?{query}" if query else "")
                return HttpAnswer(307, b"", [("location", target)])
            case "status":
                given = {name.lower(): value for name, value in fault.headers.items()}
                given.setdefault("content-type", "application/json")
                return HttpAnswer(fault.status, fault.body, list(given.items()))
            case "revoke-token":
                token = self.vault.tokens.lookup(HttpRequest("", "", headers=headers).token())
                if token is not None:
                    self.vault.tokens.revoke(token)
        return None

    async def _hang(self, fault: Fault, receive: Receive) -> None:
        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                continue

        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone(), fault.delay)


async def _read_body(headers: MutableMapping[str, str], receive: Receive) -> bytes | None:
    """The whole body, or None where it is larger than Vault takes."""
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return b""
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY:
            parts.append(part)
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(parts) if size <= MAX_BODY else None


async def _send_answer(send: Send, answer: HttpAnswer, *, with_body: bool) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
    names = {name for name, _ in headers}
    headers.append((b"cache-control", b"no-store"))
    if answer.body and b"content-type" not in names:
        headers.append((b"content-type", b"application/json"))
    if answer.status != 204 and b"content-length" not in names and b"transfer-encoding" not in names:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})
