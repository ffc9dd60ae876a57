# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""How the wait for an order goes, told while it lasts.

A module's result is read at its end only. So the action plugin names a file in the module's environment, the module appends
a line to it whenever what is seen of the order has changed, and the action plugin reads it. It holds nothing but the order's id
and state and some numbers, so any user of the host may read it: the module may run as another user than the connection's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Callable, Iterator, NamedTuple, Optional

from . import order_states
from .external_ca import Order, OrderReference
from .polling import Clock, SystemClock

VARIABLE = "VAULT_EXTCA_PROGRESS"

_PLAIN = re.compile(r"[0-9A-Za-z_-]{0,128}")
_KEYS = ("order_id", "order_status", "valid", "identifiers", "elapsed", "timeout")


class Seen(NamedTuple):
    """What was seen of an order. The state is empty before the first look; ``valid`` is None before challenges are known."""

    order_id: str
    order_status: str
    valid: Optional[int]
    identifiers: int
    elapsed: float
    timeout: float

    def sentence(self, elapsed: float) -> str:
        """One line for a person, ``elapsed`` seconds after the wait began."""
        parts = [self.order_status or "not read yet"]
        if self.valid is not None:
            parts.append(f"{self.valid} of {self.identifiers} identifier{'s' if self.identifiers != 1 else ''} valid")
        parts.append(f"{min(elapsed, self.timeout):.0f} s of {self.timeout:.0f} s")
        return f"… order {self.order_id}: {', '.join(parts)}"


def last_seen(text: str) -> Optional[Seen]:
    """The last whole line of the file; None where there is none, or it is not one that a module has written."""
    lines = text.split("\n")[:-1]
    if not lines:
        return None
    try:
        row = json.loads(lines[-1])
        seen = Seen(*(row[key] for key in _KEYS))
        numbers = (seen.valid or 0, seen.identifiers, seen.elapsed, seen.timeout)
        plain = all(_PLAIN.fullmatch(value) for value in (seen.order_id, seen.order_status))
    except (ValueError, TypeError, KeyError):
        return None
    return seen if plain and all(type(one) in (int, float) and one >= 0 for one in numbers) else None


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
                os.write(file, (json.dumps(dict(zip(_KEYS, seen))) + "\n").encode())

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
