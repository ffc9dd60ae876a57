# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The lines that tell how the wait for an order goes: what a module writes, and what its action plugin reads.

Every task loads the action plugin anew, so this file imports nothing that it need not.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, Optional

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


def as_line(seen: Seen) -> str:
    """What last_seen() reads."""
    return json.dumps(dict(zip(_KEYS, seen))) + "\n"


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
