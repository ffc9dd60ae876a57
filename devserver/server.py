# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Uvicorn, with what a development Vault needs of the sockets: LIST, client certificates, resets, a closed port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self._address = listener.getsockname()
        self._family = listener.family
        self._reopening: asyncio.Task[None] | None = None
        self.on_ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self.on_ready()

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
        """Stop, also in the middle of a closed port."""
        if self._reopening is not None:
            self._reopening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reopening
        await super().shutdown(sockets)


def listen(host: str, port: int, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A bound socket. OSError where the address is taken or none of this host."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def reset(transport: asyncio.Transport) -> None:
    """Drop the connection with a TCP RST, as a crashed peer or a firewall does."""
    plain = transport.get_extra_info("socket")
    if plain is not None and plain.fileno() >= 0:
        # A copy of the descriptor, because the event loop's own socket object may not allow options.
        with socket.socket(fileno=os.dup(plain.fileno())) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def client_certificates(transport: asyncio.Transport) -> list[bytes]:
    """The client's certificate in DER, or nothing without mutual TLS."""
    tls = transport.get_extra_info("ssl_object")
    leaf = tls.getpeercert(binary_form=True) if tls is not None else None
    return [leaf] if leaf else []


def create_server(
    app: Any,
    listener: socket.socket,
    *,
    log_level: str = "warning",
    tls_certificate: str | None = None,
    tls_key: str | None = None,
    tls_client_ca: str | None = None,
) -> VaultServer:
    """A server for this application. ``tls_client_ca`` asks clients for a certificate, and goes on without one."""
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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls_certificate, tls_key)
        if tls_client_ca is not None:
            context.load_verify_locations(tls_client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        config.ssl = context
    return VaultServer(config, listener)
