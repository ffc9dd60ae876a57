# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What can be done with a connection below HTTP."""

from __future__ import annotations

import asyncio
import os
import socket
import struct


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
