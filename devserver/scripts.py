# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What a test wants single orders to do: stay in a state for a while, or fail."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from .engine.backend import ExternalCaBackend
from .framework import invalid

_KEYS = ("stay", "fail", "in")

_LONGEST_STAY = 100 * 365 * 86400  # seconds; longer than any order lives, and still a date that can be told


class Scripts:
    """Scripts for all orders, for those of a role, and for single ones; implements ``framework.Scripts``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._everywhere: dict[str, Any] = {}
        self._roles: dict[str, dict[str, Any]] = {}
        self._orders: dict[str, dict[str, Any]] = {}

    def __call__(self, order_id: str, role_name: str = "") -> Mapping[str, Any]:
        """The order's own script, on top of its role's, on top of the one for all orders."""
        with self._lock:
            return {**self._everywhere, **self._roles.get(role_name, {}), **self._orders.get(order_id, {})}

    def put(self, script: Mapping[str, Any]) -> None:
        """Store a script: {"order": id}, {"role": name} or neither, with "stay", "fail" and "in".

        400 if it is malformed, or names a state in which no order waits for anything.
        """
        told = dict(script)
        order, role = told.pop("order", None), told.pop("role", None)
        unknown = sorted(set(told) - set(_KEYS))
        if unknown or (order is not None and role is not None):
            raise invalid(f"a script has one of order and role, and of stay, fail and in; not {', '.join(unknown)}")
        stay = told.get("stay", {})
        if not isinstance(stay, dict) or not all(
            isinstance(seconds, (int, float)) and 0 <= seconds <= _LONGEST_STAY for seconds in stay.values()
        ):
            raise invalid(f"stay maps order states to seconds, {_LONGEST_STAY} at most")
        for key in ("fail", "in"):
            if not isinstance(told.get(key, ""), str):
                raise invalid(f"{key} is a text, not {told[key]!r}")
        under_way = ExternalCaBackend.states_under_way
        for state in (*stay, *([told["in"]] if "in" in told else [])):
            if state not in under_way:
                raise invalid(
                    f"{state!r} is no state that an order stays or fails in; there are {', '.join(under_way)}"
                )
        with self._lock:
            if order is not None:
                self._orders[str(order)] = told
            elif role is not None:
                self._roles[str(role)] = told
            else:
                self._everywhere = told

    def clear(self) -> None:
        """Forget all scripts."""
        with self._lock:
            self._everywhere = {}
            self._roles = {}
            self._orders = {}

    def in_force(self) -> dict[str, Any]:
        """All scripts."""
        with self._lock:
            return {"all": dict(self._everywhere), "roles": dict(self._roles), "orders": dict(self._orders)}
