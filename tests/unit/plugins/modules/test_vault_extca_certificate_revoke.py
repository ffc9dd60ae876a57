# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_certificate_revoke: revokes once."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...ordering import AWAITING, DENIED, ID, MOUNT, ORDER, ORDER_ID, looked_up, order_status
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault

MODULE = "vault_extca_certificate_revoke"
SERIAL = "5f:1c:90"
LOOKUP = f"{MOUNT}/lookup/cert/{SERIAL}"
REVOKE = f"{ORDER}/revoke"
BY_ORDER: dict[str, Any] = {"role_name": "web", "order_id": ORDER_ID}
BY_SERIAL: dict[str, Any] = {"serial_number": SERIAL}
BOTH = pytest.mark.parametrize("options", [BY_ORDER, BY_SERIAL, {"id": ID}])
REASONS = [
    "unspecified",
    "key-compromise",
    "ca-compromise",
    "affiliation-changed",
    "superseded",
    "cessation-of-operation",
    "certificate-hold",
    "remove-from-crl",
    "privilege-withdrawn",
    "aa-compromise",
]


def scripted(vault: FakeVault, *states: str, revoke: tuple[Answer, ...] = (NO_CONTENT,)) -> None:
    vault.on("GET", f"{ORDER}/status", *(order_status(one) for one in states))
    vault.on("GET", LOOKUP, *(looked_up(status=one) for one in states))
    vault.on("POST", REVOKE, *revoke)


def sent_reasons(vault: FakeVault) -> list[str]:
    return [one.body["reason"] for one in vault.sent if one.path == REVOKE]


@BOTH
def test_a_certificate_is_revoked(vault: FakeVault, run_module: RunModule, options: dict[str, Any]) -> None:
    scripted(vault, "completed")
    result = run_module(MODULE, options, diff=True)
    assert sent_reasons(vault) == ["unspecified"]
    assert (result["changed"], result["order_status"], result["id"]) == (True, "revoked", ID)
    assert (result["role_name"], result["order_id"]) == ("web", ORDER_ID)
    assert result["diff"] == {"before": {"order_status": "completed"}, "after": {"order_status": "revoked"}}
    assert len(vault.calls) == 2


@BOTH
def test_a_revoked_certificate_is_left_alone(vault: FakeVault, run_module: RunModule, options: dict[str, Any]) -> None:
    scripted(vault, "revoked")
    result = run_module(MODULE, options, diff=True)
    assert (result["changed"], result["order_status"]) == (False, "revoked")
    assert result["diff"]["before"] == result["diff"]["after"]
    assert sent_reasons(vault) == []


@BOTH
def test_check_mode_revokes_nothing(vault: FakeVault, run_module: RunModule, options: dict[str, Any]) -> None:
    scripted(vault, "completed")
    result = run_module(MODULE, options, check=True)
    assert (result["changed"], result["order_status"]) == (True, "revoked")
    assert sent_reasons(vault) == []


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_written_one_way(vault: FakeVault, run_module: RunModule, reason: str) -> None:
    scripted(vault, "completed")
    run_module(MODULE, {**BY_ORDER, "reason": reason})
    assert sent_reasons(vault) == [reason]


def test_a_vault_that_spells_with_underscores_gets_them(vault: FakeVault, run_module: RunModule) -> None:
    wrong = Answer(status=400, errors=["invalid value 'key-compromise' for field 'reason'"])
    scripted(vault, "completed", revoke=(wrong, NO_CONTENT))
    assert run_module(MODULE, {**BY_ORDER, "reason": "key-compromise"})["changed"] is True
    assert sent_reasons(vault) == ["key-compromise", "key_compromise"]


REFUSAL = Answer(status=400, errors=["urn:ietf:params:acme:error:badRevocationReason: not this one"])


@pytest.mark.parametrize(
    "answers",
    [
        (REFUSAL, Answer(status=400, errors=["invalid value 'remove_from_crl' for field 'reason'"])),
        (Answer(status=400, errors=["invalid value 'remove-from-crl' for field 'reason'"]), REFUSAL),
    ],
)
def test_the_cas_refusal_is_told_whichever_spelling_vault_wants(
    vault: FakeVault, run_module: RunModule, answers: tuple[Answer, ...]
) -> None:
    scripted(vault, "completed", revoke=answers)
    result = run_module(MODULE, {**BY_ORDER, "reason": "remove-from-crl"})
    assert result["failed"] is True
    assert "badRevocationReason: not this one" in result["msg"]


def test_a_refusal_without_two_spellings_is_told(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, "completed", revoke=(REFUSAL,))
    assert "badRevocationReason" in run_module(MODULE, {**BY_ORDER, "reason": "superseded"})["msg"]
    assert sent_reasons(vault) == ["superseded"]


@BOTH
def test_somebody_who_was_faster_is_no_failure(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any]
) -> None:
    scripted(vault, "completed", "revoked", revoke=(Answer(status=400, errors=["revoked already"]),))
    result = run_module(MODULE, options)
    assert (result["changed"], result["order_status"]) == (False, "revoked")


@pytest.mark.parametrize("afterwards", [DENIED, NOTHING_THERE, Answer(status=503, errors=["sealed"])])
def test_a_refusal_is_told_though_the_state_cannot_be_read_any_more(
    vault: FakeVault, run_module: RunModule, afterwards: Answer
) -> None:
    vault.on("GET", LOOKUP, looked_up(status="completed"), afterwards)
    vault.on("POST", REVOKE, REFUSAL)
    result = run_module(MODULE, {**BY_SERIAL, "reason": "superseded"})
    assert result["failed"] is True
    assert "badRevocationReason" in result["msg"]


@pytest.mark.parametrize("state", [AWAITING, "error", "expired"])
@BOTH
def test_an_order_without_a_certificate_is_an_error(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], state: str
) -> None:
    scripted(vault, state)
    result = run_module(MODULE, options)
    assert f"Order {ORDER_ID} of role web has no certificate to revoke: it is {state}." in result["msg"]
    assert result["order_status"] == state


def test_an_unknown_order_is_an_error(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{ORDER}/status", NOTHING_THERE)
    assert f"Role web at pki-external-ca has no order {ORDER_ID}." in run_module(MODULE, BY_ORDER)["msg"]


def test_an_unknown_serial_number_is_an_error(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", LOOKUP, NOTHING_THERE)
    assert f"has issued no certificate with the serial number {SERIAL}." in run_module(MODULE, BY_SERIAL)["msg"]


def test_a_refused_token_is_told_what_it_lacks(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, "completed", revoke=(DENIED,))
    vault.on("POST", "sys/capabilities-self", Answer({REVOKE: ["read"]}))
    assert f"On {REVOKE} the token has read there, and lacks update." in run_module(MODULE, BY_ORDER)["msg"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "one of the following is required: order_id, id, serial_number"),
        ({**BY_ORDER, **BY_SERIAL}, "mutually exclusive"),
        ({"order_id": ORDER_ID}, "required together: role_name, order_id"),
        ({**BY_ORDER, "reason": "key_compromise"}, "value of reason must be one of: unspecified, key-compromise"),
        ({"serial_number": "12:3g"}, "serial_number: '12:3g' is not a serial number"),
        ({"role_name": "web", "order_id": "%2e"}, "order_id '%2e' cannot be used"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    result = run_module(MODULE, options)
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert vault.calls == []
