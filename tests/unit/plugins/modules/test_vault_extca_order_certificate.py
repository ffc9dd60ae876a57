# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_order_certificate: waits, checks, returns."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...issuing import SmallCA, new_csr, new_key
from ...support import Answer, FakeVault, ManualClock

MODULE = "vault_extca_order_certificate"
ORDER_ID = "7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f"
ORDER = f"pki-external-ca/role/web/order/{ORDER_ID}"
OPTIONS = {"role_name": "web", "order_id": ORDER_ID}
CA = SmallCA()
LEAF = CA.issue("www.example.com")


def status(order_status: str, **changes: Any) -> Answer:
    data: dict[str, Any] = {
        "order_status": order_status,
        "role_name": "web",
        "identifiers": ["www.example.com"],
        "creation_date": "2026-01-31T12:00:00Z",
        "last_update": "2026-01-31T13:00:00+01:00",
        "next_work_date": "0001-01-01T00:00:00Z",
        "expires": "2026-02-07T12:00:00Z",
        "last_error": "",
        "serial_number": "",
        "csr": "",
        "challenges": {
            "www.example.com": [
                {"challenge_type": "http-01", "challenge_status": "pending", "expires": "2026-02-07T12:00:00Z"},
                {"challenge_type": "dns-01", "challenge_status": "pending", "expires": "2026-02-07T12:00:00Z"},
            ]
        },
    }
    data.update(changes)
    return Answer(data)


def scripted(vault: FakeVault, *statuses: Answer, certificate: Answer | None = None) -> None:
    vault.on("GET", f"{ORDER}/status", *statuses)
    vault.on("GET", f"{ORDER}/fetch-cert", certificate or Answer(LEAF.data()))


def test_a_completed_order_takes_two_requests_and_no_sleep(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(vault, status("completed"))
    result = run_module(MODULE, OPTIONS)
    assert vault.calls == [f"GET {ORDER}/status", f"GET {ORDER}/fetch-cert"]
    assert clock.slept == []
    assert result["changed"] is False
    assert result["id"] == f"pki-external-ca/role/web/order/{ORDER_ID}/certificate"
    assert result["certificate"] == LEAF.data()["certificate"]
    assert result["private_key"] == LEAF.data()["private_key"]
    assert result["fullchain"] == LEAF.data()["certificate"] + LEAF.data()["ca_chain"][0]
    assert result["serial_number"] == LEAF.data()["serial_number"]
    assert result["identifiers"] == ["www.example.com"]
    assert result["not_after"] == "2026-05-01T12:00:00Z"
    assert (result["order_status"], result["polls"]) == ("completed", 1)


@pytest.mark.parametrize(
    ("which", "keys"),
    [
        ("all", {"certificate", "ca_chain", "fullchain", "serial_number", "private_key"}),
        ("public", {"certificate", "ca_chain", "fullchain", "serial_number"}),
    ],
)
def test_facts_hold_what_was_asked_for(vault: FakeVault, run_module: RunModule, which: str, keys: set[str]) -> None:
    scripted(vault, status("completed"))
    result = run_module(MODULE, {**OPTIONS, "facts": which})
    assert set(result["ansible_facts"]["vault_extca_order_certificate"]) == keys


def test_no_facts_where_none_are_wanted(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, status("completed"))
    assert "ansible_facts" not in run_module(MODULE, {**OPTIONS, "facts": "none"})


def test_an_id_names_mount_role_and_order(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"team/acme/role/web/order/{ORDER_ID}/status", status("completed"))
    vault.on("GET", f"team/acme/role/web/order/{ORDER_ID}/fetch-cert", Answer(LEAF.data()))
    result = run_module(MODULE, {"id": f"team/acme/role/web/order/{ORDER_ID}/certificate"})
    assert result["id"] == f"team/acme/role/web/order/{ORDER_ID}/certificate"


def test_waits_through_the_states_with_short_pauses_after_each_change(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(
        vault,
        status("processing-challenge"),
        status("processing-challenge"),
        status("fetching-certificate"),
        status("completed"),
    )
    result = run_module(MODULE, OPTIONS)
    assert result["polls"] == 4
    first, second, after_change = clock.slept
    assert first <= 0.25 < second <= 0.375
    assert after_change <= 0.25


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(status=503, errors=["Vault is sealed"]),
        Answer(status=412, errors=["required index state not present"]),
        Answer(status=502, text="<html>bad gateway</html>"),
        Answer(status=200, text='{"data": {"order'),
        Answer(status=200, text=""),
    ],
)
def test_trouble_that_passes_is_survived(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, trouble: Answer
) -> None:
    scripted(vault, status("processing-challenge"), trouble, status("completed"))
    assert run_module(MODULE, OPTIONS)["order_status"] == "completed"


def test_retry_after_is_respected(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(vault, Answer(status=429, errors=["slow down"], headers={"Retry-After": "7"}), status("completed"))
    run_module(MODULE, OPTIONS)
    assert clock.slept[0] >= 7


def test_an_order_unknown_at_first_is_waited_for(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(vault, Answer(status=404, errors=[]), status("completed"))
    assert run_module(MODULE, OPTIONS)["polls"] == 2


def test_an_order_that_stays_unknown_fails_after_five_seconds(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(vault, Answer(status=404, errors=[]))
    result = run_module(MODULE, OPTIONS)
    assert result["failed"] is True
    assert f"has no order {ORDER_ID}" in result["msg"]
    assert 4 < sum(clock.slept) < 8


def test_nobody_fulfilled_the_challenge(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(vault, status("awaiting-challenge-fulfillment"))
    result = run_module(MODULE, {**OPTIONS, "wait_timeout": 20})
    assert result["failed"] is True
    assert "is still awaiting-challenge-fulfillment after 20 s" in result["msg"]
    assert "Nobody has marked a challenge of www.example.com as fulfilled" in result["msg"]
    assert result["order_status"] == "awaiting-challenge-fulfillment"
    assert sum(clock.slept) == pytest.approx(20)


def test_an_invalid_challenge_is_named_with_the_servers_words(vault: FakeVault, run_module: RunModule) -> None:
    invalid = {"www.example.com": [{"challenge_type": "http-01", "challenge_status": "invalid", "expires": ""}]}
    scripted(vault, status("error", last_error="unauthorized: wrong content", challenges=invalid))
    result = run_module(MODULE, OPTIONS)
    assert "ended as error: unauthorized: wrong content." in result["msg"]
    assert "found http-01 of www.example.com invalid" in result["msg"]
    assert result["challenges"] == {
        "www.example.com": [{"challenge_type": "http-01", "challenge_status": "invalid", "expires": ""}]
    }


@pytest.mark.parametrize("state", ["expired", "revoked"])
def test_other_ends_fail_too(vault: FakeVault, run_module: RunModule, state: str) -> None:
    scripted(vault, status(state))
    assert f"ended as {state}" in run_module(MODULE, OPTIONS)["msg"]


def test_states_with_underscores_are_the_same_states(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(vault, status("awaiting_challenge_fulfillment"), status("completed"))
    assert run_module(MODULE, OPTIONS)["polls"] == 2


def test_a_token_that_may_not_read_the_status_gets_the_certificate(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, Answer(status=403, errors=["permission denied"]))
    result = run_module(MODULE, OPTIONS)
    assert (result["order_status"], result["identifiers"]) == ("completed", ["www.example.com"])


@pytest.mark.parametrize(
    "not_yet",
    [Answer(status=400, errors=["order not completed"]), Answer(status=404, errors=[]), Answer(None)],
)
def test_without_the_status_it_waits_for_the_certificate_itself(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, not_yet: Answer
) -> None:
    scripted(vault, Answer(status=403, errors=["permission denied"]))
    vault.on("GET", f"{ORDER}/fetch-cert", not_yet, Answer(LEAF.data()))
    assert run_module(MODULE, OPTIONS)["polls"] == 2


def test_a_refused_token_is_told_what_it_lacks(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, status("completed"), certificate=Answer(status=403, errors=["permission denied"]))
    vault.on("POST", "sys/capabilities-self", Answer({f"{ORDER}/fetch-cert": ["deny"]}))
    assert f"On {ORDER}/fetch-cert the token has nothing there, and lacks read." in run_module(MODULE, OPTIONS)["msg"]


def test_check_mode_returns_the_state_of_an_order_that_goes_on(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(vault, status("processing-challenge"))
    result = run_module(MODULE, OPTIONS, check=True)
    assert (result["order_status"], result["changed"]) == ("processing-challenge", False)
    assert "certificate" not in result
    assert "failed" not in result
    assert clock.slept == []


def test_check_mode_returns_the_certificate_of_a_completed_order(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, status("completed"))
    assert run_module(MODULE, OPTIONS, check=True)["certificate"] == LEAF.data()["certificate"]


def test_the_csr_workflow_has_no_private_key(vault: FakeVault, run_module: RunModule) -> None:
    key = new_key()
    leaf = CA.issue("www.example.com", key=key)
    scripted(
        vault,
        status("completed", csr=new_csr("www.example.com", key=key)),
        certificate=Answer(leaf.data(private_key="", private_key_type="")),
    )
    result = run_module(MODULE, OPTIONS)
    assert "private_key" not in result
    assert "private_key_type" not in result


OTHER = SmallCA("Other CA").issue("www.example.com")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"certificate": "junk!"}, "neither PEM nor base64"),
        ({"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "cannot be parsed"),
        ({"private_key": OTHER.data()["private_key"]}, "does not belong"),
        ({"serial_number": "01:02"}, "serial number"),
        ({"ca_chain": OTHER.data()["ca_chain"]}, "chain is not in order"),
        (CA.issue("evil.example.com").data(), "lacks www.example.com"),
    ],
)
def test_what_does_not_fit_is_not_returned(
    vault: FakeVault, run_module: RunModule, changes: dict[str, Any], complaint: str
) -> None:
    scripted(vault, status("completed"), certificate=Answer(LEAF.data(**changes)))
    result = run_module(MODULE, OPTIONS)
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert "certificate" not in result
    assert "PRIVATE KEY" not in str(result)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"role_name": "../../sys/policies/acl/root"}, "role_name '../../sys/policies/acl/root' cannot be used"),
        ({"order_id": "a/../b"}, "order_id 'a/../b' cannot be used"),
        ({"mount": "a/../sys"}, "mount 'a/../sys' is not the path of a mount"),
        ({"wait_timeout": -1}, "wait_timeout -1 is negative"),
        ({"poll_interval": 0}, "poll_interval 0 is not between"),
        ({"order_id": None, "role_name": None, "id": "nonsense"}, "id 'nonsense' is not of the form"),
        ({"id": f"m/role/web/order/{ORDER_ID}/certificate"}, "mutually exclusive"),
        ({"role_name": None}, "required"),
        ({"url": "vault.example.com"}, "is not an address of Vault"),
        ({"url": None}, "Vault's address is not given"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    result = run_module(MODULE, {**OPTIONS, **options})
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert vault.calls == []
