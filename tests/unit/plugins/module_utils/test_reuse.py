# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Orders that serve again; the module's own tests drive the rest."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.durations import (
    RenewBefore,
    format_moment,
    parse_renew_before,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import ExternalCA
from ansible_collections.certops.vault_extca.plugins.module_utils.reuse import find_order, is_due
from hypothesis import given
from hypothesis import strategies as st

from ...issuing import SmallCA, new_csr
from ...ordering import AWAITING, DENIED, MOUNT, ORDER, ORDER_ID, ROLE, looked_up, order_data, order_status, recent
from ...support import NOTHING_THERE, Answer, FakeVault, ManualClock

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
END = BEGIN + timedelta(days=90)
CSR = new_csr("www.example.com")
THIRD = parse_renew_before("33%")
LEAF = SmallCA().issue("www.example.com")
SERIAL = LEAF.data()["serial_number"]


@pytest.mark.parametrize(
    ("renew_before", "day", "due"),
    [
        ("30d", 59, False),
        ("30d", 60, True),
        ("50%", 44, False),
        ("50%", 45, True),
        ("0s", 89, False),
        ("0s", 90, True),
        ("100d", 0, True),
    ],
)
def test_when_a_certificate_is_due(renew_before: str, day: int, due: bool) -> None:
    now = BEGIN + timedelta(days=day)
    assert is_due(format_moment(BEGIN), format_moment(END), parse_renew_before(renew_before), now) is due


@pytest.mark.parametrize("moments", [("", ""), ("0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), ("soon", "later")])
def test_a_validity_that_nobody_can_read_is_due(moments: tuple[str, str]) -> None:
    assert is_due(*moments, THIRD, BEGIN)


@given(
    st.integers(1, 10**8),
    st.one_of(
        st.builds(RenewBefore, st.integers(0, 10**8), st.none()), st.builds(RenewBefore, st.none(), st.floats(0, 99))
    ),
    st.lists(st.floats(-1, 2), min_size=2, max_size=10),
)
def test_what_is_due_stays_due(lifetime: int, renew_before: RenewBefore, moments: list[float]) -> None:
    end = BEGIN + timedelta(seconds=lifetime)
    due = [
        is_due(format_moment(BEGIN), format_moment(end), renew_before, BEGIN + timedelta(seconds=lifetime * at))
        for at in sorted(moments)
    ]
    assert due == sorted(due)
    assert is_due(format_moment(BEGIN), format_moment(end), renew_before, end)


def find(external_ca: ExternalCA, csr: str | None, warnings: list[str], **how: Any) -> str | None:
    found = find_order(
        external_ca,
        "web",
        ["www.example.com"],
        csr=csr,
        reuse=how.pop("reuse", "valid"),
        renew_before=THIRD,
        warn=warnings.append,
        clock=ManualClock(),
        **how,
    )
    return found and found["order_id"]


@pytest.mark.parametrize(("day", "found"), [(59, ORDER_ID), (61, None)])
def test_a_completed_order_for_a_request_is_judged_by_its_certificate(
    external_ca: ExternalCA, vault: FakeVault, day: int, found: str | None
) -> None:
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", recent((ORDER_ID, order_data("completed"))))
    vault.on("GET", f"{ORDER}/status", order_status("completed", csr=CSR, serial_number="0a"))
    vault.on("GET", f"{MOUNT}/lookup/cert/0a", looked_up(not_before=format_moment(BEGIN), not_after=format_moment(END)))
    assert find(external_ca, CSR, [], now=BEGIN + timedelta(days=day)) == found


def test_a_request_may_have_a_common_name_more(external_ca: ExternalCA, vault: FakeVault) -> None:
    names = ("Common.example.com", "www.example.com")
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", recent((ORDER_ID, order_data(AWAITING, *names))))
    vault.on("GET", f"{ORDER}/status", order_status(AWAITING, *names, csr=CSR))
    assert find(external_ca, CSR, []) == ORDER_ID


@pytest.mark.parametrize(
    "status",
    [
        NOTHING_THERE,
        order_status("error", csr=CSR),
        order_status("completed", csr=CSR),
        order_status("revoked", csr=CSR, serial_number="0a"),
    ],
)
def test_an_order_that_has_changed_since_it_was_listed_does_not_serve(
    external_ca: ExternalCA, vault: FakeVault, status: Answer
) -> None:
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", recent((ORDER_ID, order_data(AWAITING))))
    vault.on("GET", f"{ORDER}/status", status)
    assert find(external_ca, CSR, []) is None


def test_a_validity_that_may_not_be_read_is_told(external_ca: ExternalCA, vault: FakeVault) -> None:
    warnings: list[str] = []
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", recent((ORDER_ID, order_data("completed"))))
    vault.on("GET", f"{ORDER}/status", order_status("completed", csr=CSR, serial_number="0a"))
    vault.on("GET", f"{MOUNT}/lookup/cert/0a", DENIED)
    assert find(external_ca, CSR, warnings) is None
    assert warnings == [f"The token may not read {MOUNT}/lookup/cert/0a, so an order of role web may be made again."]


def test_a_standby_that_does_not_know_a_listed_order_is_given_time(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("LIST", f"{MOUNT}/lookup/orders/recent", recent((ORDER_ID, order_data(AWAITING))))
    vault.on(
        "GET",
        f"{ORDER}/status",
        NOTHING_THERE,
        Answer(status=412, errors=["required index state not present"]),
        order_status(AWAITING),
    )
    assert find(external_ca, None, [], reuse="active") == ORDER_ID


def test_a_cached_certificates_order_that_is_gone_does_not_serve(external_ca: ExternalCA, vault: FakeVault) -> None:
    vault.on("GET", f"{ROLE}/cached", Answer(LEAF.data()))
    vault.on("GET", f"{MOUNT}/lookup/cert/{SERIAL}", looked_up())
    vault.on("GET", f"{ORDER}/status", NOTHING_THERE)
    assert find(external_ca, None, []) is None
