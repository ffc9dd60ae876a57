# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""An end for exchanges over HTTP, however little by little a server answers.

The timeout of requests and urllib3 is one of silence: a server that sends a byte now and then is never too slow for it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, Optional

# Beyond the timeout, so that urllib3 reports what it notices by itself.
GRACE = 1.0

# The connection that this thread has used last.
_last = threading.local()


def adapter(**options: Any) -> Any:
    """requests' HTTPAdapter, each of whose exchanges ends ``GRACE`` seconds after its timeout. Takes that class's options."""
    from requests.adapters import HTTPAdapter
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class WatchedHTTPConnectionPool(HTTPConnectionPool):
        ConnectionCls = _watched(HTTPConnectionPool.ConnectionCls)

    class WatchedHTTPSConnectionPool(HTTPSConnectionPool):
        ConnectionCls = _watched(HTTPSConnectionPool.ConnectionCls)

    pools = {"http": WatchedHTTPConnectionPool, "https": WatchedHTTPSConnectionPool}
    server_hostname = options.pop("server_hostname", None)

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
            if server_hostname:
                kwargs.update(server_hostname=server_hostname, assert_hostname=server_hostname)
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            manager.pool_classes_by_scheme = pools
            return manager

    return Adapter(**options)


def finish() -> bool:
    """End the watch over this thread's exchange. Returns whether it had to be stopped."""
    connection, _last.connection = getattr(_last, "connection", None), None
    if connection is None:
        return False
    connection.unwatch()
    return bool(connection.overdue)


def _watched(base: Any) -> Any:
    class Watched(base):  # type: ignore[misc]  # which class that is, urllib3 decides
        overdue = False
        _watch: Optional[threading.Timer] = None

        def request(self, *args: Any, **kwargs: Any) -> None:
            self.unwatch()
            self.overdue = False
            _last.connection = self
            if isinstance(self.timeout, (int, float)):
                self._watch = threading.Timer(self.timeout + GRACE, self._stop)
                self._watch.daemon = True
                self._watch.start()
            super().request(*args, **kwargs)

        def unwatch(self) -> None:
            watch, self._watch = self._watch, None
            if watch is not None:
                watch.cancel()

        def _stop(self) -> None:
            self.overdue = True
            plain = self.sock
            if plain is None:
                return  # it has just ended by itself
            # Not SSLSocket's own method, which is not for another thread than the one that reads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(plain, socket.SHUT_RDWR)

    return Watched
