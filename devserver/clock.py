# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The server's clock: real time, which a test may move forward."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

_CENTURY = 100 * 365 * 86400  # seconds; what expires later than that is still a date that can be told


class ServerClock:
    """Real time plus what :meth:`advance` has added; implements ``framework.Clock``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._advanced = 0.0

    def now(self) -> datetime:
        """The present, aware and in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._advanced)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic() + self._advanced

    def ahead(self) -> timedelta:
        """How far :meth:`advance` has moved it ahead of real time."""
        return timedelta(seconds=self._advanced)

    def advance(self, seconds: float) -> None:
        """Move the clock forward. ValueError for a negative number of seconds, and for more than a century in all."""
        if seconds < 0:
            raise ValueError(f"the clock cannot go back by {-seconds} s")
        with self._lock:
            if seconds > _CENTURY - self._advanced:
                raise ValueError(f"the clock cannot go ahead by {seconds} s: it has to stay within a century")
            self._advanced += seconds
