# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""States of an order."""

from __future__ import annotations

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.order_states import (
    has_challenges,
    is_terminal,
    normalise,
)

STATES = [
    "new",
    "submitted",
    "awaiting-challenge-fulfillment",
    "vault-challenge-fulfillment",
    "vault-challenge-propagating",
    "notify-acme-server-challenges-completed",
    "processing-challenge",
    "fetching-certificate",
    "completed",
    "expired",
    "revoked",
    "error",
]


@pytest.mark.parametrize("state", STATES)
def test_one_spelling(state: str) -> None:
    assert normalise(state) == normalise(state.replace("-", "_")) == normalise(f" {state.upper()} ") == state


def test_four_states_are_terminal_and_one_of_the_future_is_not() -> None:
    assert [state for state in STATES if is_terminal(state)] == ["completed", "expired", "revoked", "error"]
    assert not is_terminal("paused")


def test_challenges_are_known_once_the_acme_server_has_the_order() -> None:
    assert [state for state in STATES if not has_challenges(state)] == ["new", "submitted"]
