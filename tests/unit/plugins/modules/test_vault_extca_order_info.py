# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_order_info: looks orders up."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...ordering import AWAITING, DENIED, ID, MOUNT, ORDER, ORDER_ID, OTHER_ID, ROLE, order_data, order_status, recent
from ...support import NOTHING_THERE, Answer, FakeVault

MODULE = "vault_extca_order_info"
LOOKUP = f"{MOUNT}/lookup/order/{ORDER_ID}"
RECENT = f"{MOUNT}/lookup/orders/recent"


def orders(result: dict[str, Any]) -> list[dict[str, Any]]:
    assert result["changed"] is False
    found: list[dict[str, Any]] = result["orders"]
    return found


@pytest.mark.parametrize("options", [{"role_name": "web", "order_id": ORDER_ID}, {"id": ID}])
def test_one_order_of_a_role(vault: FakeVault, run_module: RunModule, options: dict[str, Any]) -> None:
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING, csr="-----BEGIN"))
    (order,) = orders(run_module(MODULE, options))
    assert (order["id"], order["order_id"], order["role_name"]) == (ID, ORDER_ID, "web")
    assert (order["order_status"], order["csr"], order["expires"]) == (AWAITING, "-----BEGIN", "2026-02-07T12:00:00Z")


def test_one_order_by_its_id_alone(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", LOOKUP, order_status("completed"))
    (order,) = orders(run_module(MODULE, {"order_id": ORDER_ID}, check=True))
    assert (order["id"], order["order_status"]) == (ID, "completed")


@pytest.mark.parametrize("answer", [NOTHING_THERE, Answer(status=400, errors=["no such order"])])
@pytest.mark.parametrize("options", [{"order_id": ORDER_ID}, {"order_id": ORDER_ID, "role_name": "web"}])
def test_an_order_that_is_not_there_is_no_failure(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], answer: Answer
) -> None:
    vault.on("GET", LOOKUP, answer)
    vault.on("GET", f"{ORDER}/status", answer)
    assert orders(run_module(MODULE, options)) == []


def test_active_orders_of_a_role(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", f"{ROLE}/active-orders", Answer({"keys": [ORDER_ID]}))
    assert orders(run_module(MODULE, {"role_name": "web"})) == [{"id": ID, "order_id": ORDER_ID, "role_name": "web"}]


@pytest.mark.parametrize("answer", [NOTHING_THERE, Answer(status=400, errors=["no such role"])])
def test_a_role_without_orders_or_no_such_role(vault: FakeVault, run_module: RunModule, answer: Answer) -> None:
    vault.on("LIST", f"{ROLE}/active-orders", answer)
    assert orders(run_module(MODULE, {"role_name": "web"})) == []


def test_active_orders_expanded_are_the_newest_first(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", f"{ROLE}/active-orders", Answer({"keys": [OTHER_ID, ORDER_ID, "gone"]}))
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING))
    vault.on("GET", f"{ROLE}/order/{OTHER_ID}/status", order_status("new", creation_date="2026-01-30T00:00:00Z"))
    vault.on("GET", f"{ROLE}/order/gone/status", NOTHING_THERE)
    found = orders(run_module(MODULE, {"role_name": "web", "expand": True}))
    assert [one["order_id"] for one in found] == [ORDER_ID, OTHER_ID]
    assert found[0]["challenges"]


def test_all_orders(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", f"{MOUNT}/lookup/orders", Answer({"keys": [OTHER_ID, ORDER_ID]}))
    assert orders(run_module(MODULE, {})) == [{"order_id": OTHER_ID}, {"order_id": ORDER_ID}]


def test_all_orders_expanded(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", f"{MOUNT}/lookup/orders", Answer({"keys": [ORDER_ID]}))
    vault.on("GET", LOOKUP, order_status("completed"))
    (order,) = orders(run_module(MODULE, {"expand": True}))
    assert (order["id"], order["order_status"]) == (ID, "completed")


def test_the_validity_of_certificates(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{ORDER}/status", order_status("completed", serial_number="5f:1c"))
    issued = {"order_id": ORDER_ID, "role_name": "web", "order_status": "completed", "identifiers": ["www.example.com"]}
    validity = {"not_before": "2026-01-31T12:00:00Z", "not_after": "2026-05-01T12:00:00Z"}
    vault.on("GET", f"{MOUNT}/lookup/cert/5f:1c", Answer({**issued, **validity}), DENIED)
    (order,) = orders(run_module(MODULE, {"id": ID, "validity": True}))
    assert (order["not_before"], order["not_after"]) == ("2026-01-31T12:00:00Z", "2026-05-01T12:00:00Z")
    result = run_module(MODULE, {"id": ID, "validity": True})
    assert "not_after" not in orders(result)[0]
    assert any("may not read" in str(warning) for warning in result["warnings"])


def test_an_order_without_a_certificate_has_no_validity(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING))
    assert "not_after" not in orders(run_module(MODULE, {"id": ID, "validity": True}))[0]


def test_recent_orders(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", RECENT, recent((ORDER_ID, order_data("error")), (OTHER_ID, order_data("new", role_name="mail"))))
    found = orders(run_module(MODULE, {"within": "1d"}))
    assert vault.sent[0].params == {"within": ["86400s"]}
    assert [(one["id"], one["order_status"]) for one in found] == [
        (ID, "error"),
        (f"{MOUNT}/role/mail/order/{OTHER_ID}/certificate", "new"),
    ]
    assert (found[0]["identifiers"], found[0]["creation_date"]) == (["www.example.com"], "2026-01-31T12:00:00Z")


def test_recent_orders_of_a_role_expanded(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", RECENT, recent((ORDER_ID, order_data("error")), (OTHER_ID, order_data("new", role_name="mail"))))
    vault.on("GET", f"{ORDER}/status", order_status("error", last_error="no such host"))
    (order,) = orders(run_module(MODULE, {"within": "168h", "role_name": "web", "expand": True}))
    assert order["last_error"] == "no such host"


def test_a_refused_token_is_told_what_it_lacks(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", f"{MOUNT}/lookup/orders", DENIED)
    vault.on("POST", "sys/capabilities-self", Answer({f"{MOUNT}/lookup/orders": ["read"]}))
    assert "the token has read there, and lacks list" in run_module(MODULE, {})["msg"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"within": "30m"}, "within: '30m' is not between 1h and 168h"),
        ({"within": "8d"}, "within: '8d' is not between 1h and 168h"),
        ({"within": "yesterday"}, "within: 'yesterday' is not a duration"),
        ({"order_id": "../roles"}, "order_id '../roles' cannot be used"),
        ({"role_name": "a/b"}, "role_name 'a/b' cannot be used"),
        ({"order_id": ORDER_ID, "within": "1h"}, "mutually exclusive"),
        ({"id": ID, "role_name": "web"}, "mutually exclusive"),
        ({"id": "web"}, "id 'web' is not of the form"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    result = run_module(MODULE, options)
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert vault.calls == []
