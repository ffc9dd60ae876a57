# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Orders as vault_extca_order_info returns them, invented, in every condition."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.certops.vault_extca.plugins.module_utils.durations import format_moment

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOSTILE = "<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>{{ 7*7 }}&amp;\u202egnp.exe"


def invented(number: int, *, status: str = "completed", left: timedelta = 60 * DAY, **changes: Any) -> dict[str, Any]:
    """One order; ``left`` is how long its certificate of 90 days is still valid."""
    end = NOW + left
    issued = status in ("completed", "revoked")
    order: dict[str, Any] = {
        "order_id": f"0193{number:04x}-7c1e-7b2a-9d55-{number:012x}",
        "role_name": f"web-{number % 7}",
        "order_status": status,
        "identifiers": [f"host{number}.example.com"],
        "challenges": {},
        "csr": "",
        "serial_number": f"5f:1c:{number >> 8:02x}:{number & 255:02x}" if issued else "",
        "last_error": "",
        "creation_date": format_moment(end - 90 * DAY if issued else NOW - DAY),
        "last_update": format_moment(end - 90 * DAY if issued else NOW - timedelta(hours=5)),
    }
    if issued:
        order.update(not_before=format_moment(end - 90 * DAY), not_after=format_moment(end))
    return {**order, **changes}


def fleet(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """So many orders, of which some are due, expired, failed, stuck and so on."""
    rng = random.Random(seed)
    orders = []
    for number in range(count):
        kind = rng.random()
        if kind < 0.06:
            orders.append(
                invented(number, status="error", last_error="urn:ietf:params:acme:error:dns: NXDOMAIN looking up A")
            )
        elif kind < 0.10:
            name = f"host{number}.example.com"
            waiting = [
                {"challenge_type": "http-01", "challenge_status": "pending", "requires_manual_fulfillment": True}
            ]
            orders.append(invented(number, status="awaiting-challenge-fulfillment", challenges={name: waiting}))
        elif kind < 0.13:
            orders.append(invented(number, status="processing-challenge", last_update=format_moment(NOW)))
        elif kind < 0.16:
            orders.append(invented(number, status="revoked"))
        elif kind < 0.20:
            orders.append(invented(number, left=-rng.random() * 10 * DAY))
        else:
            names = [
                f"host{number}.example.com",
                *(f"alias{n}.example.net" for n in range(rng.choice((0, 0, 0, 2, 9)))),
            ]
            orders.append(invented(number, left=rng.random() * 88 * DAY, identifiers=names))
    return orders
