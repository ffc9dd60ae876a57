# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Ten thousand orders in a mount cost no more than ten."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from devserver.engine import orders
from tests.devserver.engine.harness import Server, Services, fresh

MANY = 10_000


@pytest.fixture(scope="module")
def crowded(services: Services) -> Iterator[Server]:
    """A Vault with ten thousand waiting orders and a completed one."""
    server = Server(services, check=False)
    server.prepare()
    model_id = server.issue(fresh())
    store: Any = server.vault.namespaces[""].mounts["pki-external-ca/"].backend._orders  # type: ignore[attr-defined]
    model = store.get(model_id)
    for number in range(MANY):
        moment = model.creation - timedelta(seconds=MANY - number)
        store.add(
            replace(
                model,
                id=orders.new_order_id(moment),
                creation=moment,
                state=orders.AWAITING,
                next_work=moment + timedelta(days=1),
                issued=None,
            )
        )
    yield server
    server.close()


def per_second(work: Callable[[], object], seconds: float = 0.5) -> float:
    """How often this thread can do it in a second of its own CPU time, whatever else the machine does."""
    work()
    count, begin = 0, time.thread_time()
    while (elapsed := time.thread_time() - begin) < seconds:
        work()
        count += 1
    return count / elapsed


def test_single_reads(crowded: Server) -> None:
    order_id = crowded.ok("LIST", "lookup/orders/recent")["keys"][0]
    serial = crowded.status(order_id)["serial_number"]
    identifiers = ",".join(crowded.status(order_id)["identifiers"])
    reads: list[tuple[str, dict[str, Any]]] = [
        (f"role/web/order/{order_id}/status", {}),
        (f"lookup/order/{order_id}", {}),
        (f"lookup/cert/{serial}", {}),
        ("role/web/cached", {"identifiers": identifiers, "min_validity_duration": "1h"}),
    ]
    for path, parameters in reads:
        rate = per_second(lambda: crowded.ok("GET", path, **parameters))  # noqa: B023 - called before the loop goes on
        assert rate > 1000, f"{path}: {rate:.0f}/s"


def test_lists_are_bounded(crowded: Server) -> None:
    recent = crowded.ok("LIST", "lookup/orders/recent", within="168h")
    assert len(recent["keys"]) == 500
    assert recent["keys"] == sorted(recent["keys"], reverse=True)
    assert len(crowded.ok("LIST", "role/web/active-orders")["keys"]) == MANY
    assert per_second(lambda: crowded.ok("LIST", "lookup/orders/recent")) > 50


def test_another_order_is_as_quick_as_the_first(crowded: Server) -> None:
    begin = time.perf_counter()
    crowded.issue(fresh())
    assert time.perf_counter() - begin < 5


def test_orders_side_by_side(server: Server) -> None:
    names = {server.order(name): name for name in (fresh() for _order in range(30))}
    for order_id, name in names.items():
        server.wait(order_id, "awaiting-challenge-fulfillment")
        server.fulfil(order_id, name)
    serials = {server.wait(order_id, "completed")["serial_number"] for order_id in names}
    assert len(serials) == len(names)
    assert all(server.ok("GET", f"lookup/cert/{serial}")["order_id"] in names for serial in serials)
