# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""How the wait for an order goes, told while it lasts.

A module's result is read at its end only. So the action plugin names a file in the module's environment, the module appends
a line to it whenever what is seen of the order has changed, and the action plugin reads it. It holds nothing but the order's id
and state and some numbers, so any user of the host may read it: the module may run as another user than the connection's.
"""

from __future__ import annotations

import contextlib
import os
from typing import Callable, Iterator, Optional

from . import order_states
from .external_ca import Order, OrderReference
from .polling import Clock, SystemClock
from .progress_lines import VARIABLE, Seen, as_line


def valid_identifiers(order: Order) -> Optional[int]:
    """How many identifiers are proven to the ACME server; None while that is not known."""
    if not order_states.has_challenges(order["order_status"]):
        return None
    rows = (order["challenges"].get(identifier) or [] for identifier in order["identifiers"])
    # One without challenges has been proven before.
    return sum(not of_one or any(row["challenge_status"] == "valid" for row in of_one) for of_one in rows)


@contextlib.contextmanager
def telling(
    reference: OrderReference, timeout: float, *, clock: Clock = SystemClock()
) -> Iterator[Callable[[Order, float], None]]:
    """A listener for the looks of a wait of ``timeout`` seconds, which tells them if anybody wants to know."""
    path = os.environ.get(VARIABLE)
    file = _made(path) if path else None
    if path is None or file is None:
        yield lambda order, elapsed: None
        return
    start = clock.monotonic()
    told: Optional[Seen] = None

    def tell(seen: Seen) -> None:
        nonlocal told
        if told is None or seen != told._replace(elapsed=seen.elapsed):
            told = seen
            # Whoever waits for a certificate gets it though the disk be full.
            with contextlib.suppress(OSError):
                os.write(file, as_line(seen).encode())

    def listen(order: Order, elapsed: float) -> None:
        # Not ``elapsed``: a task may wait for one order more than once.
        since = round(clock.monotonic() - start, 3)
        seen = valid_identifiers(order), len(order["identifiers"])
        tell(Seen(reference.order_id, order["order_status"], *seen, since, timeout))

    try:
        tell(Seen(reference.order_id, "", None, 0, 0.0, timeout))
        yield listen
    finally:
        os.close(file)
        with contextlib.suppress(OSError):
            os.unlink(path)


def _made(path: str) -> Optional[int]:
    """A new file for appending. Nobody else's is ever written to, and where none can be made, nothing is told."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    os.fchmod(file, 0o644)
    return file
