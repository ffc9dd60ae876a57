# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The requests that were served, so that a test can count them. Bounded; no parameters, no tokens."""

from __future__ import annotations

from collections import deque
from typing import Any

LIMIT = 10_000  # entries


class RequestLog:
    """The last requests, oldest first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._entries: deque[tuple[str, str, str, int, float]] = deque(maxlen=limit)
        self.total = 0

    def add(self, method: str, path: str, namespace: str, status: int, time: float) -> None:
        """Note a request; status 0 is for one that got no answer. Time is seconds since the epoch."""
        self._entries.append((method, path, namespace, status, time))
        self.total += 1

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.total = 0

    def entries(self) -> list[dict[str, Any]]:
        """The entries that are kept."""
        names = ("method", "path", "namespace", "status", "time")
        return [dict(zip(names, entry, strict=True)) for entry in self._entries]
