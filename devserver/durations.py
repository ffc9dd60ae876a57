# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Durations as Vault reads and prints them (``parseutil.ParseDurationSecond`` and Go's ``time.Duration``)."""

from __future__ import annotations

import re
from typing import Any

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = (2**63 - 1) // 10**9  # seconds that Go's time.Duration holds: 292 years
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")


def parse_duration(value: Any) -> int:
    """Whole seconds of ``90``, ``"90"``, ``"90s"``, ``"1h30m"`` or ``"2d"``. Raises ValueError for all else."""
    seconds = _seconds(value)
    if abs(seconds) > _LONGEST:
        raise ValueError(f"time: duration longer than {_LONGEST} seconds")
    return int(seconds)


def _seconds(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(f"could not parse duration from {value!r}")
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str):
        raise ValueError(f"could not parse duration from {type(value).__name__}")
    text = value.strip()
    if text in ("", "0"):
        return 0
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _PART.findall(digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        raise ValueError(f"time: invalid duration {value!r}")
    return sign * sum(float(number) * _SECONDS[unit] for number, unit in parts)


def go_duration(seconds: int) -> str:
    """Go's spelling: ``1m0s``, ``1h0m0s``, ``10s``, ``0s``."""
    if seconds < 0:
        return "-" + go_duration(-seconds)
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
