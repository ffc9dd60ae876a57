# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What errors carry."""

from __future__ import annotations

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils import vault_errors
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import NoCertificateYet

TRANSIENT = {"UnexpectedAnswer", "Unavailable"}


@pytest.mark.parametrize("name", ["VaultError", "BadRequest", "NotFound", "LoginFailed", *sorted(TRANSIENT)])
def test_only_trouble_that_may_pass_is_transient(name: str) -> None:
    error = getattr(vault_errors, name)(
        "what happened", status=400, errors=["said"], path="a/b", retry_after=2.0, order_id="x"
    )
    assert error.transient is (name in TRANSIENT)
    assert (str(error), error.message, error.errors, error.path) == ("what happened", "what happened", ["said"], "a/b")
    assert (error.status, error.retry_after, error.details) == (400, 2.0, {"order_id": "x"})


def test_a_refusal_knows_what_would_be_needed() -> None:
    error = vault_errors.PermissionDenied("no", capabilities=["create", "update"], path="a")
    assert (error.capabilities, error.transient) == (("create", "update"), False)


@pytest.mark.parametrize("transient", [True, False])
def test_an_unreachable_vault_may_come_back_or_not(transient: bool) -> None:
    assert vault_errors.Unreachable("gone", path="a", transient=transient).transient is transient


def test_no_certificate_yet_is_worth_waiting_for() -> None:
    assert NoCertificateYet("none").transient


def test_a_missing_library_says_how_to_get_it() -> None:
    text = str(vault_errors.MissingLibrary("hvac", ImportError("No module named 'hvac'")))
    assert "No module named 'hvac'" in text
    assert "pip install hvac" in text
