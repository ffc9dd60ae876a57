# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Return values of orders and certificates."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import Certificate, OrderReference
from ansible_collections.certops.vault_extca.plugins.module_utils.found_results import found_certificate
from ansible_collections.certops.vault_extca.plugins.module_utils.order_results import (
    certificate_result,
    certificate_values,
    facts,
    order_result,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.orders import Issued, unread_order
from ansible_collections.certops.vault_extca.plugins.module_utils.reuse import Found

from ...issuing import SmallCA
from ...ordering import AWAITING, ID, MOUNT, ORDER_ID

REFERENCE = OrderReference("web", ORDER_ID)
LEAF = SmallCA().issue("www.example.com")


def certificate(**changes: Any) -> Certificate:
    data: Certificate = {"private_key": None, "private_key_type": None, **LEAF.data(**changes)}  # type: ignore[typeddict-item]
    return data


def test_every_pem_ends_in_a_line_break() -> None:
    data = LEAF.data()
    values = certificate_values(
        certificate(
            certificate=data["certificate"].strip(),
            ca_chain=[one.strip() for one in data["ca_chain"]],
            private_key=data["private_key"].strip(),
        )
    )
    assert values == {**data, "fullchain": data["certificate"] + "".join(data["ca_chain"])}


def test_der_is_left_as_it_is_and_the_fullchain_is_pem() -> None:
    data = LEAF.data()
    der = "".join(data["certificate"].strip().splitlines()[1:-1])
    values = certificate_values(certificate(certificate=der, certificate_format="der"))
    assert values["certificate"] == der
    assert values["fullchain"] == data["certificate"] + "".join(data["ca_chain"])


def test_what_is_known_without_a_status() -> None:
    result = certificate_result(MOUNT, REFERENCE, Issued(None, certificate(), 2, 1.23456))
    assert (result["id"], result["order_status"], result["elapsed"], result["polls"]) == (ID, "completed", 1.235, 2)
    assert result["identifiers"] == ["www.example.com"]


def test_an_order_that_goes_on_has_no_certificate() -> None:
    order = unread_order(REFERENCE, AWAITING, ["www.example.com"])
    result = certificate_result(MOUNT, REFERENCE, Issued(order, None, 1, 0.0))
    assert (result["order_status"], "certificate" in result, "csr" in result) == (AWAITING, False, False)
    assert order_result(MOUNT, REFERENCE, order)["id"] == ID


@pytest.mark.parametrize(
    ("which", "keys"),
    [
        ("none", set()),
        ("public", {"certificate", "ca_chain", "fullchain", "serial_number"}),
        ("all", {"certificate", "ca_chain", "fullchain", "serial_number", "private_key"}),
    ],
)
def test_facts_hold_what_was_asked_for(which: str, keys: set[str]) -> None:
    result = certificate_result(MOUNT, REFERENCE, Issued(None, certificate(), 1, 0.0))
    found = facts(result, which).get("ansible_facts", {}).get("vault_extca_order_certificate", {})
    assert set(found) == keys
    assert facts({"order_status": AWAITING}, which) == {}


def test_facts_without_a_key_have_none() -> None:
    result = certificate_result(MOUNT, REFERENCE, Issued(None, certificate(private_key=None), 1, 0.0))
    assert "private_key" not in facts(result, "all")["ansible_facts"]["vault_extca_order_certificate"]


def test_nothing_found_is_nothing() -> None:
    assert found_certificate(MOUNT, "web", None) == {}
    assert found_certificate(MOUNT, "web", Found("0a", None, None)) == {"role_name": "web", "serial_number": "0a"}
