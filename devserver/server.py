# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Uvicorn, with what a development Vault needs beside it: the LIST method, TLS with client certificates, a closed port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .app import VaultApp
from .connections import reset

_LIST, _STAND_IN = b"LIST ", b"LINK "  # the parser knows the methods of the registry, and LIST is none of them


class VaultProtocol(HttpToolsProtocol):
    """HTTP with the LIST method. The transport is handed to the application as ``scope["state"]["transport"]``."""

    _between_messages = True
    _is_list = False
    _held = b""

    def data_received(self, data: bytes) -> None:
        """Let LIST pass through the parser under another name of the same length."""
        if self._between_messages:
            data = self._held + data
            self._held = b""
            if data.startswith(_LIST):
                data = _STAND_IN + data[len(_LIST) :]
                self._is_list = True
            elif _LIST.startswith(data):
                self._held = data
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._between_messages = False
        self.scope["state"]["transport"] = self.transport

    def on_headers_complete(self) -> None:
        """The application is called soon after this; it sees LIST again."""
        super().on_headers_complete()
        if self._is_list:
            self.scope["method"] = "LIST"
            self._is_list = False

    def on_message_complete(self) -> None:
        """A request ends."""
        super().on_message_complete()
        self._between_messages = True


class VaultServer(uvicorn.Server):
    """A server whose port can be closed for a while."""

    def __init__(self, config: uvicorn.Config, app: VaultApp, listener: socket.socket) -> None:
        super().__init__(config)
        self._app = app
        app.close_port = self.close_port
        self._address = listener.getsockname()
        self._family = listener.family
        self._reopening: asyncio.Task[None] | None = None
        self.on_ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self.on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal ends the server, and is not raised once more when it has ended: that is exit code 0."""
        self.force_exit = self.should_exit
        self.should_exit = True

    def close_port(self, seconds: float) -> None:
        """Refuse every new connection and drop the open ones, for this long. Called on the event loop."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            reset(connection.transport)
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.should_exit:
            return

        def create_protocol() -> VaultProtocol:
            return VaultProtocol(self.config, self.server_state, self.lifespan.state)

        listener = listen(self._address[0], self._address[1], self._family)
        loop = asyncio.get_running_loop()
        self.servers = [await loop.create_server(create_protocol, sock=listener, ssl=self.config.ssl)]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, also while the port is closed or requests hang."""
        self._app.end_waits()
        if self._reopening is not None:
            self._reopening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reopening
        await super().shutdown(sockets)


def listen(host: str, port: int, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A bound socket. OSError, with the address in its text, where that is taken or none of this host."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def create_server(
    app: VaultApp,
    listener: socket.socket,
    *,
    log_level: str = "warning",
    tls_certificate: str | None = None,
    tls_key: str | None = None,
    tls_client_ca: str | None = None,
) -> VaultServer:
    """A server for this application. ``tls_client_ca`` asks clients for a certificate, and goes on without one.

    OSError, with the file's name in its text, where a certificate or key cannot be used.
    """
    config = uvicorn.Config(
        app,
        http=VaultProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_level=log_level,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
        backlog=2048,
    )
    config.load()
    if tls_certificate is not None:
        config.ssl = _tls(tls_certificate, tls_key, tls_client_ca)
    return VaultServer(config, app, listener)


def _tls(certificate: str, key: str | None, client_ca: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise OSError(f"cannot use {certificate} with the key {key} for TLS: {error}") from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except OSError as error:
            raise OSError(f"cannot use {client_ca} as CA of client certificates: {error}") from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
