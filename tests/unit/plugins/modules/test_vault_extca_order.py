# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_order: orders once."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ...conftest import RunModule
from ...issuing import SmallCA, key_pem, new_csr, new_key, pem
from ...ordering import (
    AWAITING,
    DENIED,
    ID,
    MOUNT,
    ORDER,
    ORDER_ID,
    OTHER_ID,
    ROLE,
    looked_up,
    order_data,
    order_status,
    recent,
)
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault, ManualClock

MODULE = "vault_extca_order"
OPTIONS: dict[str, Any] = {"role_name": "web", "identifiers": ["www.example.com"]}
CA = SmallCA()
LEAF = CA.issue("www.example.com")
SERIAL = LEAF.data()["serial_number"]
CSR = new_csr("www.example.com")
NAMELESS = pem(x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(new_key(), hashes.SHA256()))
RECENT = f"{MOUNT}/lookup/orders/recent"
LOOKUP = f"{MOUNT}/lookup/cert/{SERIAL}"


def nothing_there(vault: FakeVault) -> None:
    vault.on("GET", f"{ROLE}/cached", NOTHING_THERE)
    vault.on("LIST", RECENT, NOTHING_THERE)
    vault.on("POST", f"{ROLE}/new-order", Answer({"order_id": ORDER_ID}))
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING))


def test_a_new_order_is_made_where_there_is_none(vault: FakeVault, run_module: RunModule) -> None:
    nothing_there(vault)
    result = run_module(MODULE, {**OPTIONS, "identifiers": ["WWW.Example.com."]}, diff=True)
    assert vault.calls == [
        f"GET {ROLE}/cached",
        f"LIST {RECENT}",
        f"POST {ROLE}/new-order",
        f"GET {ORDER}/status",
    ]
    assert vault.sent[0].params == {
        "identifiers": ["www.example.com"],
        "certificate_format": ["pem"],
        "min_validity_percentage": ["33"],
    }
    assert vault.sent[1].params == {"within": ["168h"]}
    assert vault.sent[2].body == {"identifiers": ["www.example.com"]}
    assert (result["changed"], result["reused"]) == (True, False)
    assert result["diff"] == {"before": {}, "after": {"role_name": "web", "identifiers": ["www.example.com"]}}
    assert {key: result[key] for key in ("id", "order_id", "role_name", "order_status", "expires", "identifiers")} == {
        "id": ID,
        "order_id": ORDER_ID,
        "role_name": "web",
        "order_status": AWAITING,
        "expires": "2026-02-07T12:00:00Z",
        "identifiers": ["www.example.com"],
    }
    assert result["creation_date"] == "2026-01-31T12:00:00Z"
    assert result["last_update"] == "2026-01-31T12:00:01Z"
    assert result["next_work_date"] == ""
    assert result["challenges"]["www.example.com"][0] == {
        "challenge_type": "http-01",
        "challenge_status": "pending",
        "expires": "2026-02-07T12:00:00Z",
    }


def test_it_waits_for_the_challenges(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    nothing_there(vault)
    vault.on(
        "GET",
        f"{ORDER}/status",
        order_status("new", challenges=None),
        order_status("submitted", challenges=None),
        order_status(AWAITING),
    )
    assert run_module(MODULE, OPTIONS)["order_status"] == AWAITING
    assert len(clock.slept) == 2


def test_without_waiting_the_first_state_is_returned(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    nothing_there(vault)
    vault.on("GET", f"{ORDER}/status", order_status("new", challenges=None))
    result = run_module(MODULE, {**OPTIONS, "wait": False})
    assert (result["order_status"], result["challenges"]) == ("new", {})
    assert clock.slept == []


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("unknown", [NOTHING_THERE, Answer(status=412, errors=["required index state not present"])])
def test_a_standby_that_does_not_know_the_order_yet_is_given_time(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, unknown: Answer, wait: bool
) -> None:
    nothing_there(vault)
    vault.on("GET", f"{ORDER}/status", unknown, unknown, order_status(AWAITING))
    result = run_module(MODULE, {**OPTIONS, "wait": wait})
    assert (result["changed"], result["order_status"]) == (True, AWAITING)


def test_a_new_order_that_cannot_be_followed_does_not_lose_its_id(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    nothing_there(vault)
    vault.on("GET", f"{ORDER}/status", order_status("error", last_error="urn:ietf:params:acme:error:rateLimited"))
    result = run_module(MODULE, OPTIONS)
    assert result["failed"] is True
    assert f"Order {ORDER_ID} of role web was created, and then:" in result["msg"]
    assert "rateLimited" in result["msg"]
    assert (result["order_id"], result["changed"]) == (ORDER_ID, True)


def test_a_vault_that_goes_away_after_the_order_does_not_lose_its_id(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    nothing_there(vault)
    vault.on("GET", f"{ORDER}/status", Answer(status=503, errors=["Vault is sealed"]))
    result = run_module(MODULE, {**OPTIONS, "wait_timeout": 10})
    assert "was created, and then: Vault at http://vault.test:8200 answered 503" in result["msg"]
    assert result["order_id"] == ORDER_ID
    assert sum(clock.slept) == pytest.approx(10)


def test_a_token_that_may_not_read_statuses_gets_the_id(vault: FakeVault, run_module: RunModule) -> None:
    nothing_there(vault)
    vault.on("GET", f"{ORDER}/status", DENIED)
    result = run_module(MODULE, OPTIONS)
    assert (result["order_id"], result["order_status"], result["identifiers"]) == (ORDER_ID, "new", ["www.example.com"])
    assert "nothing is known of the new order but its id" in result["warnings"][0]


# ---------------------------------------------------------------------- reuse


def test_a_valid_certificates_order_is_reused_in_three_requests(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{ROLE}/cached", Answer(LEAF.data()))
    vault.on("GET", LOOKUP, looked_up())
    vault.on("GET", f"{ORDER}/status", order_status("completed", serial_number=SERIAL))
    result = run_module(MODULE, OPTIONS, diff=True)
    assert vault.calls == [f"GET {ROLE}/cached", f"GET {LOOKUP}", f"GET {ORDER}/status"]
    assert (result["changed"], result["reused"], result["order_id"]) == (False, True, ORDER_ID)
    assert "diff" not in result


def test_an_active_order_is_reused_in_three_requests_however_many_there_are(
    vault: FakeVault, run_module: RunModule
) -> None:
    others = [(f"00000000-0000-4000-8000-{n:012d}", order_data(AWAITING, f"h{n}.example.com")) for n in range(499)]
    vault.on("GET", f"{ROLE}/cached", NOTHING_THERE)
    vault.on("LIST", RECENT, recent(*others, (ORDER_ID, order_data(AWAITING, "B.example.com", "a.example.com"))))
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING, "B.example.com", "a.example.com"))
    result = run_module(MODULE, {**OPTIONS, "identifiers": ["a.example.com", "b.example.com"]})
    assert len(vault.calls) == 3
    assert (result["changed"], result["order_id"]) == (False, ORDER_ID)


def test_reuse_of_active_orders_does_not_look_at_certificates(vault: FakeVault, run_module: RunModule) -> None:
    vault.on(
        "LIST", RECENT, recent((OTHER_ID, order_data("completed")), (ORDER_ID, order_data("fetching-certificate")))
    )
    vault.on("GET", f"{ORDER}/status", order_status("fetching-certificate"))
    assert run_module(MODULE, {**OPTIONS, "reuse": "active"})["order_id"] == ORDER_ID
    assert vault.calls == [f"LIST {RECENT}", f"GET {ORDER}/status"]


def test_nothing_is_reused_where_that_is_not_wanted(vault: FakeVault, run_module: RunModule) -> None:
    nothing_there(vault)
    assert run_module(MODULE, {**OPTIONS, "reuse": "never"})["changed"] is True
    assert vault.calls == [f"POST {ROLE}/new-order", f"GET {ORDER}/status"]


@pytest.mark.parametrize(
    "row",
    [
        order_data(AWAITING, "www.example.com", "other.example.com"),
        order_data(AWAITING, role_name="mail"),
        order_data("error"),
        order_data("expired"),
        order_data("completed"),
    ],
)
def test_what_does_not_serve_is_not_reused(vault: FakeVault, run_module: RunModule, row: dict[str, Any]) -> None:
    nothing_there(vault)
    vault.on("LIST", RECENT, recent((OTHER_ID, row)))
    assert run_module(MODULE, OPTIONS)["order_id"] == ORDER_ID


@pytest.mark.parametrize(
    "issued",
    [
        looked_up(OTHER_ID, "revoked"),
        looked_up(OTHER_ID, "completed", "www.example.com", "other.example.com"),
        looked_up(OTHER_ID, role_name="mail"),
        NOTHING_THERE,
    ],
)
def test_a_cached_certificate_that_is_not_the_one_is_not_reused(
    vault: FakeVault, run_module: RunModule, issued: Answer
) -> None:
    nothing_there(vault)
    vault.on("GET", f"{ROLE}/cached", Answer(LEAF.data()))
    vault.on("GET", LOOKUP, issued)
    assert run_module(MODULE, OPTIONS)["changed"] is True


@pytest.mark.parametrize("nothing", [NOTHING_THERE, NO_CONTENT, Answer(status=400, errors=["nothing cached"])])
def test_an_empty_cache_says_so_in_three_ways(vault: FakeVault, run_module: RunModule, nothing: Answer) -> None:
    nothing_there(vault)
    vault.on("GET", f"{ROLE}/cached", nothing)
    assert run_module(MODULE, OPTIONS)["changed"] is True


@pytest.mark.parametrize(
    ("renew_before", "params"),
    [
        ("30d", {"min_validity_duration": ["2592000s"]}),
        ("12.5%", {"min_validity_percentage": ["13"]}),
    ],
)
def test_renew_before_says_what_is_valid(
    vault: FakeVault, run_module: RunModule, renew_before: str, params: dict[str, list[str]]
) -> None:
    nothing_there(vault)
    run_module(MODULE, {**OPTIONS, "renew_before": renew_before})
    assert {key: value for key, value in vault.sent[0].params.items() if key.startswith("min_")} == params


def test_an_active_order_is_waited_for_too(vault: FakeVault, clock: ManualClock, run_module: RunModule) -> None:
    nothing_there(vault)
    vault.on("LIST", RECENT, recent((ORDER_ID, order_data("submitted"))))
    vault.on("GET", f"{ORDER}/status", order_status("submitted"), order_status("submitted"), order_status(AWAITING))
    result = run_module(MODULE, OPTIONS)
    assert (result["reused"], result["order_status"]) == (True, AWAITING)


# ---------------------------------------------------------------------- what a token may not read


def test_without_the_cache_completed_orders_are_looked_for_among_the_recent(
    vault: FakeVault, run_module: RunModule
) -> None:
    vault.on("GET", f"{ROLE}/cached", DENIED)
    vault.on("LIST", RECENT, recent((ORDER_ID, order_data("completed"))))
    vault.on("GET", f"{ORDER}/status", order_status("completed", serial_number=SERIAL))
    begin = datetime.now(timezone.utc)
    vault.on(
        "GET",
        LOOKUP,
        looked_up(not_before=begin.isoformat(), not_after=(begin + timedelta(days=90)).isoformat()),
    )
    result = run_module(MODULE, OPTIONS)
    assert (result["reused"], result["order_id"]) == (True, ORDER_ID)
    assert f"may not read {ROLE}/cached" in result["warnings"][0]


def test_without_lookups_the_cached_certificates_order_is_found_by_its_serial_number(
    vault: FakeVault, run_module: RunModule
) -> None:
    vault.on("GET", f"{ROLE}/cached", Answer(LEAF.data()))
    vault.on("GET", LOOKUP, DENIED)
    vault.on("LIST", RECENT, recent((ORDER_ID, order_data("completed"))))
    vault.on("GET", f"{ORDER}/status", order_status("completed", serial_number=SERIAL))
    result = run_module(MODULE, OPTIONS)
    assert (result["reused"], result["order_id"]) == (True, ORDER_ID)
    assert "the order behind a cached certificate is not known" in result["warnings"][0]


def test_a_token_that_may_read_no_status_reuses_a_valid_certificates_order(
    vault: FakeVault, run_module: RunModule
) -> None:
    vault.on("GET", f"{ROLE}/cached", Answer(LEAF.data()))
    vault.on("GET", LOOKUP, looked_up())
    vault.on("GET", f"{ORDER}/status", DENIED)
    result = run_module(MODULE, OPTIONS)
    assert (result["reused"], result["order_status"], result["serial_number"]) == (True, "completed", SERIAL)


def test_a_token_that_may_list_nothing_orders_and_is_warned(vault: FakeVault, run_module: RunModule) -> None:
    nothing_there(vault)
    vault.on("GET", f"{ROLE}/cached", DENIED)
    vault.on("LIST", RECENT, DENIED)
    result = run_module(MODULE, OPTIONS)
    assert result["changed"] is True
    assert [warning.partition(",")[2] for warning in result["warnings"]] == [
        " so a valid certificate of role web may be ordered again.",
        " so an order of role web may be made again.",
    ]


# ---------------------------------------------------------------------- certificate signing requests


@pytest.fixture
def csr_path(tmp_path: Path) -> Path:
    """A file with a private key and a request for it."""
    key = new_key()
    path = tmp_path / "www.pem"
    path.write_text(key_pem(key) + new_csr("www.example.com", key=key))
    return path


def test_of_a_file_only_the_request_is_sent(vault: FakeVault, run_module: RunModule, csr_path: Path) -> None:
    nothing_there(vault)
    result = run_module(MODULE, {"role_name": "web", "csr_path": str(csr_path)})
    assert vault.calls[0] == f"LIST {RECENT}"
    sent = vault.sent[1].body["csr"]
    assert sent.startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert "PRIVATE KEY" not in str([one.body for one in vault.sent])
    assert result["identifiers"] == ["www.example.com"]


def test_an_active_order_for_the_same_request_is_reused(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", RECENT, recent((OTHER_ID, order_data(AWAITING)), (ORDER_ID, order_data(AWAITING))))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/status", order_status(AWAITING, csr=new_csr("www.example.com")))
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING, csr=CSR.replace("\n", "\r\n")))
    result = run_module(MODULE, {"role_name": "web", "csr": CSR})
    assert (result["reused"], result["order_id"]) == (True, ORDER_ID)


@pytest.mark.parametrize(("age", "reused"), [(10, True), (80, False)])
def test_a_completed_order_for_the_same_request_is_reused_until_it_is_due(
    vault: FakeVault, run_module: RunModule, age: int, reused: bool
) -> None:
    nothing_there(vault)
    begin = datetime.now(timezone.utc) - timedelta(days=age)
    vault.on("LIST", RECENT, recent((OTHER_ID, order_data("completed"))))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/status", order_status("completed", csr=CSR, serial_number=SERIAL))
    vault.on(
        "GET",
        LOOKUP,
        looked_up(OTHER_ID, not_before=begin.isoformat(), not_after=(begin + timedelta(days=90)).isoformat()),
    )
    result = run_module(MODULE, {"role_name": "web", "csr": CSR})
    assert result["reused"] is reused
    assert len(vault.calls) == (3 if reused else 5)


@pytest.mark.parametrize("csr", ["", "junk", new_csr("www.example.com")])
def test_orders_for_other_requests_are_not_reused(vault: FakeVault, run_module: RunModule, csr: str) -> None:
    nothing_there(vault)
    vault.on("LIST", RECENT, recent((OTHER_ID, order_data(AWAITING))))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/status", order_status(AWAITING, csr=csr))
    assert run_module(MODULE, {"role_name": "web", "csr": CSR})["order_id"] == ORDER_ID


def test_an_order_for_a_request_is_not_reused_for_identifiers(vault: FakeVault, run_module: RunModule) -> None:
    nothing_there(vault)
    vault.on("LIST", RECENT, recent((OTHER_ID, order_data(AWAITING))))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/status", order_status(AWAITING, csr=CSR))
    assert run_module(MODULE, OPTIONS)["order_id"] == ORDER_ID


def test_many_orders_for_other_requests_are_not_all_read(vault: FakeVault, run_module: RunModule) -> None:
    nothing_there(vault)
    ids = [f"00000000-0000-4000-8000-{n:012d}" for n in range(50)]
    vault.on("LIST", RECENT, recent(*((one, order_data(AWAITING)) for one in ids)))
    for one in ids:
        vault.on("GET", f"{ROLE}/order/{one}/status", order_status(AWAITING, csr=new_csr("www.example.com")))
    run_module(MODULE, {"role_name": "web", "csr": CSR})
    assert len(vault.calls) == 13


# ---------------------------------------------------------------------- check mode, bad input


def test_check_mode_predicts_a_new_order(vault: FakeVault, run_module: RunModule) -> None:
    nothing_there(vault)
    result = run_module(MODULE, OPTIONS, check=True, diff=True)
    assert (result["changed"], result["reused"], result["identifiers"]) == (True, False, ["www.example.com"])
    assert result["diff"]["after"] == {"role_name": "web", "identifiers": ["www.example.com"]}
    assert "order_id" not in result
    assert [call.split()[0] for call in vault.calls] == ["GET", "LIST"]


def test_check_mode_finds_an_order_and_does_not_wait(
    vault: FakeVault, clock: ManualClock, run_module: RunModule
) -> None:
    vault.on("GET", f"{ROLE}/cached", NOTHING_THERE)
    vault.on("LIST", RECENT, recent((ORDER_ID, order_data("submitted"))))
    vault.on("GET", f"{ORDER}/status", order_status("submitted"))
    result = run_module(MODULE, OPTIONS, check=True)
    assert (result["changed"], result["order_id"]) == (False, ORDER_ID)
    assert clock.slept == []


def test_check_mode_predicts_an_order_on_a_mount_that_is_yet_to_come(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{ROLE}/cached", Answer(status=404, errors=["no handler for route"]))
    result = run_module(MODULE, OPTIONS, check=True)
    assert result["changed"] is True
    assert "a mount that is not there yet" in result["warnings"][0]
    assert run_module(MODULE, OPTIONS)["failed"] is True


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"identifiers": []}, "identifiers: identifiers is empty"),
        ({"identifiers": ["https://www.example.com/"]}, "'https://www.example.com/' is not a DNS name"),
        ({"identifiers": ["192.0.2.1"]}, "is an IP address"),
        ({"identifiers": ["www.*.example.com"]}, "wildcard in the wrong place"),
        ({"identifiers": None}, "one of the following is required: identifiers, csr, csr_path"),
        ({"csr": CSR}, "mutually exclusive"),
        ({"identifiers": None, "csr": "junk"}, "csr: there is no certificate signing request"),
        ({"identifiers": None, "csr": CSR + CSR}, "csr: there are 2 certificate signing requests"),
        ({"identifiers": None, "csr": CSR[:60] + "\n-----END CERTIFICATE REQUEST-----"}, "cannot be parsed"),
        ({"identifiers": None, "csr": NAMELESS}, "csr: the certificate signing request asks for no DNS name"),
        ({"identifiers": None, "csr_path": "/no/such/file"}, "csr_path: /no/such/file cannot be read"),
        ({"renew_before": "often"}, "renew_before: 'often' says neither a duration nor a share"),
        ({"renew_before": "100%"}, "renew_before: '100%' is not a share"),
        ({"role_name": "../../sys/policies/acl/root"}, "role_name '../../sys/policies/acl/root' cannot be used"),
        ({"reuse": "sometimes"}, "must be one of: active, valid, never"),
        ({"wait_timeout": -5}, "wait_timeout -5 is"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    result = run_module(MODULE, {**OPTIONS, **options})
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert vault.calls == []


def test_vaults_refusal_is_told_in_its_words(vault: FakeVault, run_module: RunModule) -> None:
    nothing_there(vault)
    refusal = "identifier(s) not allowed by role 'web': www.example.com"
    vault.on("POST", f"{ROLE}/new-order", Answer(status=400, errors=[refusal]))
    assert refusal in run_module(MODULE, OPTIONS)["msg"]
