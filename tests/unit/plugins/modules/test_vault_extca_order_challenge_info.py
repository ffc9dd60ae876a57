# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_order_challenge_info: tells what fulfils challenges."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from ...conftest import RunModule
from ...ordering import AWAITING, ID, ORDER, ORDER_ID, challenge, order_status
from ...support import NOTHING_THERE, Answer, FakeVault, ManualClock

MODULE = "vault_extca_order_challenge_info"
OPTIONS: dict[str, Any] = {"role_name": "web", "order_id": ORDER_ID, "challenge_type": "http-01"}
AUTHORIZATION = "token.thumbprint"
DIGEST = hashlib.sha256(AUTHORIZATION.encode()).digest()
TXT = base64.urlsafe_b64encode(DIGEST).decode().rstrip("=")


def details(auth: str = AUTHORIZATION) -> Answer:
    return Answer(
        {
            "challenge_token": "token",
            "challenge_auth": auth,
            "challenge_status": "pending",
            "expires": "2026-02-07T13:00:00+01:00",
        }
    )


def scripted(vault: FakeVault, *statuses: Answer, challenge: Answer | None = None) -> None:
    vault.on("GET", f"{ORDER}/status", *statuses)
    vault.on("GET", f"{ORDER}/challenge", challenge or details())


def test_http_01(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING))
    result = run_module(MODULE, {**OPTIONS, "identifier": "WWW.example.com."})
    path = "/.well-known/acme-challenge/token"
    assert result["challenges"] == [
        {
            "identifier": "www.example.com",
            "challenge_type": "http-01",
            "challenge_status": "pending",
            "challenge_token": "token",
            "key_authorization": AUTHORIZATION,
            "expires": "2026-02-07T12:00:00Z",
            "http_01": {"path": path, "url": f"http://www.example.com{path}", "content": AUTHORIZATION},
        }
    ]
    assert vault.sent[1].params == {"identifier": ["www.example.com"], "challenge_type": ["http-01"]}
    assert (result["changed"], result["id"], result["order_status"]) == (False, ID, AWAITING)


@pytest.mark.parametrize("auth", [AUTHORIZATION, TXT])
def test_dns_01_gives_the_same_record_whichever_way_vault_answers(
    vault: FakeVault, run_module: RunModule, auth: str
) -> None:
    scripted(vault, order_status(AWAITING, "*.example.com"), challenge=details(auth))
    result = run_module(MODULE, {**OPTIONS, "challenge_type": "dns-01", "identifier": "*.example.com"})
    (found,) = result["challenges"]
    assert found["dns_01"] == {"record_name": "_acme-challenge.example.com", "txt_value": TXT}
    assert "key_authorization" not in found
    assert found["identifier"] == "*.example.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"challenge_token": "../../../../etc/cron.d/x"},
        {"challenge_token": ""},
        {"challenge_token": "tok\ud800en"},
        {"challenge_auth": "token.thumb\nprint"},
        {"challenge_auth": "token.\ud800"},
        {"challenge_auth": "a.b.c"},
    ],
)
@pytest.mark.parametrize("challenge_type", ["http-01", "dns-01"])
def test_what_could_not_be_a_challenge_is_not_published(
    vault: FakeVault, run_module: RunModule, changes: dict[str, str], challenge_type: str
) -> None:
    data = {**(details().data or {}), **changes}
    scripted(vault, order_status(AWAITING, "www.example.com"), challenge=Answer(data))
    result = run_module(MODULE, {**OPTIONS, "challenge_type": challenge_type})
    assert result["failed"] is True
    assert "base64url (RFC 8555 section 8.1), and must not be published" in result["msg"]


def test_tls_alpn_01(vault: FakeVault, run_module: RunModule) -> None:
    rows = {"www.example.com": [challenge("tls-alpn-01")]}
    scripted(vault, order_status(AWAITING, challenges=rows))
    (found,) = run_module(MODULE, {**OPTIONS, "challenge_type": "tls-alpn-01"})["challenges"]
    assert found["tls_alpn_01"] == {
        "server_name": "www.example.com",
        "digest": DIGEST.hex(),
        "extension": base64.b64encode(b"\x04\x20" + DIGEST).decode(),
    }


def test_all_identifiers_that_wait_for_somebody(vault: FakeVault, run_module: RunModule) -> None:
    names = ["a.example.com", "B.example.com", "proven.example.com", "by-vault.example.com", "needs-none.example.com"]
    rows = {
        "a.example.com": [challenge("http-01"), challenge("dns-01")],
        "B.example.com": [challenge("http-01", manual=None), challenge("dns-01", manual=None)],
        "proven.example.com": [challenge("http-01", "valid")],
        "by-vault.example.com": [challenge("http-01"), challenge("dns-01", manual="false")],
    }
    scripted(vault, order_status(AWAITING, *names, challenges=rows))
    result = run_module(MODULE, OPTIONS)
    assert [one["identifier"] for one in result["challenges"]] == ["a.example.com", "B.example.com"]
    assert "warnings" not in result


def test_identifiers_that_lack_the_type_are_told(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING, "*.example.com", "example.com"))
    result = run_module(MODULE, OPTIONS)
    assert [one["identifier"] for one in result["challenges"]] == ["example.com"]
    assert result["warnings"] == [
        "http-01 is not offered for *.example.com; fulfil a challenge of another type for it."
    ]


@pytest.mark.parametrize("named", [None, "www.example.com"])
@pytest.mark.parametrize(
    ("state", "rows"), [("completed", None), ("fetching-certificate", {}), ("processing-challenge", None)]
)
def test_an_order_that_needs_none_gives_an_empty_list(
    vault: FakeVault, run_module: RunModule, named: str | None, state: str, rows: dict[str, Any] | None
) -> None:
    vault.on("GET", f"{ORDER}/status", order_status(state, challenges=rows))
    result = run_module(MODULE, {**OPTIONS, "identifier": named})
    assert (result["challenges"], result["order_status"]) == ([], state)


def test_it_waits_until_challenges_are_known(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(
        vault,
        NOTHING_THERE,
        order_status("new", challenges=None),
        Answer(status=503, errors=["Vault is sealed"]),
        order_status("submitted", challenges=None),
        order_status(AWAITING),
    )
    assert len(run_module(MODULE, OPTIONS)["challenges"]) == 1


def test_trouble_with_one_challenge_is_survived(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING))
    vault.on("GET", f"{ORDER}/challenge", Answer(status=502, text="<html>"), details())
    assert len(run_module(MODULE, OPTIONS)["challenges"]) == 1


def test_without_waiting_an_early_order_gives_an_empty_list(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    scripted(vault, order_status("submitted", challenges=None))
    result = run_module(MODULE, {**OPTIONS, "wait": False})
    assert (result["challenges"], result["order_status"], clock.slept) == ([], "submitted", [])


def test_challenges_that_do_not_come_are_told(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    scripted(vault, order_status("submitted", challenges=None, last_error="dial tcp: connection refused"))
    result = run_module(MODULE, {**OPTIONS, "wait_timeout": 5})
    assert "is still submitted after 5 s: dial tcp: connection refused." in result["msg"]
    assert "check directory_url and trusted_ca" in result["msg"]


@pytest.mark.parametrize("state", ["error", "expired", "revoked"])
def test_an_order_that_has_ended_badly_has_nothing_to_fulfil(
    vault: FakeVault, run_module: RunModule, state: str
) -> None:
    scripted(vault, order_status(state))
    result = run_module(MODULE, OPTIONS)
    assert f"ended as {state}" in result["msg"]
    assert result["order_status"] == state


def test_a_challenge_without_an_authorization_is_no_challenge(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, order_status(AWAITING), challenge=details(""))
    result = run_module(MODULE, {**OPTIONS, "wait_timeout": 0})
    assert "Vault gave no key authorization for the http-01 challenge of www.example.com" in result["msg"]


@pytest.mark.parametrize(
    ("names", "options", "complaint"),
    [
        (["www.example.com"], {"identifier": "evil.example.com"}, "'evil.example.com' is not part of order"),
        (["www.example.com"], {"identifier": "no name"}, "identifier 'no name' is not a DNS name"),
        (
            ["*.example.com"],
            {"identifier": "*.example.com"},
            "http-01 is not offered for *.example.com: *.example.com has dns-01. A wildcard can only be proven with dns-01.",
        ),
        (["*.example.com"], {}, "http-01 is not offered for *.example.com"),
        (["www.example.com"], {"challenge_type": "tls-alpn-01"}, "www.example.com has http-01, dns-01. The role's"),
    ],
)
def test_what_the_order_does_not_have_is_an_error(
    vault: FakeVault, run_module: RunModule, names: list[str], options: dict[str, Any], complaint: str
) -> None:
    scripted(vault, order_status(AWAITING, *names))
    result = run_module(MODULE, {**OPTIONS, **options})
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert vault.calls == [f"GET {ORDER}/status"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"challenge_type": None}, "missing required arguments: challenge_type"),
        ({"challenge_type": "http"}, "must be one of: http-01, dns-01, tls-alpn-01"),
        ({"order_id": None, "role_name": None}, "one of the following is required: order_id, id"),
        ({"order_id": "x y"}, "order_id 'x y' cannot be used"),
        ({"poll_interval": 0.01}, "poll_interval 0.01 is not between"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    result = run_module(MODULE, {**OPTIONS, **options})
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert vault.calls == []
