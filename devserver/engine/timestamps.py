# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""RFC 3339 timestamps in the spellings that Vault's answers mix."""

from __future__ import annotations

from datetime import UTC, datetime

NEVER = "0001-01-01T00:00:00Z"  # Go's zero time


def zulu(moment: datetime | None) -> str:
    """``2026-01-31T12:00:00Z``, whole seconds; NEVER for None. What ACME servers and certificates say."""
    if moment is None:
        return NEVER
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def with_offset(moment: datetime | None) -> str:
    """``2026-01-31T12:00:00+00:00``, whole seconds; NEVER for None. What Vault says of its own orders."""
    if moment is None:
        return NEVER
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def precise(moment: datetime) -> str:
    """``2026-01-31T12:00:00.123456Z``, the fraction without trailing zeros, as Go writes a ``time.Time``."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    return text.rstrip("0").rstrip(".") + "Z"


def to_text(moment: datetime | None) -> str | None:
    """For storage."""
    return None if moment is None else moment.isoformat()


def from_text(text: str | None) -> datetime | None:
    """From storage, or from an ACME server's answer."""
    return None if not text else datetime.fromisoformat(text)
