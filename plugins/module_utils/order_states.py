# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The states of an order in Vault's ``pki-external-ca`` engine, and what they mean to who waits for it."""

from __future__ import annotations

NEW = "new"
COMPLETED = "completed"
REVOKED = "revoked"
EXPIRED = "expired"
ERROR = "error"
AWAITING_CHALLENGE_FULFILLMENT = "awaiting-challenge-fulfillment"

TERMINAL = frozenset({COMPLETED, EXPIRED, REVOKED, ERROR})
# Before these two, the ACME server has not yet named its challenges.
_BEFORE_CHALLENGES = frozenset({NEW, "submitted"})


def normalise(order_status: str) -> str:
    """One spelling, with hyphens: Vault's documentation has underscores once."""
    return order_status.strip().lower().replace("_", "-")


def is_terminal(order_status: str) -> bool:
    """Whether the order has come to its end. A state that a later Vault adds is not terminal."""
    return order_status in TERMINAL


def has_challenges(order_status: str) -> bool:
    """Whether the order's challenges are known by now (or it needs none any more)."""
    return order_status not in _BEFORE_CHALLENGES
