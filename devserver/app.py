# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The ASGI application: ``/v1/`` is Vault, ``/dev/`` is for tests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette

from . import path_help
from .admin import admin_routes
from .connections import client_certificates, reset
from .faults import Fault, Faults
from .framework import Refusal
from .messages import MAX_BODY, HttpAnswer, HttpRequest, error_answer
from .request_log import RequestLog
from .router import admit, attempt, finish
from .vault import Vault

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger("devserver")
_BARE = (204, 304)  # statuses whose answers have no body
_DROPPED = HttpAnswer(0)  # there is no answer, and no connection any more
_THREADS = 64  # for handlers that talk to the network; one that hangs there shall not be in the way of others


def create_app(vault: Vault) -> VaultApp:
    """The application for a Vault, to be served by ``server.create_server``: its faults reach down to the sockets."""
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
        if answer is None and body is None:
            answer = error_answer(Refusal(413, "http: request body too large"))
        if answer is None:
            query = scope["query_string"].decode("latin-1")
            certificates = client_certificates(scope["state"]["transport"])
            answer = await self._answer(HttpRequest(method, path, query, headers, body or b"", certificates))
        self.requests.add(method, path, namespace, answer.status, now)
        if answer is _DROPPED:
            await _disconnected(receive)
        elif not await _send_answer(send, answer, with_body=method != "HEAD"):
            scope["state"]["transport"].close()
            await _disconnected(receive)

    async def _answer(self, message: HttpRequest) -> HttpAnswer:
        try:
            if path_help.is_asked_for(message):
                return path_help.answer(self.vault, message)
            call = admit(self.vault, message)
            if call.blocking:
                result = await asyncio.get_running_loop().run_in_executor(self._threads, attempt, call)
            else:
                result = attempt(call)
            return finish(self.vault, call, result)
        except Refusal as refusal:
            return error_answer(refusal)
        except Exception:
            _log.exception("%s %s failed", message.method, message.path)
            return error_answer(Refusal(500, "internal error"))

    async def _fault(
        self, fault: Fault, scope: Scope, headers: MutableMapping[str, str], receive: Receive
    ) -> HttpAnswer | None:
        """Let it go wrong; the answer to give, or None where the request is served all the same."""
        transport = scope["state"]["transport"]
        match fault.kind:
            case "delay":
                await self._wait(fault.delay or 0)
            case "hang":
                await self._wait(fault.delay, _disconnected(receive))
                transport.abort()
                return _DROPPED
            case "reset" | "refuse":
                if fault.kind == "refuse" and self.close_port is not None:
                    self.close_port(1.0 if fault.delay is None else fault.delay)
                reset(transport)
                return _DROPPED
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

    def end_waits(self) -> None:
        """The server stops: whatever a fault holds up goes on, or is dropped."""
        self._stopping.set()

    async def _wait(self, seconds: float | None, *also: Coroutine[Any, Any, None]) -> None:
        """Until the time is over, the server stops, or one of these ends."""
        waits = {asyncio.ensure_future(one) for one in (self._stopping.wait(), *also)}
        _done, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in pending:
            one.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


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


async def _send_answer(send: Send, answer: HttpAnswer, *, with_body: bool) -> bool:
    """Send it; False where its headers promise a longer body than there is, so that the connection has to end."""
    headers = {name.lower(): value for name, value in answer.headers}
    headers.setdefault("cache-control", "no-store")
    bare = answer.status in _BARE
    if answer.body and not bare:
        headers.setdefault("content-type", "application/json")
    if not bare and "transfer-encoding" not in headers:
        headers.setdefault("content-length", str(len(answer.body)))
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    promised = headers.get("content-length", "")
    breaks_off = with_body and promised.isdigit() and int(promised) > len(answer.body)
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    body = answer.body if with_body and not bare else b""
    await send({"type": "http.response.body", "body": body, "more_body": breaks_off})
    return not breaks_off
