# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_order_challenge_fulfilled: marks what was not marked before."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...ordering import AWAITING, DENIED, ID, ORDER, ORDER_ID, challenge, order_status
from ...support import NO_CONTENT, Answer, FakeVault, ManualClock

MODULE = "vault_extca_order_challenge_fulfilled"
OPTIONS: dict[str, Any] = {"role_name": "web", "order_id": ORDER_ID, "challenge_type": "http-01"}
MARK = f"{ORDER}/fulfilled-challenge"
NOTIFYING = "notify-acme-server-challenges-completed"
REFUSED = Answer(status=400, errors=["challenge is fulfilled already"])


def scripted(vault: FakeVault, *statuses: Answer, mark: Answer = NO_CONTENT) -> None:
    vault.on("GET", f"{ORDER}/status", *statuses)
    vault.on("POST", MARK, mark)


def marked(vault: FakeVault) -> list[dict[str, str]]:
    return [one.body for one in vault.sent if one.path == MARK]


def test_a_challenge_is_marked(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING), order_status(NOTIFYING))
    result = run_module(MODULE, OPTIONS, diff=True)
    assert marked(vault) == [{"identifier": "www.example.com", "challenge_type": "http-01"}]
    assert (result["changed"], result["fulfilled"]) == (True, ["www.example.com"])
    assert result["diff"] == {"before": {"fulfilled": []}, "after": {"fulfilled": ["www.example.com"]}}
    assert (result["id"], result["order_status"]) == (ID, NOTIFYING)


def test_it_ends_when_vault_has_taken_notice(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING), order_status(AWAITING), order_status(NOTIFYING))
    assert run_module(MODULE, OPTIONS)["order_status"] == NOTIFYING
    assert len(clock.slept) == 1


def test_a_vault_that_takes_its_time_is_not_waited_for(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(vault, order_status(AWAITING))
    result = run_module(MODULE, OPTIONS)
    assert (result["changed"], result["order_status"]) == (True, AWAITING)
    assert sum(clock.slept) == pytest.approx(5)


def test_trouble_after_the_mark_is_no_failure(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING), Answer(status=503, errors=["Vault is sealed"]))
    result = run_module(MODULE, OPTIONS)
    assert (result["changed"], result["order_status"]) == (True, AWAITING)


@pytest.mark.parametrize(
    "state",
    [
        "vault-challenge-fulfillment",
        "vault-challenge-propagating",
        NOTIFYING,
        "processing-challenge",
        "fetching-certificate",
        "completed",
        "a-state-of-the-future",
    ],
)
def test_an_order_that_is_past_it_is_left_alone(vault: FakeVault, run_module: RunModule, state: str) -> None:
    scripted(vault, order_status(state))
    result = run_module(MODULE, {**OPTIONS, "identifiers": ["www.example.com"]}, diff=True)
    assert (result["changed"], result["fulfilled"], result["order_status"]) == (False, [], state)
    assert result["diff"]["before"] == result["diff"]["after"]
    assert marked(vault) == []


@pytest.mark.parametrize("status", ["processing", "valid"])
def test_a_challenge_that_the_acme_server_has_is_left_alone(
    vault: FakeVault, run_module: RunModule, status: str
) -> None:
    rows = {"a.example.com": [challenge("http-01", status)], "b.example.com": [challenge("dns-01")]}
    scripted(vault, order_status(AWAITING, "a.example.com", "b.example.com", challenges=rows))
    result = run_module(MODULE, {**OPTIONS, "identifiers": ["a.example.com"]})
    assert (result["changed"], marked(vault)) == (False, [])


def test_all_that_wait_are_marked(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    names = ["a.example.com", "b.example.com", "by-vault.example.com"]
    rows = {
        "a.example.com": [challenge("http-01")],
        "b.example.com": [challenge("http-01")],
        "by-vault.example.com": [challenge("http-01"), challenge("dns-01", manual="false")],
    }
    scripted(vault, order_status(AWAITING, *names, challenges=rows), order_status(NOTIFYING))
    assert run_module(MODULE, OPTIONS)["fulfilled"] == ["a.example.com", "b.example.com"]
    assert [one["identifier"] for one in marked(vault)] == ["a.example.com", "b.example.com"]


def test_one_of_several_is_marked_without_waiting_for_the_others(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(vault, order_status(AWAITING, "a.example.com", "b.example.com"))
    result = run_module(MODULE, {**OPTIONS, "identifier": "a.example.com"})
    assert (result["changed"], result["fulfilled"]) == (True, ["a.example.com"])
    assert vault.calls == [f"GET {ORDER}/status", f"POST {MARK}"]


def test_a_wildcard_is_left_to_another_type_and_told(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING, "*.example.com", "example.com"))
    result = run_module(MODULE, OPTIONS)
    assert result["fulfilled"] == ["example.com"]
    assert "http-01 is not offered for *.example.com" in result["warnings"][0]


def test_a_refusal_of_what_was_marked_before_changes_nothing(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING, "a.example.com", "b.example.com"), mark=REFUSED)
    result = run_module(MODULE, {**OPTIONS, "identifiers": ["a.example.com"]})
    assert (result["changed"], result["fulfilled"]) == (False, [])
    assert "challenge is fulfilled already" in result["warnings"][0]


def test_a_refusal_because_somebody_was_faster_changes_nothing(vault: FakeVault, run_module: RunModule) -> None:
    names = ("a.example.com", "b.example.com")
    scripted(vault, order_status(AWAITING, *names), order_status("processing-challenge", *names), mark=REFUSED)
    result = run_module(MODULE, OPTIONS)
    assert (result["changed"], "warnings" in result) == (False, False)
    assert len(marked(vault)) == 1


def test_check_mode_marks_nothing(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING))
    result = run_module(MODULE, OPTIONS, check=True, diff=True)
    assert (result["changed"], result["fulfilled"]) == (True, ["www.example.com"])
    assert result["diff"]["after"] == {"fulfilled": ["www.example.com"]}
    assert vault.calls == [f"GET {ORDER}/status"]


def test_an_early_order_is_waited_for_unless_told_otherwise(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    early = order_status("submitted", challenges=None)
    scripted(vault, early, order_status(AWAITING), order_status(NOTIFYING))
    assert run_module(MODULE, OPTIONS)["changed"] is True
    scripted(vault, early)
    result = run_module(MODULE, {**OPTIONS, "wait": False})
    assert (result["changed"], result["order_status"]) == (False, "submitted")


def test_a_failed_order_is_a_failure(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, order_status("error", last_error="unauthorized"))
    assert "ended as error: unauthorized." in run_module(MODULE, OPTIONS)["msg"]


def test_a_refused_token_is_told_what_it_lacks(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING), mark=DENIED)
    vault.on("POST", "sys/capabilities-self", Answer({MARK: ["read"]}))
    assert f"On {MARK} the token has read there, and lacks update." in run_module(MODULE, OPTIONS)["msg"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"identifiers": ["www.example.com", "evil.example.com"]}, "'evil.example.com' is not part of order"),
        ({"identifiers": []}, "identifiers is empty"),
        ({"challenge_type": "tls-alpn-01"}, "tls-alpn-01 is not offered for www.example.com"),
    ],
)
def test_nothing_is_marked_where_one_name_is_wrong(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    scripted(vault, order_status(AWAITING))
    result = run_module(MODULE, {**OPTIONS, **options})
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert marked(vault) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"challenge_type": None}, "missing required arguments: challenge_type"),
        ({"challenge_type": "dns"}, "must be one of: http-01, dns-01, tls-alpn-01"),
        ({"order_id": None, "role_name": None}, "one of the following is required: order_id, id"),
        ({"role_name": "web/../x"}, "role_name 'web/../x' cannot be used"),
        ({"mount": "//"}, "mount '//' is not the path of a mount"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    result = run_module(MODULE, {**OPTIONS, **options})
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert vault.calls == []
