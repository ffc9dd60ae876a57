# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_certificate: asks Vault only for what it needs, and survives what passes."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from ...conftest import RunModule
from ...issuing import Issued, SmallCA, key_pem, new_csr, new_key, pem
from ...ordering import AWAITING, DENIED, MOUNT, ORDER, ORDER_ID, OTHER_ID, ROLE, challenge, order_status, recent
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault, ManualClock, free_port

MODULE = "vault_extca_certificate"
NAME = "www.example.com"
CA = SmallCA()
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
LEAF = CA.issue(NAME, not_before=NOW - datetime.timedelta(days=1))
NOTHING_RECENT = Answer({"keys": []})


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    return {
        "role_name": "web",
        "identifiers": [NAME],
        "destination": {"fullchain": str(tmp_path / "www.pem"), "private_key": str(tmp_path / "www.key")},
        "http_01": {"listen": f"127.0.0.1:{free_port()}"},
    }


def write(options: dict[str, Any], issued: Issued) -> None:
    Path(options["destination"]["fullchain"]).write_text(pem(issued.certificate) + pem(CA.intermediate))
    Path(options["destination"]["private_key"]).write_text(key_pem(issued.key))
    Path(options["destination"]["private_key"]).chmod(0o600)


def lookup_cert(issued: Issued, **changes: Any) -> tuple[str, Answer]:
    data = issued.data()
    serial: str = data["serial_number"]
    row = {key: data[key] for key in ("not_before", "not_after")}
    row |= {"order_status": "completed", "role_name": "web", "order_id": ORDER_ID, "identifiers": [NAME]}
    return f"{MOUNT}/lookup/cert/{serial}", Answer({**row, **changes})


def ordering(vault: FakeVault, *statuses: Answer, issued: Issued = LEAF, **changes: Any) -> None:
    """A Vault that has nothing, and makes an order with these states."""
    vault.on("GET", f"{ROLE}/cached", NOTHING_THERE)
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", NOTHING_RECENT)
    vault.on("POST", f"{ROLE}/new-order", Answer({"order_id": ORDER_ID}))
    vault.on("GET", f"{ORDER}/status", *statuses)
    details = {
        "challenge_token": "token",
        "challenge_auth": "token.thumb",
        "challenge_status": "pending",
        "expires": "",
    }
    vault.on("GET", f"{ORDER}/challenge", Answer(details))
    vault.on("POST", f"{ORDER}/fulfilled-challenge", NO_CONTENT)
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(issued.data(**changes)))


def test_a_good_certificate_is_no_business_of_vaults(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any]
) -> None:
    write(options, LEAF)
    for check in (True, False):
        result = run_module(MODULE, options, check=check)
        assert (result["changed"], result["source"]) == (False, "destination")
    assert vault.calls == []


def test_the_whole_way_of_a_new_order(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], tmp_path: Path
) -> None:
    ordering(
        vault,
        order_status("new"),
        order_status(AWAITING),
        order_status("processing-challenge"),
        order_status("completed"),
    )
    result = run_module(MODULE, options)
    assert vault.calls == [
        f"GET {ROLE}/cached",
        f"LIST {MOUNT}/lookup/orders/recent",
        f"POST {ROLE}/new-order",
        f"GET {ORDER}/status",
        f"GET {ORDER}/status",
        f"GET {ORDER}/challenge",
        f"POST {ORDER}/fulfilled-challenge",
        f"GET {ORDER}/status",
        f"GET {ORDER}/status",
        f"GET {ORDER}/fetch-cert",
    ]
    assert (result["changed"], result["source"], result["order_id"]) == (True, "order", ORDER_ID)
    assert result["id"] == f"{ORDER}/certificate"
    assert result["serial_number"] == LEAF.data()["serial_number"]
    assert "private_key" not in result
    assert {path.name for path in tmp_path.iterdir()} == {"www.pem", "www.key"}
    assert (tmp_path / "www.key").stat().st_mode & 0o777 == 0o600


def test_the_key_is_returned_where_that_is_asked_for(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any]
) -> None:
    ordering(vault, order_status("completed"))
    result = run_module(MODULE, {**options, "return_private_key": True})
    assert result["private_key"] == LEAF.data()["private_key"]


def test_a_cached_certificate_takes_two_requests(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any]
) -> None:
    vault.on("GET", f"{ROLE}/cached", Answer(LEAF.data()))
    vault.on("GET", *lookup_cert(LEAF))
    result = run_module(MODULE, {**options, "http_01": None})
    assert (result["source"], result["order_id"], len(vault.calls)) == ("cached", ORDER_ID, 2)


@pytest.mark.parametrize("denied", ["cached", "recent", "status"])
def test_what_the_token_may_not_read_is_warned_of_and_done_without(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], denied: str
) -> None:
    ordering(vault, order_status("completed"))
    if denied == "cached":
        vault.on("GET", f"{ROLE}/cached", DENIED)
    elif denied == "recent":
        vault.on("LIST", f"{MOUNT}/lookup/orders/recent", DENIED)
    else:
        vault.on("GET", f"{ORDER}/status", DENIED)
    result = run_module(MODULE, options)
    assert result["changed"] is True
    assert "may not read" in str(result["warnings"])


def test_a_revoked_certificate_is_replaced_and_not_taken_from_the_cache(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any]
) -> None:
    write(options, LEAF)
    fresh = CA.issue(NAME, not_before=NOW)
    ordering(vault, order_status("completed"), issued=fresh)
    vault.on("GET", f"{ROLE}/cached", Answer(LEAF.data()))
    path, revoked = lookup_cert(LEAF, order_status="revoked")
    vault.on("GET", path, revoked)
    result = run_module(MODULE, {**options, "check_revocation": True})
    assert result["reason"] == f"Vault has revoked the certificate {LEAF.data()['serial_number']}"
    assert result["serial_number"] == fresh.data()["serial_number"]


@pytest.mark.parametrize("answer", [NOTHING_THERE, lookup_cert(LEAF)[1]])
def test_a_check_for_revocation_costs_one_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], answer: Answer
) -> None:
    write(options, LEAF)
    vault.on("GET", lookup_cert(LEAF)[0], answer)
    result = run_module(MODULE, {**options, "check_revocation": True})
    assert (result["changed"], len(vault.calls)) == (False, 1)


def test_a_chain_that_was_lost_is_fetched_without_an_order(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any]
) -> None:
    options |= {"key_source": "local"}
    write(options, LEAF)
    Path(options["destination"]["fullchain"]).write_text(pem(LEAF.certificate))
    vault.on("GET", *lookup_cert(LEAF))
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(LEAF.data(private_key=None, private_key_type=None)))
    result = run_module(MODULE, options)
    assert (result["reason"], result["source"]) == ("its chain is missing", "cached")
    assert result["files"] == [options["destination"]["fullchain"]]
    assert len(vault.calls) == 2


def test_a_ca_without_chain_is_not_asked_for_a_new_certificate_at_every_run(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any]
) -> None:
    options |= {"key_source": "local"}
    write(options, LEAF)
    Path(options["destination"]["fullchain"]).write_text(pem(LEAF.certificate))
    vault.on("GET", *lookup_cert(LEAF))
    vault.on("GET", f"{ORDER}/fetch-cert", Answer(LEAF.data(private_key=None, private_key_type=None, ca_chain=[])))
    result = run_module(MODULE, options)
    assert (result["changed"], result["files"]) == (False, [])


@pytest.mark.parametrize("outcome", ["unknown", "denied"])
def test_a_chain_that_vault_cannot_give_needs_a_new_certificate(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], outcome: str
) -> None:
    write(options, LEAF)
    Path(options["destination"]["fullchain"]).write_text(pem(LEAF.certificate))
    fresh = CA.issue(NAME, not_before=NOW)
    ordering(vault, order_status("completed"), issued=fresh)
    vault.on("GET", lookup_cert(LEAF)[0], NOTHING_THERE if outcome == "unknown" else DENIED)
    assert run_module(MODULE, options)["serial_number"] == fresh.data()["serial_number"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"private_key": key_pem(new_key())}, "private key does not belong"),
        ({"ca_chain": [pem(SmallCA("Stranger").intermediate)]}, "chain is not in order"),
        ({"serial_number": "0a:0b"}, "serial number"),
        ({"certificate": pem(CA.issue("evil.example.com", key=LEAF.key).certificate)}, "serial number"),
    ],
)
def test_what_does_not_fit_is_not_installed(
    vault: FakeVault,
    clock: ManualClock,
    run_module: RunModule,
    options: dict[str, Any],
    changes: dict[str, Any],
    problem: str,
) -> None:
    old = CA.issue(NAME, not_before=NOW - datetime.timedelta(days=80))
    write(options, old)
    ordering(vault, order_status("completed"), **changes)
    result = run_module(MODULE, options)
    assert result["failed"] is True
    assert problem in result["msg"]
    assert Path(options["destination"]["fullchain"]).read_text().startswith(pem(old.certificate))


def test_check_mode_tells_what_would_be_done_and_does_none_of_it(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], tmp_path: Path
) -> None:
    write(options, CA.issue(NAME, not_before=NOW - datetime.timedelta(days=78)))
    vault.on("GET", f"{ROLE}/cached", NOTHING_THERE)
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", NOTHING_RECENT)
    result = run_module(MODULE, options, check=True, diff=True)
    assert (result["changed"], result["source"], result["order_id"]) == (True, "order", None)
    assert result["reason"].startswith("expires in 1")
    assert result["diff"]["after"]["identifiers"] == [NAME]
    assert all(call.startswith(("GET", "LIST")) for call in vault.calls)
    assert {path.name for path in tmp_path.iterdir()} == {"www.pem", "www.key"}


def test_check_mode_names_the_order_that_would_be_used(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any]
) -> None:
    vault.on("GET", f"{ROLE}/cached", NOTHING_THERE)
    data = order_status(AWAITING).data
    assert data is not None
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", recent((OTHER_ID, dict(data))))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/status", order_status(AWAITING))
    assert run_module(MODULE, options, check=True)["order_id"] == OTHER_ID


def test_check_mode_for_a_local_key_asks_vault_nothing(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], tmp_path: Path
) -> None:
    result = run_module(MODULE, {**options, "key_source": "local"}, check=True)
    assert (result["changed"], result["source"]) == (True, "order")
    assert vault.calls == []
    assert list(tmp_path.iterdir()) == []


def test_a_failed_order_is_forgotten_and_the_next_run_orders_anew(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], tmp_path: Path
) -> None:
    ordering(vault, order_status("error", last_error="CAA forbids it"))
    result = run_module(MODULE, options)
    assert "CAA forbids it" in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_an_order_that_takes_too_long_is_gone_on_with(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], tmp_path: Path
) -> None:
    ordering(vault, order_status("processing-challenge"))
    result = run_module(MODULE, {**options, "wait_timeout": 60})
    assert "is still processing-challenge after 60 s" in result["msg"]
    assert [path.name for path in tmp_path.iterdir()] == [".www.key.vault_extca"]
    ordering(vault, order_status("completed"))
    before = len(vault.calls)
    assert run_module(MODULE, options)["changed"] is True
    assert not any("new-order" in call for call in vault.calls[before:])
    assert {path.name for path in tmp_path.iterdir()} == {"www.pem", "www.key"}


def test_an_answer_that_was_lost_is_looked_for_by_the_next_run(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], tmp_path: Path
) -> None:
    ordering(vault)
    vault.on("POST", f"{ROLE}/new-order", Answer(status=502, text="<html>"))
    options |= {"use_cached": False}
    assert run_module(MODULE, options)["failed"] is True
    assert [path.name for path in tmp_path.iterdir()] == [".www.key.vault_extca"]
    # The order was made all the same, and has completed in the meantime.
    vault.on("GET", f"{ROLE}/cached", Answer(LEAF.data()))
    vault.on("GET", *lookup_cert(LEAF))
    result = run_module(MODULE, options)
    assert (result["changed"], result["source"]) == (True, "cached")


def test_a_refused_order_leaves_nothing(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], tmp_path: Path
) -> None:
    ordering(vault)
    vault.on("POST", f"{ROLE}/new-order", Answer(status=400, errors=["domain not allowed"]))
    assert "domain not allowed" in run_module(MODULE, options | {"key_source": "local"})["msg"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", ["error", "expired", "revoked", "gone"])
def test_a_recorded_order_that_came_to_nothing_is_replaced(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], status: str
) -> None:
    ordering(vault, order_status("processing-challenge"))
    run_module(MODULE, {**options, "wait_timeout": 1})
    ordering(vault)
    vault.on("GET", f"{ORDER}/status", NOTHING_THERE if status == "gone" else order_status(status))
    vault.on("POST", f"{ROLE}/new-order", Answer({"order_id": OTHER_ID}))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/status", order_status("completed"))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/fetch-cert", Answer(LEAF.data()))
    assert run_module(MODULE, options)["order_id"] == OTHER_ID


def test_a_recorded_order_of_long_ago_is_replaced(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any]
) -> None:
    ordering(vault, order_status("processing-challenge"))
    run_module(MODULE, {**options, "wait_timeout": 1})
    old = CA.issue(NAME, not_before=NOW - datetime.timedelta(days=80))
    ordering(vault, order_status("completed"), issued=old)
    vault.on("POST", f"{ROLE}/new-order", Answer({"order_id": OTHER_ID}))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/status", order_status("completed"))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/fetch-cert", Answer(LEAF.data()))
    assert run_module(MODULE, options)["order_id"] == OTHER_ID


def test_a_certificate_that_is_due_at_once_is_warned_of(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any]
) -> None:
    ordering(vault, order_status("completed"))
    result = run_module(MODULE, {**options, "renew_before": "100d"})
    assert result["changed"] is True
    assert "is due for renewal at once: renew_before 100d" in str(result["warnings"])


@pytest.mark.parametrize(
    ("offered", "changes", "problem"),
    [
        (["dns-01"], {}, "no DNS provider of Vault's answers it"),
        (["http-01"], {"challenge_type": "dns-01"}, "no DNS provider of Vault's answers it"),
        (["http-01", "dns-01"], {"http_01": None}, "nothing is configured here that answers one"),
        (
            ["http-01"],
            {"challenge_type": "tls-alpn-01", "tls_alpn_01": {"listen": "127.0.0.1:4430"}},
            "and challenge_type is tls-alpn-01",
        ),
    ],
)
def test_a_challenge_that_nobody_answers_is_told_with_the_ways_out(
    vault: FakeVault,
    clock: ManualClock,
    run_module: RunModule,
    options: dict[str, Any],
    offered: list[str],
    changes: dict[str, Any],
    problem: str,
) -> None:
    challenges = {NAME: [challenge(one) for one in offered]}
    ordering(vault, order_status(AWAITING, challenges=challenges))
    result = run_module(MODULE, options | changes)
    assert f"offers {', '.join(offered)} for {NAME}" in result["msg"]
    assert problem in result["msg"]


def test_a_local_key_leaves_a_request_and_never_itself(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any]
) -> None:
    key = Path(options["destination"]["private_key"]).with_name("own.key")
    key.write_text(key_pem(LEAF.key))
    csr = new_csr(NAME, key=LEAF.key)
    ordering(vault, order_status("completed", csr=csr), private_key=None, private_key_type=None)
    result = run_module(MODULE, options | {"key_source": "local", "private_key_path": str(key)})
    assert result["changed"] is True
    sent = str([one.body for one in vault.sent])
    assert "BEGIN CERTIFICATE REQUEST" in sent
    assert "PRIVATE KEY" not in sent
    assert Path(options["destination"]["private_key"]).read_text() == key_pem(LEAF.key)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"http_01": {"listen": ""}}, "listen of http_01: '' is not an address with a port"),
        ({"http_01": {"webroot": None}}, "webroot '' of http_01 is not a directory"),
        ({"tls_alpn_01": {"listen": ""}}, "listen of tls_alpn_01: '' is not an address with a port"),
        ({"destination": {"fullchain": ""}}, "destination has no file for the certificate"),
    ],
)
def test_what_is_empty_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], changes: dict[str, Any], complaint: str
) -> None:
    assert complaint in run_module(MODULE, options | changes)["msg"]
    assert vault.calls == []


def test_check_mode_predicts_an_order_on_a_mount_that_is_yet_to_come(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any]
) -> None:
    result = run_module(MODULE, options, check=True)
    assert (result["changed"], result["source"], result["order_id"]) == (True, "order", None)
    assert "a mount that is not there yet" in result["warnings"][0]
    assert "no handler for route" in run_module(MODULE, options)["msg"]


def test_a_revocation_that_may_not_be_looked_up_is_a_failure(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any]
) -> None:
    write(options, LEAF)
    vault.on("GET", lookup_cert(LEAF)[0], DENIED)
    result = run_module(MODULE, {**options, "check_revocation": True})
    assert result["failed"] is True
    assert "permission denied" in result["msg"]


def test_a_key_that_was_there_before_is_returned_only_to_who_asks(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any], tmp_path: Path
) -> None:
    key = tmp_path / "own.key"
    key.write_text(key_pem(LEAF.key))
    ordering(vault, order_status("completed"), private_key=None, private_key_type=None)
    own = {"key_source": "local", "private_key_path": str(key), "destination": {"fullchain": str(tmp_path / "www.pem")}}
    for changed in (True, False):
        result = run_module(MODULE, options | own)
        assert (result["changed"], "private_key" in result) == (changed, False)
    asked = run_module(MODULE, options | own | {"return_private_key": True})
    assert asked["private_key"] == key_pem(LEAF.key)


def test_a_certificate_for_another_key_than_the_requests_is_refused(
    vault: FakeVault, clock: ManualClock, run_module: RunModule, options: dict[str, Any]
) -> None:
    ordering(vault, order_status("completed"), private_key=None, private_key_type=None)
    result = run_module(MODULE, options | {"key_source": "local"})
    assert "another key than the certificate signing request's" in result["msg"]


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "schlüssel"]
)
def test_a_file_that_holds_no_key_is_told(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], tmp_path: Path, text: str
) -> None:
    key = tmp_path / "own.key"
    key.write_text(text)
    result = run_module(MODULE, options | {"key_source": "local", "private_key_path": str(key)})
    assert f"private_key_path '{key}'" in result["msg"]
    assert vault.calls == []
