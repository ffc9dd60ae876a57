# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Durations and moments, as Vault and its users write them.

A duration is whole seconds. Vault reads ``90``, ``"90"``, ``"90s"``, ``"1h30m"`` and, in recent versions, ``"30d"``; it
prints Go's spelling (``"1m30s"``). Moments are RFC 3339 texts, with ``Z`` or a numeric offset and up to nine decimals.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, Optional

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w)")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# No certificate lives for centuries, and a larger number would overflow the arithmetic of moments.
_LONGEST = 1000 * 366 * 86400


def parse_duration(value: Any) -> int:
    """Whole seconds of a duration such as ``90``, ``"90s"``, ``"1h30m"``, ``"30d"`` or ``"2w"``.

    Raises ValueError, with a text that says what would be right, for all else and for anything negative.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{value!r} is not a duration; write seconds (90) or a text such as '90s', '1h30m' or '30d'")
    return int(seconds)


def _seconds(value: Any) -> Optional[float]:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value if abs(value) <= _LONGEST else None  # nor NaN, which compares with nothing
    if not isinstance(value, str):
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def same_duration(one: Any, other: Any) -> bool:
    """Whether two spellings mean the same length of time; what is no duration equals only itself."""
    try:
        return parse_duration(one) == parse_duration(other)
    except ValueError:
        return bool(one == other)


def say_duration(seconds: float) -> str:
    """A duration for a person: ``45 s``, ``12 min``, ``5 h``, ``12 days``."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * unit:
            return f"{int(seconds / unit)} {name}"
    return f"{int(seconds)} s"


class RenewBefore(NamedTuple):
    """How long before its end a certificate is due: seconds, or a share of its lifetime."""

    seconds: Optional[int]
    percent: Optional[float]

    def moment(self, not_before: datetime, not_after: datetime) -> datetime:
        """The moment from which a certificate with this validity is due for renewal."""
        if self.percent is not None:
            return not_after - (not_after - not_before) * (self.percent / 100)
        return not_after - timedelta(seconds=self.seconds or 0)


def parse_renew_before(value: Any) -> RenewBefore:
    """A duration (``"30d"``) or a share of the certificate's lifetime (``"33%"``). Raises ValueError."""
    if isinstance(value, str) and value.strip().endswith("%"):
        number = value.strip()[:-1].strip()
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", number) and float(number) < 100:
            return RenewBefore(None, float(number))
        raise ValueError(f"{value!r} is not a share of a certificate's lifetime; write 0% to 99%, such as '33%'")
    try:
        return RenewBefore(parse_duration(value), None)
    except ValueError:
        raise ValueError(
            f"{value!r} says neither a duration nor a share of the lifetime; write for example '30d' or '33%'"
        ) from None


def parse_moment(text: str) -> Optional[datetime]:
    """An aware moment in UTC; None for Vault's ``0001-01-01T00:00:00Z`` (never) and for the empty text.

    Raises ValueError for what is not RFC 3339.
    """
    if not text or text.startswith("0001-01-01"):
        return None
    found = _MOMENT.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not an RFC 3339 date and time")
    day, time, fraction, offset = found.groups()
    # Go prints nanoseconds; Python reads microseconds.
    micros = (fraction or ".0")[1:7].ljust(6, "0")
    try:
        moment = datetime.fromisoformat(f"{day}T{time}.{micros}{'+00:00' if offset in 'Zz' else offset}")
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no date and time of the calendar") from None


def plain_moment(text: str) -> str:
    """A moment that Vault gave as ``format_moment`` writes it, whatever its offset; empty for never."""
    try:
        moment = parse_moment(text)
    except ValueError:
        return text
    return "" if moment is None else format_moment(moment)


def format_moment(moment: datetime) -> str:
    """RFC 3339 in UTC to the second, such as ``2026-01-31T12:00:00Z``."""
    return moment.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
