# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Free loopback ports."""

from __future__ import annotations

import random
import socket

# Below Linux's range for outgoing connections (net.ipv4.ip_local_port_range starts at 32768), so that between the
# choice of a port and its use no client's connection can take it.
_FIRST, _LAST = 18000, 32000
_taken: set[int] = set()


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nothing listens on, TCP or UDP, and that this process was not given before."""
    for _attempt in range(500):
        port = random.randint(_FIRST, _LAST)
        if port not in _taken and _is_free(port):
            _taken.add(port)
            return port
    raise OSError(f"no free port between {_FIRST} and {_LAST} on 127.0.0.1")
